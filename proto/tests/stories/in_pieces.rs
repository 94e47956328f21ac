//! Messages larger than the receive buffer, for an application that takes them in pieces.

use everlink_proto::session::Config;
use everlink_proto::wire::{Packet, Publish, Version};
use everlink_sim::host::Buffers;
use everlink_sim::script::Script;

use crate::support::*;

const RECEIVE: usize = 256;
const LARGE: u32 = 2_000_000;

fn small(version: Version) -> Script<Engine> {
    let cfg =
        Config { maximum_packet_size: RECEIVE as u32, largest_in_pieces: LARGE, ..config(version) };
    let buffers = Buffers { receive: RECEIVE, ..Buffers::default() };
    let mut s = Script::with_buffers(version, engine(cfg), buffers);
    s.inbox.takes_pieces = true;
    s
}

/// Text that is different everywhere.
fn text(len: usize) -> String {
    (0..).flat_map(|n: u32| n.to_string().into_bytes()).take(len).map(char::from).collect()
}

#[test]
fn they_come_whole_and_are_acknowledged_at_their_end() {
    for version in VERSIONS {
        for qos in [Q0, Q1, Q2] {
            let mut s = small(version);
            let connect = s.accept(false);
            let (_, connect) = Packet::decode_connect(&connect).expect("CONNECT");
            if version == Version::V5 {
                assert_eq!(connect.props.maximum_packet_size(), Some(LARGE));
            }
            let large = text(1 << 20);
            s.reply(publish(qos, if qos == Q0 { 0 } else { 4 }, &large));
            if qos == Q1 {
                s.expect(puback(4));
            } else if qos == Q2 {
                s.expect(pubrec(4));
                s.reply(again(qos, 4, &large));
                s.expect(pubrec(4));
                s.reply(pubrel(4));
                s.expect(pubcomp(4));
            }
            s.reply(publish(Q0, 0, "small"));
            assert_eq!(s.inbox.texts(), [large, "small".to_owned()], "{version:?} {qos:?}");
            let stats = *s.engine.stats();
            assert_eq!((stats.received, stats.skipped), (2, u64::from(qos == Q2)));
        }
    }
}

#[test]
fn one_that_broke_off_comes_again_from_its_beginning() {
    for version in VERSIONS {
        let mut s = small(version);
        s.accept(false);
        let large = text(100_000);
        let whole = bytes(version, publish(Q1, 4, &large));
        for cut in [RECEIVE - 1, RECEIVE, RECEIVE + 1, 50_000, whole.len() - 1] {
            s.reply_raw(&whole[..cut]);
            s.settle();
            assert!(s.inbox.messages.is_empty());
            s.reset();
            s.accept(true);
        }
        s.reply(again(Q1, 4, &large));
        s.expect(puback(4));
        assert_eq!(s.inbox.texts(), [large]);
    }
}

#[test]
fn an_application_without_room_holds_the_broker_back() {
    for version in VERSIONS {
        let mut s = small(version);
        s.accept(false);
        let large = text(10_000);
        s.inbox.piece_room = Some(3);
        s.reply(publish(Q1, 4, &large));
        s.silence(secs(1));
        assert!(s.inbox.begun.is_some());
        s.inbox.piece_room = None;
        s.touch();
        s.expect(puback(4));
        assert_eq!(s.inbox.texts(), [large]);
        assert_eq!(s.servers[0].connections, 1);
    }
}

#[test]
fn one_that_nobody_wants_is_skipped() {
    let mut s = small(Version::V5);
    s.inbox.takes_pieces = false;
    s.accept(false);
    let large = text(10_000);
    s.reply(Publish { topic: "t", ..publish(Q0, 0, &large) });
    s.reply(publish(Q0, 0, "small"));
    assert_eq!(s.inbox.texts(), ["small"]);
    assert_eq!(s.inbox.skipped.len(), 1);
}
