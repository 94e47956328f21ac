//! A resumed session: everything unacknowledged goes again, as it was, in its first order.

use everlink_proto::session::Config;
use everlink_proto::wire::{Property, Version};

use crate::support::*;

// [MQTT-3.1.2-23] [MQTT-3.3.1-1] [MQTT-3.3.1-3] [MQTT-4.1.0-1] [MQTT-4.4.0-1] [MQTT-4.6.0-1]
#[test]
fn identifiers_stay_dup_is_set_and_nothing_overtakes() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        for (n, qos) in [(1, Q1), (2, Q2), (3, Q2), (4, Q1)] {
            s.publish("t", n.to_string().as_bytes(), qos);
            s.expect(publish(qos, n, &n.to_string()));
        }
        s.reply(pubrec(3));
        s.expect(pubrel(3));
        s.reset();
        // Accepted while there is no connection.
        s.publish("t", b"5", Q1);
        s.accept(true);
        s.expect(pubrel(3));
        s.expect(again(Q1, 1, "1"));
        s.expect(again(Q2, 2, "2"));
        s.expect(again(Q1, 4, "4"));
        s.expect(publish(Q1, 5, "5"));
    }
}

// [MQTT-4.6.0-4]
#[test]
fn pubrels_go_in_the_order_of_their_pubrecs() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        for n in 1..=3 {
            s.publish("t", b"x", Q2);
            s.expect(publish(Q2, n, "x"));
        }
        for n in [2, 3, 1] {
            s.reply(pubrec(n));
            s.expect(pubrel(n));
        }
        s.reset();
        s.accept(true);
        for n in [2, 3, 1] {
            s.expect(pubrel(n));
        }
    }
}

#[test]
fn what_was_acknowledged_while_away_is_not_sent_again() {
    let mut s = connected(config(Version::V5));
    s.publish("t", b"a", Q1);
    s.publish("t", b"b", Q1);
    s.reply(puback(1));
    s.reset();
    s.accept(true);
    s.expect(again(Q1, 2, "b"));
    s.silence(secs(1));
}

#[test]
fn a_narrower_window_is_kept_when_resending() {
    let mut s = connected(Config { window: 3, ..config(Version::V5) });
    for n in 1..=3 {
        s.publish("t", b"x", Q1);
        s.expect(publish(Q1, n, "x"));
    }
    s.reset();
    s.connect();
    s.reply(connack(true, &[Property::ReceiveMaximum(2)]));
    s.expect(again(Q1, 1, "x"));
    s.expect(again(Q1, 2, "x"));
    s.silence(secs(1));
    s.reply(puback(1));
    s.expect(again(Q1, 3, "x"));
}
