//! Embassy's clock, stepped by the test, and futures polled by hand.
#![allow(dead_code, unreachable_pub)] // each test file uses a part of it

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use embassy_time_driver::Driver;

std::thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
    static ALARMS: RefCell<Vec<(u64, Waker)>> = const { RefCell::new(Vec::new()) };
}

struct Stepped;

embassy_time_driver::time_driver_impl!(static DRIVER: Stepped = Stepped);

impl Driver for Stepped {
    fn now(&self) -> u64 {
        NOW.get()
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        ALARMS.with_borrow_mut(|alarms| alarms.push((at, waker.clone())));
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type Task<'a> = (Pin<Box<dyn Future<Output = ()> + 'a>>, Arc<Woken>);

/// Tasks, each with a waker of its own.
#[derive(Default)]
pub struct Tasks<'a>(Vec<Task<'a>>);

/// Seconds since the test began.
pub fn now() -> f64 {
    NOW.get() as f64 / 1e6
}

impl<'a> Tasks<'a> {
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'a) {
        self.0.push((Box::pin(future), Arc::new(Woken(AtomicBool::new(true)))));
    }

    /// Runs `future` to its end beside all tasks.
    ///
    /// # Panics
    /// If it does not end within ten minutes.
    pub fn block_on<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let until = NOW.get() + 600_000_000;
        loop {
            let mut idle = true;
            if woken.0.swap(false, Ordering::Relaxed) {
                idle = false;
                let poll = future.as_mut().poll(&mut Context::from_waker(&waker));
                if let std::task::Poll::Ready(value) = poll {
                    return value;
                }
            }
            self.0.retain_mut(|(task, woken)| {
                if !woken.0.swap(false, Ordering::Relaxed) {
                    return true;
                }
                idle = false;
                let waker = Waker::from(woken.clone());
                task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
            });
            if idle {
                let next = ALARMS.with_borrow(|alarms| alarms.iter().map(|(at, _)| *at).min());
                let next = next.expect("somebody waits for nothing that will come");
                assert!(next < until, "nothing happens");
                NOW.set(next.max(NOW.get()));
                let due: Vec<_> = ALARMS.with_borrow_mut(|alarms| {
                    alarms.extract_if(.., |(at, _)| *at <= NOW.get()).collect()
                });
                due.into_iter().for_each(|(_, waker)| waker.wake());
            }
        }
    }
}

/// Lets time pass.
pub async fn sleep(time: Duration) {
    embassy_time::Timer::after_micros(time.as_micros() as u64).await;
}
