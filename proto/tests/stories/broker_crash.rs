//! A broker that died and took an older state of its session from the disk.

use everlink_proto::session::Config;
use everlink_proto::wire::{Ack, AckKind, Property, QoS, ReasonCode, Version};
use everlink_sim::host::Fate;
use everlink_sim::script::Script;

use crate::support::*;

/// An exchange with the broker as sender, from beginning to end.
fn exchange(s: &mut Script<Engine>, n: u16, text: &str) {
    s.reply(publish(Q2, n, text));
    s.expect(pubrec(n));
    s.reply(pubrel(n));
    s.expect(pubcomp(n));
}

/// Connected, with `count` messages received that have identifiers from 1 on.
fn after_exchanges(cfg: Config, count: u16) -> Script<Engine> {
    let mut s = connected(cfg);
    (1..=count).for_each(|n| exchange(&mut s, n, &n.to_string()));
    s
}

#[test]
fn a_message_of_an_exchange_that_is_over_is_not_delivered_again() {
    for version in VERSIONS {
        let cfg = Config { receive_maximum: 4, ..config(version) };
        let mut s = after_exchanges(cfg, 8);
        s.reset();
        s.accept(true);
        // PUBCOMP never reached the disk, and mosquitto has forgotten its PUBREL as well.
        for n in [7, 8] {
            s.reply(again(Q2, n, &n.to_string()));
            s.expect(pubrec(n));
            s.reply(pubrel(n));
            s.expect(pubcomp(n));
        }
        assert_eq!(s.inbox.texts().len(), 8);
        assert_eq!(s.engine.stats().duplicates, 2);
        // What follows is new.
        exchange(&mut s, 9, "9");
        assert_eq!(s.inbox.texts().last().map(String::as_str), Some("9"));
    }
}

#[test]
fn attempts_that_fail_until_the_broker_is_back_do_not_count() {
    for version in VERSIONS {
        let cfg = Config { receive_maximum: 4, ..config(version) };
        let mut s = after_exchanges(cfg, 8);
        s.reset();
        for _ in 0..5 {
            s.connect();
            s.refuse(ReasonCode::SERVER_UNAVAILABLE);
        }
        s.accept(true);
        s.reply(again(Q2, 8, "8"));
        s.expect(pubrec(8));
        assert_eq!(s.inbox.texts().len(), 8);
    }
}

#[test]
fn it_is_new_if_anything_speaks_for_that() {
    for version in VERSIONS {
        let cfg = || Config { receive_maximum: 4, ..config(version) };
        let delivered_again = |s: &mut Script<Engine>, packet| {
            let before = s.inbox.texts().len();
            s.reply(packet);
            s.settle();
            s.inbox.texts().len() > before
        };
        // Too few messages to know how this broker counts: it may take the lowest free identifier.
        let mut s = after_exchanges(cfg(), 4);
        s.reset();
        s.accept(true);
        assert!(delivered_again(&mut s, again(Q2, 4, "4")));
        // It began anew of late.
        let mut s = after_exchanges(cfg(), 8);
        exchange(&mut s, 3, "3");
        s.reset();
        s.accept(true);
        assert!(delivered_again(&mut s, again(Q2, 3, "3")));
        // Another text, no DUP, another session.
        let mut s = after_exchanges(cfg(), 8);
        s.reset();
        s.accept(true);
        assert!(delivered_again(&mut s, again(Q2, 8, "other")));
        let mut s = after_exchanges(cfg(), 8);
        s.reset();
        s.accept(true);
        assert!(delivered_again(&mut s, publish(Q2, 8, "8")));
        let mut s = after_exchanges(cfg(), 8);
        s.reset();
        s.accept(false);
        assert!(delivered_again(&mut s, again(Q2, 8, "8")));
        // Not on the connection before, but on an earlier one.
        let mut s = after_exchanges(cfg(), 8);
        s.reset();
        s.accept(true);
        s.reset();
        s.accept(true);
        assert!(delivered_again(&mut s, again(Q2, 8, "8")));
    }
}

fn quota(kind: AckKind, n: u16) -> Ack<'static> {
    Ack { reason: ReasonCode::QUOTA_EXCEEDED, ..Ack::new(kind, pid(n)) }
}

#[test]
fn a_broker_that_takes_fewer_at_a_time_than_it_said_gets_fewer() {
    for (qos, kind) in [(Q1, AckKind::PubAck), (Q2, AckKind::PubRec)] {
        let mut s = script(config(Version::V5));
        s.connect();
        s.reply(connack(true, &[Property::ReceiveMaximum(4)]));
        let tags: Vec<_> = (1..=6).map(|n| s.publish("t", n.to_string().as_bytes(), qos)).collect();
        for n in 1..=4 {
            s.expect(publish(qos, n, &n.to_string()));
        }
        s.reply(quota(kind, 3));
        s.reply(quota(kind, 4));
        // Two are under way, and that is how many may be.
        s.silence(secs(1));
        finish(&mut s, qos, 1);
        s.expect(publish(qos, 3, "3"));
        finish(&mut s, qos, 2);
        s.expect(publish(qos, 4, "4"));
        finish(&mut s, qos, 3);
        s.expect(publish(qos, 5, "5"));
        // What is refused on its own is refused.
        finish(&mut s, qos, 4);
        s.expect(publish(qos, 6, "6"));
        finish(&mut s, qos, 5);
        s.reply(quota(kind, 6));
        s.settle();
        let fates: Vec<_> = tags.iter().map(|tag| s.inbox.fate(*tag)).collect();
        let mut expected = vec![Some(OK); 5];
        expected.push(Some(Fate::Rejected(ReasonCode::QUOTA_EXCEEDED)));
        assert_eq!(fates, expected);
    }
}

#[test]
fn it_gets_fewer_for_as_long_as_the_session_lasts() {
    let mut s = script(config(Version::V5));
    s.connect();
    s.reply(connack(true, &[Property::ReceiveMaximum(3)]));
    for n in 1..=4 {
        s.publish("t", n.to_string().as_bytes(), Q2);
    }
    (1..=3).for_each(|n| s.expect(publish(Q2, n, &n.to_string())));
    // mosquitto says so and hangs up.
    s.reply(quota(AckKind::PubRec, 3));
    s.hang_up();
    s.connect();
    s.reply(connack(true, &[Property::ReceiveMaximum(3)]));
    s.expect(again(Q2, 1, "1"));
    s.expect(again(Q2, 2, "2"));
    s.silence(secs(1));
    s.hang_up();
    s.connect();
    s.reply(connack(false, &[Property::ReceiveMaximum(3)]));
    (1..=3).for_each(|n| s.expect(publish(Q2, n + 3, &n.to_string())));
}

fn finish(s: &mut Script<Engine>, qos: QoS, n: u16) {
    if qos == Q1 {
        return s.reply(puback(n));
    }
    s.reply(pubrec(n));
    s.expect(pubrel(n));
    s.reply(pubcomp(n));
}
