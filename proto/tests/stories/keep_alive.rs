//! The cadence of PINGREQ.

use everlink_proto::session::Config;
use everlink_proto::time::Duration;
use everlink_proto::wire::{Packet, Property, Version};

use crate::support::*;

// [MQTT-3.1.2-20]
#[test]
fn a_quarter_of_the_keep_alive_after_the_last_byte() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        for _ in 0..3 {
            ping_after(&mut s, secs(15));
        }
        s.run_for(secs(7));
        s.reply(publish(Q0, 0, "x"));
        // Heard of late, but the broker has not heard of us.
        ping_after(&mut s, secs(8));
    }
}

#[test]
fn traffic_both_ways_needs_no_ping() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        for _ in 0..60 {
            pair.publish("t", b"x", Q1);
            pair.run_for(secs(10));
        }
        assert_eq!(pair.engine.stats().pings, 0);
    }
}

#[test]
fn the_application_may_ask_for_more() {
    let mut s = connected(Config { ping_interval: secs(2), ..config(Version::V5) });
    ping_after(&mut s, secs(2));
    ping_after(&mut s, secs(2));
    // But not for less.
    let mut s = connected(Config { ping_interval: secs(50), ..config(Version::V5) });
    ping_after(&mut s, secs(15));
}

// [MQTT-3.1.2-21] [MQTT-3.2.2-21]
#[test]
fn the_server_may_shorten_it() {
    let mut s = script(config(Version::V5));
    s.connect();
    s.reply(connack(false, &[Property::ServerKeepAlive(8)]));
    assert_eq!(s.engine.limits().keep_alive, 8);
    ping_after(&mut s, secs(2));
    ping_after(&mut s, secs(2));
}

#[test]
fn without_keep_alive_a_dead_path_is_noticed_all_the_same() {
    for version in VERSIONS {
        let mut s = connected(Config { keep_alive: 0, ..config(version) });
        ping_after(&mut s, secs(20));
        s.expect_after(secs(20), Packet::PingReq);
        assert_eq!(s.expect_end(secs(60)), secs(10));
    }
}

#[test]
fn connect_says_what_was_configured() {
    for version in VERSIONS {
        for keep_alive in [0, 1, 60, u16::MAX] {
            let mut s = script(Config { keep_alive, ..config(version) });
            let bytes = s.connect();
            let (_, connect) = Packet::decode_connect(&bytes).expect("CONNECT");
            assert_eq!(connect.keep_alive, keep_alive);
        }
    }
}

#[test]
fn a_keep_alive_of_1_s_is_kept() {
    for version in VERSIONS {
        let mut pair = pair(Config { keep_alive: 1, ..config(version) });
        pair.net.path(0).set_delay(millis(50), Duration::ZERO);
        pair.run_for(secs(600));
        assert_eq!(pair.closes, []);
        pair.assert_conforms();
    }
}

#[test]
fn each_connection_has_its_own() {
    let mut s = script(config(Version::V5));
    s.connect();
    s.reply(connack(false, &[Property::ServerKeepAlive(8)]));
    ping_after(&mut s, secs(2));
    s.hang_up();
    s.accept(true);
    assert_eq!(s.engine.limits().keep_alive, 60);
    ping_after(&mut s, secs(15));
}
