//! Several endpoints: their order, staying with one that worked, coming back to the first choice; what a
//! change of the network is good for.

use everlink_proto::engine::{Cause, Depth, Engine as _, Input, Step};
use everlink_proto::session::{Backoff, Config, Ladder};
use everlink_proto::wire::Version;
use everlink_sim::broker::Broker;
use everlink_sim::netem::Listen;
use everlink_sim::pair::Pair;

use crate::support::*;

/// `n` endpoints, each a broker of its own, of which those in `down` refuse.
fn brokers(n: u16, down: &[usize], cfg: Config) -> Pair<Engine> {
    let mut pair = Pair::new(1, engine(Config { endpoints: n, ..cfg }));
    for seed in 1..n {
        pair.add_server(Broker::new(u64::from(seed)));
    }
    pair.endpoints = (0..usize::from(n)).collect();
    for server in down {
        pair.net.listener(*server).mode = Listen::Fail(Cause::Unreachable);
    }
    pair.open();
    pair
}

fn order(pair: &Pair<Engine>) -> Vec<u16> {
    pair.opens.iter().map(|(_, endpoint)| *endpoint).collect()
}

fn network_changed(pair: &mut Pair<Engine>) {
    let now = pair.now();
    let host = &mut pair.hosts[0];
    let _ = host.engine.handle(now, Input::NetworkChanged, &mut host.inbox);
    pair.touch();
}

#[test]
fn what_was_not_tried_yet_has_no_reason_to_wait() {
    let mut pair = brokers(3, &[0, 1], config(Version::V5));
    pair.run_until_up(millis(200));
    assert_eq!(order(&pair), [0, 1, 2]);
}

#[test]
fn pauses_grow_with_the_rounds_and_not_with_the_endpoints() {
    let mut pair = brokers(3, &[0, 1, 2], config(Version::V5));
    pair.run_for(secs(120));
    let pauses: Vec<_> = pair.opens.windows(2).map(|w| w[1].0.since(w[0].0)).collect();
    for (n, pause) in pauses.iter().enumerate() {
        if n % 3 < 2 {
            assert!(*pause < Backoff::FLOOR + millis(100), "{n}: {pauses:?}");
        }
    }
    let longest = pauses.iter().max().expect("some");
    assert!(*longest > secs(4), "{pauses:?}");
}

#[test]
fn a_refusal_waits_although_another_broker_was_not_tried() {
    use everlink_proto::wire::ReasonCode;
    use everlink_sim::broker::Refusal;
    let mut pair = brokers(2, &[1], config(Version::V5));
    let refusal = Refusal { reason: ReasonCode::BAD_USER_NAME_OR_PASSWORD, server: None };
    pair.broker().faults.refuse_connect.push_back(refusal);
    pair.run_for(secs(4));
    assert_eq!(order(&pair), [0]);
}

/// The session lives at the broker that was lost; after one try the order begins anew.
#[test]
fn a_lost_connection_is_made_again_where_it_was() {
    let mut pair = brokers(4, &[0, 1], config(Version::V5));
    pair.run_until_up(secs(1));
    pair.run_for(secs(5));
    for server in 0..4 {
        pair.net.listener(server).mode = Listen::Fail(Cause::Unreachable);
    }
    let now = pair.now();
    pair.net.reset_client(now, 0);
    pair.run_for(secs(3));
    assert_eq!(order(&pair)[..9], [0, 1, 2, 2, 0, 1, 2, 3, 0]);
}

#[test]
fn one_that_accepts_and_does_nothing_is_left_in_the_end() {
    let mut pair = brokers(2, &[], config(Version::V5));
    for _ in 0..40 {
        let now = pair.now();
        pair.net.reset_client(now, 0);
        pair.run_for(millis(300));
    }
    assert!(order(&pair).contains(&1), "{:?}", order(&pair));
}

#[test]
fn back_to_the_first_choice_when_it_can_be_reached() {
    for version in VERSIONS {
        let mut pair = brokers(2, &[0], config(version));
        pair.run_until_up(secs(1));
        pair.run_for(secs(150));
        // Twice tried out, and the connection did not suffer.
        assert_eq!(pair.trials.len(), 2, "{}", pair.trace);
        assert_eq!(order(&pair), [0, 1]);
        pair.net.listener(0).mode = Listen::Accept;
        pair.run_for(secs(60));
        assert_eq!(order(&pair), [0, 1, 0]);
        assert_eq!(pair.engine.status().step, Step::Up);
        assert_eq!(pair.engine.status().endpoint, 0);
        // A farewell, so that no will is published.
        assert_lost(&pair, Cause::Returning);
        assert!(pair.closes.iter().all(|(_, depth)| *depth == Depth::Pipe));
        // At the first choice there is nothing to go back to.
        pair.run_for(secs(600));
        assert_eq!(pair.trials.len(), 3);
        pair.assert_conforms();
    }
}

