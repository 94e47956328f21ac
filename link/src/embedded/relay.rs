//! Joins the client to a task that does the reading and writing.
//!
//! A [`Relay`] is two ring buffers in memory of the caller. Towards the client it is a [`RelayLink`].
//! The task behind it, the *pump*, waits for a [`Request`], opens whatever it pumps to, and then moves
//! bytes by [`Request::read`] and [`Request::write`]. When the client leaves the connection, every call
//! of the pump says so; what it does then, and how long it takes, is the pump's affair, so that it need
//! not drop anything half-way.

use core::cell::RefCell;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_sync::waitqueue::WakerRegistration;
use embassy_time::{Duration, Instant, Timer};
use everlink_proto::engine::{Cause, Depth, Fault, Step};

use super::ring::Ring;
use crate::{Link, Pipe, Progress};

/// How long an orderly close waits for the pump.
const LINGER: Duration = Duration::from_secs(1);

/// Two ring buffers, and what the two ends tell each other.
pub struct Relay<'m, M: RawMutex>(Mutex<M, RefCell<Shared<'m>>>);

impl<M: RawMutex> core::fmt::Debug for Relay<'_, M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Relay").finish_non_exhaustive()
    }
}

struct Shared<'m> {
    /// To the pump and from there.
    rings: [Ring<'m>; 2],
    stage: Stage,
    /// The pump has opened the connection, whatever came after.
    accepted: bool,
    /// Counts requests, so that calls for an earlier one find out.
    epoch: u32,
    /// How far the pump has come in opening.
    step: Step,
    client: WakerRegistration,
    /// The pump may read and write in different tasks.
    reader: WakerRegistration,
    writer: WakerRegistration,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The client wants nothing.
    Idle,
    Wanted(Want),
    /// The pump took the request.
    Taken,
    Open,
    /// The client said all it has to say.
    Closing,
    /// The pump ended it; for the client to find.
    Ended(Option<Fault>),
}

/// What the client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// A connection to this endpoint.
    Open(u16),
    /// This rung of the ladder, for what lies below.
    Cycle(Depth),
}

const UP: usize = 0;
const DOWN: usize = 1;

impl<'m, M: RawMutex> Relay<'m, M> {
    /// A relay with a buffer for bytes to the pump, and one for bytes from it. Any size works from 1 on;
    /// the larger, the fewer wake-ups.
    pub const fn new(to_pump: &'m mut [u8], from_pump: &'m mut [u8]) -> Self {
        let shared = Shared {
            rings: [Ring::new(to_pump), Ring::new(from_pump)],
            stage: Stage::Idle,
            accepted: false,
            epoch: 0,
            step: Step::Link,
            client: WakerRegistration::new(),
            reader: WakerRegistration::new(),
            writer: WakerRegistration::new(),
        };
        Self(Mutex::new(RefCell::new(shared)))
    }

    /// The client's side. One at a time.
    pub fn link(&self) -> RelayLink<'_, 'm, M> {
        RelayLink { relay: self }
    }

    /// The pump's side: waits until the client wants something. Cancel-safe.
    pub async fn request(&self) -> (Want, Request<'_, 'm, M>) {
        let (want, epoch) = poll_fn(|cx| {
            self.with(|s| match s.stage {
                Stage::Wanted(want) => {
                    s.stage = Stage::Taken;
                    Poll::Ready((want, s.epoch))
                }
                _ => {
                    s.reader.register(cx.waker());
                    Poll::Pending
                }
            })
        })
        .await;
        (want, Request { relay: self, epoch })
    }

    /// The connection that is open, for a pump that reads all the time.
    pub fn open_request(&self) -> Option<Request<'_, 'm, M>> {
        let epoch = self.with(|s| match s.stage {
            Stage::Open | Stage::Closing => Poll::Ready(s.epoch),
            _ => Poll::Pending,
        });
        match epoch {
            Poll::Ready(epoch) => Some(Request { relay: self, epoch }),
            Poll::Pending => None,
        }
    }

