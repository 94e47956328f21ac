//! The engine and what belongs to it, shared by the driver and all handles.

use core::cell::RefCell;
use core::task::Waker;

use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::RawMutex;
use everlink_link::{Buffer, Link};
use everlink_proto::engine::{Engine, Incoming, Status, Verdict};
use everlink_proto::session::{Config, Session};
use everlink_proto::store::{FixedStore, Store};
use everlink_proto::time::Instant;

use super::client::Client;
use super::clock;
use super::connect::Connect;
use super::driver::Driver;
use super::inbox::Front;
use super::mailbox::Mailbox;
use super::memory::{Memory, Parts};
use super::route::Routes;
use super::tasks::{Tasks, want};
use super::waiters::Waiters;

/// Called with each message that is for no other subscription, while the client is locked: it must be
/// quick, and must not call the client. [`Verdict::Later`] makes the application acknowledge with
/// [`Client::ack`]; [`Verdict::Busy`] holds the broker back and offers the message again within a second.
pub type Handler<'m> = dyn FnMut(&Incoming<'_>) -> Verdict + Send + 'm;

/// Takes messages larger than the receive buffer in pieces: a firmware image, for instance. Called while
/// the client is locked: it must be quick, and must not call the client.
///
/// A message of QoS 1 or 2 is acknowledged when its last piece is taken. If the connection breaks
/// before, it comes again from its beginning: a further `begin` makes what came before void. At QoS 2 it
/// is taken once, as ever.
pub trait Pieces {
    /// A message begins: its payload has `payload` bytes, of which `message.payload` are the first. `false`:
    /// it is not wanted, and skipped.
    fn begin(&mut self, message: &Incoming<'_>, payload: usize) -> bool;

    /// The next bytes; `left` are still to come. `false`: no room now; it is offered again within a second,
    /// or when the driver is woken by a change of the client.
    fn piece(&mut self, bytes: &[u8], left: usize) -> bool;
}

/// An MQTT client in memory of a fixed size.
///
/// It is neither open nor closed by itself: it is what a [`Driver`] drives and a [`Client`] uses.
/// `M` decides who may share it, see the [module](super).
pub struct Hub<'m, M: RawMutex, S = FixedStore<'m>> {
    core: Mutex<M, RefCell<Core<'m, S>>>,
}

impl<M: RawMutex, S> core::fmt::Debug for Hub<'_, M, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

impl<'m, M: RawMutex> Hub<'m, M> {
    /// A client that keeps its messages in `memory`. Limits of `config` that are beyond the memory
    /// are brought down to it; the sizes of the buffers are those given to [`driver`](Self::driver).
    pub fn new<
        const MESSAGES: usize,
        const BYTES: usize,
        const MAIL: usize,
        const MAIL_BYTES: usize,
        const SUBSCRIPTIONS: usize,
        const RECEIVED: usize,
        const ALIASES: usize,
    >(
        memory: &'m mut Memory<MESSAGES, BYTES, MAIL, MAIL_BYTES, SUBSCRIPTIONS, RECEIVED, ALIASES>,
        config: Config,
        connect: Connect<'m>,
    ) -> Self {
        let (store, parts) = memory.split();
        Self::with_store(store, parts, config, connect)
    }
}

impl<'m, M: RawMutex, S: Store> Hub<'m, M, S> {
    /// As [`new`](Hub::new), with a store of your own.
    pub fn with_store(
        store: S,
        parts: Parts<'m>,
        mut config: Config,
        connect: Connect<'m>,
    ) -> Self {
        parts.limit(&mut config);
        let engine = Session::new(config, store, parts.session);
        let front = Front {
            mailbox: Mailbox::new(parts.mail, parts.mail_bytes),
            routes: Routes::new(parts.routes, parts.filters),
            waiters: Waiters::new(parts.waiters),
            tasks: Tasks::new(parts.tasks),
            connect,
            handler: None,
            pieces: None,
            said: None,
            unrouted: 0,
            pongs: 0,
            busy_since: None,
            closed: false,
        };
        let shown = engine.status();
        let core = Core { engine, front, driver: None, kick: false, shown };
        Self { core: Mutex::new(RefCell::new(core)) }
    }

    /// Gives every message that no subscription with a mailbox wants to `handler`.
    #[must_use]
    pub fn handler(self, handler: &'m mut Handler<'m>) -> Self {
        self.with(|core, _| core.front.handler = Some(handler));
        self
    }

    /// Gives messages larger than the receive buffer to `pieces`, whatever subscription they came for, if they
    /// are no larger than [`Config::largest_in_pieces`], which a MQTT 5 broker is told.
    #[must_use]
    pub fn pieces(self, pieces: &'m mut (dyn Pieces + Send + 'm)) -> Self {
        self.with(|core, _| core.front.pieces = Some(pieces));
        self
    }

    /// A handle for the application. All handles are the same client.
    pub fn client(&'m self) -> Client<'m, M, S> {
        Client::new(self)
    }

    /// What moves everything, over `link`. `receive` bounds the packets that can be received, at least
    /// 5 bytes; all but payloads must fit into `transmit`. One driver at a time.
    ///
    /// # Panics
    /// If `receive` is shorter than 5 bytes.
    pub fn driver<L: Link, B: Buffer>(
        &'m self,
        link: L,
        receive: B,
        transmit: B,
    ) -> Driver<'m, M, L, B, S> {
        let sizes = (receive.as_ref().len(), transmit.as_ref().len());
        self.with(|core, _| core.engine.set_buffers(sizes.0, sizes.1));
        Driver::new(self, link, receive, transmit)
    }

    /// Exclusive use for a moment. `None` when called from within, that is by the message handler.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut Core<'m, S>, Instant) -> R) -> Option<R> {
        let now = clock::now();
        self.core.lock(|core| {
            let core = &mut *core.try_borrow_mut().ok()?;
            let result = f(core, now);
            core.release(now);
            Some(result)
        })
    }
}

/// What the mutex protects.
pub(super) struct Core<'m, S> {
    pub(super) engine: Session<'m, S>,
    pub(super) front: Front<'m>,
    pub(super) driver: Option<Waker>,
    /// The driver is to look at the engine.
    pub(super) kick: bool,
    /// The state as last shown.
    shown: Status,
}

impl<S: Store> Core<'_, S> {
    /// Wakes whom a change concerns.
    fn release(&mut self, now: Instant) {
        let Self { engine, front, .. } = self;
        self.kick |= front.mailbox.settle(|receipt| {
            // Stale if the connection was lost: the broker sends it again.
            let _ = engine.acknowledge(now, receipt);
        });
        if front.tasks.any(want::IDLE) && engine.held() == 0 {
            front.tasks.wake(want::IDLE);
        }
        let status = engine.status();
        if self.shown != status {
            self.shown = status;
            front.tasks.wake(want::STATE);
        }
        if core::mem::take(&mut self.kick)
            && let Some(driver) = &self.driver
        {
            driver.wake_by_ref();
        }
    }
}
