//! The simulated network and broker, and a link into it.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use everlink::{Cause, Fault, Step};
use everlink_link::framer::Frame;
use everlink_link::{Framer, Link, Pipe, Progress};
use everlink_proto::session::{Config, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::Instant;
use everlink_sim::broker::Broker;
use everlink_sim::check::Checker;
use everlink_sim::host::Buffers;
use everlink_sim::netem::{Opening, PipeId, Read, Side};
use everlink_sim::pair::Pair;

use super::alloc::unwatched;

/// Broker and network, without a simulated client: the client is real.
type Sim = Pair<Session<'static, RamStore>, Broker>;

struct Inner {
    sim: Sim,
    check: Checker,
    /// Cuts what the client reads into packets, for the checker.
    framer: Framer<Vec<u8>>,
    wakers: Vec<Waker>,
    dirty: bool,
    opens: Vec<Instant>,
    /// The most bytes that one write takes.
    grain: usize,
}

/// Network and broker.
#[derive(Clone)]
pub struct World(Rc<RefCell<Inner>>);

impl World {
    pub fn new(seed: u64) -> Self {
        let config = Config::default();
        let memory = Memory::growing(&config);
        let engine = Session::new(config, RamStore::new(), memory);
        let mut sim = Pair::with_server(seed, engine, Buffers::default(), Broker::new(seed));
        sim.hosts.clear();
        super::time::reset(sim.now().as_micros());
        Self(Rc::new(RefCell::new(Inner {
            sim,
            check: Checker::new(),
            framer: Framer::new(vec![0; 64 * 1024]),
            wakers: Vec::new(),
            dirty: true,
            opens: Vec::new(),
            grain: usize::MAX,
        })))
    }

    /// A link to the broker.
    pub fn link(&self) -> SimLink {
        SimLink(self.clone())
    }

    /// Network and broker, to be changed at will.
    pub fn sim(&self) -> RefMut<'_, Sim> {
        self.touch();
        RefMut::map(self.0.borrow_mut(), |inner| &mut inner.sim)
    }

    /// Writes take at most so many bytes at a time.
    pub fn grain(&self, bytes: usize) {
        self.0.borrow_mut().grain = bytes;
    }

    /// When each attempt to open was made.
    pub fn opens(&self) -> Vec<Instant> {
        self.0.borrow().opens.clone()
    }

    /// Payloads that the broker accepted, as text, in order.
    pub fn accepted(&self) -> Vec<String> {
        self.0.borrow().sim.accepted()
    }

    pub fn micros(&self) -> u64 {
        self.0.borrow().sim.now().as_micros()
    }

    /// Something changed outside.
    pub fn touch(&self) {
        self.0.borrow_mut().dirty = true;
    }

    /// Every connection ends here and now.
    pub fn cut(&self) {
        let mut sim = self.sim();
        let now = sim.now();
        sim.net.reset_client(now, 0);
    }

    /// The board loses power: its connection breaks, and it may forget what it only heard.
    pub fn power_cut(&self) {
        self.cut();
        self.0.borrow_mut().check.power_cut();
    }

    /// # Panics
    /// If there was a breach of the protocol.
    pub fn assert_conforms(&self) {
        let inner = self.0.borrow();
        let violations: Vec<_> =
            inner.check.violations().iter().chain(inner.sim.servers[0].violations()).collect();
        assert!(violations.is_empty(), "the protocol was broken: {violations:#?}");
    }

    /// Lets the rest of the world do what it can now; whether there may have been anything.
    pub(super) fn settle(&self) -> bool {
        let mut inner = self.0.borrow_mut();
        if !std::mem::take(&mut inner.dirty) {
            return false;
        }
        inner.sim.settle();
        let wakers = std::mem::take(&mut inner.wakers);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        true
    }

    pub(super) fn step(&self, until: u64) -> bool {
        let mut inner = self.0.borrow_mut();
        inner.dirty = true;
        inner.sim.step(Instant::from_micros(until))
    }

    pub(super) fn fail(&self, why: &str) -> ! {
        self.0.borrow().sim.fail(why)
    }
}

