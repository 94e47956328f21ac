//! The stores against a naive model: three lists of messages.
#![cfg(feature = "alloc")]

use everlink_proto::engine::Tag;
use everlink_proto::store::{Content, FixedStore, Key, MessageSlot, Meta, RamStore, Stage, Store};
use everlink_proto::time::Instant;
use everlink_proto::wire::QoS;
use proptest::prelude::*;

const STAGES: [Stage; 3] = [Stage::Queued, Stage::Sent, Stage::Released];

#[derive(Clone, Debug, PartialEq)]
struct Message {
    n: u32,
    pid: u16,
    topic: String,
    payload: Vec<u8>,
}

/// What a store is to do, in so many words.
#[derive(Default)]
struct Model {
    stages: [Vec<Message>; 3],
}

impl Model {
    fn advance(&mut self, from: usize, nth: usize, to: usize) {
        let mut message = self.stages[from].remove(nth);
        message.pid = message.n as u16 + 1;
        self.stages[to].push(message);
    }

    fn requeue(&mut self, from: usize, nth: usize) {
        let message = self.stages[from].remove(nth);
        self.stages[0].insert(0, Message { pid: 0, ..message });
    }
}

#[derive(Clone, Debug)]
enum Op {
    Push(u8, usize),
    /// From this stage the n-th message to a later one.
    Advance(usize, usize, usize),
    Remove(usize, usize),
    Requeue(usize, usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (0..6u8, 0..40usize).prop_map(|(topic, len)| Op::Push(topic, len)),
        4 => (0..2usize, 0..9usize, 1..3usize).prop_map(|(from, n, to)| Op::Advance(from, n, to)),
        3 => (0..3usize, 0..9usize).prop_map(|(stage, n)| Op::Remove(stage, n)),
        1 => (0..3usize, 0..9usize).prop_map(|(from, n)| Op::Requeue(from, n)),
    ];
    prop::collection::vec(op, 0..300)
}

fn keys(store: &impl Store, stage: usize) -> Vec<Key> {
    std::iter::successors(store.first(STAGES[stage]), |k| store.next(*k)).collect()
}

fn push(store: &mut impl Store, n: u32, topic: &str, payload: &[u8]) -> bool {
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
    store.push(meta, Content { topic, props: &[], payload }).is_ok()
}

fn apply(store: &mut impl Store, model: &mut Model, n: u32, op: &Op) {
    match *op {
        Op::Push(topic, len) => {
            let (topic, payload) = (format!("topic/{topic}"), vec![n as u8; len]);
            if push(store, n, &topic, &payload) {
                model.stages[0].push(Message { n, pid: 0, topic, payload });
            }
        }
        Op::Advance(from, nth, to) if from < to && nth < model.stages[from].len() => {
            let key = keys(store, from)[nth];
            store.meta_mut(key).expect("held").pid = model.stages[from][nth].n as u16 + 1;
            store.advance(key, STAGES[to]);
            model.advance(from, nth, to);
        }
        Op::Remove(stage, nth) if nth < model.stages[stage].len() => {
            store.remove(keys(store, stage)[nth]);
            model.stages[stage].remove(nth);
        }
        Op::Requeue(from, nth) if nth < model.stages[from].len() => {
            store.requeue(keys(store, from)[nth]);
            model.requeue(from, nth);
        }
        _ => {}
    }
}

fn check(store: &impl Store, model: &Model) {
    for (at, stage) in STAGES.into_iter().enumerate() {
        let told: Vec<_> = keys(store, at)
            .into_iter()
            .map(|key| {
                let (meta, content) = (store.meta(key).expect("held"), store.content(key));
                let content = content.expect("held");
                assert_eq!(meta.stage, stage);
                let (topic, payload) = (content.topic.to_owned(), content.payload.to_vec());
                Message { n: meta.tag.0, pid: meta.pid, topic, payload }
            })
            .collect();
        assert_eq!(told, model.stages[at]);
        assert_eq!(store.len(stage), told.len());
        let bytes: usize = told.iter().map(|m| m.topic.len() + m.payload.len()).sum();
        assert_eq!(store.bytes(stage), bytes);
    }
    for topic in (0..6).map(|n| format!("topic/{n}")) {
        let oldest = model.stages[0].iter().find(|m| m.topic == topic).map(|m| m.n);
        let found = store.oldest_of(&topic).and_then(|key| store.meta(key)).map(|m| m.tag.0);
        assert_eq!(found, oldest);
    }
}

fn agrees(mut store: impl Store, ops: &[Op]) {
    let mut model = Model::default();
    for (n, op) in ops.iter().enumerate() {
        apply(&mut store, &mut model, n as u32, op);
        check(&store, &model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_growing_store(ops in ops()) {
        agrees(RamStore::new(), &ops);
    }

    #[test]
    fn a_growing_store_with_an_index(ops in ops()) {
        agrees(RamStore::indexed(), &ops);
    }

    #[test]
    fn a_store_of_a_fixed_size(ops in ops(), slots in 1..40usize, bytes in 1..600usize) {
        let (mut slots, mut bytes) = (vec![MessageSlot::FREE; slots], vec![0; bytes]);
        agrees(FixedStore::new(&mut slots, &mut bytes), &ops);
    }
}

/// Keys that are not valid any more, or never were, do nothing.
#[test]
fn an_invalid_key_does_nothing() {
    fn check(mut store: impl Store) {
        assert!(push(&mut store, 1, "t", b"x"));
        let key = store.first(Stage::Queued).expect("one");
        store.remove(key);
        for key in [key, key + 1, Key::MAX] {
            assert!(store.meta(key).is_none() && store.meta_mut(key).is_none());
            assert!(store.content(key).is_none() && store.next(key).is_none());
            store.advance(key, Stage::Sent);
            store.remove(key);
        }
        assert!(STAGES.iter().all(|stage| store.len(*stage) == 0));
    }
    check(RamStore::new());
    check(RamStore::indexed());
    check(FixedStore::new(&mut [MessageSlot::FREE; 2], &mut [0; 10]));
}
