//! What only a machine with a disk keeps: subscriptions, and messages that memory has no room for.
#![cfg(feature = "alloc")]

use everlink_proto::engine::{Engine, Outgoing, Refused, Tag, WhenFull};
use everlink_proto::mem::Table;
use everlink_proto::session::{
    Config, FirstConnect, Memory, Queue, Session, Unreadable, under_way,
};
use everlink_proto::store::RamStore;
use everlink_proto::time::Duration;
use everlink_proto::topic::TopicName;
use everlink_proto::wire::{Properties, QoS, Version};
use everlink_sim::host::Fate;
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

#[test]
fn a_record_tells_its_message_and_what_it_takes_the_place_of() {
    let mut pair = Pair::new(1, engine(Version::V5));
    pair.hosts[0].engine.keep_records(10_000, Table::growing(100));
    pair.open();
    pair.run_until_up(Duration::from_secs(1));
    let tag = pair.publish("out", b"first", QoS::AtLeastOnce);
    let mut seen = Vec::new();
    for _ in 0..50 {
        let now = pair.now();
        let host = &mut pair.hosts[0];
        while let Some(record) = host.engine.unsaved_into(now, &mut Vec::new()) {
            seen.push((record.key, record.message(), record.replaced(), record.len > 0));
            host.engine.saved(record, &mut host.inbox);
        }
        pair.touch();
        pair.run_for(Duration::from_millis(5));
    }
    assert!(matches!(pair.fate(tag, Duration::from_secs(1)), Fate::Delivered(_)));
    seen.retain(|(key, ..)| *key != 0);
    // Written, and gone when it was delivered.
    assert_eq!(seen, [(1, Some(1), None, true), (1, None, Some(1), false)]);
    // The session's own record is no message's.
    let mut pair = Pair::new(1, engine(Version::V5));
    pair.hosts[0].engine.keep_records(10_000, Table::growing(100));
    pair.open();
    pair.run_until_up(Duration::from_secs(1));
    pair.publish("out", b"first", QoS::ExactlyOnce);
    let now = pair.now();
    let host = &mut pair.hosts[0];
    while let Some(record) = host.engine.unsaved_into(now, &mut Vec::new()) {
        assert_eq!(
            (record.message(), record.replaced()),
            (Some(1).filter(|_| record.key > 0), None)
        );
        host.engine.saved(record, &mut host.inbox);
    }
    assert!(Unreadable.to_string().contains("damaged"));
}

#[test]
fn memory_says_whether_it_has_room_and_what_goes_when_it_has_not() {
    let first_connect = FirstConnect::Forever;
    let queue = Queue { messages: 2, bytes: 100, when_full: WhenFull::DropOldest };
    let cfg = Config { first_connect, queue, ..Config::default() };
    let memory = Memory::growing(&cfg);
    let mut pair = Pair::new(1, Session::new(cfg, RamStore::new(), memory));
    assert_eq!(pair.engine.when_full(), WhenFull::DropOldest);
    assert!(pair.engine.has_room(90) && !pair.engine.has_room(200));
    let first = pair.publish("a", b"1", QoS::AtLeastOnce);
    assert!(pair.engine.has_room(10));
    let second = pair.publish("b", b"2", QoS::AtLeastOnce);
    assert!(!pair.engine.has_room(10));
    let now = pair.now();
    let host = &mut pair.hosts[0];
    // The oldest of this topic, else the oldest of all; none is left at the end.
    assert!(host.engine.drop_oldest(now, Some("b"), &mut host.inbox));
    assert!(host.inbox.fate(second).is_some() && host.inbox.fate(first).is_none());
    assert!(host.engine.drop_oldest(now, Some("b"), &mut host.inbox));
    assert!(matches!(host.inbox.fate(first), Some(Fate::Dropped(_))));
    assert!(!host.engine.drop_oldest(now, None, &mut host.inbox));
    host.engine.dropped(Tag::NONE, &mut host.inbox);
    host.engine.found(5);
    host.engine.found(5);
    let stats = host.engine.stats();
    assert_eq!((stats.accepted, stats.dropped), (2 + 1 + 10, 3));
}

