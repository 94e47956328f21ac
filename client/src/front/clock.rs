//! Tokio's time as the driver's clock.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use everlink_proto::time::Instant;
use tokio::time::Sleep;

use crate::driver::Clock;

/// Counts from when it was made.
#[derive(Debug)]
pub(crate) struct TokioClock {
    start: tokio::time::Instant,
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Instant,
}

impl TokioClock {
    pub(crate) fn starting_at(start: tokio::time::Instant) -> Self {
        Self { start, sleep: None, armed: Instant::MAX }
    }
}

/// The present time of a clock started at `start`.
pub(crate) fn now(start: tokio::time::Instant) -> Instant {
    Instant::from_micros(start.elapsed().as_micros() as u64)
}

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        now(self.start)
    }

    fn poll_alarm(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = at else { return Poll::Pending };
        let now = self.now();
        if at <= now {
            return Poll::Ready(());
        }
        // Moving a timer costs more than an early wake-up, and deadlines mostly move away.
        let sleep = match &mut self.sleep {
            Some(sleep) if self.armed <= at && self.armed > now => sleep,
            sleep => {
                let deadline = tokio::time::Instant::now() + at.since(now);
                self.armed = at;
                match sleep {
                    Some(sleep) => {
                        sleep.as_mut().reset(deadline);
                        sleep
                    }
                    None => sleep.insert(Box::pin(tokio::time::sleep_until(deadline))),
                }
            }
        };
        sleep.as_mut().poll(cx)
    }
}
