//! A PUBACK never comes, though the broker lives.

use everlink_proto::engine::Cause;
use everlink_proto::session::Config;
use everlink_proto::wire::Version;

use crate::support::*;

// [MQTT-4.3.2-3]
#[test]
fn mqtt_5_resumes_on_a_new_connection() {
    let mut s = connected(config(Version::V5));
    let tag = s.publish("t", b"a", Q1);
    s.expect(publish(Q1, 1, "a"));
    // Half-way to the response time it asks whether the broker lives.
    ping_after(&mut s, secs(5));
    assert_eq!(s.expect_end(secs(60)), secs(5));
    assert_lost(&s, Cause::AckMissing);
    s.accept(true);
    s.expect(again(Q1, 1, "a"));
    s.reply(puback(1));
    assert_eq!(s.inbox.fate(tag), Some(OK));
}

#[test]
fn mqtt_3_1_1_sends_it_again_and_then_leaves() {
    let mut s = connected(Config { max_repeats: 2, ..config(Version::V311) });
    s.publish("t", b"a", Q1);
    s.expect(publish(Q1, 1, "a"));
    for _ in 0..2 {
        ping_after(&mut s, secs(5));
        ping_after(&mut s, secs(5));
        s.expect(again(Q1, 1, "a"));
    }
    ping_after(&mut s, secs(5));
    assert_eq!(s.expect_end(secs(60)), secs(5));
    assert_lost(&s, Cause::AckMissing);
}

#[test]
fn mqtt_3_1_1_goes_on_once_it_is_answered() {
    let mut s = connected(config(Version::V311));
    let tag = s.publish("t", b"a", Q1);
    s.expect(publish(Q1, 1, "a"));
    ping_after(&mut s, secs(5));
    ping_after(&mut s, secs(5));
    s.expect_after(secs(0), again(Q1, 1, "a"));
    s.reply(puback(1));
    assert_eq!(s.inbox.fate(tag), Some(OK));
    assert_eq!(s.servers[0].connections, 1);
}

#[test]
fn what_is_published_meanwhile_is_not_held_up() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.publish("t", b"a", Q1);
        s.expect(publish(Q1, 1, "a"));
        let tag = s.publish("t", b"b", Q1);
        s.expect(publish(Q1, 2, "b"));
        s.reply(puback(2));
        assert_eq!(s.inbox.fate(tag), Some(OK));
    }
}

/// It is unknown which copy the acknowledgement was for, so its time says nothing.
#[test]
fn a_message_sent_twice_is_no_measure_of_the_round_trip() {
    let mut s = connected(config(Version::V311));
    s.publish("t", b"a", Q1);
    s.expect(publish(Q1, 1, "a"));
    ping_after(&mut s, secs(5));
    ping_after(&mut s, secs(5));
    s.expect(again(Q1, 1, "a"));
    let before = s.engine.round_trip();
    s.run_for(secs(3));
    s.reply(puback(1));
    assert_eq!(s.engine.round_trip(), before);
    // One that is sent once only is.
    s.publish("t", b"b", Q1);
    s.expect(publish(Q1, 2, "b"));
    s.run_for(secs(3));
    s.reply(puback(2));
    assert!(s.engine.round_trip() > before);
}
