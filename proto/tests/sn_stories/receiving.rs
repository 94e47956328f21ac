//! From the gateway to the node.

use everlink_proto::engine::*;
use everlink_proto::mem::Table;

use crate::support::*;

const T: Topic = Topic::Predefined(7);

fn give(b: &mut Bench, publish: Publish<'_>) {
    b.reply(Message::Publish(publish));
}

fn count(b: &Bench) -> usize {
    b.inbox.got.len()
}

#[test]
fn qos_1_is_acknowledged() {
    let mut b = connected(config());
    give(&mut b, publish(T, Q1, 9));
    b.expect(puback(7, 9, OK));
    assert_eq!(b.inbox.got[0].topic, "site/door");
}

#[test]
fn qos_2_arrives_once() {
    let mut b = connected(config());
    give(&mut b, publish(T, Q2, 9));
    b.expect(Message::PubRec(9));
    give(&mut b, again(T, Q2, 9));
    b.expect(Message::PubRec(9));
    b.reply(Message::PubRel(9));
    b.expect(Message::PubComp(9));
    b.reply(Message::PubRel(9));
    b.expect(Message::PubComp(9));
    assert_eq!((count(&b), b.node.stats().duplicates), (1, 1));
}

#[test]
fn a_copy_of_a_datagram_is_no_new_message_though_it_has_no_dup() {
    let mut b = connected(config());
    give(&mut b, publish(T, Q2, 9));
    b.expect(Message::PubRec(9));
    give(&mut b, publish(T, Q2, 9));
    b.expect(Message::PubRec(9));
    b.reply(Message::PubRel(9));
    b.expect(Message::PubComp(9));
    // And later still, when the exchange is over.
    give(&mut b, publish(T, Q2, 9));
    b.expect(Message::PubRec(9));
    assert_eq!(count(&b), 1);
}

#[test]
fn a_late_copy_is_known_across_an_outage() {
    let mut b = connected(config());
    give(&mut b, publish(T, Q2, 9));
    b.expect(Message::PubRec(9));
    b.reply(Message::PubRel(9));
    b.expect(Message::PubComp(9));
    b.cut();
    b.accept();
    give(&mut b, publish(T, Q2, 9));
    b.expect(Message::PubRec(9));
    assert_eq!(count(&b), 1);
}

#[test]
fn it_arrives_once_across_an_outage() {
    let mut b = connected(config());
    give(&mut b, publish(T, Q2, 9));
    b.expect(Message::PubRec(9));
    b.cut();
    b.accept();
    give(&mut b, again(T, Q2, 9));
    b.expect(Message::PubRec(9));
    b.reply(Message::PubRel(9));
    b.expect(Message::PubComp(9));
    assert_eq!(count(&b), 1);
}

#[test]
fn a_gateway_that_counts_from_1_again_is_not_mistaken() {
    let mut b = connected(config());
    give(&mut b, publish(T, Q2, 1));
    b.expect(Message::PubRec(1));
    b.cut();
    b.now = b.now + secs(31);
    b.accept();
    // Not DUP, and not at once: another message, though it looks the same.
    give(&mut b, publish(T, Q2, 1));
    b.expect(Message::PubRec(1));
    b.reply(Message::PubRel(1));
    b.expect(Message::PubComp(1));
    assert_eq!(count(&b), 2);
    // Another content is another message in any case.
    give(&mut b, Publish { data: b"b", ..again(T, Q2, 1) });
    b.expect(Message::PubRec(1));
    assert_eq!(count(&b), 3);
}

// (6.10) "If the client receives a PUBLISH message with an unknown topic id value, it shall respond with a
// PUBACK."
#[test]
fn an_unknown_topic_id_is_told_and_the_message_comes_again() {
    let mut b = connected(config());
    give(&mut b, publish(Topic::Id(6), Q2, 9));
    b.expect(puback(6, 9, ReturnCode::INVALID_TOPIC_ID));
    b.reply(Message::Register(Register { topic_id: 6, msg_id: 10, topic: "in/y" }));
    b.expect(Message::RegAck(RegAck { topic_id: 6, msg_id: 10, code: OK }));
    give(&mut b, again(Topic::Id(6), Q2, 9));
    b.expect(Message::PubRec(9));
    assert_eq!(count(&b), 1);
}

