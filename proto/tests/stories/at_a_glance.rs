//! What a session tells of itself: counters, and the little questions its owner asks.

use everlink_proto::engine::Engine as _;
use everlink_proto::session::{Config, FirstConnect};
use everlink_proto::wire::{Packet, Properties, ReasonCode, SubAck, UnsubAck, Version};
use everlink_sim::host::Post;

use crate::support::*;

#[test]
fn every_acknowledgement_of_nothing_is_counted_once() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        for (n, ack) in
            [puback(9), pubrec(9), pubcomp(9), puback(9), pubrec(9)].into_iter().enumerate()
        {
            s.reply(ack);
            assert_eq!(s.engine.stats().strays, n as u64 + 1, "{version:?}");
        }
        // A PUBREC is answered, so that the exchange can end at the broker.
        s.expect(unknown(version, pubrel(9)));
        s.expect(unknown(version, pubrel(9)));
        let props = Properties::EMPTY;
        s.reply(SubAck { pid: pid(9), props, codes: &[0] });
        assert_eq!(s.engine.stats().strays, 6);
        let codes: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        s.reply(UnsubAck { pid: pid(9), props, codes });
        assert_eq!(s.engine.stats().strays, 7);
        assert_eq!(s.servers[0].connections, 1);
    }
}

#[test]
fn a_refused_pubrec_of_nothing_is_not_answered() {
    let mut s = connected(config(Version::V5));
    for n in 1..=3 {
        s.reply(everlink_proto::wire::Ack { reason: ReasonCode::QUOTA_EXCEEDED, ..pubrec(9) });
        assert_eq!(s.engine.stats().strays, n);
    }
    s.silence(secs(1));
}

#[test]
fn it_knows_whether_anything_can_expire() {
    let mut s = script(config(Version::V5));
    assert!(!s.engine.is_expiring());
    s.publish("t", b"for ever", Q1);
    assert!(!s.engine.is_expiring());
    let post = Post { expiry: Some(secs(5)), ..Post::new("t", b"for a while", Q1) };
    s.try_post(post).expect("accepted");
    assert!(s.engine.is_expiring());
}

#[test]
fn it_remembers_when_it_was_last_told_the_time() {
    let mut s = connected(config(Version::V5));
    s.publish("t", b"a", Q1);
    s.expect(publish(Q1, 1, "a"));
    let before = s.now();
    s.silence(secs(2));
    s.reply(puback(1));
    assert!(s.engine.seen() >= before + secs(2), "{:?} {before:?}", s.engine.seen());
    assert_eq!(s.engine.round_trip().as_secs(), 2);
}

#[test]
fn buffers_of_another_size_count_from_the_next_connection_on() {
    let mut s = script(config(Version::V5));
    s.hosts[0].engine.set_buffers(3000, 2000);
    let connect = s.accept(false);
    let (_, connect) = Packet::decode_connect(&connect).expect("CONNECT");
    assert_eq!(connect.props.maximum_packet_size(), Some(3000));
}

#[test]
fn an_engine_without_room_to_write_says_so() {
    let mut s = connected(config(Version::V5));
    let now = s.now();
    let host = &mut s.hosts[0];
    host.post(now, Post::new("t", &[b'x'; 100], Q1)).expect("accepted");
    let _ = host.engine.poll(now, &mut [0; 20], &mut host.inbox);
    assert!(host.engine.is_starved());
    let mut room = [0; 200];
    while !matches!(
        host.engine.poll(now, &mut room, &mut host.inbox),
        everlink_proto::engine::Output::Wait(_)
    ) {}
    assert!(!host.engine.is_starved());
}

#[test]
fn an_unattended_client_never_gives_up() {
    let cfg = Config::unattended(0x5eed);
    assert!(matches!(cfg.first_connect, FirstConnect::Forever));
    assert_eq!(cfg.seed, 0x5eed);
}

#[test]
fn connections_and_attempts_are_counted() {
    let mut s = connected(config(Version::V5));
    s.hang_up();
    s.accept(true);
    let stats = *s.engine.stats();
    assert_eq!((stats.connections, stats.attempts, stats.outages), (2, 2, 1));
}
