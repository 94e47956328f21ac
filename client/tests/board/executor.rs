//! Polls tasks by hand, each with a waker of its own, so that a lost wake-up is seen.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use super::link::World;
use super::{LONG, alloc, time};

/// Rounds at one moment beyond which somebody is taken to spin.
const ROUNDS: usize = 10_000;

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task<'a> {
    future: Pin<Box<dyn Future<Output = ()> + 'a>>,
    woken: Arc<Woken>,
    waker: Waker,
    polls: usize,
}

/// Names a task.
#[derive(Clone, Copy, Debug)]
pub struct Id(usize);

/// Tasks, and the world they live in.
pub struct Executor<'a> {
    pub world: World,
    tasks: Vec<Option<Task<'a>>>,
}

/// Something that came about.
#[derive(Clone, Debug, Default)]
pub struct Flag(Rc<Cell<bool>>);

impl Flag {
    pub fn set(&self) {
        self.0.set(true);
    }

    pub fn get(&self) -> bool {
        self.0.get()
    }
}

impl<'a> Executor<'a> {
    pub fn new(world: World) -> Self {
        Self { world, tasks: Vec::new() }
    }

    /// Starts a task.
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'a) -> Id {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        self.tasks.push(Some(Task { future: Box::pin(future), woken, waker, polls: 0 }));
        Id(self.tasks.len() - 1)
    }

    /// Drops a task, wherever it is.
    pub fn cancel(&mut self, id: Id) {
        self.tasks[id.0] = None;
        self.world.touch();
    }

    /// Whether the task has not come to its end.
    pub fn is_alive(&self, id: Id) -> bool {
        self.tasks[id.0].is_some()
    }

    /// How often the task was polled.
    pub fn polls(&self, id: Id) -> usize {
        self.tasks[id.0].as_ref().map_or(0, |t| t.polls)
    }

    /// Runs `future` to its end beside all tasks.
    ///
    /// # Panics
    /// If it does not end within ten minutes.
    pub fn block_on<T: 'a>(&mut self, what: &str, future: impl Future<Output = T> + 'a) -> T {
        let result = Rc::new(Cell::new(None));
        let slot = result.clone();
        let id = self.spawn(async move { slot.set(Some(future.await)) });
        self.run_until(what, LONG, |ex| !ex.is_alive(id));
        result.take().expect("it has ended")
    }

    /// Lets time pass until `done`.
    ///
    /// # Panics
    /// If it does not come to that within `limit`.
    pub fn run_until(&mut self, what: &str, limit: Duration, done: impl Fn(&Self) -> bool) {
        let until = self.world.micros() + limit.as_micros() as u64;
        self.settle();
        while !done(self) {
            if !self.step(until) && !done(self) {
                self.world.fail(&format!("waited {limit:?} in vain for {what}"));
            }
        }
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.world.micros() + time.as_micros() as u64;
        self.settle();
        while self.step(until) {}
    }

    /// Lets everything happen that can happen now.
    pub fn settle(&mut self) {
        for _ in 0..ROUNDS {
            if !self.world.settle() && !self.poll_woken() {
                return;
            }
        }
        self.world.fail("at one moment there is always something more to do");
    }

    /// Moves on to what happens next, at most to `until`; `false` if there is nothing before.
    fn step(&mut self, until: u64) -> bool {
        let next = time::next_alarm().unwrap_or(u64::MAX).min(until);
        let before = self.world.micros();
        let more = self.world.step(next);
        let now = self.world.micros();
        assert!(now >= before, "time does not go back");
        time::set(now);
        self.settle();
        more || now < until
    }

    fn poll_woken(&mut self) -> bool {
        let mut any = false;
        for slot in &mut self.tasks {
            let Some(task) = slot else { continue };
            if !task.woken.0.swap(false, Ordering::Relaxed) {
                continue;
            }
            any = true;
            task.polls += 1;
            let mut cx = Context::from_waker(&task.waker);
            if alloc::watched(|| task.future.as_mut().poll(&mut cx)).is_ready() {
                *slot = None;
            }
        }
        any
    }
}
