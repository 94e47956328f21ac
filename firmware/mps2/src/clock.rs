//! Time for embassy-time at 1 MHz: TIMER0 runs free at 25 MHz, TIMER1 is the alarm.
//!
//! Nothing ticks. TIMER1 runs only when somebody waits for a time; TIMER0 interrupts every 171 s,
//! when its 32 bits are used up.

use core::cell::RefCell;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Waker;

use critical_section::Mutex;
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

use crate::irq::{self, Irq};
use crate::reg::Reg;

/// The system clock in Hz.
pub const SYSTEM_HZ: u32 = 25_000_000;
const CYCLES_PER_TICK: u64 = SYSTEM_HZ as u64 / embassy_time_driver::TICK_HZ;

/// A CMSDK timer: counts down from `value`, then from `reload`.
struct Timer {
    control: Reg,
    value: Reg,
    reload: Reg,
    interrupt: Reg,
}

impl Timer {
    const fn at(base: usize) -> Self {
        Self {
            control: Reg::at(base),
            value: Reg::at(base + 4),
            reload: Reg::at(base + 8),
            interrupt: Reg::at(base + 12),
        }
    }

    fn start(&self, cycles: u32) {
        const ENABLE: u32 = 1 << 0;
        const INTERRUPT: u32 = 1 << 3;
        self.reload.write(cycles);
        self.value.write(cycles);
        self.control.write(ENABLE | INTERRUPT);
    }

    fn stop(&self) {
        self.control.write(0);
        self.clear();
    }

    fn clear(&self) {
        self.interrupt.write(1);
    }

    fn has_fired(&self) -> bool {
        self.interrupt.read() & 1 != 0
    }
}

const CLOCK: Timer = Timer::at(0x4000_0000);
const ALARM: Timer = Timer::at(0x4000_1000);

struct Clock {
    /// How often the 32 bits of `CLOCK` were used up.
    overflows: AtomicU32,
    /// How often `ALARM` interrupted.
    alarms: AtomicU32,
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static DRIVER: Clock = Clock {
    overflows: AtomicU32::new(0),
    alarms: AtomicU32::new(0),
    queue: Mutex::new(RefCell::new(Queue::new())),
});

/// Starts time at zero.
pub(crate) fn start() {
    CLOCK.start(u32::MAX);
    irq::enable(Irq::Clock);
    irq::enable(Irq::Alarm);
}

/// How often a timer interrupted since reset: `(alarms, overflows of the clock)`.
pub(crate) fn interrupts() -> (u32, u32) {
    (DRIVER.alarms.load(Ordering::Relaxed), DRIVER.overflows.load(Ordering::Relaxed))
}

/// Sleeps without an executor, interrupts masked, for `micros` at most 2^32 cycles (171 s); for the
/// moments before a reset.
pub(crate) fn doze(micros: u64) {
    let cycles = (micros * CYCLES_PER_TICK).clamp(1, u64::from(u32::MAX));
    cortex_m::interrupt::free(|_| {
        ALARM.stop();
        ALARM.start(cycles as u32);
        while !ALARM.has_fired() {
            cortex_m::asm::wfi();
        }
        ALARM.stop();
    });
}

impl Clock {
    fn cycles(&self) -> u64 {
        critical_section::with(|_| {
            let mut value = CLOCK.value.read();
            let mut overflows = self.overflows.load(Ordering::Relaxed);
            // Used up after the last interrupt was served: `value` may be from either side.
            if CLOCK.has_fired() {
                value = CLOCK.value.read();
                overflows = overflows.wrapping_add(1);
            }
            u64::from(overflows) << 32 | u64::from(u32::MAX - value)
        })
    }

    fn set_alarm(&self, queue: &mut Queue) {
        loop {
            let next = queue.next_expiration(self.now());
            ALARM.stop();
            if next == u64::MAX {
                return;
            }
            // A time further away than the timer reaches costs an interrupt on the way.
            let cycles = next.saturating_sub(self.now()).saturating_mul(CYCLES_PER_TICK);
            if cycles > 0 {
                ALARM.start(cycles.min(u64::from(u32::MAX)) as u32);
                return;
            }
        }
    }
}

impl Driver for Clock {
    fn now(&self) -> u64 {
        self.cycles() / CYCLES_PER_TICK
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            let queue = &mut *self.queue.borrow_ref_mut(cs);
            if queue.schedule_wake(at, waker) {
                self.set_alarm(queue);
            }
        });
    }
}

pub(crate) extern "C" fn overflowed() {
    CLOCK.clear();
    let overflows = DRIVER.overflows.load(Ordering::Relaxed);
    DRIVER.overflows.store(overflows.wrapping_add(1), Ordering::Relaxed);
}

pub(crate) extern "C" fn alarm() {
    DRIVER.alarms.fetch_add(1, Ordering::Relaxed);
    critical_section::with(|cs| DRIVER.set_alarm(&mut DRIVER.queue.borrow_ref_mut(cs)));
}
