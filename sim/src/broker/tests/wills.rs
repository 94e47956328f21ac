use everlink_proto::wire::{Disconnect, Will};

use super::*;

/// A client with a will at `will/c`, delayed by so many seconds; a watcher on connection 1.
fn bench(delay: u32, expiry: u32) -> Bench {
    let mut b = Bench::new();
    b.client(1, Version::V5, "watcher");
    b.subscribe(1, "will/#", SubscribeOptions::new(QoS::AtMostOnce));
    connect(&mut b, 2, delay, expiry, false);
    b
}

fn connect(b: &mut Bench, id: u32, delay: u32, expiry: u32, clean_start: bool) {
    let (delay, expiry) =
        ([Property::WillDelayInterval(delay)], [Property::SessionExpiryInterval(expiry)]);
    let will = Will {
        topic: "will/c",
        payload: b"gone",
        qos: QoS::AtLeastOnce,
        retain: false,
        props: Properties::from_list(&delay),
    };
    let props = Properties::from_list(&expiry);
    b.connect(
        id,
        Version::V5,
        Connect { client_id: "c", clean_start, will: Some(will), props, ..Connect::default() },
    );
}

fn gone(b: &mut Bench) -> usize {
    b.take(1).len()
}

#[test]
fn a_will_follows_a_loss_and_no_farewell() {
    let mut b = bench(0, 0);
    b.drop(2);
    assert_eq!(gone(&mut b), 1);

    let mut b = bench(0, 0);
    b.send(2, Disconnect::default());
    b.drop(2);
    assert_eq!(gone(&mut b), 0);

    let mut b = bench(0, 0);
    let reason = ReasonCode::DISCONNECT_WITH_WILL_MESSAGE;
    b.send(2, Disconnect { reason, ..Disconnect::default() });
    assert_eq!(gone(&mut b), 1);
}

#[test]
fn a_delayed_will_waits_for_the_client_to_come_back() {
    let mut b = bench(10, 60);
    b.drop(2);
    b.pass(9);
    assert_eq!(gone(&mut b), 0);
    connect(&mut b, 3, 10, 60, false);
    b.pass(30);
    assert_eq!(gone(&mut b), 0);
    b.drop(3);
    b.pass(10);
    assert_eq!(gone(&mut b), 1);
}

#[test]
fn a_delayed_will_ends_its_wait_with_the_session() {
    let mut b = bench(100, 5);
    b.drop(2);
    b.pass(5);
    assert_eq!(gone(&mut b), 1);

    let mut b = bench(100, 500);
    b.drop(2);
    connect(&mut b, 3, 100, 500, true);
    assert_eq!(gone(&mut b), 1);
}

#[test]
fn a_takeover_publishes_the_will_of_the_old_connection() {
    let mut b = bench(0, 60);
    connect(&mut b, 3, 0, 60, false);
    assert_eq!(gone(&mut b), 1);
}

#[test]
fn a_retained_will_is_retained() {
    let mut b = Bench::new();
    let will = Will {
        topic: "w",
        payload: b"x",
        qos: QoS::AtMostOnce,
        retain: true,
        props: Properties::EMPTY,
    };
    b.connect(1, Version::V311, Connect { client_id: "c", will: Some(will), ..Connect::default() });
    b.drop(1);
    assert_eq!(b.broker.retained("w"), Some(b"x".as_slice()));
}