#[test]
fn the_second_choice_is_better_than_the_third() {
    let mut pair = brokers(3, &[0, 1], config(Version::V5));
    pair.run_until_up(secs(1));
    pair.net.listener(1).mode = Listen::Accept;
    pair.run_for(secs(61));
    let tried: Vec<_> = pair.trials.iter().map(|(_, endpoint)| *endpoint).collect();
    assert_eq!(tried, [0, 1]);
    assert_eq!(order(&pair), [0, 1, 2, 1]);
}

#[test]
fn never_if_so_configured() {
    let cfg = Config { return_after: secs(0), ..config(Version::V5) };
    let mut pair = brokers(2, &[0], cfg);
    pair.run_until_up(secs(1));
    pair.net.listener(0).mode = Listen::Accept;
    pair.run_for(secs(3600));
    network_changed(&mut pair);
    pair.run_for(secs(3600));
    assert!(pair.trials.is_empty());
}

#[test]
fn a_first_choice_that_does_not_last_is_gone_back_to_less_and_less_often() {
    let mut pair = brokers(2, &[0], config(Version::V5));
    pair.run_until_up(secs(1));
    for _ in 0..5000 {
        // It can be reached, and dies ten seconds later.
        pair.net.listener(0).mode = Listen::Accept;
        pair.run_for(secs(1));
        if pair.engine.status().endpoint == 0 {
            pair.run_for(secs(10));
            pair.net.listener(0).mode = Listen::Fail(Cause::Unreachable);
            let now = pair.now();
            pair.net.reset_client(now, 0);
            pair.run_for(secs(5));
        }
    }
    let moves: Vec<_> = pair.trials.windows(2).map(|w| w[1].0.since(w[0].0)).collect();
    assert!(moves.first().is_some_and(|gap| *gap < secs(150)), "{moves:?}");
    assert!(moves.last().is_some_and(|gap| *gap > secs(1800)), "{moves:?}");
    assert!(moves.last().is_some_and(|gap| *gap < secs(2100)), "{moves:?}");
}

#[test]
fn messages_move_along() {
    let mut pair = brokers(2, &[0], config(Version::V5));
    pair.run_until_up(secs(1));
    pair.net.path(0).set_delay(millis(40), millis(0));
    pair.net.listener(0).mode = Listen::Accept;
    let mut tags = Vec::new();
    for n in 0..700 {
        tags.push(pair.publish("t", format!("{n}").as_bytes(), Q2));
        pair.run_for(millis(100));
    }
    assert_eq!(order(&pair), [0, 1, 0]);
    for tag in tags {
        assert_eq!(pair.fate(tag, secs(5)), OK);
    }
    pair.assert_conforms();
}

/// The link is cut once all that lies over it failed, and the other link does not wait for it.
#[test]
fn each_link_is_cut_at_its_own_turn() {
    let ladder = Ladder { link_after: 2, link_hold: secs(3), ..Ladder::default() };
    // Two endpoints over the first link, one over the second.
    let cfg = Config { ladder, shared_links: 0b01, ..config(Version::V5) };
    let mut pair = brokers(3, &[0, 1, 2], cfg);
    pair.run_for(secs(60));
    let cuts: Vec<_> = pair.closes.iter().map(|(at, _)| *at).collect();
    // When it was cut, which endpoint had been tried last?
    let last = |at| pair.opens.iter().rfind(|(open, _)| *open <= at).expect("one").1;
    let cut_after: Vec<_> = cuts.iter().map(|at| last(*at)).collect();
    assert!(cut_after.len() >= 4, "{cut_after:?}");
    assert!(cut_after.iter().zip([1, 2].iter().cycle()).all(|(a, b)| a == b), "{cut_after:?}");
    // The second link is used at once after the first was cut.
    let next = pair.opens.iter().find(|(open, _)| *open > cuts[0]).expect("one");
    assert_eq!(next.1, 2);
    assert!(next.0.since(cuts[0]) < millis(100));
    // After the last one the link has its time.
    let next = pair.opens.iter().find(|(open, _)| *open > cuts[1]).expect("one");
    assert!(next.0.since(cuts[1]) >= secs(3));
}

