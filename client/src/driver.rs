//! The one driver: it pumps an engine over a link. It decides nothing.
//!
//! It needs no runtime of its own: time, memory and the way handles share the engine come through
//! the traits below, so that the same loop runs under tokio, under embassy and in a test that
//! polls by hand. Dropping the future at any await leaves the engine as it was after the last
//! packet; what was written to the pipe is gone with the pipe.

mod wire;

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll};

use everlink_link::{Buffer, Framer, Link, Pipe, Progress};
use everlink_proto::engine::{Cause, Depth, Engine, Event, Fault, Inbox, Input, Output, Step};
use everlink_proto::time::{Duration, Instant};

use crate::feed::feed;
use crate::transmit::Transmit;

/// While the inbox is full the engine is asked again at least this often.
const BUSY_RETRY: Duration = Duration::from_secs(1);
/// How long to read what the peer left behind, once nothing can be written any more.
const LAST_WORDS: Duration = Duration::from_millis(50);
/// Rounds of reading and writing before other tasks get their turn.
const ROUNDS: usize = 32;

/// What time it is, and one alarm.
pub trait Clock {
    /// The present time.
    fn now(&self) -> Instant;

    /// Completes when `at` has come; `None` never. It may complete early: the engine is asked
    /// again then. The waker of `cx` is registered.
    fn poll_alarm(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()>;
}

/// How the driver and the application's handles share one engine.
pub trait Share {
    /// The engine.
    type Engine: Engine;
    /// Who gets what it has to tell.
    type Inbox: Inbox;

    /// Exclusive use of both for a moment; never across an await. When a handle changes the
    /// engine afterwards, the waker of `cx` is to be woken. The default of `R` is only for a call
    /// from within `f`, which cannot be served.
    fn with<R: Default>(
        &self,
        cx: Option<&Context<'_>>,
        f: impl FnOnce(&mut Self::Engine, &mut Self::Inbox) -> R,
    ) -> R;

    /// Writes CONNECT with the present credentials and will.
    fn connect(
        &self,
        engine: &mut Self::Engine,
        inbox: &mut Self::Inbox,
        now: Instant,
        tx: &mut [u8],
    ) -> usize;

    /// The engine reports something.
    fn event(&self, engine: &Self::Engine, inbox: &mut Self::Inbox, event: Event);

    /// Where the broker sent us, if it did since the last call.
    fn redirect(&self, inbox: &mut Self::Inbox, apply: impl FnMut(&str, bool) -> bool);
}

type FramingOf<S> = <<S as Share>::Engine as Engine>::Framing;

/// Pumps one engine over one link for ever.
#[derive(Debug)]
pub struct Driver<L, S: Share, C, B> {
    link: L,
    core: Core<S, C, B>,
}

#[derive(Debug)]
struct Core<S: Share, C, B> {
    share: S,
    clock: C,
    rx: Framer<B, FramingOf<S>>,
    tx: Transmit<B>,
    /// When the engine wants to be asked again.
    deadline: Option<Instant>,
    /// Bytes came in since the engine was last told.
    alive: bool,
    /// The pipe took bytes since the engine was last told.
    wrote: bool,
    /// The engine would not take the next packet.
    busy: bool,
    /// Nothing can be written any more.
    deaf: Option<Cause>,
}

/// What the engine wants done that the loop itself cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Todo {
    Open(u16),
    Close(Depth),
    Try(u16),
    Finished,
}

/// What ended the pumping of a connection.
enum End {
    /// We close, so deep.
    Cut(Depth),
    /// The pipe is gone already.
    Gone,
    /// Not the end: find out whether this endpoint can be reached.
    Try(u16),
}

/// Why [`Driver::run`] came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// The application closed the client.
    Closed,
    /// The first-connect policy allows no further attempt.
    GaveUp(Fault),
}

