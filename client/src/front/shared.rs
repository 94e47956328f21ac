//! The engine and what belongs to it, shared by the driver and all handles.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
#[cfg(feature = "store")]
use std::task::Poll;
use std::task::{Context, Waker};

use everlink_proto::engine::{Cause, Engine, Event, Fault, Input, Receipt, Refused, Status, Step};
use everlink_proto::time::Instant;
use everlink_proto::wire::{Disconnect, Properties, ReasonCode};
use tokio::sync::watch;

use super::clock;
use super::engine::Engine_;
#[cfg(feature = "store")]
use super::engine::Session_;
use super::inbox::Front;
use super::state::State;
use super::waiters::owned_user_properties;
use crate::driver::Share;

/// What the broker said when it last accepted, refused or ended the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerInfo {
    /// Reason Code of CONNACK or DISCONNECT.
    pub reason: ReasonCode,
    /// Its own words.
    pub reason_string: Option<String>,
    /// Response Information: the base of response topics, if it was requested.
    pub response_information: Option<String>,
    /// Another server to use.
    pub server_reference: Option<String>,
    /// User properties in order.
    pub user_properties: Vec<(String, String)>,
}

impl BrokerInfo {
    pub(crate) fn new(reason: ReasonCode, props: &Properties<'_>) -> Self {
        Self {
            reason,
            reason_string: props.reason_string().map(str::to_owned),
            response_information: props.response_information().map(str::to_owned),
            server_reference: props.server_reference().map(str::to_owned),
            user_properties: owned_user_properties(props),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    core: Mutex<Core>,
    start: tokio::time::Instant,
    state: watch::Sender<State>,
}

#[derive(Debug)]
struct Core {
    engine: Engine_,
    front: Front,
    driver: Option<Waker>,
    /// The driver was woken and has not yet looked.
    kicked: bool,
    /// How often it looked.
    turns: u64,
    /// The state as last shown, and whether the driver had stopped.
    shown: (Status, bool),
}

impl Shared {
    pub(crate) fn new(engine: Engine_, front: Front) -> Arc<Self> {
        let start = tokio::time::Instant::now();
        let shown = (engine.status(), false);
        let state = watch::Sender::new(state(&shown, start));
        Arc::new_cyclic(|weak| {
            let front = Front { shared: weak.clone(), ..front };
            let core = Core { engine, front, driver: None, kicked: false, turns: 0, shown };
            Self { core: Mutex::new(core), start, state }
        })
    }

    pub(crate) fn start(&self) -> tokio::time::Instant {
        self.start
    }

    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// See [`Client::turns`](super::Client::turns).
    pub(crate) fn turns(&self) -> u64 {
        self.lock().turns
    }

    /// The state at this moment, also if the driver has not shown it yet.
    pub(crate) fn state(&self) -> State {
        self.look(|engine, front| state(&(engine.status(), front.is_closed()), self.start))
    }

    /// Unlocks, shows the state if it has changed, then wakes.
    ///
    /// Only the driver does this, so that an older state cannot come last; and never under the
    /// lock, because whoever looks at the state right now holds up the showing.
    fn show(&self, mut core: MutexGuard<'_, Core>) {
        let present = (core.engine.status(), core.front.is_closed());
        let changed = core.shown != present;
        core.shown = present;
        let wakes = core.front.wakes.take();
        drop(core);
        if changed {
            self.state.send_replace(state(&present, self.start));
        }
        wakes.wake();
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        // A panic while the lock was held would be a bug of ours; the engine's invariants do not
        // depend on unwinding, so the others go on.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the engine.
    pub(crate) fn look<R>(&self, f: impl FnOnce(&Engine_, &mut Front) -> R) -> R {
        let core = &mut *self.lock();
        f(&core.engine, &mut core.front)
    }

    /// Changes the engine and lets the driver know.
    pub(crate) fn change<R>(&self, f: impl FnOnce(&mut Engine_, &mut Front, Instant) -> R) -> R {
        let now = clock::now(self.start);
        let mut guard = self.lock();
        let core = &mut *guard;
        let result = f(&mut core.engine, &mut core.front, now);
        core.notice_idle();
        core.keep();
        core.kick();
        guard.release();
        result
    }

    /// As [`look`](Self::look), for the keeper, to change what the driver need not know of.
    #[cfg(feature = "store")]
    pub(crate) fn reach<R: Default>(&self, f: impl FnOnce(&mut Session_, &mut Front) -> R) -> R {
        let core = &mut *self.lock();
        let Some(session) = core.engine.session_mut() else { return R::default() };
        f(session, &mut core.front)
    }

    /// What the keeper has to say.
    #[cfg(feature = "store")]
    pub(crate) fn settle(&self, f: impl FnOnce(&mut Session_, &mut Front)) {
        self.change(|engine, front, _| {
            if let Some(session) = engine.session_mut() {
                f(session, front);
            }
        });
    }

    /// The present time.
    #[cfg(feature = "store")]
    pub(crate) fn now(&self) -> Instant {
        clock::now(self.start)
    }

    /// See [`Client::saved`](super::Client::saved).
    #[cfg(feature = "store")]
    pub(crate) async fn saved(&self) -> bool {
        let mut place = super::wakes::Place::new(self, |front| &mut front.saved);
        std::future::poll_fn(|cx| {
            self.look(|engine, front| {
                let Some((keep, engine)) = front.keep.as_mut().zip(engine.session()) else {
                    return Poll::Ready(true);
                };
                if keep.is_saved(engine) || keep.trouble.is_some() {
                    return Poll::Ready(keep.is_saved(engine));
                }
                keep.hurry = true;
                keep.kick();
                place.wait(front, cx);
                Poll::Pending
            })
        })
        .await
    }

    /// As [`change`](Self::change), for publishing: the state of the connection stays as it is, and
    /// unless something may expire, nobody asks for the time.
    #[inline]
    pub(crate) fn submit<R>(
        &self,
        expires: bool,
        f: impl FnOnce(&mut Engine_, &mut Front, Instant) -> R,
    ) -> R {
        let mut guard = self.lock();
        let core = &mut *guard;
        let timed = expires || core.engine.is_expiring();
        let now = if timed { clock::now(self.start) } else { core.engine.seen() };
        let result = f(&mut core.engine, &mut core.front, now);
        core.kick();
        guard.release();
        result
    }

    /// The application waits for an answer of the broker until the guard is dropped.
    pub(crate) fn awaiting(&self) -> Awaiting<'_> {
        self.look(|_, front| front.awaited += 1);
        Awaiting(self)
    }

    pub(crate) fn acknowledge(&self, receipt: Receipt) -> Result<(), Refused> {
        self.change(|engine, _, now| engine.acknowledge(now, receipt))
    }

    /// The driver is gone: nothing will move any more.
    pub(crate) fn abandoned(&self) {
        let now = clock::now(self.start);
        let mut guard = self.lock();
        let Core { engine, front, .. } = &mut *guard;
        let fault = Fault::new(Step::Transport, Cause::Requested);
        let _ = engine.handle(now, Input::Closed(fault), front);
        engine.close(now, Disconnect::default());
        front.close();
        guard.keep();
        self.show(guard);
    }
}

impl Core {
    /// Wakes those who wait for the end of every message, if it has come.
    fn notice_idle(&mut self) {
        if !self.front.idle.is_empty() && self.front.held(&self.engine) == 0 {
            self.front.idle.wake(&mut self.front.wakes);
        }
    }

    /// Acknowledges what full channels have dropped: nobody else will.
    fn acknowledge_dropped(&mut self) {
        if self.front.streams.dropped.is_empty() {
            return;
        }
        let now = self.engine.seen();
        for receipt in self.front.streams.dropped.drain(..) {
            let _ = self.engine.acknowledge(now, receipt);
        }
        // The engine has something to send, but was asked already.
        self.front.wakes.extend(self.driver.clone());
    }

    /// Takes over what has to be written to the store.
    #[inline]
    fn keep(&mut self) {
        #[cfg(feature = "store")]
        if let Some((keep, engine)) = self.front.keep.as_mut().zip(self.engine.session_mut()) {
            keep.collect(engine);
        }
    }

    /// Lets the driver know that something changed.
    #[inline]
    fn kick(&mut self) {
        if !self.kicked {
            self.kicked = true;
            self.front.wakes.extend(self.driver.clone());
        }
    }
}

/// Unlocks, then wakes.
trait Release {
    fn release(self);
}

impl Release for MutexGuard<'_, Core> {
    #[inline]
    fn release(mut self) {
        let wakes = self.front.wakes.take();
        drop(self);
        wakes.wake();
    }
}

fn state((status, stopped): &(Status, bool), start: tokio::time::Instant) -> State {
    let instant = |at: Instant| start + std::time::Duration::from_micros(at.as_micros());
    State {
        step: status.step,
        since: instant(status.since),
        endpoint: status.endpoint,
        fault: status.fault,
        attempts: status.attempts,
        next_attempt: status.next_attempt.map(instant),
        resumed: status.resumed,
        stopped: *stopped,
    }
}

/// See [`Shared::awaiting`].
pub(crate) struct Awaiting<'a>(&'a Shared);

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        self.0.look(|_, front| front.awaited -= 1);
    }
}

