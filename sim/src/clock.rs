//! A clock that a test steps.

use everlink_proto::time::{Duration, Instant};

/// Simulated time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    now: Instant,
}

impl Clock {
    /// Where a clock starts: not at zero, where subtraction would saturate and hide mistakes.
    pub const START: Instant = Instant::from_millis(3_600_000);

    /// A clock at [`Clock::START`].
    pub const fn new() -> Self {
        Self { now: Self::START }
    }

    /// The time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Time passed since the start.
    pub const fn elapsed(&self) -> Duration {
        self.now.since(Self::START)
    }

    /// Moves on to `then`; never back.
    pub fn advance_to(&mut self, then: Instant) {
        self.now = self.now.max(then);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_forward_only() {
        let mut clock = Clock::new();
        clock.advance_to(Clock::START + Duration::from_secs(2));
        clock.advance_to(Clock::START + Duration::from_secs(1));
        assert_eq!(clock.elapsed(), Duration::from_secs(2));
    }
}
