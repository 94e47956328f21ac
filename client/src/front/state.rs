//! What the application can see of the connection.

use std::time::Duration;

use everlink_proto::engine::{Fault, Step};
use tokio::time::Instant;

/// The state of the connection: which step it is at, since when, and what went wrong last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Present step; [`Step::Up`] when connected.
    pub step: Step,
    /// Since when.
    pub since: Instant,
    /// Which endpoint is in use, or is tried next; see [`Client::endpoint`](crate::Client::endpoint).
    pub endpoint: u16,
    /// The last fault since the session was last up.
    pub fault: Option<Fault>,
    /// Failed attempts in a row.
    pub attempts: u32,
    /// When the next attempt starts.
    pub next_attempt: Option<Instant>,
    /// Whether the broker still had the session when the connection came up last.
    pub resumed: bool,
    /// The driver has stopped or was dropped: nothing moves unless it runs again.
    pub stopped: bool,
}

impl State {
    /// Whether the session is connected.
    pub fn is_up(&self) -> bool {
        self.step == Step::Up
    }
}

/// Round-trip times of acknowledgements, as a histogram with a resolution of a quarter octave.
#[derive(Clone, Debug)]
pub struct Latency {
    buckets: [u64; Self::BUCKETS],
    count: u64,
    sum: Duration,
}

impl Default for Latency {
    fn default() -> Self {
        Self { buckets: [0; Self::BUCKETS], count: 0, sum: Duration::ZERO }
    }
}

impl Latency {
    const BUCKETS: usize = 128;

    pub(crate) fn record(&mut self, time: Duration) {
        let micros = time.as_micros().clamp(1, u128::from(u32::MAX)) as u64;
        let octave = micros.ilog2() as usize;
        // The two bits below the leading one.
        let quarter = if octave >= 2 { (micros >> (octave - 2)) & 3 } else { 0 } as usize;
        self.buckets[octave * 4 + quarter] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(time);
    }

    /// How many were measured.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// How many were below `time`, which is best a power of two of microseconds.
    pub fn below(&self, time: Duration) -> u64 {
        let ends = self.buckets.iter().enumerate();
        ends.filter(|(at, n)| **n > 0 && Self::end(*at) <= time).map(|(_, n)| n).sum()
    }

    /// What was measured since `earlier`, an earlier state of the same: times, rounded up, and how many.
    pub fn since(&self, earlier: &Self) -> impl Iterator<Item = (Duration, u64)> {
        let both = self.buckets.iter().zip(&earlier.buckets).enumerate();
        let news = both.map(|(at, (now, then))| (Self::end(at), now.saturating_sub(*then)));
        news.filter(|(_, n)| *n > 0)
    }

    /// Where a bucket ends.
    fn end(at: usize) -> Duration {
        let (octave, quarter) = (at / 4, at as u64 % 4);
        let micros = if octave >= 2 { (5 + quarter) << (octave - 2) } else { 2 << octave };
        Duration::from_micros(micros)
    }

    /// The time below which the given part of all round trips lies, for instance 0.99; rounded up
    /// to a quarter octave. `None` if nothing was measured.
    pub fn percentile(&self, part: f64) -> Option<Duration> {
        let wanted = (part.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let at = self.buckets.iter().position(|n| {
            seen += n;
            seen >= wanted
        })?;
        Some(Self::end(at))
    }
}
