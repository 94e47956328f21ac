//! The pipe takes what it likes, down to one byte at a time; payloads may be larger than the
//! transmit buffer; the connection may break anywhere.

use everlink_proto::engine::{Engine as _, Input, Output};
use everlink_proto::session::{Config, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::Instant;
use everlink_proto::wire::{Connect, Packet, Version};
use everlink_sim::host::{Buffers, Post, Recorder};
use everlink_sim::pair::Pair;

use crate::support::*;

/// A transmit buffer of 128 bytes, which the pipe empties byte by byte.
fn narrow(version: Version) -> Pair<Engine> {
    let cfg = Config { transmit_buffer: 128, ..config(version) };
    let buffers = Buffers { transmit: 128, ..Buffers::default() };
    let mut pair = Pair::with_buffers(1, engine(cfg), buffers);
    let path = pair.net.path(0);
    (path.buffer, path.segment, path.short_writes) = (50, 3, true);
    pair
}

fn large(n: usize) -> String {
    format!("{n}:{}", "x".repeat(n * 97 % 1_500))
}

#[test]
fn large_payloads_through_a_small_buffer() {
    for version in VERSIONS {
        let mut pair = narrow(version);
        pair.open();
        pair.subscribe("t", Q2);
        for n in 0..60 {
            pair.publish("t", large(n).as_bytes(), [Q0, Q1, Q2][n % 3]);
        }
        pair.run_for(secs(60));
        let all: Vec<_> = (0..60).map(large).collect();
        assert_eq!(pair.accepted(), all);
        assert_eq!(pair.inbox.texts().len(), 60);
        assert_eq!(pair.opens.len(), 1);
        pair.assert_conforms();
    }
}

#[test]
fn broken_at_every_byte_of_a_large_message() {
    for version in VERSIONS {
        for qos in [Q1, Q2] {
            for cut in 1..500 {
                let mut pair = narrow(version);
                pair.open();
                pair.run_until_up(secs(1));
                pair.net.path(0).to_server.cut = Some(cut);
                let tag = pair.publish("t", large(3).as_bytes(), qos);
                let next = pair.publish("t", b"next", qos);
                assert_eq!(pair.fate(next, secs(60)), OK, "{version:?} {qos:?} {cut}");
                assert_eq!(pair.inbox.fate(tag), Some(OK));
                let mut got = pair.accepted();
                if qos == Q1 {
                    // Both may have come twice.
                    let mut seen = std::collections::BTreeSet::new();
                    got.retain(|text| seen.insert(text.clone()));
                }
                assert_eq!(got, [large(3), "next".to_owned()], "{version:?} {qos:?} {cut}");
                pair.assert_conforms();
            }
        }
    }
}

#[test]
fn broken_at_every_byte_from_the_broker() {
    for version in VERSIONS {
        for cut in 1..120 {
            let mut pair = narrow(version);
            pair.open();
            pair.subscribe("t", Q2);
            pair.run_until_up(secs(1));
            pair.run_for(secs(1));
            pair.net.path(0).to_client.cut = Some(cut);
            let tag = pair.publish("t", b"there and back", Q2);
            pair.publish("other", &[b'x'; 200], Q2);
            assert_eq!(pair.fate(tag, secs(60)), OK, "{version:?} {cut}");
            pair.run_for(secs(60));
            assert_eq!(pair.inbox.texts(), ["there and back"], "{version:?} {cut}");
            assert_eq!(pair.accepted().len(), 2);
            pair.assert_conforms();
        }
    }
}

/// The engine itself given one byte of room at a time: a packet's head waits until it fits whole.
#[test]
fn no_room_for_a_head_is_no_reason_to_spin() {
    let cfg = config(Version::V5);
    let memory = Memory::growing(&cfg);
    let mut session = Session::new(cfg, RamStore::new(), memory);
    let (mut inbox, mut tx) = (Recorder::default(), vec![0; 1_000]);
    let now = Instant::from_millis(1_000);
    session.open(now);
    assert_eq!(session.poll(now, &mut tx, &mut inbox), Output::Open { endpoint: 0 });
    let _ = session.handle(now, Input::Opened, &mut inbox);
    assert_eq!(session.poll(now, &mut tx, &mut inbox), Output::Connect);
    session.connect(now, &Connect::default(), &mut tx).expect("it fits");
    let _ = session.handle(now, Input::Wrote { pending: 0 }, &mut inbox);
    let ack = bytes(Version::V5, connack(false, &[]));
    let _ = session.handle(now, Input::Packet(&ack), &mut inbox);
    assert!(matches!(session.poll(now, &mut tx, &mut inbox), Output::Event(_)));
    let Post { payload, qos, .. } = Post::new("t", b"0123456789", Q1);
    let topic = everlink_proto::topic::TopicName::new("t").expect("a topic");
    let message = everlink_proto::engine::Outgoing {
        topic,
        payload,
        qos,
        retain: false,
        props: Default::default(),
        expiry: None,
        tag: everlink_proto::engine::Tag(1),
    };
    session.publish(now, &message, &mut inbox).expect("accepted");
    for room in 0..8 {
        let output = session.poll(now, &mut tx[..room], &mut inbox);
        assert!(matches!(output, Output::Wait(_)), "{room}: {output:?}");
    }
    // Two bytes of header, three of topic, two of identifier, one of properties: the head.
    let mut sent = Vec::new();
    for room in [8, 1, 3, 100] {
        if let Output::Send(n) = session.poll(now, &mut tx[..room], &mut inbox) {
            sent.extend(&tx[..n]);
        }
    }
    let packet = Packet::decode(Version::V5, &sent).expect("a whole packet");
    assert_eq!(packet, publish(Q1, 1, "0123456789").into());
}