#[test]
fn a_link_that_carries_is_left_alone() {
    for (cause, cut) in [(Cause::Refused, false), (Cause::Unreachable, true)] {
        let ladder = Ladder { link_after: 3, spare_working: true, ..Ladder::default() };
        let mut pair = Pair::new(1, engine(Config { ladder, ..config(Version::V5) }));
        pair.net.listener(0).mode = Listen::Fail(cause);
        pair.open();
        pair.run_for(secs(60));
        assert_eq!(pair.closes.iter().any(|(_, depth)| *depth == Depth::Link), cut, "{cause}");
    }
}

#[test]
fn a_change_of_the_network_ends_a_pause() {
    let mut pair = brokers(1, &[0], config(Version::V5));
    pair.run_for(secs(300));
    pair.run_until(secs(60), "a long pause", |p| {
        let status = p.engine.status();
        status.next_attempt.is_some_and(|at| at.since(p.now()) > secs(5))
    });
    pair.net.listener(0).mode = Listen::Accept;
    network_changed(&mut pair);
    pair.run_until_up(millis(60));
}

#[test]
fn but_not_one_that_a_person_has_to_end() {
    use everlink_proto::wire::ReasonCode;
    use everlink_sim::broker::Refusal;
    let mut pair = brokers(1, &[], config(Version::V5));
    let refusal = Refusal { reason: ReasonCode::NOT_AUTHORIZED, server: None };
    pair.broker().faults.refuse_connect.resize(10, refusal);
    pair.run_for(secs(1));
    for _ in 0..20 {
        network_changed(&mut pair);
        pair.run_for(millis(100));
    }
    assert_eq!(pair.opens.len(), 1);
}

#[test]
fn a_change_of_the_network_begins_an_attempt_anew_but_not_for_ever() {
    let mut pair = brokers(1, &[], config(Version::V5));
    pair.net.listener(0).mode = Listen::Hang;
    pair.run_for(secs(1));
    for _ in 0..12 {
        network_changed(&mut pair);
        pair.run_for(millis(500));
    }
    // The first, and three that were begun anew: the last one has its time.
    assert_eq!(pair.opens.len(), 4);
    pair.run_for(secs(10));
    assert!(pair.opens.len() > 4);
    assert_eq!(faults(&pair).last().map(|f| f.cause), Some(Cause::OpenTimeout));
}

/// As after a cable was out: TCP would send again only seconds after it is back.
#[test]
fn a_dead_connection_is_left_soon_after_the_network_changed() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        pair.run_for(secs(3));
        pair.net.path(0).hold();
        pair.run_for(secs(3));
        network_changed(&mut pair);
        pair.run_for(millis(600));
        assert_lost(&pair, Cause::Silent);
    }
}

#[test]
fn a_living_connection_survives_any_number_of_changes() {
    let mut pair = pair(config(Version::V5));
    pair.net.path(0).set_delay(millis(100), millis(20));
    for n in 0..50 {
        pair.publish("t", format!("{n}").as_bytes(), Q1);
        network_changed(&mut pair);
        pair.run_for(millis(777));
    }
    assert_eq!(pair.opens.len(), 1, "{}", pair.trace);
    pair.assert_conforms();
}

/// What is slow is not dead.
#[test]
fn a_slow_connection_survives_it_too() {
    let mut pair = Pair::new(1, engine(config(Version::V5)));
    pair.net.path(0).set_delay(millis(900), millis(0));
    pair.open();
    pair.run_until_up(secs(10));
    for _ in 0..5 {
        network_changed(&mut pair);
        pair.run_for(secs(4));
    }
    assert_eq!(pair.opens.len(), 1, "{}", pair.trace);
}

#[test]
fn a_change_of_the_network_is_a_reason_to_look_for_the_first_choice() {
    let mut pair = brokers(2, &[0], config(Version::V5));
    pair.run_until_up(secs(1));
    pair.net.listener(0).mode = Listen::Accept;
    network_changed(&mut pair);
    pair.run_for(millis(100));
    assert_eq!(order(&pair), [0, 1, 0]);
}
