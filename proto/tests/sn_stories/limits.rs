//! Bounded memory, bounded messages, and what the queue does when it is full.

use everlink_proto::engine::*;
use everlink_proto::mem::Table;
use everlink_proto::session::Queue;
use everlink_proto::time::Duration;
use everlink_proto::topic::TopicName;
use everlink_proto::wire::Properties;

use crate::support::*;

#[test]
fn what_the_link_cannot_carry_is_refused() {
    let mut b = connected(Config { frame: 32, ..config() });
    assert!(b.try_publish("ab", &[0; 25], Q1).is_ok());
    assert_eq!(b.try_publish("ab", &[0; 26], Q1), Err(Refused::TooLarge));
    let longest = "t".repeat(26);
    assert!(b.try_publish(&longest, b"a", Q1).is_ok());
    assert_eq!(b.try_publish(&"t".repeat(27), b"a", Q1), Err(Refused::TooLarge));
    assert!(b.try_subscribe(&"t".repeat(27), Q1).is_ok());
    assert_eq!(b.try_subscribe(&"t".repeat(28), Q1), Err(Refused::TooLarge));
    assert_eq!(b.next_within(secs(1)).map(|m| m.len()), Some(32));
}

#[test]
fn on_a_long_link_the_length_has_three_octets() {
    let mut b = connected(Config { frame: 1000, ..config() });
    assert_eq!(b.try_publish("ab", &[0; 992], Q1), Err(Refused::TooLarge));
    b.publish("ab", &[0; 991], Q1);
    assert_eq!(b.next_within(secs(1)).map(|m| m.len()), Some(1000));
}

#[test]
fn a_topic_longest_not_used_makes_room() {
    let memory = Memory {
        topics: Table::growing(2),
        names: Table::growing(10),
        ..Memory::growing(PREDEFINED)
    };
    let mut b = bench_with(config(), memory);
    b.accept();
    let mut say = |topic: &str, known: Option<u16>| {
        b.publish(topic, b"a", Q0);
        let id = match known {
            Some(id) => id,
            None => {
                let got = b.next_within(secs(1)).expect("REGISTER");
                let Ok(Message::Register(r)) = Message::decode(V, &got) else { panic!("{got:?}") };
                let id = topic.len() as u16 * 100 + u16::from(topic.as_bytes()[0]);
                b.reply(Message::RegAck(RegAck { topic_id: id, msg_id: r.msg_id, code: OK }));
                id
            }
        };
        b.expect(Message::Publish(publish(Topic::Id(id), Q0, 0)));
        id
    };
    let a = say("aaa", None);
    let c = say("ccc", None);
    say("aaa", Some(a));
    // "ccc" goes.
    let d = say("ddd", None);
    say("aaa", Some(a));
    say("ddd", Some(d));
    assert_eq!(say("ccc", None), c);
    // One so long that all others go.
    say("eeeeeeeeee", None);
    say("aaa", None);
    assert_eq!(b.try_publish("fffffffffff", b"a", Q0), Err(Refused::TooLarge));
}

#[test]
fn a_full_queue_waits_or_drops() {
    let cfg =
        |when_full| Config { queue: Queue { messages: 2, bytes: 1000, when_full }, ..config() };
    let fill = |when_full| {
        let mut b = bench(cfg(when_full));
        let tags = [b.publish("ab", b"1", Q1), b.publish("cd", b"2", Q1)];
        (b, tags)
    };
    let (mut b, _) = fill(WhenFull::Wait);
    assert_eq!(b.try_publish("cd", b"3", Q1), Err(Refused::QueueFull));
    b.accept();
    assert_eq!(b.inbox.rooms, 1);
    let (mut b, tags) = fill(WhenFull::DropOldest);
    b.publish("cd", b"3", Q1);
    assert_eq!((b.fate(tags[0]), b.fate(tags[1])), (Some(Fate::Dropped), None));
    let (mut b, tags) = fill(WhenFull::Latest);
    b.publish("cd", b"3", Q1);
    assert_eq!((b.fate(tags[0]), b.fate(tags[1])), (None, Some(Fate::Dropped)));
    let (mut b, _) = fill(WhenFull::DropNewest);
    let tag = b.publish("cd", b"3", Q1);
    assert_eq!((b.fate(tag), b.node.held()), (Some(Fate::Dropped), 2));
}

#[test]
fn a_message_of_no_use_any_more_is_not_sent() {
    let mut b = bench(config());
    let message = Outgoing {
        topic: TopicName::new("ab").unwrap(),
        payload: b"a",
        qos: Q1,
        retain: false,
        props: Properties::EMPTY,
        expiry: Some(Duration::from_secs(5)),
        tag: Tag(9),
    };
    b.node.publish(b.now, &message, &mut b.inbox).unwrap();
    b.connect();
    b.silence(secs(6));
    assert_eq!((b.fate(Tag(9)), b.node.held()), (Some(Fate::Expired), 0));
}

#[test]
fn a_transmit_buffer_without_room_for_a_message_has_to_grow() {
    let mut b = connected(config());
    b.publish("ab", b"a", Q1);
    let output = b.node.poll(b.now, &mut [0; 1023], &mut b.inbox);
    assert!(matches!(output, Output::Wait(_)) && b.node.is_starved());
    b.expect(Message::Publish(publish(short("ab"), Q1, 1)));
    assert!(!b.node.is_starved());
}

#[test]
fn a_closed_node_takes_nothing() {
    let mut b = connected(config());
    b.close();
    assert_eq!(b.try_publish("ab", b"a", Q1), Err(Refused::Closed));
    assert_eq!(b.try_subscribe("ab", Q1), Err(Refused::Closed));
}