impl<L, S, C, B> Driver<L, S, C, B>
where
    L: Link,
    S: Share,
    C: Clock,
    B: Buffer,
{
    /// A driver with a receive and a transmit buffer.
    pub fn new(link: L, share: S, clock: C, receive: B, transmit: B) -> Self {
        let framing = share.with(None, |engine, _| engine.framing());
        let core = Core {
            share,
            clock,
            rx: Framer::with_framing(receive, framing),
            tx: Transmit::new(transmit),
            deadline: None,
            alive: false,
            wrote: false,
            busy: false,
            deaf: None,
        };
        Self { link, core }
    }

    /// The share.
    pub fn share(&self) -> &S {
        &self.core.share
    }

    /// Opens the engine and pumps it until it is closed or gives up. Can be called again after that.
    ///
    /// Cancel-safe: dropping the future aborts the connection; calling again makes a new one.
    pub async fn run(&mut self) -> Finished {
        self.open();
        self.pump().await
    }

    /// Opens the engine: the first half of [`run`](Self::run).
    pub fn open(&mut self) {
        let now = self.core.clock.now();
        self.core.share.with(None, |engine, inbox| {
            // A pipe of an earlier, dropped call is gone.
            let _ = engine.handle(
                now,
                Input::Closed(Fault::new(Step::Transport, Cause::Requested)),
                inbox,
            );
            engine.open(now);
        });
    }

    /// Pumps the engine until it is closed or gives up: the second half of [`run`](Self::run). A
    /// close between the two counts.
    pub async fn pump(&mut self) -> Finished {
        let mut finished = Finished::Closed;
        loop {
            match poll_fn(|cx| self.core.poll_engine(cx, &mut finished)).await {
                Todo::Open(endpoint) => self.attempt(endpoint, &mut finished).await,
                Todo::Close(depth) => self.cut(depth).await,
                // Only a connected engine wants that.
                Todo::Try(_) => {}
                Todo::Finished => return finished,
            }
        }
    }

    /// One connection, from opening to its end.
    async fn attempt(&mut self, endpoint: u16, finished: &mut Finished) {
        let Self { link, core } = self;
        core.share.with(None, |_, inbox| {
            core.share.redirect(inbox, |server, for_good| link.redirect(server, for_good))
        });
        let progress = Progress::new();
        let opened = {
            let mut opening = pin!(link.open(endpoint, &progress));
            poll_fn(|cx| core.poll_opening(cx, &progress, opening.as_mut(), finished)).await
        };
        match opened {
            Opening::Pipe(pipe) => self.connected(pipe, finished).await,
            Opening::Failed => {}
            Opening::Abandoned(depth) => self.cut(depth).await,
        }
    }

    async fn connected(&mut self, mut pipe: L::Pipe, finished: &mut Finished) {
        let Self { link, core } = self;
        core.rx.reset();
        core.tx.reset();
        (core.alive, core.wrote, core.busy, core.deaf) = (false, false, false, None);
        let mut end = poll_fn(|cx| core.poll_connected(cx, &mut pipe, finished)).await;
        while let End::Try(endpoint) = end {
            let mut trial = pin!(link.try_out(endpoint));
            let mut over = false;
            end = poll_fn(|cx| {
                if !over && let Poll::Ready(open) = trial.as_mut().poll(cx) {
                    over = true;
                    core.tried(open);
                }
                core.poll_connected(cx, &mut pipe, finished)
            })
            .await;
        }
        if let End::Cut(depth) = end {
            core.part(&mut pipe).await;
            drop(pipe);
            self.cut(depth).await;
        }
    }

    /// Cuts deeper than the pipe, if asked.
    async fn cut(&mut self, depth: Depth) {
        if depth > Depth::Pipe {
            self.link.cycle(depth).await;
        }
    }
}

enum Opening<P> {
    Pipe(P),
    Failed,
    Abandoned(Depth),
}