#[test]
fn numbers_go_on_where_the_disk_says() {
    let mut pair = Pair::new(1, engine(Version::V5));
    let now = pair.now();
    let engine = &mut pair.hosts[0].engine;
    engine.keep_records(10_000, Table::growing(100));
    engine.taken_up(&[], 77).expect("no session is no error");
    assert!(engine.taken_up(&[1, 2, 3], 78).is_err());
    let number = engine.put_off(now, &message(b"x", None), &mut Vec::new());
    assert_eq!(number, Ok(78));
}

#[test]
fn a_message_is_accepted_only_if_a_record_can_hold_it() {
    let mut pair = Pair::new(1, engine(Version::V5));
    // Head of a record, topic and payload.
    pair.hosts[0].engine.keep_records(40, Table::growing(2));
    let now = pair.now();
    let host = &mut pair.hosts[0];
    let mut longest = 0;
    for len in 0..60 {
        let payload = vec![b'x'; len];
        if host.engine.publish(now, &message(&payload, None), &mut host.inbox).is_err() {
            continue;
        }
        longest = len;
        let mut value = Vec::new();
        let record = host.engine.unsaved_into(now, &mut value).expect("to be written");
        assert!(record.len == value.len() && record.len <= 40, "{len}: {record:?}");
        host.engine.saved(record, &mut host.inbox);
        assert!(host.engine.drop_oldest(now, None, &mut host.inbox));
        while let Some(record) = host.engine.unsaved_into(now, &mut Vec::new()) {
            host.engine.saved(record, &mut host.inbox);
        }
    }
    let mut value = Vec::new();
    host.engine.put_off(now, &message(&vec![b'x'; longest], None), &mut value).expect("fits");
    assert_eq!(value.len(), 40, "the longest one fills the record");
    // A third one at the same time has no record.
    let post = message(b"x", None);
    assert!(host.engine.publish(now, &post, &mut host.inbox).is_ok());
    assert!(host.engine.publish(now, &post, &mut host.inbox).is_ok());
    assert_eq!(host.engine.publish(now, &post, &mut host.inbox), Err(Refused::QueueFull));
}

/// Everything is told once it is due, and nothing else.
#[test]
fn what_is_unsaved_and_what_is_saved() {
    let mut pair = Pair::new(1, engine(Version::V5));
    pair.hosts[0].engine.keep_records(10_000, Table::growing(100));
    pair.open();
    pair.run_until_up(Duration::from_secs(1));
    let now = pair.now();
    let host = &mut pair.hosts[0];
    while let Some(record) = host.engine.unsaved_into(now, &mut Vec::new()) {
        host.engine.saved(record, &mut host.inbox);
    }
    assert!(host.engine.is_saved() && !host.engine.is_unsaved());
    assert!(!host.engine.has_unsaved_message());
    let tag = pair.publish("out", b"first", QoS::ExactlyOnce);
    let quiet = pair.publish("out", b"zero", QoS::AtMostOnce);
    let host = &mut pair.hosts[0];
    assert!(!host.engine.is_saved() && host.engine.is_unsaved());
    assert!(host.engine.has_unsaved_message());
    assert_eq!(host.inbox.stored, []);
    let record = host.engine.unsaved_into(now, &mut Vec::new()).expect("the message");
    // Handed out, it is not handed out again, and not yet told.
    host.engine.handed(record);
    assert!(!host.engine.has_unsaved_message());
    assert_eq!(host.inbox.stored, []);
    host.engine.confirmed(record, &mut host.inbox);
    assert_eq!(host.inbox.stored, [tag]);
    assert_ne!(tag, quiet);
    // Only the session's own record is left: it says that the message has its identifier.
    pair.touch();
    pair.run_for(Duration::from_millis(1));
    let now = pair.now();
    let host = &mut pair.hosts[0];
    assert!(host.engine.is_unsaved() && !host.engine.is_saved());
    assert!(!host.engine.has_unsaved_message());
    let record = host.engine.unsaved_into(now, &mut Vec::new()).expect("the session");
    assert_eq!(record.key, 0);
    host.engine.handed(record);
    assert!(!host.engine.is_unsaved() && !host.engine.is_saved(), "it is on its way");
    host.engine.confirmed(record, &mut host.inbox);
    assert!(host.engine.is_saved());
    assert_eq!(host.inbox.stored, [tag]);
}

