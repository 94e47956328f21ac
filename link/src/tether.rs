//! MQTT-SN over a tether: [`TetherLink`] makes of a link that carries bytes, such as a serial line, one that
//! carries messages, each once and in order, to the gateway at its other end.
//!
//! A pipe is one life of both ends: when the other end restarts the pipe breaks, so that the node connects
//! and registers anew. Silence breaks it, too. The gateway uses the same [`TetherPipe`] at its end of the line.

use std::boxed::Box;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec::Vec;

use everlink_proto::engine::{Cause, Depth, Fault, Framing, Step};
use everlink_proto::sn::version::Version;
use everlink_proto::time::{Duration, Instant};
use everlink_tether::stream::{Deframer, encode, encoded_len};
use everlink_tether::{Channel, Config, Event, Output, Refused, Sizes, Stats, Tether};
use tokio::time::Sleep;

use crate::{Link, Pipe, Progress, Words};

/// Bytes read at once.
const READ: usize = 512;
/// Rounds of reading and writing before other tasks get their turn.
const ROUNDS: usize = 64;
/// How long what was sent may take to arrive when the pipe is closed.
const FAREWELL: Duration = Duration::from_secs(2);

/// How a tether is made. The default is for a serial line.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Of the tether.
    pub config: Config,
    /// Of its memory.
    pub sizes: Sizes,
    /// Of the messages it carries.
    pub version: Version,
}

impl Default for Settings {
    fn default() -> Self {
        Self { config: Config::serial(), sizes: Sizes::default(), version: Version::default() }
    }
}

/// A link to a gateway, over a link that carries bytes.
#[derive(Debug)]
pub struct TetherLink<L> {
    link: L,
    settings: Settings,
    epoch: u32,
}

impl<L> TetherLink<L> {
    /// Over `link`. `epoch` is a random number; each pipe has the next one.
    pub fn new(link: L, settings: Settings, epoch: u32) -> Self {
        Self { link, settings, epoch }
    }
}

impl<L: Link> Link for TetherLink<L> {
    type Pipe = TetherPipe<L::Pipe>;

    /// Opens the line, and waits until the gateway answers: for as long as that takes. Cancel-safe.
    async fn open(&mut self, endpoint: u16, progress: &Progress) -> Result<Self::Pipe, Fault> {
        let pipe = self.link.open(endpoint, progress).await?;
        progress.set(Step::Transport);
        self.epoch = self.epoch.wrapping_add(1);
        let mut pipe = TetherPipe::new(pipe, self.settings, self.epoch);
        let met = poll_fn(|cx| pipe.poll_met(cx)).await;
        met.map(|()| pipe).map_err(|cause| Fault::new(Step::Transport, cause))
    }

    async fn cycle(&mut self, depth: Depth) {
        self.link.cycle(depth).await;
    }

    fn words(&self) -> Option<Words> {
        self.link.words()
    }
}

/// One end of a tether over `P`. A write takes whole MQTT-SN messages; what is read is messages one behind the
/// other. Messages on other channels, and what is no MQTT-SN message, are dropped.
#[derive(Debug)]
pub struct TetherPipe<P> {
    pipe: P,
    tether: Tether<'static>,
    version: Version,
    deframer: Deframer<Vec<u8>>,
    /// A frame on its way to the line, and how much of it has gone.
    frame: Vec<u8>,
    gone: usize,
    /// How much of the message that waits was read.
    read: usize,
    sleep: Option<Pin<Box<Sleep>>>,
    started: tokio::time::Instant,
    closing: Option<Instant>,
}

impl<P: Pipe> TetherPipe<P> {
    /// An end that does not know the other one; needs a tokio runtime with time enabled.
    pub fn new(pipe: P, settings: Settings, epoch: u32) -> Self {
        let Settings { config, sizes, version } = settings;
        Self {
            pipe,
            tether: Tether::owned(config, epoch, sizes),
            version,
            deframer: Deframer::new(std::vec![0; encoded_len(sizes.frame.into())]),
            frame: Vec::new(),
            gone: 0,
            read: 0,
            sleep: None,
            started: tokio::time::Instant::now(),
            closing: None,
        }
    }

