//! Enhanced authentication (MQTT 5): challenge and response before CONNACK, and again later.

use std::collections::VecDeque;

use everlink_proto::engine::{Cause, Fault, Step};
use everlink_proto::session::Config;
use everlink_proto::wire::{Auth, PacketType, Properties, Property, ReasonCode, Version};
use everlink_sim::broker::AuthPlan;
use everlink_sim::pair::Pair;

use crate::support::*;

/// A client with these answers and a broker that wants `one`, then `two`.
fn challenged(answers: &[&[u8]]) -> Pair<Engine> {
    let mut pair = Pair::new(1, engine(config(Version::V5)));
    let answers: VecDeque<_> = answers.iter().map(|a| a.to_vec()).collect();
    pair.template.auth = Some(("SCRAM".to_owned(), b"hello".to_vec()));
    pair.inbox.auth = Some(("SCRAM".to_owned(), answers));
    let round = |challenge: &[u8], answer: &[u8]| (challenge.to_vec(), answer.to_vec());
    pair.broker().cfg.auth = Some(AuthPlan {
        method: "SCRAM".to_owned(),
        rounds: vec![round(b"c1", b"one"), round(b"c2", b"two")],
        last: b"done".to_vec(),
    });
    pair.open();
    pair
}

// [MQTT-4.12.0-3] [MQTT-4.12.0-5]
#[test]
fn several_rounds_lead_to_connack() {
    let mut pair = challenged(&[b"one", b"two"]);
    pair.run_until_up(secs(1));
    let heard: Vec<_> = pair.inbox.challenges.iter().map(|(_, data)| data.as_slice()).collect();
    assert_eq!(heard, [b"c1", b"c2"]);
    pair.assert_conforms();
}

#[test]
fn a_wrong_answer_is_refused_and_tried_again_slowly() {
    let mut pair = challenged(&[b"one", b"wrong", b"one", b"two"]);
    pair.run_for(secs(4));
    assert_eq!(pair.opens.len(), 1);
    let cause = Cause::RefusedByBroker(ReasonCode::NOT_AUTHORIZED);
    assert_eq!(faults(&pair), [Fault::new(Step::Handshake, cause)]);
    pair.run_until_up(secs(60));
}

#[test]
fn an_answer_that_cannot_be_given_ends_the_attempt() {
    let mut pair = challenged(&[]);
    pair.run_for(secs(1));
    let fault = faults(&pair).first().copied().expect("a fault");
    assert_eq!(fault.step, Step::Handshake);
    assert_eq!(pair.opens.len(), 1);
}

#[test]
fn an_answer_that_is_too_large_ends_the_attempt() {
    let large = vec![b'x'; 70_000];
    let mut pair = challenged(&[&large]);
    pair.run_for(secs(1));
    assert_eq!(faults(&pair).first().map(|f| f.step), Some(Step::Handshake));
}

// [MQTT-4.12.0-5] [MQTT-4.12.1-1]
#[test]
fn again_on_a_live_connection() {
    let mut pair = challenged(&[b"one", b"two", b"", b"one", b"two"]);
    pair.run_until_up(secs(1));
    let tag = pair.publish("t", b"x", Q2);
    pair.engine.reauthenticate().expect("connected");
    pair.touch();
    pair.run_for(secs(5));
    assert_eq!(pair.inbox.challenges.len(), 5);
    assert_eq!(pair.inbox.challenges[4].0, ReasonCode::SUCCESS);
    assert_eq!(pair.inbox.fate(tag), Some(OK));
    assert_eq!(pair.opens.len(), 1);
    pair.assert_conforms();
}

#[test]
fn only_where_it_makes_sense() {
    let mut pair = challenged(&[b"one", b"two"]);
    assert!(pair.engine.reauthenticate().is_err(), "not connected");
    pair.run_until_up(secs(1));
    let mut old = crate::support::pair(config(Version::V311));
    assert!(old.engine.reauthenticate().is_err(), "3.1.1 has none");
}

// [MQTT-4.12.0-7]
#[test]
fn a_challenge_nobody_expects_ends_the_connection() {
    let mut s = connected(Config { ..config(Version::V5) });
    let list = [Property::AuthenticationMethod("SCRAM")];
    let (reason, props) = (ReasonCode::CONTINUE_AUTHENTICATION, Properties::from_list(&list));
    s.reply(Auth { reason, props });
    s.expect_kind(PacketType::Disconnect);
    assert!(matches!(faults(&s)[0].cause, Cause::Protocol(_)));
}

