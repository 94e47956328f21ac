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
        self.0.store(to_byte(step), Ordering::Relaxed);
    }

    /// The step last set.
    pub fn get(&self) -> Step {
        from_byte(self.0.load(Ordering::Relaxed))
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

fn to_byte(step: Step) -> u8 {
    match step {
        Step::Idle => 0,
        Step::Backoff => 1,
        Step::Link => 2,
        Step::Resolve => 3,
        Step::Transport => 4,
        Step::Tls => 5,
        Step::Handshake => 6,
        Step::Up => 7,
        Step::Closing => 8,
        Step::Proxy => 9,
        Step::WebSocket => 10,
    }
}

fn from_byte(byte: u8) -> Step {
    match byte {
        1 => Step::Backoff,
        2 => Step::Link,
        3 => Step::Resolve,
        4 => Step::Transport,
        5 => Step::Tls,
        6 => Step::Handshake,
        7 => Step::Up,
        8 => Step::Closing,
        9 => Step::Proxy,
        10 => Step::WebSocket,
        _ => Step::Idle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_survives_the_byte() {
        let progress = Progress::new();
        assert_eq!(progress.get(), Step::Idle);
        let steps = [
            Step::Idle,
            Step::Backoff,
            Step::Link,
            Step::Resolve,
            Step::Transport,
            Step::Proxy,
            Step::Tls,
            Step::WebSocket,
            Step::Handshake,
            Step::Up,
            Step::Closing,
        ];
        for step in steps {
            progress.set(step);
            assert_eq!(progress.get(), step);
        }
    }
}
