//! Gateways that are searched for and heard of (6.1).

use everlink_proto::engine::*;

use crate::support::*;

const SEARCH: Message<'static> = Message::SearchGw(1);

fn searching() -> Config {
    Config { search: Some(1), seed: 5, ..config() }
}

fn info(gateway: u8) -> Message<'static> {
    Message::GwInfo(GwInfo { gateway, address: &[] })
}

fn advertise(duration: u16) -> Message<'static> {
    Message::Advertise(Advertise { gateway: 3, duration })
}

#[test]
fn it_searches_after_a_random_time_and_connects_to_who_answers() {
    let mut b = bench(searching());
    b.expect(SEARCH);
    assert!(b.now.as_micros() > 0 && b.now.as_micros() < 5_000_000);
    assert_eq!(b.node.status().step, Step::Resolve);
    b.reply(info(3));
    b.accept();
    assert_eq!(b.node.gateways().collect::<Vec<_>>(), [3]);
}

#[test]
fn the_search_goes_on_at_growing_intervals() {
    let mut b = bench(searching());
    b.expect(SEARCH);
    for pause in [5, 10, 20, 40] {
        b.expect_after(secs(pause), SEARCH);
    }
    b.expect(SEARCH);
    assert_eq!(b.faults(), [Fault::new(Step::Resolve, Cause::UnknownHost)]);
}

#[test]
fn the_search_of_another_node_is_as_good() {
    let mut b = bench(searching());
    b.pump();
    b.reply(SEARCH);
    b.expect_after(secs(5), SEARCH);
    b.reply(info(3));
    b.accept();
}

#[test]
fn an_advertisement_will_do() {
    let mut b = bench(searching());
    b.pump();
    b.reply(advertise(900));
    b.accept();
}

#[test]
fn a_gateway_that_advertises_no_more_is_gone() {
    let mut b = bench(Config { keep_alive: 0, ..searching() });
    b.pump();
    b.reply(advertise(100));
    b.accept();
    b.silence(secs(250));
    b.reply(advertise(100));
    b.silence(secs(299));
    assert!(b.is_up());
    b.expect(SEARCH);
    assert_eq!(b.faults(), [Fault::new(Step::Up, Cause::Silent)]);
    assert_eq!(b.node.gateways().count(), 1);
}

#[test]
fn it_tells_other_nodes_unless_another_is_faster() {
    let mut b = bench(searching());
    b.expect(SEARCH);
    b.reply(info(3));
    b.accept();
    b.reply(SEARCH);
    b.silence(secs(6));
    // It has to know what to tell.
    b.node.gateway_address(&[1, 2]);
    b.reply(SEARCH);
    b.expect(Message::GwInfo(GwInfo { gateway: 3, address: &[1, 2] }));
    b.reply(SEARCH);
    b.reply(info(3));
    b.silence(secs(6));
}
