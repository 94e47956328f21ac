//! The application has no room: the broker is held back, nothing is lost, and the connection lives.

use everlink_proto::session::Config;
use everlink_proto::wire::{Packet, Version};

use crate::support::*;

#[test]
fn nothing_is_acknowledged_before_there_is_room() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.inbox.room = Some(1);
        for n in 1..=3 {
            s.reply(publish(Q1, n, &n.to_string()));
        }
        s.expect(puback(1));
        s.silence(secs(5));
        s.make_room(1);
        s.expect(puback(2));
        s.silence(secs(1));
        s.make_room(5);
        s.expect(puback(3));
        assert_eq!(s.inbox.texts(), ["1", "2", "3"]);
    }
}

#[test]
fn whatever_the_qos_all_arrive_in_order() {
    for version in VERSIONS {
        for qos in [Q0, Q1, Q2] {
            let mut pair = pair(config(version));
            pair.subscribe("t", qos);
            pair.run_for(secs(1));
            pair.inbox.room = Some(0);
            for n in 0..500 {
                pair.broker_publishes("t", n.to_string().as_bytes(), qos);
            }
            for _ in 0..600 {
                pair.make_room(1);
                pair.run_for(millis(20));
            }
            let all: Vec<_> = (0..500).map(|n| n.to_string()).collect();
            assert_eq!(pair.inbox.texts(), all, "{version:?} {qos:?}");
            assert_eq!(pair.opens.len(), 1);
            pair.assert_conforms();
        }
    }
}

#[test]
fn pings_go_on_for_an_hour() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.inbox.room = Some(0);
        s.reply(publish(Q0, 0, "x"));
        for _ in 0..240 {
            s.expect_after(secs(15), Packet::PingReq);
        }
        s.make_room(1);
        s.run_for(millis(1));
        assert_eq!(s.inbox.texts(), ["x"]);
        assert_eq!(s.closes, []);
    }
}

#[test]
fn our_own_messages_go_out_all_the_same_and_wait_for_their_answers() {
    let mut s = connected(config(Version::V5));
    s.inbox.room = Some(0);
    s.reply(publish(Q0, 0, "x"));
    let tag = s.publish("t", b"y", Q1);
    s.expect(publish(Q1, 1, "y"));
    s.reply(puback(1));
    // The PUBACK lies behind the message there is no room for.
    s.run_for(secs(60));
    assert_eq!(s.inbox.fate(tag), None);
    s.make_room(1);
    s.run_for(millis(1));
    assert_eq!(s.inbox.fate(tag), Some(OK));
    assert_eq!(s.closes, []);
}

#[test]
fn a_path_that_died_meanwhile_is_noticed_once_there_is_room() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        pair.subscribe("t", Q1);
        pair.run_for(secs(1));
        pair.inbox.room = Some(0);
        pair.broker_publishes("t", b"x", Q1);
        pair.run_for(secs(1));
        pair.net.path(0).hold();
        pair.run_for(secs(300));
        assert_eq!(pair.closes, []);
        let start = pair.now();
        pair.make_room(1);
        pair.run_until(secs(60), "the end", |p| !p.closes.is_empty());
        assert!(pair.closes[0].0.since(start) <= secs(25));
    }
}

#[test]
fn a_manual_acknowledgement_makes_room_in_a_full_list_of_3_1_1() {
    // The broker is not told how many it may send: it is held back.
    let cfg = config(Version::V311);
    let mut received = [everlink_proto::session::ReceivedSlot::default(); 2];
    let memory = everlink_proto::session::Memory {
        received: everlink_proto::mem::Table::fixed(&mut received),
        ..everlink_proto::session::Memory::growing(&cfg)
    };
    let session = everlink_proto::session::Session::new(
        Config { first_connect: everlink_proto::session::FirstConnect::Forever, ..cfg },
        everlink_proto::store::RamStore::new(),
        memory,
    );
    let mut s = everlink_sim::script::Script::new(Version::V311, session);
    s.accept(false);
    s.inbox.manual = true;
    for n in 1..=4 {
        s.reply(publish(Q1, n, "x"));
    }
    assert_eq!(s.inbox.messages.len(), 2);
    for n in 1..=4 {
        let (now, receipt) = (s.now(), s.inbox.messages[usize::from(n) - 1].receipt);
        s.acknowledge(now, receipt).expect("held");
        s.expect(puback(n));
    }
    assert_eq!(s.servers[0].connections, 1);
}