#[test]
fn a_register_can_change_what_an_id_means() {
    let mut b = connected(config());
    for topic in ["in/x", "in/y"] {
        b.reply(Message::Register(Register { topic_id: 6, msg_id: 10, topic }));
        b.expect(Message::RegAck(RegAck { topic_id: 6, msg_id: 10, code: OK }));
        give(&mut b, publish(Topic::Id(6), Q0, 0));
    }
    let topics: Vec<_> = b.inbox.got.iter().map(|m| m.topic.as_str()).collect();
    assert_eq!(topics, ["in/x", "in/y"]);
}

#[test]
fn reserved_ids_are_not_accepted() {
    let mut b = connected(config());
    for topic_id in [0, 0xFFFF] {
        b.reply(Message::Register(Register { topic_id, msg_id: 10, topic: "in/x" }));
        let code = ReturnCode::INVALID_TOPIC_ID;
        b.expect(Message::RegAck(RegAck { topic_id, msg_id: 10, code }));
    }
}

#[test]
fn a_full_inbox_holds_the_gateway_back() {
    let mut b = connected(config());
    b.publish("ab", b"a", Q1);
    b.expect(Message::Publish(publish(short("ab"), Q1, 1)));
    b.inbox.verdict = Verdict::Busy;
    assert_eq!(b.offer(Message::Publish(publish(T, Q1, 9))), Handled::Busy);
    // We do not read, so nothing can be overdue; but the gateway must hear us.
    b.expect_after(secs(30), Message::PingReq(None));
    b.expect_after(secs(30), Message::PingReq(None));
    b.inbox.verdict = Verdict::Taken;
    assert_eq!(b.offer(Message::Publish(publish(T, Q1, 9))), Handled::Done);
    b.expect(puback(7, 9, OK));
    b.reply(puback(short("ab").to_u16(), 1, OK));
    assert_eq!((count(&b), b.node.held(), b.faults().len()), (1, 0, 0));
}

#[test]
fn the_application_may_acknowledge_later() {
    let mut b = connected(config());
    b.inbox.verdict = Verdict::Later;
    give(&mut b, publish(T, Q1, 9));
    give(&mut b, publish(T, Q2, 10));
    give(&mut b, again(T, Q1, 9));
    give(&mut b, again(T, Q2, 10));
    b.silence(secs(1));
    assert_eq!(count(&b), 2);
    let receipts: Vec<_> = b.inbox.got.iter().map(|m| m.receipt).collect();
    b.node.acknowledge(b.now, receipts[1]).unwrap();
    b.expect(Message::PubRec(10));
    b.node.acknowledge(b.now, receipts[0]).unwrap();
    b.expect(puback(7, 9, OK));
    assert_eq!(b.node.acknowledge(b.now, receipts[0]), Err(Refused::Stale));
}

#[test]
fn a_receipt_of_an_earlier_connection_is_stale_at_qos_1_and_counts_at_qos_2() {
    let mut b = connected(config());
    b.inbox.verdict = Verdict::Later;
    give(&mut b, publish(T, Q1, 9));
    give(&mut b, publish(T, Q2, 10));
    b.cut();
    b.accept();
    let receipts: Vec<_> = b.inbox.got.iter().map(|m| m.receipt).collect();
    assert_eq!(b.node.acknowledge(b.now, receipts[0]), Err(Refused::Stale));
    // Not delivered again: the application has it.
    give(&mut b, again(T, Q2, 10));
    b.silence(secs(1));
    b.node.acknowledge(b.now, receipts[1]).unwrap();
    b.expect(Message::PubRec(10));
    assert_eq!(count(&b), 2);
}

#[test]
fn more_exchanges_than_there_is_memory_for_come_again_later() {
    let memory = Memory { inbound: Table::growing(1), ..Memory::growing(PREDEFINED) };
    let mut b = bench_with(config(), memory);
    b.accept();
    give(&mut b, publish(T, Q2, 9));
    b.expect(Message::PubRec(9));
    give(&mut b, Publish { data: b"b", ..publish(T, Q2, 10) });
    b.silence(secs(1));
    b.reply(Message::PubRel(9));
    b.expect(Message::PubComp(9));
    give(&mut b, Publish { data: b"b", ..again(T, Q2, 10) });
    b.expect(Message::PubRec(10));
    assert_eq!(count(&b), 2);
}
