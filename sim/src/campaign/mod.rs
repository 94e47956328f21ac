//! Random schedules of faults of every kind, and what must hold after each.
//!
//! One run is an engine, a network and a broker for some minutes of simulated time, all drawn from
//! one seed. Meanwhile and at its end it must hold:
//!
//! - whatever was accepted has exactly one outcome, and the counters add up at every step;
//! - what is "delivered" the broker took, and nothing was given up that it had taken;
//! - messages to one topic arrive in the order in which they were accepted, both ways;
//! - at QoS 2 nothing is doubled, both ways, while the broker keeps the session;
//! - queue and window stay within their limits;
//! - no packet breaks a rule of the standard: [`check`](crate::check) watches the wire;
//! - there is always a timer, none lies too far ahead, and none wakes the engine for nothing;
//! - attempts to connect are few, and once nothing is in the way the session is up in bounded
//!   time, everything is delivered, and the connection stays.
//!
//! A run panics where one of these fails. Each of its steps draws from a seed of its own, so that
//! steps can be [left out](Plan::only) without a change to the others.

mod act;
mod ledger;
mod many;
mod setup;
mod store;
mod world;

use std::collections::{BTreeMap, BTreeSet};

pub use many::{Failure, many, one, shrink};

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Everything is drawn from it.
    pub seed: u64,
    /// The steps to take; all if `None`.
    pub only: Option<BTreeSet<usize>>,
    /// Print the trace.
    pub verbose: bool,
}

impl Plan {
    /// The whole schedule of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    fn takes(&self, step: usize) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&step))
    }
}

/// What runs had in them, so that one can see that they had something.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Runs.
    pub seeds: u64,
    /// Messages accepted.
    pub accepted: u64,
    /// Of these, delivered.
    pub delivered: u64,
    /// Messages received.
    pub received: u64,
    /// Connections made.
    pub connections: u64,
    /// Attempts to connect.
    pub attempts: u64,
    /// Packets sent again.
    pub repeats: u64,
    /// Duplicates suppressed.
    pub duplicates: u64,
    /// Acknowledgements of nothing.
    pub strays: u64,
    /// Simulated time.
    pub seconds: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// Faults of all kinds.
    pub fn all_faults(&self) -> u64 {
        self.faults.values().sum()
    }

    fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.received += other.received;
        self.connections += other.connections;
        self.attempts += other.attempts;
        self.repeats += other.repeats;
        self.duplicates += other.duplicates;
        self.strays += other.strays;
        self.seconds += other.seconds;
        for (name, n) in &other.faults {
            *self.faults.entry(name).or_default() += n;
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seeds, accepted, delivered, received, connections, .. } = self;
        let Self { attempts, repeats, duplicates, strays, seconds, .. } = self;
        write!(
            f,
            "{seeds} seeds: {accepted} messages accepted, {delivered} delivered, {received} \
             received; {} faults, {attempts} attempts, {connections} connections, {repeats} \
             packets sent again, {duplicates} duplicates suppressed, {strays} stray \
             acknowledgements; {seconds} simulated seconds",
            self.all_faults()
        )
    }
}

/// One run; what it had in it.
///
/// # Panics
/// If something does not hold; the message begins with what.
pub fn run(plan: &Plan) -> Counts {
    world::run(plan)
}
