//! The broker uses an identifier again.

use crate::support::*;

// [MQTT-2.2.1-5] [MQTT-3.3.4-1] [MQTT-4.3.3-8] [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12]
#[test]
fn at_qos_2_it_is_the_same_message_until_it_is_released() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.reply(publish(Q2, 5, "a"));
        s.expect(pubrec(5));
        s.reply(again(Q2, 5, "a"));
        s.expect(pubrec(5));
        s.reply(pubrel(5));
        s.expect(pubcomp(5));
        s.reply(publish(Q2, 5, "b"));
        s.expect(pubrec(5));
        assert_eq!(s.inbox.texts(), ["a", "b"]);
        assert_eq!(s.engine.stats().duplicates, 1);
    }
}

// [MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-4.3.2-5]
#[test]
fn at_qos_1_each_is_a_message() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        for text in ["a", "b", "b"] {
            s.reply(publish(Q1, 5, text));
            s.expect(puback(5));
        }
        assert_eq!(s.inbox.texts(), ["a", "b", "b"]);
    }
}

#[test]
fn for_qos_1_and_qos_2_at_a_time() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.inbox.manual = true;
        s.reply(publish(Q1, 5, "one"));
        s.reply(publish(Q2, 5, "two"));
        for at in [1, 0] {
            let (now, receipt) = (s.now(), s.inbox.messages[at].receipt);
            s.acknowledge(now, receipt).expect("held");
        }
        s.expect(pubrec(5));
        s.expect(puback(5));
    }
}

#[test]
fn the_same_as_one_of_ours_is_another_exchange() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        let tag = s.publish("t", b"ours", Q2);
        s.expect(publish(Q2, 1, "ours"));
        s.reply(publish(Q2, 1, "theirs"));
        s.expect(pubrec(1));
        s.reply(pubrec(1));
        s.expect(pubrel(1));
        s.reply(pubrel(1));
        s.expect(pubcomp(1));
        s.reply(pubcomp(1));
        assert_eq!(s.inbox.fate(tag), Some(OK));
        assert_eq!(s.inbox.texts(), ["theirs"]);
    }
}

#[test]
fn a_message_resent_after_its_pubcomp_got_lost() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.reply(publish(Q2, 5, "a"));
        s.expect(pubrec(5));
        s.reply(pubrel(5));
        s.expect(pubcomp(5));
        s.reset();
        s.accept(true);
        s.reply(pubrel(5));
        s.expect(unknown(version, pubcomp(5)));
        assert_eq!(s.inbox.texts(), ["a"]);
    }
}