impl<S, C, B> Core<S, C, B>
where
    S: Share,
    C: Clock,
    B: Buffer,
{
    /// Asks the engine while there is no pipe.
    fn poll_engine(&mut self, cx: &mut Context<'_>, finished: &mut Finished) -> Poll<Todo> {
        for _ in 0..ROUNDS {
            if let Some(todo) = self.ask(cx, finished, false) {
                return Poll::Ready(todo);
            }
            if self.clock.poll_alarm(self.deadline, cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_opening<P>(
        &mut self,
        cx: &mut Context<'_>,
        progress: &Progress,
        opening: core::pin::Pin<&mut impl Future<Output = Result<P, Fault>>>,
        finished: &mut Finished,
    ) -> Poll<Opening<P>> {
        let result = opening.poll(cx);
        let now = self.clock.now();
        self.share.with(None, |engine, inbox| {
            let input = match &result {
                Poll::Ready(Ok(_)) => Input::Opened,
                Poll::Ready(Err(fault)) => Input::Closed(*fault),
                Poll::Pending => Input::Opening(progress.get()),
            };
            let _ = engine.handle(now, input, inbox);
        });
        match result {
            Poll::Ready(Ok(pipe)) => Poll::Ready(Opening::Pipe(pipe)),
            Poll::Ready(Err(_)) => Poll::Ready(Opening::Failed),
            Poll::Pending => match self.poll_engine(cx, finished) {
                Poll::Ready(Todo::Close(depth)) => Poll::Ready(Opening::Abandoned(depth)),
                Poll::Ready(Todo::Open(_) | Todo::Try(_) | Todo::Finished) => {
                    Poll::Ready(Opening::Failed)
                }
                Poll::Pending => Poll::Pending,
            },
        }
    }

    /// How finding out about another endpoint ended.
    fn tried(&mut self, open: bool) {
        let now = self.clock.now();
        self.share.with(None, |engine, inbox| {
            let _ = engine.handle(now, Input::Tried { open }, inbox);
        });
    }

    /// Reads, decides, writes, until nothing moves.
    fn poll_connected<P: Pipe>(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut P,
        finished: &mut Finished,
    ) -> Poll<End> {
        for _ in 0..ROUNDS {
            if let Some(cause) = self.deaf {
                return self.poll_last_words(cx, pipe, cause);
            }
            if let Some(todo) = self.ask(cx, finished, true) {
                return Poll::Ready(match todo {
                    Todo::Close(depth) => End::Cut(depth),
                    Todo::Try(endpoint) => End::Try(endpoint),
                    Todo::Open(_) | Todo::Finished => End::Gone,
                });
            }
            let wrote = self.write(cx, pipe).inspect_err(|cause| self.deaf = Some(*cause));
            if self.deaf.is_some() {
                self.deadline = Some(self.clock.now() + LAST_WORDS);
                continue;
            }
            match wrote.and_then(|wrote| Ok(self.read(cx, pipe)? || wrote)) {
                Err(cause) => {
                    self.lost(cause);
                    return Poll::Ready(End::Gone);
                }
                Ok(true) => {}
                Ok(false) => {
                    if self.clock.poll_alarm(self.deadline, cx).is_pending() {
                        return Poll::Pending;
                    }
                    self.rx.rest();
                    self.tx.rest();
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Hands everything that was read to the engine, then carries out what it wants.
    fn ask(&mut self, cx: &Context<'_>, finished: &mut Finished, connected: bool) -> Option<Todo> {
        let Self { share, clock, rx, tx, deadline, alive, wrote, busy, .. } = self;
        let now = clock.now();
        share.with(Some(cx), |engine, inbox| {
            if connected {
                feed(engine, inbox, now, rx, tx, (alive, wrote, busy));
            }
            loop {
                match engine.poll(now, if connected { tx.space() } else { &mut [] }, inbox) {
                    Output::Send(n) => tx.filled(n),
                    Output::Connect => {
                        // There is no second chance, so it gets all the room there can be.
                        tx.grow_to_limit();
                        let n = share.connect(engine, inbox, now, tx.space());
                        tx.filled(n);
                    }
                    Output::Open { endpoint } => return Some(Todo::Open(endpoint)),
                    Output::Close(depth) => return Some(Todo::Close(depth)),
                    Output::Try { endpoint } => return Some(Todo::Try(endpoint)),
                    Output::Event(event) => {
                        share.event(engine, inbox, event);
                        match event {
                            // CONNECT is gone, and with it the need for so much room.
                            Event::Up { .. } => tx.rest(),
                            Event::Down(_) => {}
                            Event::Closed => {
                                *finished = Finished::Closed;
                                return Some(Todo::Finished);
                            }
                            Event::GaveUp(fault) => {
                                *finished = Finished::GaveUp(fault);
                                return Some(Todo::Finished);
                            }
                        }
                    }
                    Output::Wait(_) if connected && engine.is_starved() && tx.grow() => {}
                    Output::Wait(at) => {
                        let retry = busy.then(|| now + BUSY_RETRY);
                        *deadline = [at, retry].into_iter().flatten().min();
                        return None;
                    }
                }
            }
        })
    }
}
