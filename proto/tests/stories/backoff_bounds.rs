//! The pauses between attempts.

use everlink_proto::engine::Cause;
use everlink_proto::session::{Backoff, Config};
use everlink_proto::time::Duration;
use everlink_proto::wire::{ReasonCode, Version};
use everlink_sim::netem::Listen;
use everlink_sim::pair::Pair;

use crate::support::*;

/// Pauses between the attempts of an hour without a broker.
fn pauses(seed: u64, cause: Cause, backoff: Backoff) -> Vec<Duration> {
    let mut pair = Pair::new(1, engine(Config { seed, backoff, ..config(Version::V5) }));
    pair.net.listener(0).mode = Listen::Fail(cause);
    pair.open();
    pair.run_for(secs(3_600));
    pair.opens.windows(2).map(|w| w[1].0.since(w[0].0)).collect()
}

#[test]
fn within_their_bounds_at_every_step() {
    for seed in 0..50 {
        let mut outage = Duration::ZERO;
        for (n, pause) in pauses(seed, Cause::Refused, Backoff::default()).into_iter().enumerate() {
            let step = millis(250) * (1 << n.min(10));
            let patience = (outage / 10).max(secs(2));
            let upper = step.min(patience).min(secs(30));
            assert!(pause >= Backoff::FLOOR && pause <= upper, "{seed} {n}: {pause:?} > {upper:?}");
            outage += pause;
        }
    }
}

#[test]
fn spread_evenly_over_a_fleet() {
    let mut counts = [0; 10];
    for seed in 0..2_000 {
        let mut pair = Pair::new(1, engine(Config { seed, ..config(Version::V5) }));
        pair.net.listener(0).mode = Listen::Fail(Cause::Refused);
        pair.open();
        pair.run_until(secs(1), "the second attempt", |pair| pair.opens.len() == 2);
        // Between 50 and 250 ms.
        let pause = pair.opens[1].0.since(pair.opens[0].0).as_millis() as usize;
        counts[(pause - 50).min(199) / 20] += 1;
    }
    assert!(counts.iter().all(|n| (140..260).contains(n)), "{counts:?}");
}

#[test]
fn few_attempts_in_a_long_outage() {
    for seed in 0..20 {
        let count = pauses(seed, Cause::Refused, Backoff::default()).len();
        // 30 s at most and half of it on average, once the outage has lasted 5 minutes.
        assert!((200..600).contains(&count), "{count}");
    }
}

#[test]
fn slower_where_only_a_person_can_help() {
    for cause in [Cause::Tls, Cause::RefusedByBroker(ReasonCode::NOT_AUTHORIZED)] {
        for seed in 0..20 {
            let all = pauses(seed, cause, Backoff::default());
            assert!(all.iter().all(|p| *p >= secs(5) && *p <= secs(30)), "{all:?}");
        }
    }
}

#[test]
fn a_broker_that_refuses_the_password_is_asked_seldom() {
    for version in VERSIONS {
        let mut pair = Pair::new(1, engine(config(version)));
        pair.broker().cfg.login = Some(("user".to_owned(), b"secret".to_vec()));
        pair.open();
        pair.run_for(secs(60));
        assert!(pair.opens.len() <= 12, "{}", pair.opens.len());
        let reason = ReasonCode::BAD_USER_NAME_OR_PASSWORD;
        assert_eq!(faults(&pair).last().map(|f| f.cause), Some(Cause::RefusedByBroker(reason)));
    }
}

#[test]
fn a_stable_connection_starts_anew() {
    let mut pair = pair(config(Version::V5));
    for _ in 0..20 {
        pair.run_for(secs(2));
        let now = pair.now();
        pair.net.reset_client(now, 0);
        pair.run_until_up(millis(251));
    }
}

#[test]
fn a_broker_that_throws_us_out_at_once_is_not_hammered() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        for _ in 0..600 {
            pair.broker().disconnect("host-0", ReasonCode::SERVER_BUSY, None);
            pair.run_for(millis(100));
        }
        assert!(pair.opens.len() < 250, "{} attempts in a minute", pair.opens.len());
    }
}
