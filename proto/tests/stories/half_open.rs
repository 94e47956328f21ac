//! The connection is open and nothing arrives any more: exactly when it is given up.

use everlink_proto::engine::Cause;
use everlink_proto::session::Config;
use everlink_proto::time::{Duration, Instant};
use everlink_proto::wire::Version;
use everlink_sim::pair::Pair;

use crate::support::*;

/// Time from `since` to the end of the connection, which must be for silence.
fn left(pair: &mut Pair<Engine>, since: Instant) -> Duration {
    let before = pair.closes.len();
    pair.run_until(secs(300), "the end", |p| p.closes.len() > before);
    assert_lost(pair, Cause::Silent);
    pair.closes.last().expect("one").0.since(since)
}

#[test]
fn while_idle_within_the_keep_alive() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        let start = pair.now();
        pair.net.path(0).hold();
        // PINGREQ after 15 s, the next after half the response time, the end after the other half.
        assert_eq!(left(&mut pair, start), secs(25));
    }
}

#[test]
fn while_publishing_within_the_response_time() {
    for version in VERSIONS {
        for qos in [Q1, Q2] {
            let mut pair = pair(config(version));
            pair.run_for(secs(8));
            let start = pair.now();
            pair.net.path(0).hold();
            pair.publish("t", b"x", qos);
            assert_eq!(left(&mut pair, start), secs(10));
        }
    }
}

#[test]
fn while_publishing_every_second() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        let start = pair.now();
        pair.net.path(0).hold();
        for _ in 0..10 {
            pair.publish("t", b"x", Q1);
            pair.run_for(secs(1));
        }
        pair.run_for(millis(1));
        assert_lost(&pair, Cause::Silent);
        assert_eq!(pair.closes[0].0.since(start), secs(10));
    }
}

#[test]
fn with_a_response_time_of_3_s() {
    for version in VERSIONS {
        let mut pair = pair(Config { response_time: secs(3), ..config(version) });
        let start = pair.now();
        pair.net.path(0).hold();
        pair.publish("t", b"x", Q1);
        assert_eq!(left(&mut pair, start), secs(3));
    }
}

#[test]
fn in_adaptive_mode_on_a_fast_path() {
    for version in VERSIONS {
        let mut pair = Pair::new(1, engine(Config { adaptive: true, ..config(version) }));
        pair.net.path(0).set_delay(millis(10), millis(10));
        pair.open();
        for _ in 0..10 {
            let tag = pair.publish("t", b"x", Q1);
            pair.fate(tag, secs(5));
        }
        let start = pair.now();
        pair.net.path(0).hold();
        pair.publish("t", b"x", Q1);
        assert_eq!(left(&mut pair, start), secs(2));
    }
}

#[test]
fn in_adaptive_mode_a_path_with_2_s_of_jitter_is_no_reason_to_leave() {
    for version in VERSIONS {
        let mut pair = Pair::new(7, engine(Config { adaptive: true, ..config(version) }));
        pair.net.path(0).set_delay(Duration::ZERO, millis(1000));
        pair.open();
        for n in 0..300 {
            pair.publish("t", format!("{n}").as_bytes(), Q1);
            pair.run_for(secs(1));
        }
        assert_eq!(pair.closes, []);
        pair.assert_conforms();
    }
}

#[test]
fn a_single_byte_now_and_then_is_life() {
    let mut s = connected(config(Version::V5));
    let large = bytes(Version::V5, publish(Q0, 0, &"x".repeat(20)));
    for byte in large {
        s.reply_raw(&[byte]);
        s.run_for(secs(9));
    }
    assert_eq!(s.closes, []);
    assert_eq!(s.inbox.messages.len(), 1);
}

#[test]
fn one_way_is_enough() {
    for version in VERSIONS {
        for to_server in [true, false] {
            let mut pair = pair(config(version));
            let start = pair.now();
            let path = pair.net.path(0);
            if to_server {
                path.to_server.held = true;
            } else {
                path.to_client.held = true;
            }
            pair.publish("t", b"x", Q2);
            assert_eq!(left(&mut pair, start), secs(10));
        }
    }
}

/// QoS 0 has no replies, so only a ping can tell.
#[test]
fn while_publishing_at_qos_0_within_the_keep_alive() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        let start = pair.now();
        pair.net.path(0).hold();
        for _ in 0..25 {
            pair.publish("t", b"x", Q0);
            pair.run_for(secs(1));
        }
        pair.run_for(millis(1));
        assert_lost(&pair, Cause::Silent);
        assert_eq!(pair.closes[0].0.since(start), secs(25));
    }
}
