//! Every store does the same: random operations on a [`FixedStore`] and a [`RamStore`] give the
//! same lists, contents and counts.
#![cfg(feature = "alloc")]

use everlink_proto::engine::Tag;
use everlink_proto::store::{Content, FixedStore, Key, MessageSlot, Meta, RamStore, Stage, Store};
use everlink_proto::time::Instant;
use everlink_proto::wire::QoS;
use proptest::prelude::*;

const SLOTS: usize = 6;
const BYTES: usize = 60;

#[derive(Clone, Debug)]
enum Op {
    Push { topic: u8, props: usize, payload: usize },
    Advance { nth: usize, from: usize },
    Remove { nth: usize, stage: usize },
    Requeue { nth: usize, stage: usize },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (0..4u8, 0..5usize, 0..12usize).prop_map(|(topic, props, payload)| Op::Push { topic, props, payload }),
        3 => (0..4usize, 0..2usize).prop_map(|(nth, from)| Op::Advance { nth, from }),
        2 => (0..4usize, 0..3usize).prop_map(|(nth, stage)| Op::Remove { nth, stage }),
        1 => (0..4usize, 0..3usize).prop_map(|(nth, stage)| Op::Requeue { nth, stage }),
    ];
    prop::collection::vec(op, 0..80)
}

const STAGES: [Stage; 3] = [Stage::Queued, Stage::Sent, Stage::Released];

fn keys(store: &impl Store, stage: Stage) -> Vec<Key> {
    std::iter::successors(store.first(stage), |k| store.next(*k)).collect()
}

fn nth(store: &impl Store, stage: Stage, n: usize) -> Option<Key> {
    keys(store, stage).get(n).copied()
}

/// One message as a store tells it: stage, tag, topic, properties, payload.
type Told = (Stage, u32, String, Vec<u8>, Vec<u8>);

/// All a store can tell, in order.
fn picture(store: &impl Store) -> Vec<Told> {
    let mut all = Vec::new();
    for stage in STAGES {
        let keys = keys(store, stage);
        assert_eq!(keys.len(), store.len(stage));
        let mut bytes = 0;
        for key in keys {
            let (meta, content) = (store.meta(key).unwrap(), store.content(key).unwrap());
            assert_eq!(meta.stage, stage);
            bytes += content.cost();
            let (topic, props) = (content.topic.to_owned(), content.props.to_vec());
            all.push((stage, meta.tag.0, topic, props, content.payload.to_vec()));
        }
        assert_eq!(bytes, store.bytes(stage));
    }
    all
}

fn apply(store: &mut impl Store, n: u32, op: &Op) -> bool {
    match *op {
        Op::Push { topic, props, payload } => {
            let topic = "t/".to_owned() + &"x".repeat(usize::from(topic));
            let (props, payload) = (vec![n as u8; props], vec![!n as u8; payload]);
            let meta = Meta {
                stage: Stage::Queued,
                tag: Tag(n),
                qos: QoS::AtLeastOnce,
                retain: false,
                pid: 0,
                kept: 0,
                connection: 0,
                repeats: 0,
                accepted: Instant::ZERO,
                sent: Instant::ZERO,
                expires: Instant::MAX,
            };
            return store
                .push(meta, Content { topic: &topic, props: &props, payload: &payload })
                .is_ok();
        }
        Op::Advance { nth: n, from } => {
            if let Some(key) = nth(store, STAGES[from], n) {
                store.advance(key, STAGES[from + 1]);
            }
        }
        Op::Remove { nth: n, stage } => {
            if let Some(key) = nth(store, STAGES[stage], n) {
                store.remove(key);
            }
        }
        Op::Requeue { nth: n, stage } => {
            if let Some(key) = nth(store, STAGES[stage], n) {
                store.requeue(key);
            }
        }
    }
    true
}

proptest! {
    #[test]
    fn fixed_and_growing_stores_agree(ops in ops(), indexed: bool) {
        let (mut slots, mut bytes) = ([MessageSlot::FREE; SLOTS], [0; BYTES]);
        let mut fixed = FixedStore::new(&mut slots, &mut bytes);
        let mut ram = if indexed { RamStore::indexed() } else { RamStore::new() };
        for (n, op) in ops.iter().enumerate() {
            let held: usize = STAGES.iter().map(|s| fixed.len(*s)).sum();
            let used: usize = STAGES.iter().map(|s| fixed.bytes(*s)).sum();
            let taken = apply(&mut fixed, n as u32, op);
            if let (Op::Push { topic, props, payload }, false) = (op, taken) {
                // It may refuse only what does not fit.
                let cost = 2 + usize::from(*topic) + props + payload;
                prop_assert!(held == SLOTS || used + cost > BYTES);
                continue;
            }
            prop_assert!(apply(&mut ram, n as u32, op));
            prop_assert_eq!(picture(&fixed), picture(&ram));
            for topic in ["t/", "t/x", "t/xx", "t/xxx", "t/xxxx"] {
                let tag = |store: &dyn Fn(&str) -> Option<u32>| store(topic);
                let in_fixed = tag(&|t| fixed.oldest_of(t).map(|k| fixed.meta(k).unwrap().tag.0));
                let in_ram = tag(&|t| ram.oldest_of(t).map(|k| ram.meta(k).unwrap().tag.0));
                prop_assert_eq!(in_fixed, in_ram);
            }
        }
    }
}
