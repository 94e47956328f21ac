//! Why the board started, memory that survives a reset, and deep sleep.
//!
//! Retained memory stands for the RTC memory of a real chip: it survives a restart and deep sleep,
//! and is lost with the power, that is with the emulator.
#![allow(unsafe_code)]

use core::fmt;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

use cortex_m::peripheral::SCB;
use embassy_time::Duration;

use crate::clock;

/// Bytes of retained memory for the program.
pub const RETAINED: usize = 2048;

/// Why the board started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Power came: nothing is retained.
    PowerOn,
    /// The program asked for it.
    Restart,
    /// The time to sleep was over.
    DeepSleep,
    /// A system reset that nobody here asked for.
    External,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::PowerOn => "power-on",
            Cause::Restart => "restart",
            Cause::DeepSleep => "deep-sleep",
            Cause::External => "external",
        })
    }
}

/// Why the board started, and the memory that survives.
pub struct Reset {
    /// The cause of this start.
    pub cause: Cause,
    /// Starts since power came, from 1.
    pub starts: u32,
    /// Survives everything but [`Cause::PowerOn`], after which it is zero.
    pub retained: &'static mut [u8; RETAINED],
}

impl Reset {
    /// To be called once, before anything else.
    pub(crate) fn take() -> Self {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        assert!(!TAKEN.swap(true, Ordering::SeqCst), "retained memory has one owner");
        let memory = &raw mut MEMORY;
        // SAFETY: once only, so there is no other reference; `reset` writes through a raw pointer, but
        // after everything else has stopped. Every field is an integer or an array of them, for which
        // any bits are valid, also those from before a reset.
        let memory = unsafe { (*memory).assume_init_mut() };
        if memory.magic != MAGIC {
            *memory = Memory { magic: MAGIC, next: POWER_ON, starts: 0, retained: [0; RETAINED] };
        }
        let cause = match memory.next {
            POWER_ON => Cause::PowerOn,
            RESTART => Cause::Restart,
            DEEP_SLEEP => Cause::DeepSleep,
            _ => Cause::External,
        };
        memory.next = EXTERNAL;
        memory.starts = memory.starts.wrapping_add(1);
        Self { cause, starts: memory.starts, retained: &mut memory.retained }
    }
}

/// Resets the board; retained memory stays.
pub fn restart() -> ! {
    reset(RESTART)
}

/// Stops everything for `time`, then resets the board; retained memory stays.
pub fn deep_sleep(time: Duration) -> ! {
    /// As long as the alarm reaches, rounded down.
    const LONGEST: u64 = 170_000_000;
    cortex_m::interrupt::disable();
    let mut left = time.as_micros();
    while left > 0 {
        let nap = left.min(LONGEST);
        clock::doze(nap);
        left -= nap;
    }
    reset(DEEP_SLEEP)
}

fn reset(cause: u32) -> ! {
    cortex_m::interrupt::disable();
    let memory = (&raw mut MEMORY).cast::<Memory>();
    // SAFETY: interrupts are off and this does not return, so nobody else looks at it any more.
    unsafe { (&raw mut (*memory).next).write_volatile(cause) };
    SCB::sys_reset()
}

#[repr(C)]
struct Memory {
    magic: u32,
    /// What the next start will be called.
    next: u32,
    starts: u32,
    retained: [u8; RETAINED],
}

const MAGIC: u32 = 0x6576_6c6b;
const POWER_ON: u32 = 0;
const RESTART: u32 = 1;
const DEEP_SLEEP: u32 = 2;
const EXTERNAL: u32 = 3;

/// Not cleared at start.
#[unsafe(link_section = ".uninit.everlink")]
static mut MEMORY: MaybeUninit<Memory> = MaybeUninit::uninit();