    /// Completes when both ends know each other.
    pub fn poll_met(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        if let Err(cause) = self.pump(cx, true) {
            return Poll::Ready(Err(cause));
        }
        if self.tether.is_up() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// What happened so far.
    pub fn stats(&self) -> &Stats {
        self.tether.stats()
    }

    fn now(&self) -> Instant {
        Instant::from_millis(1) + self.started.elapsed()
    }

    /// Moves whatever moves. `meeting`: the other end is only being looked for.
    fn pump(&mut self, cx: &mut Context<'_>, meeting: bool) -> Result<(), Cause> {
        for _ in 0..ROUNDS {
            let moved = self.write(cx)? | self.hear(cx)?;
            // The next frame is made when the line is free, and says what is so then.
            if self.gone < self.frame.len() {
                if moved {
                    continue;
                }
                return Ok(());
            }
            let now = self.now();
            let mut frame = [0; 2048];
            match self.tether.poll(now, &mut frame) {
                Output::Frame(len) => {
                    self.frame.resize(encoded_len(len), 0);
                    let len = encode(&frame[..len], &mut self.frame).unwrap_or_default();
                    self.frame.truncate(len);
                    self.gone = 0;
                }
                Output::Message => self.drop_what_is_none(),
                Output::Event(Event::Up { .. }) if meeting => return Ok(()),
                // The other end is in another life: this one is over.
                Output::Event(Event::Up { resumed: false }) => return Err(Cause::Reset),
                Output::Event(Event::Up { resumed: true }) => {}
                Output::Event(Event::Down(_)) if meeting => {}
                Output::Event(Event::Down(_)) => return Err(Cause::Silent),
                Output::Wait(at) => {
                    if moved {
                        continue;
                    }
                    match self.pipe.poll_flush(cx) {
                        Poll::Ready(Err(cause)) => return Err(cause),
                        Poll::Ready(Ok(())) | Poll::Pending => {}
                    }
                    if self.alarm(at, now, cx).is_pending() {
                        return Ok(());
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn alarm(&mut self, at: Option<Instant>, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = at else { return Poll::Pending };
        let at = tokio::time::Instant::now() + at.since(now);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        sleep.as_mut().reset(at);
        sleep.as_mut().poll(cx)
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<bool, Cause> {
        let mut moved = false;
        while self.gone < self.frame.len() {
            match self.pipe.poll_write(cx, &self.frame[self.gone..]) {
                Poll::Ready(Ok(0)) => return Err(Cause::Eof),
                Poll::Ready(Ok(n)) => self.gone += n,
                Poll::Ready(Err(cause)) => return Err(cause),
                Poll::Pending => break,
            }
            moved = true;
        }
        Ok(moved)
    }

    fn hear(&mut self, cx: &mut Context<'_>) -> Result<bool, Cause> {
        let mut bytes = [0; READ];
        let n = match self.pipe.poll_read(cx, &mut bytes) {
            Poll::Ready(Ok(0)) => return Err(Cause::Eof),
            Poll::Ready(Ok(n)) => n,
            Poll::Ready(Err(cause)) => return Err(cause),
            Poll::Pending => return Ok(false),
        };
        let now = self.now();
        let mut rest = &bytes[..n];
        while !rest.is_empty() {
            let (taken, frame) = self.deframer.push(rest);
            if let Some(frame) = frame {
                self.tether.received(now, frame);
            }
            rest = &rest[taken..];
        }
        Ok(true)
    }

    /// A message for nobody here is taken at once.
    fn drop_what_is_none(&mut self) {
        let version = self.version;
        let is_one = |bytes: &[u8]| version.packet_len(bytes) == Ok(Some(bytes.len()));
        let ours = self.tether.message().is_some_and(|(on, m)| on == Channel::Sn && is_one(m));
        self.read = 0;
        if !ours {
            self.tether.take();
        }
    }
}

impl<P: Pipe> Pipe for TetherPipe<P> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>> {
        self.pump(cx, false)?;
        let Some((_, message)) = self.tether.message() else { return Poll::Pending };
        let rest = message.get(self.read..).unwrap_or(&[]);
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        self.read += n;
        if n == rest.len() {
            self.tether.take();
        }
        Poll::Ready(Ok(n))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>> {
        let message = match self.version.packet_len(buf) {
            Ok(Some(n)) => buf.get(..n),
            _ => None,
        };
        // An engine of another protocol.
        let message = message.ok_or(Cause::WrongProtocol)?;
        self.pump(cx, false)?;
        match self.tether.send(Channel::Sn, message) {
            Ok(()) => {}
            // The word that there is room again comes through `pump`, and wakes.
            Err(Refused::Full) => return Poll::Pending,
            Err(Refused::Down) => return Poll::Ready(Err(Cause::Silent)),
            // It can never arrive: the two ends were made for different messages.
            Err(Refused::TooLong) => return Poll::Ready(Err(Cause::WrongProtocol)),
        }
        self.pump(cx, false)?;
        Poll::Ready(Ok(message.len()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.pump(cx, false)?;
        if self.gone < self.frame.len() { Poll::Pending } else { self.pipe.poll_flush(cx) }
    }

    /// Waits at most two seconds until all has arrived.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.now();
        let end = *self.closing.get_or_insert(now + FAREWELL);
        if now < end && self.pump(cx, false).is_ok() && !self.tether.is_idle() {
            // The alarm of the tether, or an acknowledgement, wakes; if neither, this does.
            ready!(self.alarm(Some(end), now, cx));
        }
        self.pipe.poll_close(cx)
    }
}
