//! Tretry and Nretry (6.13), and a link that does not keep up.

use everlink_proto::engine::*;

use crate::support::*;

#[test]
fn a_publish_is_repeated_with_dup_and_then_the_gateway_is_given_up() {
    let mut b = connected(config());
    let topic = short("ab");
    let tag = b.publish("ab", b"a", Q1);
    b.expect(Message::Publish(publish(topic, Q1, 1)));
    for _ in 0..4 {
        b.expect_after(secs(10), Message::Publish(again(topic, Q1, 1)));
    }
    b.accept();
    assert_eq!(b.faults(), [Fault::new(Step::Up, Cause::Silent)]);
    b.expect(Message::Publish(again(topic, Q1, 1)));
    b.reply(puback(topic.to_u16(), 1, OK));
    assert_eq!(b.fate(tag), Some(Fate::Delivered(0)));
}

#[test]
fn a_gateway_that_lives_but_does_not_acknowledge_is_told_apart() {
    let mut b = connected(config());
    b.publish("ab", b"a", Q1);
    b.expect(Message::Publish(publish(short("ab"), Q1, 1)));
    for _ in 0..4 {
        b.expect_after(secs(10), Message::Publish(again(short("ab"), Q1, 1)));
        b.reply(Message::PingReq(None));
        b.expect(Message::PingResp);
    }
    b.accept();
    assert_eq!(b.faults(), [Fault::new(Step::Up, Cause::AckMissing)]);
}

#[test]
fn every_request_is_repeated() {
    let mut b = connected(config());
    b.subscribe("a/#", Q1);
    b.expect(subscribe(Q1, 1, Filter::Name("a/#")));
    let dup = Subscribe { dup: true, qos: Q1, msg_id: 1, filter: Filter::Name("a/#") };
    b.expect_after(secs(10), Message::Subscribe(dup));
    b.reply(suback(Q1, 0, 1, OK));
    b.publish("t/x", b"a", Q2);
    b.expect(register(2, "t/x"));
    b.expect_after(secs(10), register(2, "t/x"));
    b.reply(Message::RegAck(RegAck { topic_id: 5, msg_id: 2, code: OK }));
    b.expect(Message::Publish(publish(Topic::Id(5), Q2, 3)));
    b.reply(Message::PubRec(3));
    b.expect(Message::PubRel(3));
    b.expect_after(secs(10), Message::PubRel(3));
    b.reply(Message::PubComp(3));
    b.unsubscribe("a/#");
    let unsubscribe = Message::Unsubscribe(Unsubscribe { msg_id: 4, filter: Filter::Name("a/#") });
    b.expect(unsubscribe);
    b.expect_after(secs(10), unsubscribe);
}

#[test]
fn the_wait_for_an_answer_begins_when_the_pipe_has_taken_the_question() {
    let mut b = connected(config());
    b.publish("ab", b"a", Q1);
    b.expect(Message::Publish(publish(short("ab"), Q1, 1)));
    let wrote = |b: &mut Bench, pending| {
        let _ = b.node.handle(b.now, Input::Wrote { pending }, &mut b.inbox);
    };
    wrote(&mut b, 5);
    b.silence(secs(20));
    wrote(&mut b, 0);
    b.expect_after(secs(10), Message::Publish(again(short("ab"), Q1, 1)));
}

#[test]
fn a_pipe_that_takes_nothing_is_left() {
    let mut b = connected(config());
    b.publish("ab", b"a", Q1);
    b.expect(Message::Publish(publish(short("ab"), Q1, 1)));
    let _ = b.node.handle(b.now, Input::Wrote { pending: 5 }, &mut b.inbox);
    b.connect();
    assert_eq!(b.faults(), [Fault::new(Step::Up, Cause::WriteStalled)]);
}

#[test]
fn answers_of_another_age_are_nothing() {
    let mut b = connected(config());
    let tag = b.publish("ab", b"a", Q2);
    b.expect(Message::Publish(publish(short("ab"), Q2, 1)));
    b.reply(puback(short("ab").to_u16(), 9, OK));
    b.reply(puback(short("ab").to_u16(), 1, OK));
    b.reply(Message::PubComp(1));
    b.reply(Message::UnsubAck(1));
    b.reply(suback(Q1, 3, 1, OK));
    b.reply(Message::RegAck(RegAck { topic_id: 5, msg_id: 1, code: OK }));
    b.reply(Message::PingResp);
    b.reply(Message::ConnAck(OK));
    assert_eq!((b.fate(tag), b.node.stats().strays), (None, 8));
    b.reply(Message::PubRec(1));
    b.expect(Message::PubRel(1));
}
