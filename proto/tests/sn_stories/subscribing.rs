//! SUBSCRIBE and UNSUBSCRIBE.

use everlink_proto::engine::Refused;
use everlink_proto::wire::ReasonCode;

use crate::support::*;

/// The gateway publishes "a" to `topic`.
fn deliver(b: &mut Bench, topic: Topic) {
    b.reply(Message::Publish(publish(topic, Q0, 0)));
}

fn topics(b: &Bench) -> Vec<&str> {
    b.inbox.got.iter().map(|m| m.topic.as_str()).collect()
}

#[test]
fn a_name_is_given_its_id_by_suback() {
    let mut b = connected(config());
    let tag = b.subscribe("in/x", Q2);
    b.expect(subscribe(Q2, 1, Filter::Name("in/x")));
    b.reply(suback(Q1, 5, 1, OK));
    assert_eq!(b.fate(tag), Some(Fate::Delivered(1)));
    deliver(&mut b, Topic::Id(5));
    assert_eq!(topics(&b), ["in/x"]);
    // The id serves both ways.
    b.publish("in/x", b"a", Q0);
    b.expect(Message::Publish(publish(Topic::Id(5), Q0, 0)));
}

#[test]
fn predefined_and_short_ones_are_said_as_such() {
    let mut b = connected(config());
    b.subscribe("site/lamp", Q1);
    b.expect(subscribe(Q1, 1, Filter::Predefined(8)));
    b.reply(suback(Q1, 8, 1, OK));
    b.subscribe("ab", Q1);
    b.expect(subscribe(Q1, 2, Filter::Short(ShortTopic::new("ab").unwrap())));
    b.reply(suback(Q1, 0, 2, OK));
    deliver(&mut b, Topic::Predefined(8));
    deliver(&mut b, short("ab"));
    assert_eq!(topics(&b), ["site/lamp", "ab"]);
}

#[test]
fn behind_a_wildcard_the_gateway_registers_each_topic() {
    let mut b = connected(config());
    b.subscribe("in/+", Q1);
    b.expect(subscribe(Q1, 1, Filter::Name("in/+")));
    b.reply(suback(Q1, 0, 1, OK));
    b.reply(Message::Register(Register { topic_id: 6, msg_id: 40, topic: "in/y" }));
    b.expect(Message::RegAck(RegAck { topic_id: 6, msg_id: 40, code: OK }));
    deliver(&mut b, Topic::Id(6));
    assert_eq!(topics(&b), ["in/y"]);
}

#[test]
fn a_filter_of_two_characters_with_a_wildcard_is_no_short_name() {
    let mut b = connected(config());
    b.subscribe("+/", Q1);
    b.expect(subscribe(Q1, 1, Filter::Name("+/")));
}

#[test]
fn a_refusal_is_that_calls_error() {
    let mut b = connected(config());
    let tag = b.subscribe("in/x", Q1);
    b.expect(subscribe(Q1, 1, Filter::Name("in/x")));
    b.reply(suback(Q0, 0, 1, ReturnCode::NOT_SUPPORTED));
    assert_eq!(b.fate(tag), Some(Fate::Rejected(ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR)));
    b.cut();
    b.accept();
    b.silence(secs(1));
}

#[test]
fn congestion_makes_it_wait() {
    let mut b = connected(Config { keep_alive: 0, ..config() });
    b.subscribe("in/x", Q1);
    b.expect(subscribe(Q1, 1, Filter::Name("in/x")));
    b.reply(suback(Q0, 0, 1, ReturnCode::CONGESTION));
    b.expect_after(secs(300), subscribe(Q1, 2, Filter::Name("in/x")));
}

#[test]
fn it_is_restored_after_an_outage() {
    let mut b = connected(config());
    let tag = b.subscribe("in/x", Q1);
    b.expect(subscribe(Q1, 1, Filter::Name("in/x")));
    b.reply(suback(Q1, 5, 1, OK));
    b.cut();
    b.accept();
    b.expect(subscribe(Q1, 2, Filter::Name("in/x")));
    // The id of before means nothing until the gateway gave it again.
    deliver(&mut b, Topic::Id(5));
    b.expect(puback(5, 0, ReturnCode::INVALID_TOPIC_ID));
    b.reply(suback(Q1, 5, 2, OK));
    deliver(&mut b, Topic::Id(5));
    assert_eq!(topics(&b), ["in/x"]);
    assert_eq!(b.inbox.fates.iter().filter(|(t, _)| *t == tag).count(), 2);
}

#[test]
fn unsubscribe_is_answered() {
    let mut b = connected(config());
    b.subscribe("in/x", Q1);
    b.expect(subscribe(Q1, 1, Filter::Name("in/x")));
    b.reply(suback(Q1, 5, 1, OK));
    let tag = b.unsubscribe("in/x");
    b.expect(Message::Unsubscribe(Unsubscribe { msg_id: 2, filter: Filter::Name("in/x") }));
    b.reply(Message::UnsubAck(2));
    assert_eq!(b.fate(tag), Some(Fate::Delivered(0)));
    b.cut();
    b.accept();
    b.silence(secs(1));
}

#[test]
fn a_later_word_overtakes_an_earlier_one() {
    let mut b = connected(config());
    let first = b.subscribe("in/x", Q1);
    b.expect(subscribe(Q1, 1, Filter::Name("in/x")));
    let second = b.subscribe("in/x", Q2);
    assert_eq!(b.fate(first), Some(Fate::Superseded));
    // The answer to the first one comes; the second one is said all the same.
    b.reply(suback(Q1, 5, 1, OK));
    b.silence(secs(9));
    b.expect(subscribe(Q2, 2, Filter::Name("in/x")));
    b.reply(suback(Q2, 5, 2, OK));
    assert_eq!(b.fate(second), Some(Fate::Delivered(2)));
}

#[test]
fn what_mqtt_sn_has_no_words_for_is_refused() {
    let mut b = connected(config());
    assert_eq!(b.try_subscribe("$share/g/x", Q1), Err(Refused::Unsupported));
}
