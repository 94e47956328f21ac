//! Embassy's time as the driver's clock.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use embassy_time::{Duration, Timer};
use everlink_proto::time::Instant;

use crate::driver::Clock;

/// Embassy's clock, which starts with the board.
#[derive(Clone, Copy, Debug)]
pub(super) struct EmbassyClock;

/// The present time.
pub(super) fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}

/// The first tick at which [`now`] has reached `at`.
pub(super) fn tick(at: Instant) -> embassy_time::Instant {
    let tick = embassy_time::Instant::from_micros(at.as_micros());
    if tick.as_micros() < at.as_micros() { tick + Duration::from_ticks(1) } else { tick }
}

/// Embassy's duration, which counts ticks: rounded up.
pub(super) fn duration(d: core::time::Duration) -> Duration {
    let micros = d.as_secs().saturating_mul(1_000_000).saturating_add(d.subsec_micros().into());
    // Beyond a century it makes no difference, and ticks cannot overflow.
    Duration::from_micros(micros.min(1 << 52))
}

impl Clock for EmbassyClock {
    fn now(&self) -> Instant {
        now()
    }

    fn poll_alarm(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = at else { return Poll::Pending };
        if at <= now() {
            return Poll::Ready(());
        }
        // A new timer is pending at first, and the time driver keeps only the waker and the time.
        Pin::new(&mut Timer::at(tick(at))).poll(cx)
    }
}
