//! What the application can see of the connection.

use embassy_time::Instant;
use everlink_proto::engine::{Fault, Status, Step};

use super::clock::tick;

/// The state of the connection: which step it is at, since when, and what went wrong last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Present step; [`Step::Up`] when connected.
    pub step: Step,
    /// Since when.
    pub since: Instant,
    /// The last fault since the session was last up.
    pub fault: Option<Fault>,
    /// Failed attempts in a row.
    pub attempts: u32,
    /// When the next attempt starts.
    pub next_attempt: Option<Instant>,
    /// Whether the broker still had the session when the connection came up last.
    pub resumed: bool,
}

impl State {
    /// Never opened.
    pub(super) const IDLE: Self = Self {
        step: Step::Idle,
        since: Instant::from_ticks(0),
        fault: None,
        attempts: 0,
        next_attempt: None,
        resumed: false,
    };

    /// Whether the session is connected.
    pub fn is_up(&self) -> bool {
        self.step == Step::Up
    }
}

impl From<Status> for State {
    fn from(status: Status) -> Self {
        Self {
            step: status.step,
            since: tick(status.since),
            fault: status.fault,
            attempts: status.attempts,
            next_attempt: status.next_attempt.map(tick),
            resumed: status.resumed,
        }
    }
}