    /// Nothing here calls back, so it is never in use already.
    fn with<R>(&self, f: impl FnOnce(&mut Shared<'m>) -> Poll<R>) -> Poll<R> {
        self.0.lock(|shared| match shared.try_borrow_mut() {
            Ok(mut shared) => f(&mut shared),
            Err(_) => Poll::Pending,
        })
    }

    fn tell(&self, f: impl FnOnce(&mut Shared<'m>)) {
        let _ = self.with(|s| {
            f(s);
            Poll::Ready(())
        });
    }

    /// A new request of the client.
    fn want(&self, want: Want) {
        self.tell(|s| {
            s.rings.iter_mut().for_each(Ring::clear);
            (s.stage, s.step, s.accepted) = (Stage::Wanted(want), Step::Link, false);
            s.epoch = s.epoch.wrapping_add(1);
            s.wake_pump();
        });
    }

    /// The client is gone.
    fn leave(&self) {
        self.tell(|s| {
            s.stage = Stage::Idle;
            s.wake_pump();
        });
    }
}

impl Shared<'_> {
    fn wake_pump(&mut self) {
        self.reader.wake();
        self.writer.wake();
    }

    /// Whether the client still wants the connection of `epoch`.
    fn is_wanted(&self, epoch: u32) -> bool {
        let open = matches!(self.stage, Stage::Taken | Stage::Open | Stage::Closing);
        open && self.epoch == epoch
    }
}

/// A request of the client, and the connection it leads to.
pub struct Request<'r, 'm, M: RawMutex> {
    relay: &'r Relay<'m, M>,
    epoch: u32,
}

impl<M: RawMutex> Clone for Request<'_, '_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: RawMutex> Copy for Request<'_, '_, M> {}

impl<M: RawMutex> core::fmt::Debug for Request<'_, '_, M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Request").field(&self.epoch).finish()
    }
}

impl<'m, M: RawMutex> Request<'_, 'm, M> {
    fn tell(&self, f: impl FnOnce(&mut Shared<'m>)) {
        self.relay.tell(|s| {
            if s.is_wanted(self.epoch) {
                f(s);
                s.client.wake();
                // The pump's other half.
                s.wake_pump();
            }
        });
    }

    /// Opening has come to `step`.
    pub fn progress(&self, step: Step) {
        self.tell(|s| s.step = step);
    }

    /// The connection is open, or the rung is done.
    pub fn accept(&self) {
        self.tell(|s| (s.stage, s.accepted) = (Stage::Open, true));
    }

    /// Opening failed, or the connection broke.
    pub fn fail(&self, fault: Fault) {
        self.tell(|s| s.stage = Stage::Ended(Some(fault)));
    }

    /// The peer closed the connection. What came from it can still be read.
    pub fn end(&self) {
        self.tell(|s| s.stage = Stage::Ended(None));
    }

    /// Waits until the client wants this connection no longer. Cancel-safe.
    pub async fn abandoned(&self) {
        poll_fn(|cx| {
            self.relay.with(|s| {
                if !s.is_wanted(self.epoch) {
                    return Poll::Ready(());
                }
                // Woken with the others.
                s.writer.register(cx.waker());
                Poll::Pending
            })
        })
        .await;
    }

    /// Reads what the client wrote, at least one byte; `None` when it has said all or left. Cancel-safe.
    pub async fn read(&self, buf: &mut [u8]) -> Option<usize> {
        poll_fn(|cx| {
            self.relay.with(|s| {
                if !s.is_wanted(self.epoch) {
                    return Poll::Ready(None);
                }
                match s.rings[UP].take(buf) {
                    0 if s.stage == Stage::Closing => Poll::Ready(None),
                    0 => {
                        s.reader.register(cx.waker());
                        Poll::Pending
                    }
                    n => {
                        s.client.wake();
                        Poll::Ready(Some(n))
                    }
                }
            })
        })
        .await
    }

    /// Gives the client as many bytes as there is room for; `None` when it has left.
    #[cfg(all(feature = "modem", feature = "uart"))]
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Option<usize>> {
        self.relay.with(|s| {
            if !s.is_wanted(self.epoch) {
                return Poll::Ready(None);
            }
            match s.rings[DOWN].put(bytes) {
                0 => {
                    s.writer.register(cx.waker());
                    Poll::Pending
                }
                n => {
                    s.client.wake();
                    Poll::Ready(Some(n))
                }
            }
        })
    }

    /// Gives the client bytes, waiting for room; `false` when it has left. Dropped half-way, a part is
    /// given.
    pub async fn write(&self, mut bytes: &[u8]) -> bool {
        poll_fn(|cx| {
            self.relay.with(|s| {
                if !s.is_wanted(self.epoch) {
                    return Poll::Ready(false);
                }
                let n = s.rings[DOWN].put(bytes);
                bytes = bytes.get(n..).unwrap_or(&[]);
                if n > 0 {
                    s.client.wake();
                }
                if bytes.is_empty() {
                    return Poll::Ready(true);
                }
                s.writer.register(cx.waker());
                Poll::Pending
            })
        })
        .await
    }
}

