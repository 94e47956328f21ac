//! A link without sockets, for tests on tokio's paused clock.
//!
//! Each connection is two in-memory pipes with a relay between that delays, holds and ends them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use everlink::{Cause, Fault, Step};
use everlink_link::{Link, Pipe, Progress};
use everlink_proto::engine::Depth;
use everlink_proto::time::Instant as EngineInstant;
use everlink_proto::wire::frame_len;
use everlink_sim::check::Checker;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// What a socket's buffers hold.
const BUFFER: usize = 256 * 1024;

/// How the path is. Connections obey at once.
#[derive(Clone, Debug, Default)]
struct Settings {
    refuse: bool,
    hang: bool,
    hold: bool,
    delay: Duration,
    jitter: Duration,
    /// Connections up to this number are to end.
    ended: u64,
}

/// Handle to the path between a client and what plays its broker.
#[derive(Clone, Debug)]
pub struct Path {
    start: Instant,
    settings: Arc<watch::Sender<Settings>>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    /// When each attempt to open was made.
    attempts: Vec<Instant>,
    redirects: Vec<(String, bool)>,
    /// How deep the link was cut.
    cycles: Vec<Depth>,
    connections: u64,
    /// Of the jitter.
    seed: u64,
    /// Watches the client's end of the wire.
    check: Checker,
}

/// Where connections arrive.
#[derive(Debug)]
pub struct Listener(mpsc::UnboundedReceiver<DuplexStream>);

/// The client's end.
#[derive(Debug)]
pub struct MemoryLink {
    path: Path,
    dial: mpsc::UnboundedSender<DuplexStream>,
}

/// An open connection.
#[derive(Debug)]
pub struct MemoryPipe {
    io: DuplexStream,
    path: Path,
    /// What the client has read of a packet that is not yet whole.
    partial: Vec<u8>,
}

/// A link and where its connections arrive.
pub fn link() -> (MemoryLink, Path, Listener) {
    let (dial, listener) = mpsc::unbounded_channel();
    let shared = Shared {
        attempts: Vec::new(),
        redirects: Vec::new(),
        cycles: Vec::new(),
        connections: 0,
        seed: 0,
        check: Checker::new(),
    };
    let path = Path {
        start: Instant::now(),
        settings: Arc::new(watch::Sender::new(Settings::default())),
        shared: Arc::new(Mutex::new(shared)),
    };
    (MemoryLink { path: path.clone(), dial }, path, Listener(listener))
}

impl Listener {
    /// The next connection.
    pub async fn accept(&mut self) -> DuplexStream {
        self.next().await.expect("the link is there")
    }

    /// The next connection; `None` when the link is gone.
    pub async fn next(&mut self) -> Option<DuplexStream> {
        self.0.recv().await
    }
}

impl Path {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, change: impl FnOnce(&mut Settings)) {
        self.settings.send_modify(change);
    }

    /// Makes the jitter of later connections differ.
    pub fn seed(&self, seed: u64) {
        self.shared().seed = seed;
    }

    /// Time since the link was made, as engines and the simulator count it.
    pub fn now(&self) -> EngineInstant {
        EngineInstant::from_micros(self.start.elapsed().as_micros() as u64)
    }

    /// A moment of [`now`](Self::now) on tokio's clock.
    pub fn at(&self, at: EngineInstant) -> Instant {
        self.start + Duration::from_micros(at.as_micros())
    }

    /// What the client did against the rules so far.
    pub fn violations(&self) -> Vec<String> {
        self.shared().check.violations().iter().map(ToString::to_string).collect()
    }

    /// Connections made so far.
    pub fn connections(&self) -> u64 {
        self.shared().connections
    }

    /// While on, connections are refused.
    pub fn refuse(&self, on: bool) {
        self.set(|s| s.refuse = on);
    }

    /// While on, opening a connection takes for ever.
    pub fn hang(&self, on: bool) {
        self.set(|s| s.hang = on);
    }

    /// While on, nothing passes; what is sent arrives afterwards.
    pub fn hold(&self, on: bool) {
        self.set(|s| s.hold = on);
    }

    /// Each way takes `fixed` and up to `jitter` more. Order is kept.
    pub fn delay(&self, fixed: Duration, jitter: Duration) {
        self.set(|s| (s.delay, s.jitter) = (fixed, jitter));
    }

    /// Ends all present connections.
    pub fn cut(&self) {
        let last = self.shared().connections;
        self.set(|s| s.ended = last);
    }

    /// When each attempt to open was made.
    pub fn attempts(&self) -> Vec<Instant> {
        self.shared().attempts.clone()
    }

    /// Where the broker sent the client.
    pub fn redirects(&self) -> Vec<(String, bool)> {
        self.shared().redirects.clone()
    }

    /// How deep the link was cut so far.
    pub fn cycles(&self) -> Vec<Depth> {
        self.shared().cycles.clone()
    }
}

