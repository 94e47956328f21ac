//! Subscriptions across outages, and changing one.

use everlink_proto::session::Config;
use everlink_proto::wire::{PacketType, ReasonCode};
use everlink_sim::host::Fate;

use crate::support::*;

#[test]
fn restored_after_a_broker_lost_its_sessions_and_never_otherwise() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        for filter in ["a/#", "b/+", "c"] {
            pair.subscribe(filter, Q1);
        }
        pair.run_for(secs(1));
        for (keep, asked) in [(true, 3), (true, 3), (false, 6), (true, 6), (false, 9)] {
            pair.restart_broker(keep);
            pair.run_until_up(secs(5));
            pair.run_for(secs(1));
            assert_eq!(pair.broker().subscribes().len(), asked);
            assert_eq!(pair.broker().subscriptions("host-0"), ["a/#", "b/+", "c"]);
        }
        pair.assert_conforms();
    }
}

#[test]
fn asked_for_while_down() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        pair.kill_broker();
        pair.run_for(secs(5));
        let tag = pair.subscribe("a/#", Q1);
        pair.run_for(secs(5));
        assert_eq!(pair.inbox.fate(tag), None);
        pair.restart_broker(true);
        assert!(matches!(pair.fate(tag, secs(30)), Fate::Delivered(_)));
        assert_eq!(pair.broker().subscriptions("host-0"), ["a/#"]);
    }
}

#[test]
fn asked_for_again_if_the_answer_was_lost() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        pair.broker().faults.swallow(PacketType::SubAck, 2);
        let tag = pair.subscribe("a/#", Q1);
        assert!(matches!(pair.fate(tag, secs(60)), Fate::Delivered(_)));
        assert_eq!(pair.broker().subscribes().len(), 3);
        pair.assert_conforms();
    }
}

#[test]
fn a_later_one_on_the_same_filter_takes_its_place() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        pair.net.path(0).hold();
        let first = pair.subscribe("a", Q0);
        pair.run_for(millis(10));
        let second = pair.subscribe("a", Q2);
        pair.net.path(0).heal();
        assert_eq!(pair.fate(second, secs(5)), Fate::Delivered(ReasonCode(2)));
        assert_eq!(pair.inbox.fate(first), Some(Fate::Superseded));
        pair.assert_conforms();
    }
}

#[test]
fn a_client_that_keeps_no_session_subscribes_at_every_connection() {
    for version in VERSIONS {
        let mut pair = pair(Config { clean_reconnect: true, ..config(version) });
        pair.subscribe("a", Q1);
        pair.run_for(secs(1));
        for n in 2..5 {
            let now = pair.now();
            pair.net.reset_client(now, 0);
            pair.run_until_up(secs(5));
            pair.run_for(secs(1));
            assert_eq!(pair.broker().subscribes().len(), n);
        }
    }
}

#[test]
fn every_filter_has_its_options_again() {
    use everlink_proto::wire::SubscribeOptions;
    let mut pair = pair(config(everlink_proto::wire::Version::V5));
    let options = SubscribeOptions { no_local: true, ..SubscribeOptions::new(Q1) };
    let now = pair.now();
    pair.hosts[0].subscribe_with(now, "a", options, 5).expect("accepted");
    for keep in [true, false] {
        pair.restart_broker(keep);
        pair.run_until_up(secs(5));
        pair.run_for(secs(1));
        // Our own message does not come back, that of another does, with the identifier.
        pair.publish("a", b"own", Q1);
        pair.broker_publishes("a", b"other", Q1);
        pair.run_for(secs(1));
        let got = pair.inbox.messages.pop().expect("a message");
        assert_eq!(got.text(), "other");
        assert_eq!(got.properties().subscription_ids().collect::<Vec<_>>(), [5]);
        assert!(pair.inbox.messages.is_empty());
    }
}
