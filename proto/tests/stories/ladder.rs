//! The recovery ladder: how deep each failure cuts, how long to stay down, which endpoint is next.

use everlink_proto::engine::{Cause, Depth};
use everlink_proto::session::{Config, Ladder};
use everlink_proto::wire::Version;
use everlink_sim::netem::Listen;
use everlink_sim::pair::Pair;

use crate::support::*;

fn failing(cfg: Config) -> Pair<Engine> {
    let mut pair = Pair::new(1, engine(cfg));
    pair.net.listener(0).mode = Listen::Fail(Cause::Refused);
    pair.endpoints = vec![0; 3];
    pair.open();
    pair
}

fn ladder() -> Ladder {
    Ladder {
        pipe_hold: secs(1),
        link_after: 3,
        link_hold: secs(5),
        device_after: 6,
        device_hold: secs(20),
        spare_working: false,
    }
}

#[test]
fn each_rung_at_its_turn_and_for_its_time() {
    let mut pair = failing(Config { ladder: ladder(), ..config(Version::V5) });
    pair.run_for(secs(90));
    let depths: Vec<_> = pair.closes.iter().map(|(_, depth)| *depth).collect();
    // A connection that was never open needs no closing on the first rung.
    assert_eq!(depths[..4], [Depth::Link, Depth::Device, Depth::Link, Depth::Device]);
    let pauses: Vec<_> = pair.opens.windows(2).map(|w| w[1].0.since(w[0].0)).collect();
    for (n, pause) in pauses.iter().enumerate() {
        let hold = match n + 1 {
            n if n % 6 == 0 => secs(20),
            n if n % 3 == 0 => secs(5),
            _ => secs(1),
        };
        assert!(*pause >= hold && *pause < hold + secs(8), "{n}: {pauses:?}");
    }
}

#[test]
fn off_by_default() {
    let mut pair = failing(config(Version::V5));
    pair.run_for(secs(600));
    assert!(pair.closes.iter().all(|(_, depth)| *depth == Depth::Pipe));
}

#[test]
fn a_connection_ends_the_row() {
    let mut pair = failing(Config { ladder: ladder(), ..config(Version::V5) });
    pair.run_for(millis(1_500));
    assert_eq!(pair.opens.len(), 2);
    pair.net.listener(0).mode = Listen::Accept;
    pair.run_until_up(secs(5));
    pair.run_for(secs(5));
    pair.kill_broker();
    pair.run_for(millis(1_900));
    assert!(pair.closes.iter().all(|(_, depth)| *depth == Depth::Pipe), "{:?}", pair.closes);
    pair.run_for(secs(10));
    assert_eq!(pair.closes.first().map(|(_, depth)| *depth), Some(Depth::Link));
}

#[test]
fn endpoints_take_turns_until_one_works() {
    let mut pair = failing(Config { endpoints: 3, ..config(Version::V5) });
    pair.run_for(secs(30));
    let order: Vec<_> = pair.opens.iter().map(|(_, endpoint)| *endpoint).take(7).collect();
    assert_eq!(order, [0, 1, 2, 0, 1, 2, 0]);
    pair.net.listener(0).mode = Listen::Accept;
    pair.run_until_up(secs(31));
    let good = pair.opens.last().map(|(_, endpoint)| *endpoint);
    // The one that worked is tried again first.
    let now = pair.now();
    pair.net.reset_client(now, 0);
    pair.run_until_up(secs(5));
    assert_eq!(pair.opens.last().map(|(_, endpoint)| *endpoint), good);
}
