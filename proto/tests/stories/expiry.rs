//! Messages that are of no use after some time.

use everlink_proto::engine::WhenFull;
use everlink_proto::session::{Config, Queue};
use everlink_proto::wire::{PacketType, Properties, Property, Publish, Version};
use everlink_sim::host::{Fate, Post};
use everlink_sim::netem::Listen;
use everlink_sim::pair::Pair;

use crate::support::*;

fn post(text: &str, seconds: u64) -> Post<'_> {
    Post { expiry: Some(secs(seconds)), ..Post::new("t", text.as_bytes(), Q1) }
}

/// An engine that cannot connect.
fn alone(cfg: Config) -> Pair<Engine> {
    let mut pair = Pair::new(1, engine(cfg));
    pair.net.listener(0).mode = Listen::Fail(everlink_proto::engine::Cause::Refused);
    pair.open();
    pair
}

#[test]
fn at_the_head_of_the_queue_to_the_moment() {
    for version in VERSIONS {
        let mut pair = alone(config(version));
        let tag = pair.try_post(post("x", 5)).expect("accepted");
        pair.run_for(millis(4_999));
        assert_eq!(pair.inbox.fate(tag), None);
        pair.run_for(millis(1));
        assert_eq!(pair.inbox.fate(tag), Some(Fate::Expired));
        assert_eq!((pair.engine.held(), pair.engine.stats().expired), (0, 1));
    }
}

#[test]
fn in_the_middle_within_a_second() {
    for version in VERSIONS {
        let mut pair = alone(config(version));
        pair.publish("t", b"head", Q1);
        let tags: Vec<_> =
            (1..=20).map(|n| pair.try_post(post("x", n)).expect("accepted")).collect();
        pair.run_for(secs(60));
        for (n, tag) in tags.into_iter().enumerate() {
            let (at, _, fate) = pair.inbox.done.iter().find(|(_, t, _)| *t == tag).expect("a fate");
            let due = secs(n as u64 + 1);
            let took = at.since(everlink_sim::clock::Clock::START);
            assert_eq!(*fate, Fate::Expired);
            assert!(took >= due && took <= due + secs(1), "{took:?} instead of {due:?}");
        }
        assert_eq!(pair.engine.held(), 1);
    }
}

#[test]
fn an_expired_message_is_not_sent_though_the_path_is_back_that_very_moment() {
    for version in VERSIONS {
        let mut pair = alone(config(version));
        let (dead, alive) = (post("dead", 30), post("alive", 31));
        let dead = pair.try_post(dead).expect("accepted");
        let alive = pair.try_post(alive).expect("accepted");
        pair.run_for(millis(29_990));
        pair.net.listener(0).mode = Listen::Accept;
        pair.net.listener(0).delay = millis(10);
        let now = pair.now();
        everlink_proto::engine::Engine::reconnect(&mut pair.engine, now);
        pair.touch();
        assert_eq!(pair.fate(alive, secs(1)), OK);
        assert_eq!(pair.inbox.fate(dead), Some(Fate::Expired));
        assert_eq!(pair.accepted(), ["alive"]);
    }
}

#[test]
fn mqtt_5_says_how_long_is_left() {
    let mut s = script(config(Version::V5));
    let mut wait = post("x", 100);
    wait.qos = Q0;
    s.try_post(wait).expect("accepted");
    s.connect();
    s.run_for(millis(3_500));
    s.reply(connack(false, &[]));
    let list = [Property::MessageExpiryInterval(96)];
    s.expect(Publish { props: Properties::from_list(&list), ..publish(Q0, 0, "x") });
}

#[test]
fn mqtt_3_1_1_says_nothing() {
    let mut s = connected(config(Version::V311));
    s.try_post(post("x", 100)).expect("accepted");
    s.expect(publish(Q1, 1, "x"));
}

// [MQTT-4.3.3-7]
#[test]
fn what_is_under_way_does_not_expire() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        let tag = s.try_post(post("x", 1)).expect("accepted");
        s.run_for(secs(4));
        assert_eq!(s.inbox.fate(tag), None);
        s.reset();
        s.accept(true);
        s.reply(puback(1));
        assert_eq!(s.inbox.fate(tag), Some(OK));
    }
}

#[test]
fn after_a_lost_session_it_does() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        let tag = s.try_post(post("x", 1)).expect("accepted");
        s.run_for(secs(4));
        s.reset();
        s.accept(false);
        assert_eq!(s.inbox.fate(tag), Some(Fate::Expired));
        s.silence(secs(1));
    }
}

#[test]
fn an_expiry_of_years_is_no_problem() {
    let mut pair = alone(config(Version::V5));
    let forever = Post { expiry: Some(everlink_proto::time::Duration::MAX), ..post("x", 0) };
    let tag = pair.try_post(forever).expect("accepted");
    pair.run_for(secs(3600));
    assert_eq!(pair.inbox.fate(tag), None);
}

#[test]
fn after_a_lost_session_also_while_it_waits_for_its_turn() {
    let mut s = connected(config(Version::V5));
    s.publish("t", b"first", Q1);
    let second = s.try_post(post("second", 7)).expect("room");
    s.expect(publish(Q1, 1, "first"));
    s.expect_kind(PacketType::Publish);
    s.reset();
    s.connect();
    s.reply(connack(false, &[Property::ReceiveMaximum(1)]));
    s.expect_kind(PacketType::Publish);
    // At a moment at which nothing else is to be done.
    s.run_for(millis(7_500));
    assert_eq!(s.inbox.fate(second), Some(Fate::Expired));
}

#[test]
fn an_expired_message_makes_room_for_the_next_at_once() {
    let queue = Queue { messages: 1, when_full: WhenFull::Reject, ..Queue::default() };
    let mut pair = Pair::new(1, engine(Config { queue, ..config(Version::V5) }));
    let now = pair.now();
    let host = &mut pair.hosts[0];
    host.post(now, post("x", 1)).expect("room");
    let next = Post::new("t", b"y", Q1);
    assert!(host.post(now + millis(999), next).is_err());
    assert!(host.post(now + secs(1), next).is_ok());
}
