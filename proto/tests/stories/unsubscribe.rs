//! Ending a subscription.

use everlink_proto::wire::{PacketType, ReasonCode, Version};
use everlink_sim::host::Fate;
use everlink_sim::pair::Pair;

use crate::support::*;

fn subscribed(version: Version) -> Pair<Engine> {
    let mut pair = pair(config(version));
    let tag = pair.subscribe("a", Q1);
    pair.fate(tag, secs(1));
    pair
}

#[test]
fn nothing_comes_afterwards_and_nothing_is_restored() {
    for version in VERSIONS {
        let mut pair = subscribed(version);
        let now = pair.now();
        let tag = pair.unsubscribe(now, "a").expect("accepted");
        assert_eq!(pair.fate(tag, secs(1)), OK);
        pair.broker_publishes("a", b"x", Q1);
        pair.restart_broker(false);
        pair.run_until_up(secs(5));
        pair.broker_publishes("a", b"x", Q1);
        pair.run_for(secs(5));
        assert!(pair.inbox.messages.is_empty());
        assert_eq!(pair.broker().subscribes().len(), 1);
        pair.assert_conforms();
    }
}

#[test]
fn of_what_was_never_subscribed() {
    for version in VERSIONS {
        let mut pair = subscribed(version);
        let now = pair.now();
        let tag = pair.unsubscribe(now, "b").expect("accepted");
        let reason = match version {
            Version::V311 => ReasonCode::SUCCESS,
            Version::V5 => ReasonCode::NO_SUBSCRIPTION_EXISTED,
        };
        assert_eq!(pair.fate(tag, secs(1)), Fate::Delivered(reason));
        assert_eq!(pair.broker().subscriptions("host-0"), ["a"]);
    }
}

#[test]
fn while_down_it_is_said_to_the_session_that_is_still_there() {
    for version in VERSIONS {
        let mut pair = subscribed(version);
        pair.kill_broker();
        pair.run_for(secs(1));
        let now = pair.now();
        let tag = pair.unsubscribe(now, "a").expect("accepted");
        pair.restart_broker(true);
        assert_eq!(pair.fate(tag, secs(30)), OK);
        assert_eq!(pair.broker().subscriptions("host-0"), [""; 0]);
    }
}

#[test]
fn a_lost_answer_is_asked_for_again() {
    for version in VERSIONS {
        let mut pair = subscribed(version);
        pair.broker().faults.swallow(PacketType::UnsubAck, 1);
        let now = pair.now();
        let tag = pair.unsubscribe(now, "a").expect("accepted");
        assert!(matches!(pair.fate(tag, secs(30)), Fate::Delivered(_)));
        pair.assert_conforms();
    }
}

#[test]
fn and_subscribing_again_at_once() {
    for version in VERSIONS {
        let mut pair = subscribed(version);
        let now = pair.now();
        let off = pair.unsubscribe(now, "a").expect("accepted");
        let on = pair.subscribe("a", Q2);
        assert_eq!(pair.fate(on, secs(1)), Fate::Delivered(ReasonCode(2)));
        assert_eq!(pair.inbox.fate(off), Some(Fate::Superseded));
        pair.broker_publishes("a", b"x", Q2);
        pair.run_for(secs(1));
        assert_eq!(pair.inbox.messages.len(), 1);
        pair.assert_conforms();
    }
}
