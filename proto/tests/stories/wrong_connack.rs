//! The broker answers CONNECT with something else, or with nothing.

use everlink_proto::engine::{Cause, Fault, Step};
use everlink_proto::session::Config;
use everlink_proto::wire::{Packet, ReasonCode, Version};

use crate::support::*;

#[track_caller]
fn breaks_the_handshake(version: Version, answer: &[u8]) {
    let mut s = script(Config { clean_start: version == Version::V5, ..config(version) });
    s.connect();
    s.reply_raw(answer);
    s.run_for(millis(1));
    let fault = faults(&s).last().copied().expect("a fault");
    assert_eq!(fault.step, Step::Handshake, "{answer:02x?}");
    assert!(matches!(fault.cause, Cause::Protocol(_)), "{answer:02x?}: {fault}");
    // There is another attempt.
    s.connect();
}

#[test]
fn another_packet() {
    for version in VERSIONS {
        breaks_the_handshake(version, &bytes(version, Packet::PingResp));
        breaks_the_handshake(version, &bytes(version, publish(Q1, 1, "x")));
        breaks_the_handshake(version, &bytes(version, puback(1)));
        breaks_the_handshake(version, &[0x90, 3, 0, 1, 0]);
    }
}

#[test]
fn a_malformed_one() {
    for version in VERSIONS {
        // Flags, length, reserved bits, a reason that does not exist, an empty one.
        for answer in [
            &[0x21, 2, 0, 0][..],
            &[0x20, 1, 0],
            &[0x20, 2, 2, 0],
            &[0x20, 2, 0, 7],
            &[0x20, 0],
            &[0x20, 0xff, 0xff, 0xff, 0xff],
        ] {
            breaks_the_handshake(version, answer);
        }
    }
}

// [MQTT-3.2.2-4]
#[test]
fn a_session_that_was_not_asked_for() {
    let present = connack(true, &[]);
    breaks_the_handshake(Version::V5, &bytes(Version::V5, present));
}

#[test]
fn a_second_one() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.reply(connack(false, &[]));
        s.run_for(millis(1));
        assert_lost(&s, Cause::Protocol(ReasonCode::PROTOCOL_ERROR));
    }
}

#[test]
fn half_of_one_is_none() {
    for version in VERSIONS {
        let mut s = script(config(version));
        s.connect();
        s.reply_raw(&[0x20, 2]);
        assert_eq!(s.expect_end(secs(60)), secs(10));
        assert_eq!(faults(&s), [Fault::new(Step::Handshake, Cause::NoConnack)]);
    }
}

#[test]
fn none() {
    for version in VERSIONS {
        let mut s = script(Config { response_time: secs(3), ..config(version) });
        s.connect();
        assert_eq!(s.expect_end(secs(60)), secs(3));
        assert_eq!(faults(&s), [Fault::new(Step::Handshake, Cause::NoConnack)]);
    }
}

#[test]
fn the_application_does_not_trust_it() {
    for version in VERSIONS {
        let mut s = script(config(version));
        s.inbox.distrusts = true;
        s.accept(false);
        s.run_for(secs(1));
        let cause = Cause::Protocol(ReasonCode::NOT_AUTHORIZED);
        assert_eq!(faults(&s), [Fault::new(Step::Handshake, cause)]);
        s.inbox.distrusts = false;
        s.accept(false);
    }
}

// [MQTT-4.13.2-1]
#[test]
fn every_refusal_is_told_with_its_reason() {
    for (version, reasons) in [
        (Version::V311, &[0x84, 0x85, 0x88, 0x86, 0x87][..]),
        (Version::V5, &[0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x97]),
    ] {
        for reason in reasons.iter().map(|code| ReasonCode(*code)) {
            let mut s = script(config(version));
            s.connect();
            s.refuse(reason);
            let fault = Fault::new(Step::Handshake, Cause::RefusedByBroker(reason));
            assert_eq!(faults(&s), [fault], "{version:?}");
            assert_eq!(s.inbox.refusals.last().map(|(_, r)| *r), Some(reason));
        }
    }
}
