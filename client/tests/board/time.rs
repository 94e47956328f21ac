//! Embassy's time, one for each test thread, that passes only when the test says so.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use embassy_time_driver::Driver;

std::thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
    static ALARMS: RefCell<Vec<(u64, Waker)>> = const { RefCell::new(Vec::new()) };
    static WAKES: Cell<u64> = const { Cell::new(0) };
}

struct Stepped;

embassy_time_driver::time_driver_impl!(static DRIVER: Stepped = Stepped);

impl Driver for Stepped {
    fn now(&self) -> u64 {
        NOW.get()
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        super::alloc::unwatched(|| {
            ALARMS.with_borrow_mut(|alarms| {
                // As embassy's queue: the earliest alarm of a task counts, it asks for the others again.
                match alarms.iter_mut().find(|(_, w)| w.will_wake(waker)) {
                    Some((earliest, _)) => *earliest = at.min(*earliest),
                    None => alarms.push((at, waker.clone())),
                }
            });
        });
    }
}

/// A new start at this time.
pub fn reset(micros: u64) {
    NOW.set(micros);
    ALARMS.with_borrow_mut(Vec::clear);
    WAKES.set(0);
}

/// The earliest alarm, in microseconds.
pub fn next_alarm() -> Option<u64> {
    ALARMS.with_borrow(|alarms| alarms.iter().map(|(at, _)| *at).min())
}

/// Sets the time and wakes whose alarm has come.
pub fn set(micros: u64) {
    NOW.set(micros);
    let due: Vec<_> =
        ALARMS.with_borrow_mut(|alarms| alarms.extract_if(.., |(at, _)| *at <= micros).collect());
    WAKES.set(WAKES.get() + due.len() as u64);
    due.into_iter().for_each(|(_, waker)| waker.wake());
}

/// How often an alarm woke somebody.
pub fn wakes() -> u64 {
    WAKES.get()
}
