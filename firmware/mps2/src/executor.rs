//! A single-threaded executor that sleeps with WFI, and knows how much it slept.
//!
//! embassy's own sleeps with WFE, which QEMU 7.2 carries out as "yield": an idle board would burn a
//! whole core of the host.
#![allow(unsafe_code)]

use core::cell::Cell;
use core::sync::atomic::{AtomicBool, Ordering};

use critical_section::Mutex;
use embassy_executor::{Spawner, raw};
use embassy_time::{Duration, Instant};
use static_cell::StaticCell;

static PENDING: AtomicBool = AtomicBool::new(false);
static SLEEP: Mutex<Cell<Sleep>> = Mutex::new(Cell::new(Sleep { wakeups: 0, asleep: 0 }));

#[derive(Clone, Copy)]
struct Sleep {
    wakeups: u32,
    /// In ticks.
    asleep: u64,
}

/// How often the processor woke from sleep since reset, and how long it slept in all.
pub(crate) fn sleep_total() -> (u32, Duration) {
    let sleep = critical_section::with(|cs| SLEEP.borrow(cs).get());
    (sleep.wakeups, Duration::from_ticks(sleep.asleep))
}

/// Runs the tasks that `init` spawns, for ever.
pub(crate) fn run(init: impl FnOnce(Spawner)) -> ! {
    static EXECUTOR: StaticCell<raw::Executor> = StaticCell::new();
    let executor = EXECUTOR.init(raw::Executor::new(core::ptr::null_mut()));
    init(executor.spawner());
    loop {
        PENDING.store(false, Ordering::SeqCst);
        // SAFETY: called here only, never from the pender, and `EXECUTOR` is initialised.
        unsafe { executor.poll() };
        sleep();
    }
}

/// Waits for an interrupt unless a task is due. WFI wakes for a masked interrupt too, so none is
/// lost between the check and the sleep.
fn sleep() {
    cortex_m::interrupt::free(|_| {
        if PENDING.load(Ordering::SeqCst) {
            return;
        }
        let before = Instant::now();
        cortex_m::asm::wfi();
        let slept = before.elapsed().as_ticks();
        critical_section::with(|cs| {
            let Sleep { wakeups, asleep } = SLEEP.borrow(cs).get();
            SLEEP
                .borrow(cs)
                .set(Sleep { wakeups: wakeups.wrapping_add(1), asleep: asleep + slept });
        });
    });
}

/// Called by embassy-executor, also from interrupts, when a task is due.
#[unsafe(export_name = "__pender")]
fn pend(_context: *mut ()) {
    PENDING.store(true, Ordering::SeqCst);
}
