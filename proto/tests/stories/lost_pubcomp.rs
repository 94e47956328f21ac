//! A PUBCOMP never comes, or the PUBREL before it got lost: the broker lives and has the message.

use everlink_proto::engine::Cause;
use everlink_proto::wire::{PacketType, Version};

use crate::support::*;

// [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-4.3.3-6]
#[test]
fn mqtt_5_sends_only_pubrel_on_the_next_connection() {
    let mut s = connected(config(Version::V5));
    let tag = s.publish("t", b"a", Q2);
    s.expect(publish(Q2, 1, "a"));
    s.reply(pubrec(1));
    s.expect(pubrel(1));
    ping_after(&mut s, secs(5));
    assert_eq!(s.expect_end(secs(60)), secs(5));
    assert_lost(&s, Cause::AckMissing);
    s.accept(true);
    s.expect(pubrel(1));
    s.reply(pubcomp(1));
    assert_eq!(s.inbox.fate(tag), Some(OK));
    s.silence(secs(10));
}

#[test]
fn mqtt_3_1_1_sends_pubrel_again() {
    let mut s = connected(config(Version::V311));
    let tag = s.publish("t", b"a", Q2);
    s.expect(publish(Q2, 1, "a"));
    s.reply(pubrec(1));
    s.expect(pubrel(1));
    ping_after(&mut s, secs(5));
    ping_after(&mut s, secs(5));
    s.expect_after(secs(0), pubrel(1));
    s.reply(pubcomp(1));
    assert_eq!(s.inbox.fate(tag), Some(OK));
    assert_eq!(s.servers[0].connections, 1);
}

#[test]
fn a_pubrel_that_the_broker_never_saw_is_as_good_as_a_lost_pubcomp() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        pair.broker().faults.ignore(PacketType::PubRel, 1);
        let tag = pair.publish("t", b"a", Q2);
        assert_eq!(pair.fate(tag, secs(30)), OK);
        assert_eq!(pair.accepted(), ["a"]);
        pair.assert_conforms();
    }
}
