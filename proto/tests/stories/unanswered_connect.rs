//! The answer to a CONNECT is lost. The broker may have begun a new session for it, so that "Session
//! Present" at the next attempt need not mean the session we had.

use everlink_proto::engine::Refused;
use everlink_proto::wire::{PacketType, QoS, SubAck, Version};

use crate::support::*;

/// Subscribed, with QoS 2 message 9 received and not yet released; then a CONNECT without answer.
fn in_doubt(version: Version) -> everlink_sim::script::Script<Engine> {
    let mut s = connected(config(version));
    s.subscribe("a/#", Q2);
    s.expect_kind(PacketType::Subscribe);
    let codes = [QoS::ExactlyOnce as u8];
    s.reply(SubAck { pid: pid(1), props: Default::default(), codes: &codes });
    s.reply(publish(Q2, 9, "old"));
    s.expect(pubrec(9));
    s.reset();
    s.connect();
    s.reset();
    s.accept(true);
    s
}

#[test]
fn subscriptions_are_made_again() {
    for version in VERSIONS {
        in_doubt(version).expect_kind(PacketType::Subscribe);
    }
}

#[test]
fn an_identifier_without_dup_is_a_new_message() {
    for version in VERSIONS {
        let mut s = in_doubt(version);
        s.expect_kind(PacketType::Subscribe);
        s.reply(publish(Q2, 9, "new"));
        s.expect(pubrec(9));
        assert_eq!(s.inbox.texts(), ["old", "new"]);
    }
}

#[test]
fn an_identifier_with_dup_is_told_by_its_content() {
    for version in VERSIONS {
        for text in ["old", "new"] {
            let mut s = in_doubt(version);
            s.expect_kind(PacketType::Subscribe);
            s.reply(again(Q2, 9, text));
            s.expect(pubrec(9));
            let copies = s.inbox.texts().len();
            assert_eq!(copies, if text == "old" { 1 } else { 2 });
        }
    }
}

/// The application still holds an older message when one of the broker's new session comes with the
/// same identifier, next to one whose identifier is free.
#[test]
fn the_older_message_cannot_acknowledge_the_newer() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.inbox.manual = true;
        s.reply(publish(Q2, 9, "old"));
        s.reset();
        s.connect();
        s.reset();
        s.accept(true);
        s.reply(publish(Q2, 8, "other"));
        s.reply(publish(Q2, 9, "new"));
        s.silence(millis(100));
        assert_eq!(s.inbox.texts(), ["old", "other", "new"]);
        let mut acknowledge = |at: usize| {
            let (now, receipt) = (s.now(), s.inbox.messages[at].receipt);
            s.acknowledge(now, receipt)
        };
        assert_eq!(acknowledge(0), Err(Refused::Stale));
        acknowledge(2).expect("held");
        acknowledge(1).expect("held");
        s.expect(pubrec(8));
        s.expect(pubrec(9));
    }
}

#[test]
fn a_refused_connect_raises_no_doubt() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.subscribe("a/#", Q2);
        s.expect_kind(PacketType::Subscribe);
        let codes = [QoS::ExactlyOnce as u8];
        s.reply(SubAck { pid: pid(1), props: Default::default(), codes: &codes });
        s.reset();
        s.connect();
        s.refuse(everlink_proto::wire::ReasonCode::SERVER_UNAVAILABLE);
        s.accept(true);
        s.silence(secs(10));
    }
}
