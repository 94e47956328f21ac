//! A loss of power at every single write to the medium: what was stored is delivered, at QoS 2 once.
#![cfg(feature = "alloc")]

use std::collections::{BTreeMap, BTreeSet};

use everlink_proto::engine::Tag;
use everlink_proto::mem::Table;
use everlink_proto::session::{Config, FirstConnect, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::Duration;
use everlink_proto::wire::{QoS, Version};
use everlink_sim::pair::Pair;

type Engine = Session<'static, RamStore>;

const RECORD: usize = 256;
const MESSAGES: usize = 12;
const STEP: Duration = Duration::from_millis(1);

/// What a flash chip holds, and how many more records can be written before the power goes.
#[derive(Default)]
struct Medium {
    records: BTreeMap<u16, Vec<u8>>,
    writes: usize,
}

fn engine(version: Version) -> Engine {
    let cfg = Config {
        version,
        window: 2,
        topic_aliases: 0,
        clean_start: false,
        first_connect: FirstConnect::Forever,
        ..Config::default()
    };
    let memory = Memory::growing(&cfg);
    let mut engine = Session::new(cfg, RamStore::new(), memory);
    engine.keep_records(RECORD, Table::growing(MESSAGES));
    engine
}

/// As after a reset: nothing but the medium is left.
fn booted(version: Version, medium: &Medium, pair: &Pair<Engine>) -> Engine {
    let mut engine = engine(version);
    for (key, value) in medium.records.iter().filter(|(key, _)| **key != 0) {
        engine.restore(pair.now(), *key, value).expect("readable");
    }
    let session = medium.records.get(&0).map_or(&[][..], Vec::as_slice);
    engine.restored(session).expect("readable");
    engine
}

/// Writes what is due; `false` if the power goes.
fn save(pair: &mut Pair<Engine>, medium: &mut Medium, cut_at: usize) -> bool {
    let mut out = [0; RECORD];
    let now = pair.now();
    while let Some(record) = pair.engine.unsaved(now, &mut out) {
        if medium.writes == cut_at {
            return false;
        }
        medium.writes += 1;
        match record.len {
            0 => drop(medium.records.remove(&record.key)),
            len => drop(medium.records.insert(record.key, out[..len].to_vec())),
        }
        let host = &mut pair.hosts[0];
        host.engine.saved(record, &mut host.inbox);
    }
    true
}

/// What happened in one run.
#[derive(Debug, Default)]
struct Run {
    writes: usize,
    /// Texts of messages known to be stored before the power went.
    stored: BTreeSet<String>,
}

/// A run with a loss of power instead of write number `cut_at`.
fn run(version: Version, cut_at: usize, with_session: bool) -> Run {
    let mut pair = Pair::new(1, engine(version));
    let mut medium = Medium::default();
    let mut texts: BTreeMap<Tag, String> = BTreeMap::new();
    pair.open();
    pair.run_until_up(Duration::from_secs(1));
    pair.subscribe("in", QoS::ExactlyOnce);
    pair.run_for(Duration::from_secs(1));
    for n in 0..MESSAGES {
        let qos = [QoS::ExactlyOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][n % 3];
        let text = format!("{} {n:02}", qos as u8);
        texts.insert(pair.publish("out", text.as_bytes(), qos), text.clone());
        pair.broker_publishes("in", format!("in {n:02}").as_bytes(), QoS::ExactlyOnce);
    }
    let mut done = Run::default();
    // What the application had seen when everything was last saved.
    let mut seen = 0;
    let mut cut = false;
    let mut heard = Vec::new();
    for _ in 0..5_000 {
        if !save(&mut pair, &mut medium, if cut { usize::MAX } else { cut_at }) {
            cut = true;
            done.stored = pair.inbox.stored.iter().map(|tag| texts[tag].clone()).collect();
            heard = pair.inbox.texts()[..seen].iter().map(ToString::to_string).collect();
            let booted = booted(version, &medium, &pair);
            if with_session {
                let now = pair.now();
                pair.net.reset_server(now, 0);
            } else {
                pair.restart_broker(false);
            }
            pair.hosts[0].engine = booted;
            pair.hosts[0].check.power_cut();
            pair.hosts[0].inbox.messages.clear();
            pair.settle();
            pair.open();
        } else if pair.engine.is_saved() {
            seen = pair.inbox.texts().len();
        }
        pair.touch();
        pair.run_for(STEP);
    }
    assert!(pair.engine.is_saved());
    assert_eq!(pair.engine.held(), 0);
    assert!(medium.records.keys().all(|key| *key == 0), "{:?}", medium.records);
    check_in(&pair, &heard, cut, with_session);
    check_out(&pair, &done, &texts, cut, with_session);
    pair.assert_conforms();
    done.writes = medium.writes;
    done
}

/// What the broker sent: none lost while it kept the session, none delivered again that was recorded.
fn check_in(pair: &Pair<Engine>, heard: &[String], cut: bool, with_session: bool) {
    let after = pair.inbox.texts();
    assert!(
        after.iter().all(|text| !heard.iter().any(|h| h == text)) || !with_session,
        "{after:?}"
    );
    let all: BTreeSet<_> =
        heard.iter().map(String::as_str).chain(after.iter().map(|t| &**t)).collect();
    if with_session || !cut {
        assert_eq!(all.len(), MESSAGES, "{all:?}");
    }
}

/// What we sent: none lost that was stored, at QoS 2 none doubled while the broker kept the session.
fn check_out(
    pair: &Pair<Engine>,
    done: &Run,
    texts: &BTreeMap<Tag, String>,
    cut: bool,
    with_session: bool,
) {
    let accepted: Vec<_> = pair.accepted().into_iter().filter(|t| !t.starts_with("in")).collect();
    let must: BTreeSet<_> = match cut {
        true => done.stored.clone(),
        false => texts.values().cloned().collect(),
    };
    let came: BTreeSet<_> = accepted.iter().cloned().collect();
    assert!(came.is_superset(&must), "lost: {:?}", must.difference(&came).collect::<Vec<_>>());
    for text in came.iter().filter(|t| t.starts_with('2')) {
        let times = accepted.iter().filter(|a| *a == text).count();
        assert!(times == 1 || !with_session, "{text}: {times} times");
    }
    let mut first = Vec::new();
    accepted.iter().for_each(|a| {
        if !first.contains(a) {
            first.push(a.clone())
        }
    });
    let numbers: Vec<_> = first.iter().map(|t| t[2..].to_owned()).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
}

#[test]
fn at_every_write_with_the_session_kept() {
    for version in [Version::V311, Version::V5] {
        let whole = run(version, usize::MAX, true);
        assert!(whole.writes > 2 * MESSAGES, "{}", whole.writes);
        for cut_at in 0..whole.writes {
            run(version, cut_at, true);
        }
    }
}

#[test]
fn at_every_write_with_the_session_lost() {
    for version in [Version::V311, Version::V5] {
        let whole = run(version, usize::MAX, false);
        for cut_at in 0..whole.writes {
            run(version, cut_at, false);
        }
    }
}
