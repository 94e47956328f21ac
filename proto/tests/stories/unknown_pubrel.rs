//! A PUBREL or PUBREC for an identifier we know nothing of: the broker only wants to be done.

use crate::support::*;

#[test]
fn an_unknown_pubrel_gets_pubcomp() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.reply(pubrel(77));
        s.expect(unknown(version, pubcomp(77)));
        s.silence(secs(5));
        assert_eq!(s.servers[0].connections, 1);
    }
}

#[test]
fn an_unknown_pubrec_gets_pubrel() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.reply(pubrec(77));
        s.expect(unknown(version, pubrel(77)));
        s.reply(pubcomp(77));
        s.silence(secs(5));
        assert_eq!(s.servers[0].connections, 1);
    }
}

#[test]
fn a_pubrec_for_a_qos_1_message_does_not_end_it() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        let tag = s.publish("t", b"a", Q1);
        s.expect(publish(Q1, 1, "a"));
        s.reply(pubrec(1));
        assert_eq!(s.inbox.fate(tag), None);
        s.reply(puback(1));
        assert_eq!(s.inbox.fate(tag), Some(OK));
    }
}
