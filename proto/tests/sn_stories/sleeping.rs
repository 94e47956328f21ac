//! Asleep, awake, active (6.14).

use everlink_proto::engine::*;
use everlink_proto::time::Duration;

use crate::support::*;

const CHECK: Message<'static> = Message::PingReq(Some("node"));

/// Asleep for 600 s at a time, asking every 100 s.
fn asleep() -> Bench {
    let mut b = connected(config());
    b.node.sleep(600, secs(100));
    b.expect(Message::Disconnect(Some(600)));
    b.reply(Message::Disconnect(None));
    assert!(b.node.is_asleep());
    b
}

#[test]
fn a_sleeping_node_asks_for_messages_now_and_then() {
    let mut b = asleep();
    for n in 1..=3 {
        b.expect_after(secs(100), CHECK);
        b.reply(Message::Publish(publish(short("ab"), Q1, n)));
        b.expect(puback(short("ab").to_u16(), n, OK));
        b.reply(Message::PingResp);
        assert!(b.node.is_asleep());
    }
    assert_eq!(b.inbox.got.len(), 3);
    assert!(b.is_up() && b.faults().is_empty());
}

#[test]
fn it_asks_in_time_however_long_the_pauses_are_to_be() {
    let mut b = connected(config());
    b.node.sleep(600, Duration::MAX);
    b.expect(Message::Disconnect(Some(600)));
    b.reply(Message::Disconnect(None));
    // So that four repetitions fit in.
    b.expect_after(secs(560), CHECK);
}

#[test]
fn it_falls_asleep_when_everything_is_said() {
    let mut b = connected(config());
    b.publish("ab", b"a", Q1);
    b.node.sleep(600, secs(100));
    b.expect(Message::Publish(publish(short("ab"), Q1, 1)));
    b.reply(puback(short("ab").to_u16(), 1, OK));
    b.expect(Message::Disconnect(Some(600)));
    b.expect_after(secs(10), Message::Disconnect(Some(600)));
    b.reply(Message::Disconnect(None));
    b.reply(Message::Disconnect(None));
    assert!(b.node.is_asleep() && b.faults().is_empty());
}

#[test]
fn what_is_published_meanwhile_wakes_it_for_as_long_as_that_takes() {
    let mut b = asleep();
    let tag = b.publish("ab", b"a", Q1);
    assert!(!b.connect());
    b.reply(Message::ConnAck(OK));
    b.expect(Message::Publish(publish(short("ab"), Q1, 1)));
    b.reply(puback(short("ab").to_u16(), 1, OK));
    assert_eq!(b.fate(tag), Some(Fate::Delivered(0)));
    b.expect(Message::Disconnect(Some(600)));
    // All this was one connection.
    assert_eq!((b.opened.len(), b.events.len()), (1, 1));
}

#[test]
fn returning_needs_no_new_subscriptions() {
    let mut b = connected(config());
    b.subscribe("in/x", Q1);
    b.expect(subscribe(Q1, 1, Filter::Name("in/x")));
    b.reply(suback(Q1, 5, 1, OK));
    b.node.sleep(600, secs(100));
    b.expect(Message::Disconnect(Some(600)));
    b.reply(Message::Disconnect(None));
    b.node.wake(b.now);
    b.accept();
    b.silence(secs(9));
    b.reply(Message::Publish(publish(Topic::Id(5), Q0, 0)));
    assert_eq!(b.inbox.got.len(), 1);
}

#[test]
fn it_wakes_at_once_when_told() {
    let mut b = asleep();
    b.node.wake(b.now);
    b.accept();
    assert!(!b.node.is_asleep());
    b.expect_after(secs(30), Message::PingReq(None));
}

#[test]
fn it_asks_at_once_when_told() {
    let mut b = asleep();
    b.node.check_messages(b.now);
    b.expect_after(secs(0), CHECK);
}

#[test]
fn a_message_on_its_way_extends_the_patience() {
    let mut b = asleep();
    b.expect_after(secs(100), CHECK);
    b.silence(secs(9));
    b.reply(Message::Publish(publish(short("ab"), Q0, 0)));
    b.expect_after(secs(10), CHECK);
    b.reply(Message::PingResp);
    assert!(b.node.is_asleep());
}

#[test]
fn without_an_answer_it_goes_back_to_sleep() {
    let mut b = asleep();
    b.expect_after(secs(100), CHECK);
    for _ in 0..4 {
        b.expect_after(secs(10), CHECK);
    }
    b.expect_after(secs(110), CHECK);
    assert!(b.faults().is_empty());
}

#[test]
fn a_gateway_that_takes_it_for_lost_is_connected_to_again() {
    let mut b = asleep();
    let start = b.now;
    while let Some(message) = b.next_within(secs(3600)) {
        if message[1] == 0x04 {
            break;
        }
        assert_eq!(Message::decode(V, &message), Ok(CHECK));
    }
    assert_eq!(b.faults(), [Fault::new(Step::Up, Cause::Silent)]);
    assert!(b.now.since(start) >= secs(900));
    b.reply(Message::ConnAck(OK));
    // It still wants to sleep.
    b.expect(Message::Disconnect(Some(600)));
}

#[test]
fn a_gateway_that_does_not_know_it_any_more_says_so() {
    let mut b = asleep();
    b.expect_after(secs(100), CHECK);
    b.reply(Message::Disconnect(None));
    b.accept();
    b.expect(Message::Disconnect(Some(600)));
}

#[test]
fn it_leaves_from_sleep() {
    let mut b = asleep();
    b.close();
    b.expect(Message::Disconnect(None));
    b.reply(Message::Disconnect(None));
    assert_eq!(b.events.last(), Some(&Event::Closed));
}
