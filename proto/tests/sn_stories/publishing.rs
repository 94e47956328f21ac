//! From the node to the gateway.

use everlink_proto::engine::*;
use everlink_proto::wire::ReasonCode;

use crate::support::*;

const T: Topic = Topic::Id(5);

/// Connected, and the topic "t/x" has the id 5, for which MsgId 1 was used.
fn registered(cfg: Config) -> Bench {
    let mut b = connected(cfg);
    let tag = b.publish("t/x", b"a", Q0);
    b.give_id("t/x", 1, 5);
    b.expect(Message::Publish(publish(T, Q0, 0)));
    assert_eq!(b.fate(tag), Some(Fate::Delivered(0)));
    b
}

#[test]
fn a_topic_is_registered_once() {
    let mut b = registered(config());
    b.publish("t/x", b"a", Q0);
    b.expect(Message::Publish(publish(T, Q0, 0)));
    b.silence(secs(1));
}

#[test]
fn predefined_ids_and_short_names_are_not_registered() {
    let mut b = connected(config());
    b.publish("site/door", b"a", Q0);
    b.expect(Message::Publish(publish(Topic::Predefined(7), Q0, 0)));
    b.publish("ab", b"a", Q0);
    b.expect(Message::Publish(publish(short("ab"), Q0, 0)));
}

#[test]
fn qos_1_is_delivered_by_puback() {
    let mut b = registered(config());
    let tag = b.publish("t/x", b"a", Q1);
    b.expect(Message::Publish(publish(T, Q1, 2)));
    assert_eq!(b.fate(tag), None);
    b.reply(puback(5, 2, OK));
    assert_eq!(b.fate(tag), Some(Fate::Delivered(0)));
    assert_eq!(b.node.held(), 0);
}

#[test]
fn qos_2_is_delivered_by_pubcomp() {
    let mut b = registered(config());
    let tag = b.publish("t/x", b"a", Q2);
    b.expect(Message::Publish(publish(T, Q2, 2)));
    b.reply(Message::PubRec(2));
    b.expect(Message::PubRel(2));
    // The gateway did not get it.
    b.reply(Message::PubRec(2));
    b.expect(Message::PubRel(2));
    assert_eq!(b.fate(tag), None);
    b.reply(Message::PubComp(2));
    assert_eq!(b.fate(tag), Some(Fate::Delivered(0)));
}

// (6.6) "At any point in time a client may have only one QoS level 1 or 2 PUBLISH message outstanding."
#[test]
fn one_exchange_at_a_time_in_order() {
    let mut b = registered(config());
    b.publish("t/x", b"a", Q1);
    b.publish("t/x", b"a", Q2);
    b.publish("t/x", b"a", Q1);
    b.expect(Message::Publish(publish(T, Q1, 2)));
    b.silence(secs(9));
    b.reply(puback(5, 2, OK));
    b.expect_after(secs(0), Message::Publish(publish(T, Q2, 3)));
    b.reply(Message::PubRec(3));
    b.expect(Message::PubRel(3));
    b.silence(secs(9));
    b.reply(Message::PubComp(3));
    b.expect_after(secs(0), Message::Publish(publish(T, Q1, 4)));
}

#[test]
fn qos_0_is_not_held_up_by_an_exchange() {
    let mut b = registered(config());
    b.publish("t/x", b"a", Q1);
    b.expect(Message::Publish(publish(T, Q1, 2)));
    b.publish("t/x", b"a", Q0);
    b.expect_after(secs(0), Message::Publish(publish(T, Q0, 0)));
}

#[test]
fn an_id_the_gateway_forgot_is_registered_again() {
    let mut b = registered(config());
    let tag = b.publish("t/x", b"a", Q1);
    b.expect(Message::Publish(publish(T, Q1, 2)));
    b.reply(puback(5, 2, ReturnCode::INVALID_TOPIC_ID));
    b.give_id("t/x", 3, 9);
    // The same message: an earlier copy may have been taken.
    b.expect(Message::Publish(again(Topic::Id(9), Q1, 2)));
    // A late copy of what was said about the old id.
    b.reply(puback(5, 2, ReturnCode::INVALID_TOPIC_ID));
    b.silence(secs(1));
    b.reply(puback(9, 2, OK));
    assert_eq!(b.fate(tag), Some(Fate::Delivered(0)));
}

#[test]
fn a_gateway_that_never_knows_its_id_does_not_block_the_queue() {
    let mut b = registered(config());
    let tag = b.publish("t/x", b"a", Q1);
    b.publish("ab", b"a", Q0);
    b.expect(Message::Publish(publish(T, Q1, 2)));
    b.expect(Message::Publish(publish(short("ab"), Q0, 0)));
    for n in 0..3 {
        b.reply(puback(5, 2, ReturnCode::INVALID_TOPIC_ID));
        b.give_id("t/x", 3 + n, 5);
        b.expect(Message::Publish(again(T, Q1, 2)));
    }
    b.reply(puback(5, 2, ReturnCode::INVALID_TOPIC_ID));
    assert_eq!(b.fate(tag), Some(Fate::Rejected(ReasonCode::TOPIC_NAME_INVALID)));
}

// (6.7) "This error situation cannot be resolved by means of re-registering."
#[test]
fn an_unknown_predefined_id_is_a_rejection() {
    let mut b = connected(config());
    let tag = b.publish("site/door", b"a", Q1);
    b.expect(Message::Publish(publish(Topic::Predefined(7), Q1, 1)));
    b.reply(puback(7, 1, ReturnCode::INVALID_TOPIC_ID));
    assert_eq!(b.fate(tag), Some(Fate::Rejected(ReasonCode::TOPIC_NAME_INVALID)));
}

