//! What a full queue does: all policies, by messages and by bytes, while down and while up.

use everlink_proto::engine::{Refused, WhenFull};
use everlink_proto::session::{Config, Queue};
use everlink_proto::store::RamStore;
use everlink_proto::wire::Version;
use everlink_sim::host::{Fate, Post};
use everlink_sim::pair::Pair;

use crate::support::*;

fn limited(when_full: WhenFull, messages: usize, bytes: usize) -> Config {
    Config { queue: Queue { messages, bytes, when_full }, window: 1, ..config(Version::V5) }
}

/// Publishes `a:0`, `b:1`, `a:2` ... to topics `a` and `b` in turn while there is no connection, then
/// connects; what arrives.
fn arrives(cfg: Config, count: usize) -> Vec<String> {
    let mut pair = Pair::new(1, engine(cfg));
    for n in 0..count {
        let topic = ["a", "b"][n % 2];
        let _ = pair.try_post(Post::new(topic, format!("{topic}:{n}").as_bytes(), Q1));
    }
    pair.open();
    pair.run_for(secs(10));
    let stats = *pair.engine.stats();
    assert_eq!(stats.accepted, stats.delivered + stats.dropped);
    pair.accepted()
}

#[test]
fn by_messages_while_down() {
    use WhenFull::*;
    for (policy, expected) in [
        (Wait, ["a:0", "b:1", "a:2"]),
        (Reject, ["a:0", "b:1", "a:2"]),
        (DropNewest, ["a:0", "b:1", "a:2"]),
        (DropOldest, ["b:3", "a:4", "b:5"]),
        // a:4 replaces a:0, b:3 replaces b:1, and b:5 replaces b:3.
        (Latest, ["a:2", "a:4", "b:5"]),
    ] {
        let got = arrives(limited(policy, 3, 10_000), 6);
        assert_eq!(got, expected, "{policy:?}");
    }
}

#[test]
fn by_bytes_while_down() {
    use WhenFull::*;
    // A topic of 1 byte and a payload of 3: four bytes each.
    for (policy, expected) in [
        (Wait, ["a:0", "b:1"]),
        (Reject, ["a:0", "b:1"]),
        (DropNewest, ["a:0", "b:1"]),
        (DropOldest, ["a:2", "b:3"]),
        (Latest, ["a:2", "b:3"]),
    ] {
        assert_eq!(arrives(limited(policy, 100, 11), 4), expected, "{policy:?}");
    }
}

#[test]
fn only_the_caller_that_must_act_is_refused() {
    use WhenFull::*;
    for (policy, refused) in
        [(Wait, true), (Reject, true), (DropNewest, false), (DropOldest, false), (Latest, false)]
    {
        let mut pair = Pair::new(1, engine(limited(policy, 1, 1_000)));
        let first = pair.publish("a", b"1", Q1);
        let second = pair.try_post(Post::new("a", b"2", Q1));
        assert_eq!(second.is_err(), refused, "{policy:?}");
        let dropped = Some(Fate::Dropped(policy));
        match (policy, second) {
            (DropNewest, Ok(second)) => assert_eq!(pair.inbox.fate(second), dropped),
            (_, Ok(_)) => assert_eq!(pair.inbox.fate(first), dropped),
            (_, Err(why)) => assert_eq!(why, Refused::QueueFull),
        }
    }
}

#[test]
fn while_up_what_is_under_way_counts_apart() {
    let mut s = connected(limited(WhenFull::DropOldest, 2, 1_000));
    let mut tags = Vec::new();
    for n in 0..5 {
        tags.push(s.publish("t", &[b'0' + n], Q1));
        s.settle();
    }
    s.expect(publish(Q1, 1, "0"));
    s.reply(puback(1));
    s.expect(publish(Q1, 2, "3"));
    s.reply(puback(2));
    s.expect(publish(Q1, 3, "4"));
    s.reply(puback(3));
    let dropped = Fate::Dropped(WhenFull::DropOldest);
    let fates: Vec<_> = tags.into_iter().map(|tag| s.inbox.fate(tag).expect("a fate")).collect();
    assert_eq!(fates, [OK, dropped, dropped, OK, OK]);
}

#[test]
fn room_is_told_once_there_is_some() {
    let mut s = connected(limited(WhenFull::Wait, 2, 1_000));
    for _ in 0..3 {
        s.publish("t", b"x", Q1);
        s.settle();
    }
    assert_eq!(s.try_post(Post::new("t", b"x", Q1)), Err(Refused::QueueFull));
    assert_eq!(s.inbox.room_told, 0);
    s.reply(puback(1));
    assert_eq!(s.inbox.room_told, 1);
    s.reply(puback(2));
    assert_eq!(s.inbox.room_told, 1, "nobody was refused since");
}

#[test]
fn a_message_once_begun_is_not_dropped() {
    let cfg = Config { transmit_buffer: 200, ..limited(WhenFull::DropOldest, 1, 10_000) };
    let buffers = everlink_sim::host::Buffers { receive: 1_000, transmit: 200 };
    let mut pair = Pair::with_buffers(1, engine(cfg), buffers);
    pair.open();
    pair.run_until_up(secs(1));
    pair.net.path(0).buffer = 100;
    pair.net.path(0).to_server.rate = Some(100);
    let begun = pair.publish("t", &[b'x'; 1_000], Q0);
    pair.run_for(secs(2));
    let next = pair.publish("t", b"y", Q0);
    assert_eq!(pair.fate(begun, secs(60)), OK);
    assert_eq!(pair.inbox.fate(next), Some(Fate::Dropped(WhenFull::DropOldest)));
    pair.assert_conforms();
}

#[test]
fn what_can_never_fit_is_refused_at_once() {
    for policy in [WhenFull::Wait, WhenFull::DropOldest, WhenFull::DropNewest, WhenFull::Latest] {
        let mut pair = Pair::new(1, engine(limited(policy, 10, 100)));
        pair.publish("t", b"kept", Q1);
        assert_eq!(pair.try_post(Post::new("t", &[0; 100], Q1)), Err(Refused::TooLarge));
        assert_eq!(pair.engine.held(), 1);
    }
}

#[test]
fn the_latest_of_many_topics_is_found_with_and_without_an_index() {
    for store in [RamStore::new(), RamStore::indexed()] {
        let cfg = limited(WhenFull::Latest, 100, 100_000);
        let memory = everlink_proto::session::Memory::growing(&cfg);
        let session = everlink_proto::session::Session::new(cfg, store, memory);
        let mut pair = Pair::new(1, session);
        for n in 0..1_000 {
            pair.publish(&format!("t/{}", n % 100), n.to_string().as_bytes(), Q1);
        }
        pair.open();
        pair.run_for(secs(10));
        let latest: Vec<_> = (900..1_000).map(|n| n.to_string()).collect();
        assert_eq!(pair.accepted(), latest);
    }
}