/// The first authentication ends with CONNACK and with nothing else.
#[test]
fn success_before_connack_ends_the_attempt() {
    let mut s = script(config(Version::V5));
    s.inbox.auth = Some(("SCRAM".to_owned(), VecDeque::from([b"one".to_vec()])));
    s.connect();
    let list = [Property::AuthenticationMethod("SCRAM")];
    s.reply(Auth { reason: ReasonCode::SUCCESS, props: Properties::from_list(&list) });
    s.expect_end(millis(10));
    let cause = Cause::Protocol(ReasonCode::NOT_AUTHORIZED);
    assert_eq!(faults(&s), [Fault::new(Step::Handshake, cause)]);
}

fn auth(reason: ReasonCode) -> Auth<'static> {
    const LIST: [Property<'static>; 1] = [Property::AuthenticationMethod("SCRAM")];
    Auth { reason, props: Properties::from_list(&LIST) }
}

/// A client with so many answers to give, facing a peer played by hand.
fn willing(answers: usize) -> everlink_sim::script::Script<Engine> {
    let mut s = script(config(Version::V5));
    s.inbox.auth = Some(("SCRAM".to_owned(), VecDeque::from(vec![b"one".to_vec(); answers])));
    s
}

// [MQTT-4.12.1-2]
#[test]
fn a_reauthentication_nobody_answers_ends_the_connection() {
    let mut s = willing(1);
    s.accept(false);
    s.engine.reauthenticate().expect("connected");
    s.touch();
    s.expect_kind(PacketType::Auth);
    ping_after(&mut s, secs(5));
    assert_eq!(s.expect_end(secs(60)), secs(5));
    assert_lost(&s, Cause::AckMissing);
}

#[test]
fn success_nobody_asked_for_ends_the_connection() {
    let mut s = willing(1);
    s.accept(false);
    s.reply(auth(ReasonCode::SUCCESS));
    s.expect_kind(PacketType::Disconnect);
    assert!(s.inbox.challenges.is_empty());
    assert!(matches!(faults(&s)[0].cause, Cause::Protocol(_)));
}

#[test]
fn each_round_of_the_first_authentication_has_its_own_time() {
    let mut s = willing(4);
    s.connect();
    for _ in 0..4 {
        s.silence(secs(4));
        s.reply(auth(ReasonCode::CONTINUE_AUTHENTICATION));
        s.expect_kind(PacketType::Auth);
    }
    assert_eq!(s.expect_end(secs(60)), secs(10));
}

// [MQTT-3.1.2-30]
#[test]
fn nothing_else_goes_out_before_connack() {
    let mut s = willing(1);
    s.publish("t", b"x", Q1);
    s.subscribe("t", Q1);
    s.connect();
    s.engine.ping();
    s.touch();
    s.silence(secs(1));
    s.reply(auth(ReasonCode::CONTINUE_AUTHENTICATION));
    s.expect_kind(PacketType::Auth);
    s.silence(secs(1));
    s.reply(connack(false, &[]));
    s.expect_kind(PacketType::PingReq);
    s.expect_kind(PacketType::Subscribe);
    s.expect_kind(PacketType::Publish);
}

/// Before CONNACK it does not say what it takes.
// [MQTT-3.2.2-15] [MQTT-3.15.2-2] [MQTT-3.15.2-3]
#[test]
fn an_answer_larger_than_the_broker_takes_is_not_sent() {
    const LEN: u32 = 2 + 1 + 1 + 8 + 6;
    for (limit, sent) in [(LEN, true), (LEN - 1, false)] {
        let mut s = willing(2);
        s.connect();
        s.reply(auth(ReasonCode::CONTINUE_AUTHENTICATION));
        assert_eq!(s.expect_kind(PacketType::Auth).len(), LEN as usize);
        s.reply(connack(false, &[Property::MaximumPacketSize(limit)]));
        s.engine.reauthenticate().expect("connected");
        s.touch();
        let kind = if sent { PacketType::Auth } else { PacketType::Disconnect };
        s.expect_kind(kind);
    }
}
