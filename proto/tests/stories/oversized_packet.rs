//! A packet larger than the receive buffer is skipped and reported; the broker is answered, or it
//! would send it again for ever.

use everlink_proto::session::Config;
use everlink_proto::wire::{Ack, Packet, Properties, Publish, QoS, ReasonCode, Version};
use everlink_sim::host::Buffers;
use everlink_sim::pair::Pair;
use everlink_sim::script::Script;

use crate::support::*;

const RECEIVE: usize = 256;

fn small(version: Version) -> Script<Engine> {
    let cfg = Config { maximum_packet_size: RECEIVE as u32, ..config(version) };
    let buffers = Buffers { receive: RECEIVE, ..Buffers::default() };
    Script::with_buffers(version, engine(cfg), buffers)
}

fn send(s: &mut Script<Engine>, qos: QoS, n: u16, len: usize) {
    let payload = "x".repeat(len);
    s.reply(Publish { topic: "big/one", ..publish(qos, n, &payload) });
}

#[test]
fn connect_says_how_large_packets_may_be() {
    let mut s = small(Version::V5);
    let connect = s.accept(false);
    let (_, connect) = Packet::decode_connect(&connect).expect("CONNECT");
    assert_eq!(connect.props.maximum_packet_size(), Some(RECEIVE as u32));
}

#[test]
fn it_is_skipped_and_the_next_one_is_received() {
    for version in VERSIONS {
        for qos in [Q0, Q1, Q2] {
            let mut s = small(version);
            s.accept(false);
            send(&mut s, qos, if qos == Q0 { 0 } else { 4 }, 5_000);
            s.reply(publish(Q0, 0, "small"));
            assert_eq!(s.inbox.texts(), ["small"], "{version:?} {qos:?}");
            assert_eq!(s.inbox.skipped.len(), 1);
            assert_eq!(s.inbox.skipped[0].0, "big/one");
            assert_eq!(s.engine.stats().skipped, 1);
            assert_eq!(s.servers[0].connections, 1);
        }
    }
}

// [MQTT-4.3.3-9] [MQTT-4.5.0-2]
#[test]
fn mqtt_5_refuses_it() {
    let reason = ReasonCode::PACKET_TOO_LARGE;
    let mut s = small(Version::V5);
    s.accept(false);
    send(&mut s, Q1, 4, 5_000);
    s.expect(Ack { reason, ..puback(4) });
    send(&mut s, Q2, 5, 5_000);
    s.expect(Ack { reason, ..pubrec(5) });
    // The exchange is over, so the identifier is free.
    s.reply(publish(Q2, 5, "new"));
    s.expect(pubrec(5));
    assert_eq!(s.inbox.texts(), ["new"]);
}

#[test]
fn mqtt_3_1_1_can_only_take_it() {
    let mut s = small(Version::V311);
    s.accept(false);
    send(&mut s, Q1, 4, 5_000);
    s.expect(puback(4));
    send(&mut s, Q2, 5, 5_000);
    s.expect(pubrec(5));
    s.reply(pubrel(5));
    s.expect(pubcomp(5));
}

#[test]
fn it_is_acknowledged_in_its_turn() {
    for version in VERSIONS {
        let mut s = small(version);
        s.accept(false);
        s.inbox.manual = true;
        s.reply(publish(Q1, 1, "held"));
        send(&mut s, Q1, 2, 5_000);
        s.silence(secs(1));
        let (now, receipt) = (s.now(), s.inbox.messages[0].receipt);
        s.acknowledge(now, receipt).expect("held");
        s.expect(puback(1));
        let reason = match version {
            Version::V5 => ReasonCode::PACKET_TOO_LARGE,
            Version::V311 => ReasonCode::SUCCESS,
        };
        s.expect(Ack { reason, ..puback(2) });
    }
}

#[test]
fn one_of_which_not_even_the_head_fits_is_the_end_of_the_connection() {
    for version in VERSIONS {
        let mut s = small(version);
        s.accept(false);
        let topic = "t".repeat(1_000);
        let props = Properties::EMPTY;
        s.reply(Publish { topic: &topic, props, ..publish(Q1, 3, "x") });
        s.run_for(secs(1));
        let cause = everlink_proto::engine::Cause::Protocol(ReasonCode::PACKET_TOO_LARGE);
        assert_lost(&s, cause);
        assert_eq!(
            s.inbox.skipped,
            [(String::new(), 1_009 - usize::from(version == Version::V311))]
        );
    }
}

#[test]
fn from_a_broker_that_heeds_it_none_comes() {
    let cfg = Config { maximum_packet_size: RECEIVE as u32, ..config(Version::V5) };
    let buffers = Buffers { receive: RECEIVE, ..Buffers::default() };
    let mut pair = Pair::with_buffers(1, engine(cfg), buffers);
    pair.open();
    pair.run_until_up(secs(1));
    pair.subscribe("t", Q2);
    pair.run_for(secs(1));
    for len in [10, 200, 5_000, 20] {
        pair.broker_publishes("t", &vec![b'x'; len], Q1);
    }
    pair.run_for(secs(1));
    let lens: Vec<_> = pair.inbox.messages.iter().map(|m| m.payload.len()).collect();
    assert_eq!(lens, [10, 200, 20]);
    assert!(pair.inbox.skipped.is_empty());
}