/// The driver's side of [`Shared`].
#[derive(Clone, Debug)]
pub(crate) struct DriverShare(pub(crate) Arc<Shared>);

impl Share for DriverShare {
    type Engine = Engine_;
    type Inbox = Front;

    fn with<R: Default>(
        &self,
        cx: Option<&Context<'_>>,
        f: impl FnOnce(&mut Engine_, &mut Front) -> R,
    ) -> R {
        let mut guard = self.0.lock();
        let core = &mut *guard;
        if let Some(cx) = cx {
            core.kicked = false;
            core.turns += 1;
            match &mut core.driver {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
        let result = f(&mut core.engine, &mut core.front);
        core.acknowledge_dropped();
        core.notice_idle();
        core.keep();
        self.0.show(guard);
        result
    }

    fn connect(
        &self,
        engine: &mut Engine_,
        front: &mut Front,
        now: Instant,
        tx: &mut [u8],
    ) -> usize {
        if let Some(refresh) = &mut front.options.refresh {
            front.options.credentials = refresh();
        }
        let props = front.connect_properties();
        engine.connect(now, &front.options.packet(&props), tx).unwrap_or_else(|error| {
            tracing::error!(%error, "CONNECT cannot be written");
            0
        })
    }

    fn event(&self, engine: &Engine_, front: &mut Front, event: Event) {
        match event {
            Event::Up { resumed } => tracing::info!(resumed, "connected"),
            Event::Down(fault) => {
                let fault = front.explain(&fault);
                tracing::warn!(
                    fault,
                    attempts = engine.status().attempts,
                    "connection lost or attempt failed"
                );
            }
            Event::GaveUp(fault) => {
                tracing::error!(fault = front.explain(&fault), "giving up");
                front.close();
            }
            Event::Closed => {
                tracing::info!("closed");
                front.close();
            }
        }
    }

    fn redirect(&self, front: &mut Front, mut apply: impl FnMut(&str, bool) -> bool) {
        if let Some((server, permanent)) = front.redirect.take() {
            let used = apply(&server, permanent);
            if used && permanent {
                front.links.places.clear();
            }
            tracing::info!(server, permanent, used, "the broker names another server");
        }
    }
}
