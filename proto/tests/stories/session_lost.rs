//! The broker has forgotten the session: what it had not acknowledged for good goes again as new,
//! subscriptions are made again, and nothing accepted is lost.

use everlink_proto::wire::{PacketType, QoS, SubAck};

use crate::support::*;

// [MQTT-3.2.2-5]
#[test]
fn unacknowledged_messages_start_anew_before_those_never_sent() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.publish("t", b"1", Q1);
        s.publish("t", b"2", Q2);
        s.settle();
        s.reset();
        s.publish("t", b"3", Q1);
        s.accept(false);
        s.expect(publish(Q1, 3, "1"));
        s.expect(publish(Q2, 4, "2"));
        s.expect(publish(Q1, 5, "3"));
    }
}

#[test]
fn a_released_message_starts_anew_as_well() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        let tag = s.publish("t", b"1", Q2);
        s.publish("t", b"2", Q2);
        s.publish("t", b"3", Q2);
        s.reply(pubrec(1));
        s.reply(pubrec(2));
        s.reset();
        s.accept(false);
        // In the order of acceptance, whatever their stages were.
        s.expect(publish(Q2, 4, "1"));
        s.expect(publish(Q2, 5, "2"));
        s.expect(publish(Q2, 6, "3"));
        assert_eq!(s.inbox.fate(tag), None);
        s.reply(pubrec(4));
        s.expect(pubrel(4));
        s.reply(pubcomp(4));
        s.settle();
        assert_eq!(s.inbox.fate(tag), Some(OK));
    }
}

#[test]
fn subscriptions_are_made_again_only_then() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.subscribe("a/#", Q1);
        s.expect_kind(PacketType::Subscribe);
        let granted = [QoS::AtLeastOnce as u8];
        s.reply(SubAck { pid: pid(1), props: Default::default(), codes: &granted });
        s.reset();
        s.accept(true);
        s.silence(secs(10));
        s.reset();
        s.accept(false);
        s.expect_kind(PacketType::Subscribe);
    }
}

// [MQTT-3.1.2-4] [MQTT-3.2.2-5]
#[test]
fn an_identifier_of_the_old_session_is_a_new_message_in_the_new_one() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.reply(publish(Q2, 9, "old"));
        s.expect(pubrec(9));
        s.reset();
        s.accept(false);
        s.reply(publish(Q2, 9, "new"));
        s.expect(pubrec(9));
        assert_eq!(s.inbox.texts(), ["old", "new"]);
    }
}
