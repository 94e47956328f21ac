//! Whatever the broker sends: a typed fault and a new attempt, never a panic, never a busy loop.

use everlink_proto::session::Config;
use everlink_proto::wire::{Packet, Publish, Version};
use fastrand::Rng;

use crate::support::*;

/// Packets of every kind that a server sends, and some that it must not.
fn corpus(version: Version) -> Vec<Vec<u8>> {
    let mut all = vec![
        bytes(version, connack(false, &[])),
        bytes(version, publish(Q0, 0, "x")),
        bytes(version, publish(Q1, 5, "some more text")),
        bytes(version, publish(Q2, 6, &"y".repeat(200))),
        bytes(version, Publish { topic: "a/b/c", ..publish(Q1, 7, "") }),
        bytes(version, puback(1)),
        bytes(version, pubrec(2)),
        bytes(version, pubrel(6)),
        bytes(version, pubcomp(2)),
        bytes(version, Packet::PingResp),
        bytes(version, Packet::PingReq),
        vec![0x90, 3, 0, 1, 1],
        vec![0xb0, 2, 0, 1],
    ];
    if version == Version::V5 {
        all.push(vec![0xe0, 2, 0x8b, 0]);
        all.push(vec![0xf0, 2, 0x18, 0]);
    }
    all
}

fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.usize(0..4) {
        let at = rng.usize(..bytes.len());
        match rng.u8(..4) {
            0 => bytes[at] ^= 1 << rng.u8(..8),
            1 => bytes[at] = rng.u8(..),
            2 => bytes.truncate(at.max(1)),
            _ => bytes.insert(at, rng.u8(..)),
        }
    }
}

fn attack(seed: u64, version: Version, mut next: impl FnMut(&mut Rng) -> Vec<u8>) {
    let mut rng = Rng::with_seed(seed);
    let mut s = script(Config { topic_alias_maximum: 2, ..config(version) });
    s.subscribe("t", Q2);
    s.inbox.manual = rng.bool();
    for n in 0..40 {
        if n % 4 == 0 {
            s.publish("t", b"x", [Q0, Q1, Q2][rng.usize(..3)]);
        }
        if !s.servers[0].is_connected() {
            s.connect();
            if rng.u8(..4) > 0 {
                s.reply(connack(rng.bool(), &[]));
            }
        }
        let bytes = next(&mut rng);
        s.reply_raw(&bytes);
        s.run_for(millis(rng.u64(..3_000)));
    }
    let minutes = s.elapsed().as_secs() / 60 + 1;
    assert!(s.opens.len() as u64 <= minutes * 60, "seed {seed}: {} attempts", s.opens.len());
    let (stats, held) = (*s.engine.stats(), s.engine.held() as u64);
    assert_eq!(stats.accepted, stats.delivered + stats.rejected + held, "seed {seed}");
}

#[test]
fn random_bytes() {
    for seed in 0..100 {
        for version in VERSIONS {
            attack(seed, version, |rng| {
                let n = rng.usize(1..100);
                std::iter::repeat_with(|| rng.u8(..)).take(n).collect()
            });
        }
    }
}

#[test]
fn mutated_packets() {
    for version in VERSIONS {
        let corpus = corpus(version);
        for seed in 0..200 {
            attack(seed, version, |rng| {
                let mut bytes = corpus[rng.usize(..corpus.len())].clone();
                mutate(rng, &mut bytes);
                bytes
            });
        }
    }
}

#[test]
fn a_length_that_never_ends_is_left_in_time() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        // A PUBLISH of 256 MB is announced; what follows is its body.
        s.reply_raw(&[0x30, 0xff, 0xff, 0xff, 0x7f]);
        assert!(s.expect_end(secs(120)) <= secs(60));
    }
}
