//! What only a machine with a disk keeps: subscriptions, and messages that memory has no room for.
#![cfg(feature = "alloc")]

use everlink_proto::engine::{Outgoing, Tag};
use everlink_proto::mem::Table;
use everlink_proto::session::{Config, FirstConnect, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::Duration;
use everlink_proto::topic::TopicName;
use everlink_proto::wire::{Properties, QoS, Version};
use everlink_sim::pair::Pair;

fn engine(version: Version) -> Session<'static, RamStore> {
    let first_connect = FirstConnect::Forever;
    let cfg = Config { version, clean_start: false, first_connect, ..Config::default() };
    let memory = Memory::growing(&cfg);
    Session::new(cfg, RamStore::new(), memory)
}

fn subscribed_once(version: Version, with_session: bool) {
    let mut pair = Pair::new(1, engine(version));
    pair.open();
    pair.run_until_up(Duration::from_secs(1));
    pair.subscribe("in/+", QoS::AtLeastOnce);
    pair.run_for(Duration::from_secs(1));
    assert!(pair.engine.has_unsaved_subscriptions());
    let mut record = Vec::new();
    pair.hosts[0].engine.unsaved_subscriptions(&mut record);
    assert!(!pair.engine.has_unsaved_subscriptions());

    let mut booted = engine(version);
    booted.restore_subscriptions(&record).expect("readable");
    assert!(booted.restore_subscriptions(&record[..record.len() - 1]).is_err());
    let mut booted = engine(version);
    booted.restore_subscriptions(&record).expect("readable");
    if with_session {
        let now = pair.now();
        pair.net.reset_server(now, 0);
    } else {
        pair.restart_broker(false);
    }
    pair.hosts[0].engine = booted;
    pair.hosts[0].check.power_cut();
    pair.settle();
    pair.open();
    pair.run_for(Duration::from_secs(5));
    pair.broker_publishes("in/x", b"after", QoS::AtLeastOnce);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.inbox.texts(), ["after"]);
    assert_eq!(pair.engine.held(), 0);
}

#[test]
fn subscriptions_are_there_or_asked_for_again() {
    for version in [Version::V311, Version::V5] {
        for with_session in [true, false] {
            subscribed_once(version, with_session);
        }
    }
}

fn message(payload: &[u8], expiry: Option<Duration>) -> Outgoing<'_> {
    Outgoing {
        topic: TopicName::new("out").expect("a topic"),
        payload,
        qos: QoS::ExactlyOnce,
        retain: false,
        props: Properties::EMPTY,
        expiry,
        tag: Tag::NONE,
    }
}

#[test]
fn what_was_put_off_comes_back_in_order_with_what_is_left_of_its_expiry() {
    let mut pair = Pair::new(1, engine(Version::V5));
    let now = pair.now();
    let engine = &mut pair.hosts[0].engine;
    engine.keep_records(10_000, Table::growing(100));
    let minute = Some(Duration::from_secs(60));
    let mut values = Vec::new();
    for (n, payload) in [&b"first"[..], b"late", b"in time", b"last"].into_iter().enumerate() {
        let mut value = Vec::new();
        let expiry = if n == 1 || n == 2 { minute } else { None };
        let number = engine.put_off(now, &message(payload, expiry), &mut value).expect("accepted");
        assert_eq!(number as usize, n + 1);
        values.push(value);
    }
    assert_eq!((engine.held(), engine.stats().accepted), (0, 4));
    let aged = [100, 60, 59, 1_000_000].map(Duration::from_secs);
    for (value, aged) in values.iter().zip(aged) {
        engine.take_up(now, value, aged, Tag::NONE).expect("readable");
    }
    assert!(engine.take_up(now, &values[0][..8], Duration::ZERO, Tag::NONE).is_err());
    assert_eq!(engine.held(), 4);
    // Their records are there already.
    assert!(!engine.has_unsaved_message());
    pair.open();
    for _ in 0..50 {
        pair.run_for(Duration::from_millis(5));
        let now = pair.now();
        let host = &mut pair.hosts[0];
        while let Some(record) = host.engine.unsaved_into(now, &mut Vec::new()) {
            host.engine.saved(record, &mut host.inbox);
        }
        pair.touch();
    }
    assert_eq!(pair.accepted(), ["first", "in time", "last"]);
    assert_eq!((pair.engine.held(), pair.engine.stats().expired), (0, 1));
}
