//! Complaints about crashes: the engine with records that survive them, and the model broker.

use std::collections::BTreeMap;

use everlink_proto::mem::Table;
use everlink_proto::session::{Config, FirstConnect, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_sim::host::{Buffers, Fate};
use everlink_sim::pair::Pair;

use super::*;

type Engine = Session<'static, RamStore>;

const RECORD: usize = 256;

fn engine(version: Version) -> Engine {
    let cfg = Config {
        version,
        clean_start: false,
        first_connect: FirstConnect::Forever,
        ..Config::default()
    };
    let memory = Memory::growing(&cfg);
    Session::new(cfg, RamStore::new(), memory)
}

fn keeping(version: Version) -> Engine {
    let mut engine = engine(version);
    engine.keep_records(RECORD, Table::growing(16));
    engine
}

/// Writes all that is due to the medium.
fn save(pair: &mut Pair<Engine>, medium: &mut BTreeMap<u16, Vec<u8>>) {
    let mut out = [0; RECORD];
    let now = pair.now();
    while let Some(record) = pair.engine.unsaved(now, &mut out) {
        match record.len {
            0 => drop(medium.remove(&record.key)),
            len => drop(medium.insert(record.key, out[..len].to_vec())),
        }
        let host = &mut pair.hosts[0];
        host.engine.saved(record, &mut host.inbox);
    }
    pair.touch();
}

/// The device starts with nothing but its medium.
fn crash(pair: &mut Pair<Engine>, medium: &BTreeMap<u16, Vec<u8>>, version: Version) {
    let mut booted = keeping(version);
    for (key, value) in medium.iter().filter(|(key, _)| **key != 0) {
        booted.restore(pair.now(), *key, value).expect("readable");
    }
    booted.restored(medium.get(&0).map_or(&[][..], Vec::as_slice)).expect("readable");
    let now = pair.now();
    pair.net.reset_server(now, 0);
    pair.hosts[0].engine = booted;
    pair.hosts[0].check.power_cut();
    pair.settle();
    pair.open();
}

fn go_on(pair: &mut Pair<Engine>, medium: &mut BTreeMap<u16, Vec<u8>>) {
    for _ in 0..2_000 {
        save(pair, medium);
        pair.run_for(Duration::from_millis(5));
    }
}

/// X11: a message under way when the module crashed was released as if it had been sent.
#[test]
fn a_crash_in_the_middle_of_a_publish_is_told_as_success() {
    for version in VERSIONS {
        for qos in [Q1, Q2] {
            let (mut pair, mut medium) = (Pair::new(1, keeping(version)), BTreeMap::new());
            pair.open();
            pair.run_until_up(Duration::from_secs(1));
            // It never reaches the broker.
            pair.net.path(0).to_server.held = true;
            let tag = pair.publish("t", b"under way", qos);
            save(&mut pair, &mut medium);
            pair.run_for(Duration::from_secs(1));
            assert_eq!(pair.inbox.fate(tag), None);
            pair.net.path(0).heal();
            crash(&mut pair, &medium, version);
            assert_eq!(pair.engine.held(), 1, "nothing is forgotten");
            go_on(&mut pair, &mut medium);
            assert_eq!(pair.accepted(), ["under way"]);
            assert_eq!(pair.engine.held(), 0);
            pair.assert_conforms();
        }
    }
}

/// mqtt5 21: told to keep messages on disk outside the client, which cannot know which were
/// acknowledged.
#[test]
fn buffering_to_disk_is_left_to_the_application() {
    for version in VERSIONS {
        let (mut pair, mut medium) = (Pair::new(1, keeping(version)), BTreeMap::new());
        pair.kill_broker();
        pair.open();
        for n in 0..10 {
            pair.publish("t", n.to_string().as_bytes(), [Q1, Q2][n % 2]);
        }
        save(&mut pair, &mut medium);
        assert_eq!(pair.inbox.stored.len(), 10);
        for _ in 0..3 {
            crash(&mut pair, &medium, version);
        }
        pair.restart_broker(true);
        go_on(&mut pair, &mut medium);
        assert_eq!(pair.accepted(), (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
        // What is delivered is on the medium no more.
        assert!(medium.keys().all(|key| *key == 0), "{medium:?}");
        crash(&mut pair, &medium, version);
        go_on(&mut pair, &mut medium);
        assert_eq!(pair.accepted().len(), 10);
        pair.assert_conforms();
    }
}

/// rust-mqtt 50: nobody could tell how a board reconnects after it lost its broker.
#[test]
fn a_board_cannot_find_out_how_to_reconnect() {
    for version in VERSIONS {
        let mut pair = Pair::new(1, engine(version));
        pair.open();
        pair.run_until_up(Duration::from_secs(1));
        pair.subscribe("in", Q1);
        pair.run_for(Duration::from_secs(1));
        for round in 1..=3_u64 {
            // Idle for longer than the Keep Alive, then the broker is gone for an hour.
            pair.run_for(Duration::from_secs(600));
            pair.kill_broker();
            pair.run_for(HOUR);
            pair.restart_broker(round % 2 == 0);
            // Nothing is called but what the drive rule says.
            pair.run_until_up(Duration::from_secs(90));
            pair.run_for(Duration::from_secs(1));
            pair.broker_publishes("in", round.to_string().as_bytes(), Q1);
            pair.run_for(Duration::from_secs(1));
        }
        assert_eq!(pair.inbox.texts(), ["1", "2", "3"]);
        pair.assert_conforms();
    }
}

/// minimq 74 and 68: a write that took only a part of the bytes corrupted the stream.
#[test]
fn a_partial_write_corrupts_the_stream() {
    for version in VERSIONS {
        for buffer in [1, 2, 7] {
            let buffers = Buffers { transmit: 512, ..Buffers::default() };
            let mut pair = Pair::with_buffers(1, engine(version), buffers);
            pair.hosts[0].engine.set_buffers(buffers.receive, buffers.transmit);
            pair.net.path(0).buffer = buffer;
            pair.open();
            pair.run_until_up(Duration::from_secs(5));
            let payloads: Vec<String> = (0..5).map(|n| format!("{n}").repeat(700)).collect();
            for payload in &payloads {
                let tag = pair.publish("t", payload.as_bytes(), Q2);
                assert!(matches!(pair.fate(tag, Duration::from_secs(60)), Fate::Delivered(_)));
            }
            assert_eq!(pair.accepted(), payloads);
            pair.assert_conforms();
        }
    }
}
