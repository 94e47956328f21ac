//! What happened since reset: shows whether an idle board sleeps.

use core::fmt;

use embassy_time::{Duration, Instant};

use crate::{clock, eth, executor, uart};

/// Counts since reset, or between two readings.
#[derive(Clone, Copy, Debug)]
pub struct Counters {
    /// The time of the reading, or between the readings.
    pub time: Duration,
    /// Time asleep.
    pub asleep: Duration,
    /// How often the processor woke.
    pub wakeups: u32,
    /// Interrupts of the alarm: somebody waited for a time.
    pub alarms: u32,
    /// Interrupts of the clock: one in 171 s, to count on beyond 32 bits.
    pub clock_overflows: u32,
    /// Interrupts of both UARTs.
    pub uart_interrupts: u32,
    /// Ethernet frames received.
    pub frames_received: u32,
    /// Ethernet frames sent.
    pub frames_sent: u32,
}

impl Counters {
    /// The counts since reset.
    pub fn read() -> Self {
        let (wakeups, asleep) = executor::sleep_total();
        let (alarms, clock_overflows) = clock::interrupts();
        let (frames_received, frames_sent) = eth::frames();
        Self {
            time: Duration::from_ticks(Instant::now().as_ticks()),
            asleep,
            wakeups,
            alarms,
            clock_overflows,
            uart_interrupts: uart::interrupts(),
            frames_received,
            frames_sent,
        }
    }

    /// What happened after `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            time: self.time - earlier.time,
            asleep: self.asleep - earlier.asleep,
            wakeups: self.wakeups.wrapping_sub(earlier.wakeups),
            alarms: self.alarms.wrapping_sub(earlier.alarms),
            clock_overflows: self.clock_overflows.wrapping_sub(earlier.clock_overflows),
            uart_interrupts: self.uart_interrupts.wrapping_sub(earlier.uart_interrupts),
            frames_received: self.frames_received.wrapping_sub(earlier.frames_received),
            frames_sent: self.frames_sent.wrapping_sub(earlier.frames_sent),
        }
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "us={} awake_us={} wakeups={} alarms={} overflows={} uart={} rx={} tx={}",
            self.time.as_micros(),
            (self.time - self.asleep).as_micros(),
            self.wakeups,
            self.alarms,
            self.clock_overflows,
            self.uart_interrupts,
            self.frames_received,
            self.frames_sent,
        )
    }
}
