//! Tables, rings and texts against the standard library's collections.
#![cfg(feature = "alloc")]

use std::collections::VecDeque;

use everlink_proto::mem::{Ring, Table, Text, Texts};
use proptest::prelude::*;

/// Does it to a fixed and to a growing table of the same limit.
fn both(limit: usize, test: impl Fn(Table<'_, u8>)) {
    test(Table::growing(limit));
    test(Table::fixed(&mut vec![0; limit]));
}

#[derive(Clone, Debug)]
enum Op {
    Push(u8),
    Remove(usize, usize),
    Truncate(usize),
    Extend(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => any::<u8>().prop_map(Op::Push),
        2 => (0..12usize, 0..4usize).prop_map(|(at, n)| Op::Remove(at, n)),
        1 => (0..12usize).prop_map(Op::Truncate),
        1 => (0..12usize).prop_map(Op::Extend),
    ];
    prop::collection::vec(op, 0..80)
}

proptest! {
    #[test]
    fn a_table_is_a_bounded_vector(limit in 0..10usize, ops in ops()) {
        both(limit, |mut table| {
            let mut model = Vec::new();
            for op in &ops {
                match *op {
                    Op::Push(value) => {
                        assert_eq!(table.push(value), model.len() < limit);
                        if model.len() < limit {
                            model.push(value);
                        }
                    }
                    Op::Remove(at, n) => {
                        table.remove_range(at, n);
                        let end = (at + n).min(model.len());
                        model.drain(at.min(end)..end);
                    }
                    Op::Truncate(n) => {
                        table.truncate(n);
                        model.truncate(n);
                    }
                    Op::Extend(n) => {
                        table.extend_to(n);
                        model.resize(n.min(limit).max(model.len()), 0);
                    }
                }
                assert_eq!(table.as_slice(), model);
                assert_eq!((table.len(), table.limit()), (model.len(), limit));
                assert_eq!((table.is_empty(), table.is_full()), (model.is_empty(), model.len() >= limit));
            }
        });
    }

    #[test]
    fn a_ring_is_a_bounded_queue(limit in 0..20usize, pushes in prop::collection::vec(any::<bool>(), 0..300)) {
        both(limit, |table| {
            let (mut ring, mut model) = (Ring::new(table), VecDeque::new());
            for (n, push) in pushes.iter().enumerate() {
                if *push {
                    assert_eq!(ring.push(n as u8), model.len() < limit);
                    if model.len() < limit {
                        model.push_back(n as u8);
                    }
                } else {
                    assert_eq!(ring.front(), model.front().copied());
                    assert_eq!(ring.pop(), model.pop_front());
                }
                if n % 97 == 96 {
                    ring.clear();
                    model.clear();
                }
                assert_eq!(ring.room(), limit - model.len());
                assert_eq!(ring.is_empty(), model.is_empty());
            }
            while let Some(value) = model.pop_front() {
                assert_eq!(ring.pop(), Some(value));
            }
            assert_eq!(ring.pop(), None);
        });
    }

    #[test]
    fn texts_stay_what_they_are_when_others_go(limit in 0..60usize, ops in prop::collection::vec((0..12usize, any::<bool>()), 0..60)) {
        both(limit, |table| {
            let mut texts = Texts::new(table);
            let mut held: Vec<(Text, Vec<u8>)> = Vec::new();
            for (n, (len, add)) in ops.iter().enumerate() {
                if *add {
                    let bytes: Vec<u8> = (0..*len).map(|i| (n + i) as u8).collect();
                    let (a, b) = bytes.split_at(len / 2);
                    let used: usize = held.iter().map(|(_, bytes)| bytes.len()).sum();
                    let added = texts.add(&[a, b]);
                    assert_eq!(added.is_some(), used + len <= limit);
                    held.extend(added.map(|text| (text, bytes)));
                } else if !held.is_empty() {
                    let (removed, _) = held.remove(len % held.len());
                    texts.remove(removed);
                    for (text, _) in &mut held {
                        *text = Texts::moved(*text, removed);
                    }
                }
                for (text, bytes) in &held {
                    assert_eq!(texts.get(*text), bytes);
                }
            }
        });
    }
}
