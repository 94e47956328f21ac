//! How long the broker takes to answer.

use crate::time::{Instant, Span};

/// Round-trip estimate as of RFC 6298, with memory of the worst of late: a path that was slow a
/// moment ago may be slow again. In microseconds, at most [`LONGEST`]: no sum below overflows, and a
/// sample comes with every acknowledgement, when `Duration` would divide by a billion each time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundTrip {
    /// Smoothed.
    pub(super) smooth: u32,
    deviation: u32,
    /// The worst of the present window and of the one before.
    worst: [u32; 2],
    window: Instant,
    samples: u32,
}

/// Round trips to be measured before they are trusted.
const ENOUGH: u32 = 4;

/// The worst round trip is remembered for one to two of these.
const WINDOW: Span = Span::from_millis(60_000);

/// Some four minutes.
pub(super) const LONGEST: u32 = 1 << 28;

impl RoundTrip {
    pub(super) fn sample(&mut self, now: Instant, t: u64) {
        let t = t.min(u64::from(LONGEST)) as u32;
        if self.samples == 0 {
            (self.smooth, self.deviation) = (t, t / 2);
        } else {
            let off = t.abs_diff(self.smooth);
            self.deviation = (self.deviation * 3 + off) / 4;
            self.smooth = (self.smooth * 7 + t) / 8;
        }
        if now >= self.window.plus(WINDOW) {
            self.worst = [0, self.worst[0]];
            self.window = now;
        }
        self.worst[0] = self.worst[0].max(t);
        self.samples = self.samples.saturating_add(1);
    }

    /// Hardly any round trip takes longer; zero before the first.
    pub(super) fn bound(&self) -> u32 {
        let worst = self.worst[0].max(self.worst[1]);
        (self.smooth + self.deviation * 4).max(worst * 2)
    }

    pub(super) fn patience(&self) -> Option<Span> {
        let patience = self.bound();
        // A few lucky round trips do not make a fast path.
        (self.samples >= ENOUGH).then(|| Span::from_millis(patience.div_ceil(1000)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    /// By hand, after RFC 6298: 7/8 and 3/4 of what was.
    #[test]
    fn means_and_deviations() {
        let mut rtt = RoundTrip::default();
        let steps = [
            (100, 1000, (1000, 500), 3000),
            (101, 1800, (1100, 575), 3600),
            (102, 1100, (1100, 431), 3600),
            (103, 1900, (1200, 523), 3800),
        ];
        for (now, t, (smooth, deviation), bound) in steps {
            assert_eq!(rtt.patience(), None, "too few are known");
            rtt.sample(at(now), t);
            assert_eq!((rtt.smooth, rtt.deviation, rtt.bound()), (smooth, deviation, bound));
        }
        // Rounded up to whole milliseconds.
        assert_eq!(rtt.patience(), Some(Span::from_millis(4)));
    }

    #[test]
    fn the_worst_is_remembered_for_a_minute_and_not_for_three() {
        let mut rtt = RoundTrip::default();
        rtt.sample(at(100), 90_000);
        for (now, worst) in [(159, [90_000, 0]), (160, [1000, 90_000]), (219, [1000, 90_000])] {
            rtt.sample(at(now), 1000);
            assert_eq!(rtt.worst, worst, "{now}");
        }
        assert_eq!(rtt.bound(), (rtt.smooth + 4 * rtt.deviation).max(180_000));
        rtt.sample(at(220), 1000);
        assert_eq!(rtt.worst, [1000, 1000]);
        rtt.sample(at(221), u64::MAX);
        assert_eq!(rtt.worst, [LONGEST, 1000]);
    }
}