/// The client's side of a [`Relay`].
#[derive(Debug)]
pub struct RelayLink<'r, 'm, M: RawMutex> {
    relay: &'r Relay<'m, M>,
}

/// A wish that is taken back when dropped.
struct Wish<'r, 'm, M: RawMutex>(&'r Relay<'m, M>);

impl<M: RawMutex> Drop for Wish<'_, '_, M> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl<'r, 'm, M: RawMutex> RelayLink<'r, 'm, M> {
    /// Wants something, and waits until the pump has done it.
    async fn ask(&mut self, want: Want, progress: &Progress) -> Result<Wish<'r, 'm, M>, Fault> {
        self.relay.want(want);
        let wish = Wish(self.relay);
        let result = poll_fn(|cx| {
            self.relay.with(|s| {
                progress.set(s.step);
                match s.stage {
                    _ if s.accepted => Poll::Ready(Ok(())),
                    Stage::Ended(fault) => {
                        let eof = Fault::new(s.step, Cause::Eof);
                        Poll::Ready(Err(fault.unwrap_or(eof)))
                    }
                    _ => {
                        s.client.register(cx.waker());
                        Poll::Pending
                    }
                }
            })
        });
        result.await.map(|()| wish)
    }
}

impl<'r, 'm, M: RawMutex> Link for RelayLink<'r, 'm, M> {
    type Pipe = RelayPipe<'r, 'm, M>;

    async fn open(
        &mut self,
        endpoint: u16,
        progress: &Progress,
    ) -> Result<RelayPipe<'r, 'm, M>, Fault> {
        let wish = self.ask(Want::Open(endpoint), progress).await?;
        Ok(RelayPipe { wish, closing: None })
    }

    async fn cycle(&mut self, depth: Depth) {
        let _ = self.ask(Want::Cycle(depth), &Progress::new()).await;
    }
}

/// The client's end of a connection. Dropping it abandons the connection.
pub struct RelayPipe<'r, 'm, M: RawMutex> {
    wish: Wish<'r, 'm, M>,
    closing: Option<Instant>,
}

impl<M: RawMutex> core::fmt::Debug for RelayPipe<'_, '_, M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RelayPipe").finish_non_exhaustive()
    }
}

impl<M: RawMutex> Pipe for RelayPipe<'_, '_, M> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>> {
        self.wish.0.with(|s| match (s.rings[DOWN].take(buf), s.stage) {
            (0, Stage::Ended(Some(fault))) => Poll::Ready(Err(fault.cause)),
            (0, Stage::Ended(None)) => Poll::Ready(Ok(0)),
            (0, _) => wait(&mut s.client, cx.waker()),
            (n, _) => {
                s.writer.wake();
                Poll::Ready(Ok(n))
            }
        })
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>> {
        self.wish.0.with(|s| match (s.stage, buf.is_empty()) {
            (_, true) => Poll::Ready(Ok(0)),
            (Stage::Ended(Some(fault)), _) => Poll::Ready(Err(fault.cause)),
            (Stage::Ended(None), _) => Poll::Ready(Err(Cause::Eof)),
            _ => match s.rings[UP].put(buf) {
                0 => wait(&mut s.client, cx.waker()),
                n => {
                    s.reader.wake();
                    Poll::Ready(Ok(n))
                }
            },
        })
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = *self.closing.get_or_insert_with(|| Instant::now() + LINGER);
        let ended = self.wish.0.with(|s| {
            if matches!(s.stage, Stage::Ended(_)) {
                return Poll::Ready(());
            }
            if s.stage == Stage::Open {
                s.stage = Stage::Closing;
                s.wake_pump();
            }
            s.client.register(cx.waker());
            Poll::Pending
        });
        if ended.is_ready() || Instant::now() >= until {
            return Poll::Ready(());
        }
        let _ = pin!(Timer::at(until)).poll(cx);
        Poll::Pending
    }
}

fn wait<R>(registration: &mut WakerRegistration, waker: &Waker) -> Poll<R> {
    registration.register(waker);
    Poll::Pending
}
