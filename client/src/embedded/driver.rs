//! What moves everything.

use core::future::Future;

use embassy_sync::blocking_mutex::raw::RawMutex;
use everlink_link::{Buffer, Link};
use everlink_proto::engine::{Cause, Engine, Fault, Input, Step};
use everlink_proto::store::{FixedStore, Store};

use super::clock::EmbassyClock;
use super::hub::Hub;
use super::share::HubShare;
use crate::driver::Finished;

/// Moves everything while its [`run`](Self::run) is polled: spawn it as a task of its own, or await it
/// beside the application. Made by [`Hub::driver`].
///
/// Dropping it tells everybody who waits that the client is closed.
#[must_use = "nothing moves unless the driver runs"]
pub struct Driver<'m, M: RawMutex, L, B = &'m mut [u8], S: Store = FixedStore<'m>> {
    inner: crate::driver::Driver<L, HubShare<'m, M, S>, EmbassyClock, B>,
    guard: Guard<'m, M, S>,
}

impl<M: RawMutex, L, B, S: Store> core::fmt::Debug for Driver<'_, M, L, B, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl<'m, M: RawMutex, L: Link, B: Buffer, S: Store> Driver<'m, M, L, B, S> {
    pub(super) fn new(hub: &'m Hub<'m, M, S>, link: L, receive: B, transmit: B) -> Self {
        let share = HubShare(hub);
        let inner = crate::driver::Driver::new(link, share, EmbassyClock, receive, transmit);
        Self { inner, guard: Guard(hub) }
    }

    /// What it drives.
    pub(super) fn hub(&self) -> &'m Hub<'m, M, S> {
        self.guard.0
    }

    /// The client counts as open, whether or not it is driven.
    pub(super) fn reopen(&self) {
        self.guard.0.with(|core, now| {
            core.front.closed = false;
            core.engine.open(now);
        });
    }

    /// Connects, and runs until the client is closed or, if the first-connect policy says so,
    /// gives up. Can be called again, any number of times: what is held goes out then.
    ///
    /// The client counts as open from this call on, before the future is first polled. Cancel-safe:
    /// dropping the future drops the connection at once, without DISCONNECT. Who waits goes on
    /// waiting, for the next call.
    pub fn run(&mut self) -> impl Future<Output = Finished> {
        self.reopen();
        let running = Running(self.guard.0);
        let inner = &mut self.inner;
        async move {
            let _running = running;
            inner.run().await
        }
    }
}

/// Tells the engine when its connection is dropped with the future.
struct Running<'m, M: RawMutex, S: Store>(&'m Hub<'m, M, S>);

impl<M: RawMutex, S: Store> Drop for Running<'_, M, S> {
    fn drop(&mut self) {
        self.0.with(|core, now| {
            let fault = Fault::new(Step::Transport, Cause::Requested);
            let _ = core.engine.handle(now, Input::Closed(fault), &mut core.front);
            core.driver = None;
        });
    }
}

/// Tells everybody who waits when the driver is dropped.
struct Guard<'m, M: RawMutex, S: Store>(&'m Hub<'m, M, S>);

impl<M: RawMutex, S: Store> Drop for Guard<'_, M, S> {
    fn drop(&mut self) {
        self.0.with(|core, _| core.front.close());
    }
}