/// A link to the broker.
pub struct SimLink(World);

/// An open connection.
pub struct SimPipe {
    world: World,
    id: PipeId,
    /// Bytes at the front of the next write that the checker has seen: what the client wanted to send
    /// counts as sent, though the network did not take it.
    shown: usize,
}

/// An attempt, abandoned when dropped.
struct Attempt(Option<SimPipe>);

impl Link for SimLink {
    type Pipe = SimPipe;

    async fn open(&mut self, _endpoint: u16, progress: &Progress) -> Result<SimPipe, Fault> {
        progress.set(Step::Transport);
        let world = self.0.clone();
        let id = unwatched(|| {
            let mut inner = world.0.borrow_mut();
            let now = inner.sim.now();
            (inner.dirty, inner.framer) = (true, Framer::new(vec![0; 64 * 1024]));
            inner.opens.push(now);
            inner.sim.net.connect(now, 0, 0)
        });
        let mut attempt = Attempt(Some(SimPipe { world: world.clone(), id, shown: 0 }));
        let opened = std::future::poll_fn(|cx| {
            let mut inner = world.0.borrow_mut();
            match inner.sim.net.opening(id) {
                Opening::Open => Poll::Ready(Ok(())),
                Opening::Failed(cause) => Poll::Ready(Err(Fault::new(Step::Transport, cause))),
                Opening::Pending => {
                    unwatched(|| inner.wakers.push(cx.waker().clone()));
                    Poll::Pending
                }
            }
        });
        opened.await?;
        let mut inner = world.0.borrow_mut();
        let now = inner.sim.now();
        unwatched(|| inner.check.opened(now));
        attempt.0.take().ok_or(Fault::new(Step::Transport, Cause::Reset))
    }
}

impl Pipe for SimPipe {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>> {
        unwatched(|| {
            let inner = &mut *self.world.0.borrow_mut();
            match inner.sim.net.read(self.id, Side::Client, buf) {
                Read::Bytes(n) => {
                    inner.dirty = true;
                    inner.show_received(&buf[..n]);
                    Poll::Ready(Ok(n))
                }
                Read::Eof => Poll::Ready(Ok(0)),
                Read::Reset => Poll::Ready(Err(Cause::Reset)),
                Read::Nothing => {
                    inner.wakers.push(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>> {
        unwatched(|| {
            let inner = &mut *self.world.0.borrow_mut();
            let now = inner.sim.now();
            inner.check.sent(now, &buf[self.shown..], |_, _| ());
            self.shown = buf.len();
            let part = &buf[..buf.len().min(inner.grain)];
            match inner.sim.net.write(now, self.id, Side::Client, part) {
                None => Poll::Ready(Err(Cause::Reset)),
                Some(0) => {
                    inner.wakers.push(cx.waker().clone());
                    Poll::Pending
                }
                Some(n) => {
                    inner.dirty = true;
                    self.shown -= n;
                    Poll::Ready(Ok(n))
                }
            }
        })
    }

    fn poll_close(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Inner {
    /// The checker sees whole packets.
    fn show_received(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = self.framer.space();
            let n = space.len().min(bytes.len());
            space[..n].copy_from_slice(&bytes[..n]);
            self.framer.filled(n);
            bytes = &bytes[n..];
            while let Some(Frame::Packet(packet)) = self.framer.peek() {
                self.check.received(self.sim.now(), packet);
                self.framer.consume();
            }
        }
    }
}

impl Drop for SimPipe {
    fn drop(&mut self) {
        unwatched(|| {
            let inner = &mut *self.world.0.borrow_mut();
            let now = inner.sim.now();
            inner.dirty = true;
            inner.check.closed(now);
            inner.sim.net.close(now, self.id, Side::Client);
        });
    }
}