/// A message without a tag is told to nobody.
#[test]
fn nobody_hears_of_what_nobody_waits_for() {
    let mut pair = Pair::new(1, engine(Version::V5));
    pair.hosts[0].engine.keep_records(10_000, Table::growing(100));
    let now = pair.now();
    let host = &mut pair.hosts[0];
    host.engine.publish(now, &message(b"x", None), &mut host.inbox).expect("accepted");
    while let Some(record) = host.engine.unsaved_into(now, &mut Vec::new()) {
        host.engine.saved(record, &mut host.inbox);
    }
    assert_eq!(host.inbox.stored, []);
}

/// The longest record of a session: all its messages under way, all it may receive held.
#[test]
fn a_session_has_a_record_of_a_known_length() {
    let first_connect = FirstConnect::Forever;
    let cfg = Config { window: 5, receive_maximum: 7, first_connect, ..Config::default() };
    let memory = Memory::growing(&cfg);
    let mut session = Session::new(cfg, RamStore::new(), memory);
    session.keep_records(10_000, Table::growing(9));
    assert_eq!(session.record_keys(), 1..10);
    // Growing memory can hold every identifier.
    let (head, received) = (13, 4 * 65_535);
    let lens = [0, 1, 4, 5, 100].map(|messages| session.session_record_len(messages));
    assert_eq!(lens.map(|len| len - received - head), [0, 6, 24, 30, 30]);
    // And one that is full is no longer.
    let mut pair = Pair::new(1, session);
    pair.open();
    pair.run_until_up(Duration::from_secs(1));
    for n in 0..5 {
        pair.publish("out", &[n], QoS::ExactlyOnce);
    }
    let mut longest = 0;
    for _ in 0..20 {
        let now = pair.now();
        let host = &mut pair.hosts[0];
        let mut value = Vec::new();
        while let Some(record) = host.engine.unsaved_into(now, &mut value) {
            longest = longest.max(if record.key == 0 { value.len() } else { 0 });
            host.engine.saved(record, &mut host.inbox);
            value.clear();
        }
        pair.touch();
        pair.run_for(Duration::from_millis(1));
    }
    assert_eq!(longest, head + 5 * 6);
}

/// Whatever is in front of a record in the buffer is not in it.
#[test]
fn a_record_goes_behind_what_is_there() {
    let mut pair = Pair::new(1, engine(Version::V5));
    pair.hosts[0].engine.keep_records(10_000, Table::growing(100));
    pair.open();
    pair.run_until_up(Duration::from_secs(1));
    pair.publish("out", b"first", QoS::ExactlyOnce);
    pair.publish("out", b"second", QoS::ExactlyOnce);
    let mut session = Vec::new();
    for _ in 0..10 {
        let now = pair.now();
        let host = &mut pair.hosts[0];
        let mut value = vec![0xEE; 5];
        while let Some(record) = host.engine.unsaved_into(now, &mut value) {
            assert_eq!((record.len, &value[..5]), (value.len() - 5, &[0xEE; 5][..]));
            if record.key == 0 && record.len > session.len() {
                session = value[5..].to_vec();
            }
            host.engine.saved(record, &mut host.inbox);
            value.truncate(5);
        }
        pair.touch();
        pair.run_for(Duration::from_millis(1));
    }
    assert_eq!(under_way(&session).collect::<Vec<_>>(), [1, 2]);
    // As much of it as is there.
    let count = |len: usize| under_way(&session[..len]).count();
    assert_eq!([count(0), count(12), count(session.len() - 1), count(session.len())], [0, 0, 1, 2]);
}

#[test]
fn a_retained_message_is_one_after_it_was_put_off() {
    for retain in [true, false] {
        let mut pair = Pair::new(1, engine(Version::V5));
        let now = pair.now();
        let engine = &mut pair.hosts[0].engine;
        engine.keep_records(10_000, Table::growing(100));
        let mut value = Vec::new();
        let post = Outgoing { retain, qos: QoS::AtLeastOnce, ..message(b"x", None) };
        engine.put_off(now, &post, &mut value).expect("accepted");
        engine.take_up(now, &value, Duration::ZERO, Tag::NONE).expect("readable");
        pair.open();
        pair.run_for(Duration::from_secs(1));
        assert_eq!(pair.accepted(), ["x"]);
        // Who subscribes afterwards gets it only if it was retained.
        pair.subscribe("out", QoS::AtLeastOnce);
        pair.run_for(Duration::from_secs(1));
        assert_eq!(pair.inbox.texts().len(), usize::from(retain));
    }
}
