//! How far opening a connection has come.

use core::sync::atomic::{AtomicU8, Ordering};

use everlink_proto::engine::Step;

/// How far [`Link::open`](crate::Link::open) has come; set by the link, read by the driver, which
/// reports it as state. A plain byte, so that it may be shared wherever bytes can be.
#[derive(Debug)]
pub struct Progress(AtomicU8);

impl Progress {
    /// Nothing begun: [`Step::Idle`].
    pub const fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// Says that opening has come to `step`.
    pub fn set(&self, step: Step) {
        self.0.store(step as u8, Ordering::Relaxed);
    }

    /// The step last set.
    pub fn get(&self) -> Step {
        let number = usize::from(self.0.load(Ordering::Relaxed));
        Step::ALL.get(number).copied().unwrap_or(Step::Idle)
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_survives_the_byte() {
        let progress = Progress::new();
        assert_eq!(progress.get(), Step::Idle);
        for step in Step::ALL {
            progress.set(step);
            assert_eq!(progress.get(), step);
        }
    }
}
