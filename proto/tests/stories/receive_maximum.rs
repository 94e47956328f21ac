//! Flow control, both ways.

use everlink_proto::session::{Config, Queue};
use everlink_proto::wire::{Packet, PacketType, Property, ReasonCode, Version};

use crate::support::*;

// [MQTT-3.3.4-7] [MQTT-4.3.2-2] [MQTT-4.3.3-2] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
#[test]
fn no_more_than_the_broker_takes() {
    let mut s = script(config(Version::V5));
    s.connect();
    s.reply(connack(false, &[Property::ReceiveMaximum(2)]));
    for n in 1..=4 {
        s.publish("t", b"x", if n == 1 { Q2 } else { Q1 });
    }
    s.expect(publish(Q2, 1, "x"));
    s.expect(publish(Q1, 2, "x"));
    s.silence(millis(10));
    s.reply(pubrec(1));
    s.expect(pubrel(1));
    // PUBREC does not end it; only PUBCOMP does.
    s.silence(millis(10));
    s.reply(pubcomp(1));
    s.expect(publish(Q1, 3, "x"));
    s.reply(puback(2));
    s.expect(publish(Q1, 4, "x"));
}

#[test]
fn no_more_than_the_window() {
    for version in VERSIONS {
        let mut s = connected(Config { window: 3, ..config(version) });
        for _ in 0..5 {
            s.publish("t", b"x", Q1);
        }
        for n in 1..=3 {
            s.expect(publish(Q1, n, "x"));
        }
        s.silence(millis(10));
        s.reply(puback(2));
        s.expect(publish(Q1, 4, "x"));
    }
}

#[test]
fn a_refused_message_makes_room() {
    let mut s = connected(Config { window: 1, ..config(Version::V5) });
    for qos in [Q1, Q2, Q1] {
        s.publish("t", b"x", qos);
    }
    s.expect(publish(Q1, 1, "x"));
    s.reply(everlink_proto::wire::Ack { reason: ReasonCode::QUOTA_EXCEEDED, ..puback(1) });
    s.expect(publish(Q2, 2, "x"));
    s.reply(everlink_proto::wire::Ack { reason: ReasonCode::QUOTA_EXCEEDED, ..pubrec(2) });
    s.expect(publish(Q1, 3, "x"));
}

// [MQTT-4.3.1-1]
#[test]
fn qos_0_waits_behind_what_waits_for_the_window() {
    for version in VERSIONS {
        let mut s = connected(Config { window: 1, ..config(version) });
        s.publish("t", b"1", Q1);
        s.publish("t", b"2", Q1);
        s.publish("t", b"3", Q0);
        s.expect(publish(Q1, 1, "1"));
        s.silence(millis(10));
        s.reply(puback(1));
        s.expect(publish(Q1, 2, "2"));
        s.expect(publish(Q0, 0, "3"));
    }
}

/// mosquitto 2.0 sends a whole window for each PUBACK while it has more queued; who leaves it for that
/// comes back to the same.
#[test]
fn a_broker_that_sends_more_than_we_take_is_held_back() {
    let mut s = script(Config { receive_maximum: 2, ..config(Version::V5) });
    let connect = s.accept(false);
    let (_, connect) = Packet::decode_connect(&connect).expect("CONNECT");
    assert_eq!(connect.props.receive_maximum(), Some(2));
    s.inbox.manual = true;
    for n in 1..=4 {
        s.reply(publish(Q1, n, "x"));
    }
    s.silence(secs(1));
    assert_eq!(s.inbox.messages.len(), 2);
    for n in 1..=4 {
        let (now, receipt) = (s.now(), s.inbox.messages[n - 1].receipt);
        s.acknowledge(now, receipt).expect("held");
        s.expect(puback(n as u16));
    }
    assert_eq!(s.servers[0].connections, 1);
}

#[test]
fn received_messages_count_until_their_last_acknowledgement() {
    let mut s = connected(Config { receive_maximum: 1, ..config(Version::V5) });
    for n in 1..=3 {
        s.reply(publish(Q2, n, "x"));
        s.expect(pubrec(n));
        s.reply(pubrel(n));
        s.expect(pubcomp(n));
    }
    assert_eq!(s.servers[0].connections, 1);
}

/// Under way there may be as many bytes as in the queue, and the message that goes beyond.
#[test]
fn no_more_bytes_than_the_queue_may_have() {
    for version in VERSIONS {
        let queue = Queue { bytes: 1_000, ..Queue::default() };
        let mut s = connected(Config { queue, ..config(version) });
        let payload = "x".repeat(399);
        for n in 1..=3 {
            s.publish("t", payload.as_bytes(), Q1);
            s.expect(publish(Q1, n, &payload));
        }
        s.publish("t", payload.as_bytes(), Q1);
        s.silence(millis(10));
        s.reply(puback(1));
        s.expect(publish(Q1, 4, &payload));
    }
}

/// A 3.1.1 broker cannot say how many it takes; mosquitto takes twenty at QoS 2, and drops the rest.
#[test]
fn no_more_than_twenty_at_qos_2_where_the_broker_cannot_say() {
    for (version, qos, most) in
        [(Version::V311, Q2, 20), (Version::V311, Q1, 50), (Version::V5, Q2, 50)]
    {
        let mut s = connected(Config { window: 50, ..config(version) });
        for _ in 0..60 {
            s.publish("t", b"x", qos);
        }
        for _ in 0..most {
            s.expect_kind(PacketType::Publish);
        }
        s.silence(millis(10));
    }
}

// [MQTT-3.3.4-8] [MQTT-4.9.0-3]
#[test]
fn while_it_is_used_up_everything_else_goes_on() {
    for version in VERSIONS {
        let mut s = connected(Config { window: 1, ..config(version) });
        for _ in 0..2 {
            s.publish("t", b"x", Q2);
        }
        s.expect(publish(Q2, 1, "x"));
        s.reply(pubrec(1));
        s.expect(pubrel(1));
        s.reply(publish(Q1, 7, "theirs"));
        s.expect(puback(7));
        s.reply(publish(Q2, 8, "theirs"));
        s.expect(pubrec(8));
        s.reply(pubrel(8));
        s.expect(pubcomp(8));
        s.subscribe("t", Q1);
        s.expect_kind(PacketType::Subscribe);
        s.engine.ping();
        s.touch();
        s.expect(Packet::PingReq);
        s.reply(pubcomp(1));
        s.expect_kind(PacketType::Publish);
    }
}