#[test]
fn a_qos_0_message_that_met_an_unknown_id_has_the_topic_registered_again() {
    let mut b = registered(config());
    b.publish("t/x", b"a", Q0);
    b.expect(Message::Publish(publish(T, Q0, 0)));
    b.reply(puback(5, 0, ReturnCode::INVALID_TOPIC_ID));
    b.publish("t/x", b"a", Q0);
    b.give_id("t/x", 2, 6);
    b.expect(Message::Publish(publish(Topic::Id(6), Q0, 0)));
}

// (6.6) "The client shall stop publishing toward the gateway for at least the time Twait."
#[test]
fn congestion_makes_it_wait() {
    let mut b = registered(Config { keep_alive: 0, ..config() });
    let tag = b.publish("t/x", b"a", Q1);
    b.expect(Message::Publish(publish(T, Q1, 2)));
    b.reply(puback(5, 2, ReturnCode::CONGESTION));
    b.publish("t/x", b"a", Q0);
    b.publish("t/y", b"a", Q1);
    b.expect_after(secs(300), Message::Publish(again(T, Q1, 2)));
    b.reply(puback(5, 2, OK));
    assert_eq!(b.fate(tag), Some(Fate::Delivered(0)));
}

#[test]
fn congestion_at_registering_makes_it_wait() {
    let mut b = connected(Config { keep_alive: 0, ..config() });
    b.publish("t/x", b"a", Q1);
    b.expect(register(1, "t/x"));
    b.reply(Message::RegAck(RegAck { topic_id: 0, msg_id: 1, code: ReturnCode::CONGESTION }));
    b.expect_after(secs(300), register(2, "t/x"));
}

#[test]
fn not_supported_is_a_rejection() {
    let mut b = registered(config());
    let tag = b.publish("t/x", b"a", Q2);
    b.expect(Message::Publish(publish(T, Q2, 2)));
    b.reply(puback(5, 2, ReturnCode::NOT_SUPPORTED));
    assert_eq!(b.fate(tag), Some(Fate::Rejected(ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR)));
    assert_eq!(b.node.held(), 0);
}

#[test]
fn a_topic_that_is_not_accepted_rejects_its_message() {
    let mut b = connected(config());
    let tag = b.publish("t/x", b"a", Q1);
    let next = b.publish("ab", b"a", Q1);
    b.expect(register(1, "t/x"));
    b.reply(Message::RegAck(RegAck { topic_id: 0, msg_id: 1, code: ReturnCode::NOT_SUPPORTED }));
    assert_eq!(b.fate(tag), Some(Fate::Rejected(ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR)));
    b.expect(Message::Publish(publish(short("ab"), Q1, 2)));
    b.reply(puback(short("ab").to_u16(), 2, OK));
    assert_eq!(b.fate(next), Some(Fate::Delivered(0)));
}

#[test]
fn after_an_outage_the_same_message_goes_again_with_dup() {
    let mut b = registered(config());
    let tag = b.publish("t/x", b"a", Q2);
    b.expect(Message::Publish(publish(T, Q2, 2)));
    b.cut();
    b.accept();
    // Ids are of a connection: nobody said that the gateway still knows them.
    b.give_id("t/x", 3, 8);
    b.expect(Message::Publish(again(Topic::Id(8), Q2, 2)));
    b.reply(Message::PubRec(2));
    b.expect(Message::PubRel(2));
    b.cut();
    b.accept();
    b.expect(Message::PubRel(2));
    b.reply(Message::PubComp(2));
    assert_eq!(b.fate(tag), Some(Fate::Delivered(0)));
}

#[test]
fn with_a_clean_session_it_goes_as_new_and_what_was_released_is_done() {
    let mut b = registered(Config { clean_reconnect: true, ..config() });
    let tag = b.publish("t/x", b"a", Q2);
    b.expect(Message::Publish(publish(T, Q2, 2)));
    b.cut();
    b.accept();
    b.give_id("t/x", 3, 8);
    b.expect(Message::Publish(publish(Topic::Id(8), Q2, 4)));
    b.reply(Message::PubRec(4));
    b.expect(Message::PubRel(4));
    b.cut();
    b.accept();
    assert_eq!(b.fate(tag), Some(Fate::Delivered(0)));
    b.silence(secs(1));
}

#[test]
fn a_pubrec_for_nothing_is_released() {
    let mut b = connected(config());
    b.reply(Message::PubRec(77));
    b.expect(Message::PubRel(77));
}

// (6.8)
#[test]
fn without_a_connection_it_publishes_at_qos_minus_1() {
    let mut b = bench(Config { connectionless: true, ..config() });
    b.pump();
    assert!(b.is_up());
    let tag = b.publish("site/door", b"a", Q0);
    let minus_one = |topic| Publish { qos: PublishQoS::MinusOne, ..publish(topic, Q0, 0) };
    b.expect(Message::Publish(minus_one(Topic::Predefined(7))));
    assert_eq!(b.fate(tag), Some(Fate::Delivered(0)));
    b.publish("ab", b"a", Q0);
    b.expect(Message::Publish(minus_one(short("ab"))));
    assert_eq!(b.try_publish("t/x", b"a", Q0), Err(Refused::Unsupported));
    assert_eq!(b.try_publish("ab", b"a", Q1), Err(Refused::Unsupported));
    assert_eq!(b.try_subscribe("ab", Q0), Err(Refused::Unsupported));
    b.silence(secs(10_000));
    b.close();
    b.pump();
    assert_eq!(b.events.last(), Some(&Event::Closed));
}
