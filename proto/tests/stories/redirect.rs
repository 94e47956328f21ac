//! The broker sends us elsewhere (MQTT 5).

use everlink_proto::session::Config;
use everlink_proto::wire::{ReasonCode, Version};
use everlink_sim::broker::{Broker, Refusal};
use everlink_sim::pair::Pair;

use crate::support::*;

/// Two brokers; the second is known as `other`, if the application follows.
fn two(follow: bool) -> Pair<Engine> {
    let mut pair = Pair::new(1, engine(config(Version::V5)));
    let other = pair.add_server(Broker::new(2));
    if follow {
        pair.inbox.servers.insert("other".to_owned(), other);
    }
    pair
}

fn refusal(reason: ReasonCode) -> Refusal {
    Refusal { reason, server: Some("other".to_owned()) }
}

#[test]
fn at_connecting_without_a_pause() {
    for (reason, permanent) in
        [(ReasonCode::USE_ANOTHER_SERVER, false), (ReasonCode::SERVER_MOVED, true)]
    {
        let mut pair = two(true);
        pair.broker().faults.refuse_connect.push_back(refusal(reason));
        pair.open();
        pair.run_until_up(millis(1));
        assert_eq!(pair.inbox.redirects, [("other".to_owned(), permanent)]);
        assert!(pair.servers[1].is_connected("host-0"));
    }
}

#[test]
fn in_the_middle_of_things_nothing_is_lost() {
    let mut pair = two(true);
    pair.open();
    pair.run_until_up(secs(1));
    let first = pair.publish("t", b"1", Q2);
    pair.fate(first, secs(1));
    pair.broker().disconnect("host-0", ReasonCode::USE_ANOTHER_SERVER, Some("other"));
    let second = pair.publish("t", b"2", Q2);
    assert_eq!(pair.fate(second, secs(1)), OK);
    let texts = |n: usize| pair.servers[n].accepted().iter().map(|a| a.text()).collect::<Vec<_>>();
    assert_eq!((texts(0), texts(1)), (vec!["1".to_owned()], vec!["2".to_owned()]));
}

#[test]
fn an_application_that_does_not_follow_stays() {
    let mut pair = two(false);
    pair.broker().faults.refuse_connect.push_back(refusal(ReasonCode::USE_ANOTHER_SERVER));
    pair.open();
    pair.run_until_up(secs(10));
    assert!(pair.servers[0].is_connected("host-0"));
    assert_eq!(pair.opens.len(), 2);
}

#[test]
fn two_brokers_that_point_at_each_other_cause_no_busy_loop() {
    let mut pair = two(true);
    pair.inbox.servers.insert("first".to_owned(), 0);
    let back = Refusal { reason: ReasonCode::SERVER_MOVED, server: Some("first".to_owned()) };
    for _ in 0..200 {
        pair.servers[0].faults.refuse_connect.push_back(refusal(ReasonCode::SERVER_MOVED));
        pair.servers[1].faults.refuse_connect.push_back(back.clone());
    }
    pair.open();
    pair.run_for(secs(60));
    assert!(pair.opens.len() < 100, "{} attempts in a minute", pair.opens.len());
}

/// Found by the campaign: each connection that comes up seemed to end the row of failures.
#[test]
fn a_broker_that_accepts_and_then_points_at_itself_causes_no_busy_loop() {
    let mut pair = two(true);
    pair.inbox.servers.insert("first".to_owned(), 0);
    let here = Refusal { reason: ReasonCode::SERVER_MOVED, server: Some("first".to_owned()) };
    pair.broker().faults.send_away.resize(10_000, here);
    pair.open();
    pair.run_for(secs(60));
    assert!(pair.opens.len() < 300, "{} attempts in a minute", pair.opens.len());
}

/// To be sent elsewhere is no failure: the endpoint in use keeps its turn.
#[test]
fn the_endpoint_is_not_left_for_it() {
    let mut pair = Pair::new(1, engine(Config { endpoints: 2, ..config(Version::V5) }));
    pair.endpoints = vec![0; 2];
    pair.inbox.servers.insert("other".to_owned(), 0);
    pair.broker().faults.refuse_connect.push_back(refusal(ReasonCode::USE_ANOTHER_SERVER));
    pair.open();
    pair.run_until_up(secs(1));
    let endpoints: Vec<_> = pair.opens.iter().map(|(_, endpoint)| *endpoint).collect();
    assert_eq!(endpoints, [0, 0]);
}
