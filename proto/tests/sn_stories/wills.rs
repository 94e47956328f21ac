//! The will: told at connecting, and changed later (6.3, 6.4).

use everlink_proto::engine::Tag;
use everlink_proto::wire::ReasonCode;

use crate::support::*;

const TOPIC: WillTopic<'static> = WillTopic { qos: Q1, retain: true, topic: "gone" };

fn with_will() -> Bench {
    let mut b = bench(config());
    b.will = Some(("gone", b"x"));
    b
}

fn connect(will: bool) -> Message<'static> {
    Message::Connect(Connect { will, clean_session: false, duration: 60, client_id: "node" })
}

/// Figure 3.
fn shake_hands(b: &mut Bench) {
    b.expect(connect(true));
    b.reply(Message::WillTopicReq);
    b.expect(Message::WillTopic(Some(TOPIC)));
    b.reply(Message::WillMsgReq);
    b.expect(Message::WillMsg(b"x"));
    b.reply(Message::ConnAck(OK));
    assert!(b.is_up());
}

#[test]
fn the_gateway_asks_for_topic_and_message() {
    let mut b = with_will();
    shake_hands(&mut b);
}

#[test]
fn each_step_is_repeated() {
    let mut b = with_will();
    b.expect(connect(true));
    b.expect_after(secs(10), connect(true));
    b.reply(Message::WillTopicReq);
    b.expect(Message::WillTopic(Some(TOPIC)));
    b.expect_after(secs(10), Message::WillTopic(Some(TOPIC)));
    // The gateway repeats its question, too.
    b.reply(Message::WillTopicReq);
    b.expect_after(secs(0), Message::WillTopic(Some(TOPIC)));
    b.reply(Message::WillMsgReq);
    b.expect(Message::WillMsg(b"x"));
    b.expect_after(secs(10), Message::WillMsg(b"x"));
    b.reply(Message::ConnAck(OK));
    assert!(b.is_up());
}

#[test]
fn a_will_that_is_no_more_is_deleted_at_the_next_connection() {
    let mut b = with_will();
    shake_hands(&mut b);
    b.will = None;
    b.cut();
    b.expect(connect(true));
    b.reply(Message::WillTopicReq);
    b.expect(Message::WillTopic(None));
    b.reply(Message::ConnAck(OK));
    assert!(b.is_up());
}

#[test]
fn a_new_will_is_told_while_connected() {
    let mut b = with_will();
    shake_hands(&mut b);
    b.will = Some(("gone", b"y"));
    b.node.update_will(Tag(99), &mut b.inbox);
    b.expect(Message::WillTopicUpd(Some(TOPIC)));
    b.expect_after(secs(10), Message::WillTopicUpd(Some(TOPIC)));
    b.reply(Message::WillTopicResp(OK));
    b.expect(Message::WillMsgUpd(b"y"));
    assert_eq!(b.fate(Tag(99)), None);
    b.reply(Message::WillMsgResp(OK));
    assert_eq!(b.fate(Tag(99)), Some(Fate::Delivered(0)));
    b.silence(secs(1));
}

#[test]
fn a_will_can_be_deleted_while_connected() {
    let mut b = with_will();
    shake_hands(&mut b);
    b.will = None;
    b.node.update_will(Tag(99), &mut b.inbox);
    b.expect(Message::WillTopicUpd(None));
    b.reply(Message::WillTopicResp(OK));
    // (6.4) That deletes the message as well.
    assert_eq!(b.fate(Tag(99)), Some(Fate::Delivered(0)));
    b.silence(secs(1));
}

#[test]
fn a_gateway_may_not_support_it() {
    let mut b = with_will();
    shake_hands(&mut b);
    b.node.update_will(Tag(99), &mut b.inbox);
    b.expect(Message::WillTopicUpd(Some(TOPIC)));
    b.reply(Message::WillTopicResp(ReturnCode::NOT_SUPPORTED));
    let reason = ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR;
    assert_eq!(b.fate(Tag(99)), Some(Fate::Rejected(reason)));
    b.silence(secs(1));
}

#[test]
fn a_new_will_in_an_outage_is_told_by_the_next_connect() {
    let mut b = with_will();
    shake_hands(&mut b);
    b.cut();
    b.node.update_will(Tag(99), &mut b.inbox);
    shake_hands(&mut b);
    assert_eq!(b.fate(Tag(99)), Some(Fate::Delivered(0)));
    b.silence(secs(1));
}

#[test]
fn a_will_too_long_for_the_link_is_refused() {
    const LONG: &[u8] = &[0; 100];
    let mut b = bench(Config { frame: 32, ..config() });
    b.will = Some(("gone", b"x"));
    shake_hands(&mut b);
    b.will = Some(("gone", LONG));
    b.node.update_will(Tag(99), &mut b.inbox);
    b.expect(Message::WillTopicUpd(Some(TOPIC)));
    b.reply(Message::WillTopicResp(OK));
    b.silence(secs(1));
    assert_eq!(b.fate(Tag(99)), Some(Fate::Rejected(ReasonCode::PACKET_TOO_LARGE)));
}
