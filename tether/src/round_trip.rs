//! How long an answer may take: measured, as TCP does (RFC 6298).

use everlink_proto::time::Duration;

use crate::config::Config;

#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundTrip {
    /// Smoothed time and its variation, once there is a measurement.
    measured: Option<(Duration, Duration)>,
}

impl RoundTrip {
    pub(crate) const fn new() -> Self {
        Self { measured: None }
    }

    /// An answer to a frame that was sent once came after `time`.
    pub(crate) fn add(&mut self, time: Duration) {
        self.measured = Some(match self.measured {
            None => (time, time / 2),
            Some((mean, variation)) => {
                let off = time.abs_diff(mean);
                ((mean * 7 + time) / 8, (variation * 3 + off) / 4)
            }
        });
    }

    /// When to send again what was sent `times` times.
    pub(crate) fn patience(&self, config: &Config, times: u8) -> Duration {
        let once = match self.measured {
            Some((mean, variation)) => (mean + variation * 4).max(config.quickest),
            None => config.response,
        };
        let doubled = 1u32 << times.saturating_sub(1).min(10);
        once.saturating_mul(doubled).min(config.longest)
    }

    /// The smoothed round trip; zero before the first measurement.
    pub(crate) fn mean(&self) -> Duration {
        self.measured.map_or(Duration::ZERO, |(mean, _)| mean)
    }
}
