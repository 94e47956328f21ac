//! The broker refuses a subscription: that call's error.

use everlink_proto::wire::{PacketType, ReasonCode, SubAck, Version};
use everlink_sim::host::Fate;

use crate::support::*;

#[test]
fn with_its_reason_and_without_another_attempt() {
    let v5 = [0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2];
    for (version, reasons) in [(Version::V311, &[0x80][..]), (Version::V5, &v5)] {
        for code in reasons {
            let mut s = connected(config(version));
            let tag = s.subscribe("a/#", Q1);
            s.expect_kind(PacketType::Subscribe);
            s.reply(SubAck { pid: pid(1), props: Default::default(), codes: &[*code] });
            assert_eq!(s.inbox.fate(tag), Some(Fate::Rejected(ReasonCode(*code))));
            s.silence(millis(10));
            assert_eq!(s.closes, [], "the connection is as good as before");
            s.reset();
            s.accept(false);
            s.silence(secs(10));
        }
    }
}

#[test]
fn a_lower_qos_is_granted_as_such() {
    for version in VERSIONS {
        for granted in [Q0, Q1, Q2] {
            let mut s = connected(config(version));
            let tag = s.subscribe("a/#", Q2);
            s.expect_kind(PacketType::Subscribe);
            let codes = [granted as u8];
            s.reply(SubAck { pid: pid(1), props: Default::default(), codes: &codes });
            let granted = Fate::Delivered(ReasonCode(granted as u8));
            assert_eq!(s.inbox.fate(tag), Some(granted));
        }
    }
}

#[test]
fn one_that_cannot_be_restored_is_told_again() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        let tag = pair.subscribe("a/#", Q1);
        assert!(matches!(pair.fate(tag, secs(1)), Fate::Delivered(_)));
        let refused = ReasonCode::UNSPECIFIED_ERROR;
        pair.broker().faults.refuse_subscribe.push(("a/#".to_owned(), refused));
        pair.restart_broker(false);
        pair.run_for(secs(5));
        assert_eq!(pair.inbox.fate(tag), Some(Fate::Rejected(refused)));
        assert_eq!(pair.broker().subscriptions("host-0"), [""; 0]);
    }
}
