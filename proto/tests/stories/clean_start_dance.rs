//! 3.1.1 ties "start clean" to "keep nothing afterwards". Starting clean and keeping the session
//! across outages takes a detour, and leaving none behind a connection of its own.

use everlink_proto::engine::Event;
use everlink_proto::session::Config;
use everlink_proto::wire::{Packet, PacketType, Version};
use everlink_sim::pair::Pair;
use everlink_sim::script::Script;

use crate::support::*;

fn starting_clean() -> Config {
    Config { clean_start: true, ..config(Version::V311) }
}

#[track_caller]
fn connects(s: &mut Script<Engine>, clean: bool, session_present: bool) {
    let connect = s.accept(session_present);
    let (_, connect) = Packet::decode_connect(&connect).expect("CONNECT");
    assert_eq!(connect.clean_start, clean);
}

#[test]
fn an_old_session_is_wiped_first() {
    let mut s = script(starting_clean());
    s.publish("t", b"x", Q1);
    connects(&mut s, false, true);
    connects(&mut s, true, false);
    connects(&mut s, false, false);
    s.expect(publish(Q1, 1, "x"));
    assert_eq!(s.events.iter().filter(|(_, e)| matches!(e, Event::Up { .. })).count(), 1);
    // From now on the session is kept.
    s.reset();
    connects(&mut s, false, true);
    s.expect(again(Q1, 1, "x"));
}

#[test]
fn without_an_old_session_there_is_no_detour() {
    let mut s = script(starting_clean());
    connects(&mut s, false, false);
    s.run_for(secs(5));
    assert_eq!(s.servers[0].connections, 1);
}

#[test]
fn a_lost_answer_on_the_way_changes_nothing() {
    let mut s = script(starting_clean());
    connects(&mut s, false, true);
    connects(&mut s, true, false);
    // The CONNACK is lost, so the session that is present next is this one's.
    s.connect();
    s.reset();
    connects(&mut s, false, true);
    s.run_for(secs(1));
    assert!(s.events.iter().any(|(_, e)| *e == Event::Up { resumed: false }));
}

#[test]
fn a_broker_without_sessions_gets_clean_connections_only() {
    for clean_start in [false, true] {
        let cfg = Config { clean_start, clean_reconnect: true, ..config(Version::V311) };
        let mut s = script(cfg);
        connects(&mut s, clean_start, false);
        s.reset();
        connects(&mut s, true, false);
    }
}

#[test]
fn mqtt_5_needs_no_detour() {
    let mut s = script(Config { clean_start: true, ..config(Version::V5) });
    connects(&mut s, true, false);
    s.reset();
    connects(&mut s, false, true);
}

fn closed(cfg: Config) -> Pair<Engine> {
    let mut pair = pair(cfg);
    let tag = pair.publish("t", b"x", Q2);
    pair.fate(tag, secs(5));
    pair.close();
    pair.run_for(secs(20));
    assert_eq!(pair.events.last().map(|(_, e)| *e), Some(Event::Closed));
    pair.assert_conforms();
    pair
}

#[test]
fn an_ephemeral_client_leaves_nothing_behind() {
    for version in VERSIONS {
        let mut pair = closed(Config { ephemeral: true, ..config(version) });
        assert!(!pair.broker().has_session("host-0"), "{version:?}");
        let connections = if version == Version::V311 { 2 } else { 1 };
        assert_eq!(pair.broker().connects().len(), connections);
        let mut pair = closed(config(version));
        assert!(pair.broker().has_session("host-0"), "{version:?}");
    }
}

#[test]
fn an_ephemeral_client_with_messages_in_hand_keeps_its_session() {
    for version in VERSIONS {
        let mut pair = pair(Config { ephemeral: true, ..config(version) });
        pair.broker().faults.swallow(PacketType::PubAck, 1);
        pair.publish("t", b"x", Q1);
        pair.run_for(secs(1));
        pair.close();
        pair.run_for(secs(20));
        assert!(pair.broker().has_session("host-0"));
        assert_eq!(pair.engine.held(), 1);
    }
}

#[test]
fn a_farewell_that_cannot_be_said_is_tried_once() {
    let mut pair = pair(Config { ephemeral: true, ..config(Version::V311) });
    pair.net.listener(0).mode = everlink_sim::netem::Listen::Hang;
    pair.close();
    pair.run_for(secs(60));
    assert_eq!(pair.events.last().map(|(_, e)| *e), Some(Event::Closed));
    assert_eq!(pair.opens.len(), 2);
}
