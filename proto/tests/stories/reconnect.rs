//! A new connection: asked for by the application, as a sign of life is; how long it took is remembered.

use everlink_proto::engine::{Cause, Engine as _};
use everlink_proto::wire::Packet;
use everlink_sim::netem::Listen;

use crate::support::*;

fn ask(pair: &mut everlink_sim::pair::Pair<Engine>) {
    let now = pair.now();
    pair.engine.reconnect(now);
    pair.touch();
}

#[test]
fn at_once_and_nothing_is_lost() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        let tag = pair.publish("t", b"x", Q2);
        pair.settle();
        ask(&mut pair);
        pair.run_until_up(millis(1));
        assert_eq!(pair.fate(tag, secs(1)), OK);
        assert_lost(&pair, Cause::Requested);
        assert_eq!(pair.accepted(), ["x"]);
        pair.assert_conforms();
    }
}

#[test]
fn instead_of_waiting_for_the_next_attempt() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        pair.kill_broker();
        pair.run_for(secs(600));
        pair.restart_broker(true);
        ask(&mut pair);
        pair.run_until_up(millis(1));
    }
}

#[test]
fn in_the_middle_of_an_attempt() {
    for version in VERSIONS {
        for mode in [Listen::Hang, Listen::Silent] {
            let mut pair = everlink_sim::pair::Pair::new(1, engine(config(version)));
            pair.net.listener(0).mode = mode;
            pair.open();
            pair.run_for(secs(1));
            pair.net.listener(0).mode = Listen::Accept;
            ask(&mut pair);
            pair.run_until_up(millis(1));
        }
    }
}

/// A broker that closes the connection at a message it cannot bear, as some do at what is not allowed,
/// takes each connection, so that each attempt succeeds; yet nothing is achieved.
#[test]
fn less_and_less_often_while_nothing_is_achieved() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        let tag = s.publish("t", b"x", Q1);
        s.expect(publish(Q1, 1, "x"));
        s.reset();
        let start = s.now();
        for _ in 0..50 {
            s.accept(true);
            s.expect(again(Q1, 1, "x"));
            s.reset();
        }
        let whole = s.now().since(start);
        assert!(whole > secs(40), "50 attempts in {whole:?}");
        s.accept(true);
        s.expect(again(Q1, 1, "x"));
        s.reply(puback(1));
        assert_eq!(s.inbox.fate(tag), Some(OK));
        // That was an achievement: the next outage begins with a short pause.
        s.reset();
        let start = s.now();
        s.accept(true);
        assert!(s.now().since(start) <= millis(500));
    }
}

#[test]
fn a_closed_client_stays_closed() {
    let mut pair = pair(config(everlink_proto::wire::Version::V5));
    pair.close();
    pair.run_for(secs(1));
    ask(&mut pair);
    pair.run_for(secs(60));
    assert_eq!(pair.opens.len(), 1);
}

#[test]
fn a_ping_on_request() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.run_for(secs(1));
        s.engine.ping();
        s.touch();
        s.expect_within(millis(1), Packet::PingReq);
        s.reply(Packet::PingResp);
        assert_eq!(s.inbox.pongs, 1);
        assert_eq!(s.engine.stats().pings, 1);
    }
}

#[test]
fn a_ping_that_is_not_answered_ends_a_dead_connection() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        pair.net.path(0).hold();
        let start = pair.now();
        pair.engine.ping();
        pair.touch();
        pair.run_until(secs(60), "the end", |p| !p.closes.is_empty());
        assert_eq!(pair.closes[0].0.since(start), secs(10));
    }
}

#[test]
fn the_longest_outage_is_remembered() {
    let mut pair = pair(config(VERSIONS[1]));
    for (time, longest) in [(20, 20), (40, 40), (10, 40)] {
        pair.net.listener(0).mode = Listen::Fail(Cause::Refused);
        let now = pair.now();
        pair.net.reset_client(now, 0);
        pair.run_for(secs(time));
        pair.net.listener(0).mode = Listen::Accept;
        pair.run_until_up(secs(10));
        // The next attempt may be a pause away.
        let counted = pair.engine.stats().longest_outage;
        assert!(counted >= secs(longest) && counted < secs(longest + 5), "{counted:?}");
        pair.run_for(secs(60));
    }
    assert_eq!(pair.engine.stats().outages, 3);
}
