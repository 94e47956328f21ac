//! The first connection cannot be made.

use everlink_proto::engine::{Cause, Event, Fault, Step};
use everlink_proto::session::{Config, FirstConnect};
use everlink_proto::wire::Version;
use everlink_sim::netem::Listen;
use everlink_sim::pair::Pair;

use crate::support::*;

fn refused(first_connect: FirstConnect) -> Pair<Engine> {
    let mut pair = Pair::new(1, engine(Config { first_connect, ..config(Version::V5) }));
    pair.net.listener(0).mode = Listen::Fail(Cause::Refused);
    pair.open();
    pair.run_for(secs(600));
    pair
}

fn gave_up(pair: &Pair<Engine>) -> bool {
    let fault = Fault::new(Step::Transport, Cause::Refused);
    pair.events.iter().any(|(_, e)| *e == Event::GaveUp(fault))
}

#[test]
fn fail() {
    let pair = refused(FirstConnect::Fail);
    assert_eq!(pair.opens.len(), 1);
    assert!(gave_up(&pair));
}

#[test]
fn retry() {
    for n in [0, 1, 5] {
        let pair = refused(FirstConnect::Retry(n));
        assert_eq!(pair.opens.len(), n as usize + 1);
        assert!(gave_up(&pair));
    }
}

#[test]
fn forever() {
    let pair = refused(FirstConnect::Forever);
    assert!(pair.opens.len() > 20);
    assert!(!gave_up(&pair));
}

#[test]
fn what_was_accepted_is_kept_for_the_next_open() {
    let cfg = Config { first_connect: FirstConnect::Fail, ..config(Version::V5) };
    let mut pair = Pair::new(1, engine(cfg));
    let tag = pair.publish("t", b"x", Q1);
    pair.net.listener(0).mode = Listen::Fail(Cause::Refused);
    pair.open();
    pair.run_for(secs(1));
    pair.net.listener(0).mode = Listen::Accept;
    pair.run_for(secs(60));
    assert_eq!(pair.inbox.fate(tag), None);
    pair.open();
    assert_eq!(pair.fate(tag, secs(1)), OK);
}

#[test]
fn later_outages_are_ridden_out_whatever_the_policy() {
    let cfg = Config { first_connect: FirstConnect::Fail, ..config(Version::V5) };
    let mut pair = pair(cfg);
    pair.kill_broker();
    pair.run_for(secs(3_600));
    assert!(!pair.events.iter().any(|(_, e)| matches!(e, Event::GaveUp(_))));
    pair.restart_broker(true);
    pair.run_until_up(secs(31));
}
