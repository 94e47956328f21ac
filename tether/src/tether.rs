//! One end of a tether.

use everlink_proto::time::{Duration, Instant};

use crate::api::{Loss, Refused, Stats};
use crate::config::{Bytes, Config, Memory};
use crate::frame::{Channel, Fragment, Frame, Hello, Report, tag};
use crate::incoming::{Incoming, Took};
use crate::outgoing::Outgoing;
use crate::round_trip::RoundTrip;

/// The other end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) epoch: u32,
    pub(crate) frame: usize,
    pub(crate) message: usize,
    pub(crate) window: usize,
}

/// One end. See the [crate](crate).
#[derive(Debug)]
pub struct Tether<'m> {
    pub(crate) config: Config,
    pub(crate) epoch: u32,
    pub(crate) peer: Option<Peer>,
    /// The epoch that the other end had before.
    former: u32,
    pub(crate) up: bool,
    /// Since it was last up, the other end or this one lost its memory.
    fresh: bool,
    /// To be told, in this order.
    pub(crate) down: Option<Loss>,
    pub(crate) risen: Option<bool>,
    pub(crate) out: Outgoing<'m>,
    pub(crate) inn: Incoming<'m>,
    pub(crate) times: RoundTrip,
    /// The message that waits was announced.
    pub(crate) announced: bool,
    /// A hello is to go out then, and how many went out since the tether was last up.
    pub(crate) hello: Option<Instant>,
    pub(crate) hellos: u8,
    /// A report is to go out then.
    pub(crate) owed: Option<Instant>,
    /// When the last frame of the other end came.
    pub(crate) heard: Instant,
    /// Questions that were not answered: how many, and when the last one went out.
    pub(crate) asked: (u8, Instant),
    pub(crate) stats: Stats,
}

impl<'m> Tether<'m> {
    /// An end that does not know the other one. `epoch` is to be one it had never before: random, or a
    /// count of starts; 0 counts as 1.
    pub fn new<const SEND: usize, const MESSAGE: usize, const WINDOW: usize, const FRAME: usize>(
        config: Config,
        epoch: u32,
        memory: &'m mut Memory<SEND, MESSAGE, WINDOW, FRAME>,
    ) -> Self {
        let early = Bytes::Lent(memory.early.as_flattened_mut());
        let out = Outgoing::new(Bytes::Lent(&mut memory.send));
        Self::with(
            config,
            epoch,
            out,
            Incoming::new(Bytes::Lent(&mut memory.message), early, WINDOW),
        )
    }