impl Link for MemoryLink {
    type Pipe = MemoryPipe;

    async fn open(&mut self, _endpoint: u16, progress: &Progress) -> Result<MemoryPipe, Fault> {
        progress.set(Step::Transport);
        self.path.shared().attempts.push(Instant::now());
        let settings = self.path.settings.borrow().clone();
        if settings.hang {
            std::future::pending::<()>().await;
        }
        if settings.refuse {
            return Err(Fault::new(Step::Transport, Cause::Refused));
        }
        let (number, seed) = {
            let mut shared = self.path.shared();
            shared.connections += 1;
            let now = self.path.now();
            shared.check.opened(now);
            (shared.connections, shared.seed * 1_000_003 + shared.connections * 2)
        };
        let (client, near) = tokio::io::duplex(BUFFER);
        let (far, server) = tokio::io::duplex(BUFFER);
        let settings = self.path.settings.subscribe();
        tokio::spawn(relay(near, far, (number, seed), settings));
        let _ = self.dial.send(server);
        Ok(MemoryPipe { io: client, path: self.path.clone(), partial: Vec::new() })
    }

    async fn cycle(&mut self, depth: Depth) {
        self.path.shared().cycles.push(depth);
    }

    fn redirect(&mut self, server: &str, permanent: bool) -> bool {
        self.path.shared().redirects.push((server.to_owned(), permanent));
        true
    }
}

impl MemoryPipe {
    /// Shows the checker every packet the client takes.
    fn taken(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        let now = self.path.now();
        let mut rest = &self.partial[..];
        while let Ok(Some(frame)) = frame_len(rest) {
            let Some((packet, more)) = rest.split_at_checked(frame.total_len) else { break };
            self.path.shared().check.received(now, packet);
            rest = more;
        }
        let done = self.partial.len() - rest.len();
        self.partial.drain(..done);
    }
}

impl Pipe for MemoryPipe {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>> {
        let mut buf = ReadBuf::new(buf);
        match std::pin::Pin::new(&mut self.io).poll_read(cx, &mut buf) {
            Poll::Ready(Ok(())) => {
                self.taken(buf.filled());
                Poll::Ready(Ok(buf.filled().len()))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(Cause::Reset)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>> {
        let poll = std::pin::Pin::new(&mut self.io).poll_write(cx, buf).map_err(|_| Cause::Reset);
        let sent = match poll {
            Poll::Ready(Ok(n)) => n,
            // A socket that is gone may have taken them all the same.
            Poll::Ready(Err(_)) => buf.len(),
            Poll::Pending => 0,
        };
        let now = self.path.now();
        self.path.shared().check.sent(now, &buf[..sent], |_, _| ());
        poll
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        std::pin::Pin::new(&mut self.io).poll_shutdown(cx).map(|_| ())
    }
}

impl Drop for MemoryPipe {
    fn drop(&mut self) {
        let now = self.path.now();
        self.path.shared().check.closed(now);
    }
}

/// Moves bytes both ways until the connection is cut or both sides are done.
async fn relay(
    near: DuplexStream,
    far: DuplexStream,
    (number, seed): (u64, u64),
    settings: watch::Receiver<Settings>,
) {
    let (near_read, near_write) = tokio::io::split(near);
    let (far_read, far_write) = tokio::io::split(far);
    let mut watched = settings.clone();
    let cut = watched.wait_for(|s| s.ended >= number);
    let there = carry(near_read, far_write, settings.clone(), seed);
    let back = carry(far_read, near_write, settings.clone(), seed + 1);
    tokio::select! {
        _ = cut => {}
        _ = async { tokio::join!(there, back) } => {}
    }
}

/// Moves bytes one way.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut settings: watch::Receiver<Settings>,
    seed: u64,
) {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut queue: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut last = Instant::now();
    let mut buf = vec![0; 64 * 1024];
    let mut open = true;
    while open || !queue.is_empty() {
        let held = settings.borrow_and_update().hold;
        let due = queue.front().map(|(at, _)| *at);
        tokio::select! {
            biased;
            () = sleep_until(due), if due.is_some() && !held => {
                let (_, bytes) = queue.pop_front().expect("it is due");
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            n = from.read(&mut buf), if open && queue.len() < 1024 => match n {
                Ok(n) if n > 0 => {
                    let s = settings.borrow().clone();
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let part = (random >> 40) as f64 / (1u64 << 24) as f64;
                    last = last.max(Instant::now() + s.delay + s.jitter.mul_f64(part));
                    queue.push_back((last, buf[..n].to_vec()));
                }
                _ => open = false,
            },
            changed = settings.changed() => if changed.is_err() { return },
        }
    }
    let _ = to.shutdown().await;
}

pub async fn sleep_until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
    }
}
