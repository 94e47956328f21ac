//! Random schedules of faults of every kind, and what must hold after each: nothing accepted at
//! QoS 1 or 2 is lost or unaccounted for, nothing is doubled at QoS 2 while the broker keeps the
//! session, order per topic, no breach of the protocol, no busy loop, recovery within a bound.
//!
//! `EVERLINK_SEEDS=50000` runs so many seeds, from `EVERLINK_FIRST` on; `EVERLINK_SEED=7` repeats one
//! and prints its trace; with `EVERLINK_SURVEY=1` a failure does not end the run.

mod act;
mod ledger;
mod setup;
mod store;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use world::run;

const SEEDS: u64 = 200;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

#[test]
fn whatever_breaks_every_message_is_accounted_for() {
    if let Some(seed) = number("EVERLINK_SEED") {
        run(seed, true);
        return;
    }
    let first = number("EVERLINK_FIRST").unwrap_or(0);
    let seeds = first..first + number("EVERLINK_SEEDS").unwrap_or(SEEDS);
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let survey = number("EVERLINK_SURVEY").is_some();
    let (failed, sums) = (AtomicBool::new(false), Sums::default());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (seeds, failed, sums) = (seeds.clone(), &failed, &sums);
            scope.spawn(move || {
                for seed in seeds.skip(thread as usize).step_by(threads as usize) {
                    if failed.load(Ordering::Relaxed) && !survey {
                        return;
                    }
                    match catch_unwind(AssertUnwindSafe(|| run(seed, false))) {
                        Ok(counts) => sums.add(counts),
                        Err(_) => {
                            failed.store(true, Ordering::Relaxed);
                            eprintln!("to repeat: {}", command(seed));
                        }
                    }
                }
            });
        }
    });
    assert!(!failed.load(Ordering::Relaxed), "a seed failed; the command to repeat it is above");
    println!("{} seeds: {}", seeds.end - seeds.start, sums.text());
}

fn command(seed: u64) -> String {
    format!(
        "EVERLINK_SEED={seed} cargo test -p everlink-proto --test qos2_exactly_once_random -- --nocapture"
    )
}

/// What the runs had in them, so that one can see that they had something.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    accepted: u64,
    delivered: u64,
    received: u64,
    connections: u64,
    attempts: u64,
    repeats: u64,
    duplicates: u64,
    strays: u64,
    simulated_secs: u64,
}

#[derive(Default)]
struct Sums([AtomicU64; 9]);

impl Sums {
    fn add(&self, c: Counts) {
        let values = [
            c.accepted,
            c.delivered,
            c.received,
            c.connections,
            c.attempts,
            c.repeats,
            c.duplicates,
            c.strays,
            c.simulated_secs,
        ];
        for (sum, value) in self.0.iter().zip(values) {
            sum.fetch_add(value, Ordering::Relaxed);
        }
    }

    fn text(&self) -> String {
        let names = [
            "messages accepted",
            "delivered",
            "received",
            "connections",
            "attempts",
            "packets sent again",
            "duplicates suppressed",
            "stray acknowledgements",
            "simulated seconds",
        ];
        let parts = names
            .iter()
            .zip(&self.0)
            .map(|(name, sum)| format!("{} {name}", sum.load(Ordering::Relaxed)));
        parts.collect::<Vec<_>>().join(", ")
    }
}
