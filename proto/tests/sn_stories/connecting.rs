//! CONNECT to DISCONNECT.

use everlink_proto::engine::*;
use everlink_proto::sn::wire::Connect;
use everlink_proto::wire::ReasonCode;

use crate::support::*;

const CONNECT: Connect<'static> =
    Connect { will: false, clean_session: false, duration: 60, client_id: "node" };

#[test]
fn a_connection_is_made() {
    let mut b = bench(config());
    b.expect(Message::Connect(CONNECT));
    assert_eq!(b.node.status().step, Step::Handshake);
    b.reply(Message::ConnAck(OK));
    assert_eq!(b.events, [Event::Up { resumed: false }]);
    assert!(b.is_up());
}

#[test]
fn it_starts_clean_at_power_up_and_goes_on_after_an_outage() {
    let mut b = bench(Config { clean_start: true, ..config() });
    assert!(b.connect());
    b.reply(Message::ConnAck(OK));
    b.cut();
    assert!(!b.connect());
    b.reply(Message::ConnAck(OK));
    assert_eq!(b.events.last(), Some(&Event::Up { resumed: true }));
}

#[test]
fn an_unanswered_connect_is_repeated_and_then_given_up() {
    let mut b = bench(config());
    b.expect(Message::Connect(CONNECT));
    for _ in 0..4 {
        b.expect_after(secs(10), Message::Connect(CONNECT));
    }
    b.sent.clear();
    b.expect(Message::Connect(CONNECT));
    assert_eq!(b.faults(), [Fault::new(Step::Handshake, Cause::NoConnack)]);
    assert_eq!((b.closed, b.opened.len()), (1, 2));
}

#[test]
fn a_refusal_is_told_and_tried_again() {
    let mut b = bench(config());
    b.connect();
    b.reply(Message::ConnAck(ReturnCode::CONGESTION));
    let cause = Cause::RefusedByBroker(ReasonCode::SERVER_BUSY);
    assert_eq!(b.faults(), [Fault::new(Step::Handshake, cause)]);
    assert_eq!(b.inbox.refusals, [ReasonCode::SERVER_BUSY]);
    b.accept();
    assert!(b.is_up());
}

#[test]
fn the_first_failure_can_be_the_last() {
    let mut b = bench(Config { first_connect: FirstConnect::Fail, ..config() });
    b.connect();
    b.reply(Message::ConnAck(ReturnCode::NOT_SUPPORTED));
    assert!(matches!(b.events.last(), Some(Event::GaveUp(_))));
    b.silence(secs(3600));
}

#[test]
fn a_lost_gateway_is_left_for_another_one() {
    let mut b = connected(Config { endpoints: 2, ..config() });
    b.cut();
    b.accept();
    assert_eq!(b.opened, [0, 1]);
}

#[test]
fn a_client_identifier_that_cannot_be_is_reported() {
    let mut b = bench(config());
    b.client_id = "more than twenty-three characters";
    b.pump();
    let cause = Cause::RefusedByBroker(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
    assert_eq!(b.faults(), [Fault::new(Step::Handshake, cause)]);
    assert!(b.sent.is_empty());
}

#[test]
fn closing_is_said_and_confirmed() {
    let mut b = connected(config());
    b.close();
    b.expect(Message::Disconnect(None));
    assert_eq!(b.closed, 0);
    b.reply(Message::Disconnect(None));
    assert_eq!((b.closed, b.events.last()), (1, Some(&Event::Closed)));
}

#[test]
fn closing_does_not_wait_for_ever() {
    let mut b = connected(config());
    b.close();
    b.expect(Message::Disconnect(None));
    b.expect_after(secs(10), Message::Disconnect(None));
    b.silence(secs(10));
    assert_eq!(b.events.last(), Some(&Event::Closed));
}

#[test]
fn a_disconnect_of_the_gateway_makes_it_connect_again() {
    let mut b = connected(config());
    b.reply(Message::Disconnect(None));
    let cause = Cause::DisconnectedByBroker(ReasonCode::UNSPECIFIED_ERROR);
    assert_eq!(b.faults(), [Fault::new(Step::Up, cause)]);
    b.accept();
    assert!(b.is_up());
}

#[test]
fn it_pings_in_silence_and_answers_pings() {
    let mut b = connected(config());
    b.expect_after(secs(30), Message::PingReq(None));
    b.reply(Message::PingResp);
    assert_eq!(b.inbox.pongs, 1);
    b.reply(Message::PingReq(None));
    b.expect_after(secs(0), Message::PingResp);
    b.expect_after(secs(30), Message::PingReq(None));
}

#[test]
fn a_silent_gateway_is_left() {
    let mut b = connected(config());
    b.expect_after(secs(30), Message::PingReq(None));
    for _ in 0..4 {
        b.expect_after(secs(10), Message::PingReq(None));
    }
    b.connect();
    assert_eq!(b.faults(), [Fault::new(Step::Up, Cause::Silent)]);
}

#[test]
fn without_keep_alive_there_are_no_pings() {
    let mut b = connected(Config { keep_alive: 0, ..config() });
    b.silence(secs(100_000));
    assert!(b.is_up());
}

#[test]
fn junk_is_counted_and_changes_nothing() {
    let mut b = connected(config());
    for junk in [&[][..], &[0], &[3, 0x17, 0], &[2, 0x99], &[9, 0x0C, 1]] {
        let handled = b.node.handle(b.now, Input::Packet(junk), &mut b.inbox);
        assert_eq!(handled, Handled::Done);
    }
    assert_eq!(b.node.stats().junk, 5);
    b.expect_after(secs(30), Message::PingReq(None));
    assert!(b.faults().is_empty());
}

#[test]
fn a_new_epoch_of_the_gateway_means_a_new_connection() {
    let mut b = bench(config());
    b.node.gateway_epoch(b.now, 1);
    b.accept();
    b.node.gateway_epoch(b.now, 1);
    b.silence(secs(1));
    b.node.gateway_epoch(b.now, 2);
    b.accept();
    assert_eq!(b.faults(), [Fault::new(Step::Up, Cause::Reset)]);
}

#[test]
fn in_the_same_epoch_nothing_is_told_again() {
    let mut b = bench(config());
    b.node.gateway_epoch(b.now, 1);
    b.accept();
    b.subscribe("in/+", Q1);
    b.expect(subscribe(Q1, 1, Filter::Name("in/+")));
    b.reply(suback(Q1, 0, 1, OK));
    b.publish("out/x", b"a", Q0);
    b.give_id("out/x", 2, 5);
    b.expect(Message::Publish(publish(Topic::Id(5), Q0, 0)));
    b.cut();
    b.accept();
    b.publish("out/x", b"a", Q0);
    b.expect(Message::Publish(publish(Topic::Id(5), Q0, 0)));
    b.silence(secs(1));
}