    /// As [`new`](Self::new), in memory of its own. Sizes out of range are brought into it.
    #[cfg(feature = "alloc")]
    pub fn owned(config: Config, epoch: u32, sizes: crate::Sizes) -> Tether<'static> {
        let bytes = |len: usize| Bytes::Own(alloc::vec![0; len].into_boxed_slice());
        let window = usize::from(sizes.window.clamp(1, 4));
        let early = bytes(window * usize::from(sizes.frame.max(24)));
        let inn = Incoming::new(bytes(sizes.message.max(1).into()), early, window);
        Tether::with(config, epoch, Outgoing::new(bytes(sizes.send.into())), inn)
    }

    fn with(config: Config, epoch: u32, out: Outgoing<'m>, inn: Incoming<'m>) -> Self {
        let never = Instant::default();
        Self {
            config,
            epoch: epoch.max(1),
            peer: None,
            former: 0,
            up: false,
            fresh: true,
            down: None,
            risen: None,
            out,
            inn,
            times: RoundTrip::new(),
            announced: false,
            hello: Some(never),
            hellos: 0,
            owed: None,
            heard: never,
            asked: (0, never),
            stats: Stats::default(),
        }
    }

    /// Takes a message that the other end is to get, whole and once. Poll afterwards.
    ///
    /// # Errors
    /// [`Refused`]; nothing was taken.
    pub fn send(&mut self, channel: Channel, message: &[u8]) -> Result<(), Refused> {
        let Some(peer) = self.peer else { return Err(Refused::Down) };
        if message.len() > peer.message.min(self.out.capacity()) {
            return Err(Refused::TooLong);
        }
        if !self.out.push(channel, message) {
            return Err(Refused::Full);
        }
        self.stats.messages_sent = self.stats.messages_sent.wrapping_add(1);
        Ok(())
    }

    /// Bytes that the next message may have, now.
    pub fn room(&self) -> usize {
        self.peer.map_or(0, |peer| peer.message.min(self.out.room()))
    }

    /// Whether all that was sent has arrived.
    pub fn is_idle(&self) -> bool {
        self.out.is_empty()
    }

    /// Whether the other end is there.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// The message that came, until it is [taken](Self::take). No further one is put together meanwhile.
    pub fn message(&self) -> Option<(Channel, &[u8])> {
        self.inn.message()
    }

    /// The application has the message. Poll afterwards.
    pub fn take(&mut self) {
        if self.inn.message().is_none() {
            return;
        }
        let spoiled = self.inn.take();
        self.stats.messages_received = self.stats.messages_received.wrapping_add(1);
        self.stats.messages_spoiled = self.stats.messages_spoiled.wrapping_add(spoiled.into());
        self.announced = false;
        // The other end may be waiting for just this.
        self.owed = Some(self.heard);
    }

    /// What happened so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The measured round trip; zero before there is one.
    pub fn round_trip(&self) -> Duration {
        self.times.mean()
    }

    /// A frame came. Poll afterwards.
    pub fn received(&mut self, now: Instant, frame: &[u8]) {
        self.stats.frames_received = self.stats.frames_received.wrapping_add(1);
        match Frame::read(frame) {
            None => self.stats.frames_bad = self.stats.frames_bad.wrapping_add(1),
            Some(Frame::Hello(hello)) => self.greeted(now, hello),
            Some(Frame::Ordinary(of, report, fragment)) => match self.peer {
                Some(peer) if of == tag(self.epoch, peer.epoch) => {
                    self.ordinary(now, report, fragment);
                }
                _ => {
                    // Who sends it takes us, or itself, for someone else.
                    self.foreign();
                    self.greet_soon(now);
                }
            },
        }
    }

    fn foreign(&mut self) {
        self.stats.frames_foreign = self.stats.frames_foreign.wrapping_add(1);
    }

    fn greet_soon(&mut self, now: Instant) {
        let soon = now + self.config.acknowledge;
        self.hello = Some(self.hello.map_or(soon, |at| at.min(soon)));
    }

    fn greeted(&mut self, now: Instant, hello: Hello) {
        if hello.epoch == self.former || hello.epoch == self.epoch {
            // Late, or our own echo.
            self.foreign();
            return;
        }
        if self.peer.is_none_or(|peer| peer.epoch != hello.epoch) {
            self.meet(hello);
        }
        self.heard = now;
        self.asked.0 = 0;
        let knows = hello.known == self.epoch;
        if knows {
            self.rise();
        }
        if hello.answer || !knows {
            self.greet_soon(now);
        }
    }

    /// Another end, or the same in another life.
    fn meet(&mut self, hello: Hello) {
        if self.up {
            (self.up, self.down, self.risen) = (false, Some(Loss::Restarted), None);
        }
        if !self.out.is_empty() {
            self.stats.forgotten = self.stats.forgotten.wrapping_add(1);
        }
        self.out.clear();
        self.inn.clear();
        (self.owed, self.fresh, self.times) = (None, true, RoundTrip::new());
        self.former = self.peer.map_or(0, |peer| peer.epoch);
        self.peer = Some(Peer {
            epoch: hello.epoch,
            frame: hello.frame.into(),
            message: hello.message.into(),
            window: hello.window.into(),
        });
    }

    /// Each knows the other.
    fn rise(&mut self) {
        if self.up {
            return;
        }
        (self.up, self.hello, self.hellos) = (true, None, 0);
        self.risen = Some(!core::mem::take(&mut self.fresh));
        self.out.try_again();
    }

    /// The other end does not answer.
    pub(crate) fn fall(&mut self, now: Instant) {
        (self.up, self.down, self.risen) = (false, Some(Loss::Silent), None);
        (self.hello, self.owed, self.asked.0) = (Some(now), None, 0);
    }

    fn ordinary(&mut self, now: Instant, report: Report, fragment: Option<(Fragment, &[u8])>) {
        self.heard = now;
        self.asked.0 = 0;
        // The tag has our epoch in it: it knows us.
        self.rise();
        self.out.reported(now, report, &mut self.times);
        if let Some((fragment, bytes)) = fragment {
            let took = self.inn.frame_came(fragment, bytes);
            let again = took == Took::Again;
            let stats = &mut self.stats;
            stats.frames_double = stats.frames_double.wrapping_add(again.into());
            let spoiled = u32::from(took == Took::Spoiled);
            stats.messages_spoiled = stats.messages_spoiled.wrapping_add(spoiled);
            // What was heard before, a gap, and every second frame are told at once: the other end can
            // send again, fill it, go on.
            let gap = self.inn.report(false).here != 0;
            let wait = again || gap || self.owed.is_some();
            let later = now + self.config.acknowledge;
            self.owed = Some(if wait { now } else { later });
        }
        if report.answer {
            self.owed = Some(now);
        }
    }
}
