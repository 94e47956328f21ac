//! What a tether does next.

use everlink_proto::time::Instant;

use crate::api::{Event, Output};
use crate::frame::{Frame, Hello, tag};
use crate::outgoing::{Next, payload};
use crate::tether::{Peer, Tether};

impl Tether<'_> {
    /// What to do next: call it until it answers [`Output::Wait`], after anything has happened, and at the
    /// time it named. A frame is written to the front of `frame`, which is to be as long as the largest
    /// frame of the link, and at least 24 bytes.
    pub fn poll(&mut self, now: Instant, frame: &mut [u8]) -> Output {
        if let Some(loss) = self.down.take() {
            return Output::Event(Event::Down(loss));
        }
        if let Some(resumed) = self.risen.take() {
            return Output::Event(Event::Up { resumed });
        }
        if !self.announced && self.inn.message().is_some() {
            self.announced = true;
            return Output::Message;
        }
        if self.hello.is_some_and(|at| at <= now)
            && let Some(len) = self.greet(now, frame)
        {
            return self.count(len, false);
        }
        match self.peer {
            Some(peer) if self.up => self.work(now, peer, frame),
            _ => Output::Wait(self.hello),
        }
    }

    fn count(&mut self, len: usize, again: bool) -> Output {
        self.stats.frames_sent = self.stats.frames_sent.wrapping_add(1);
        self.stats.frames_again = self.stats.frames_again.wrapping_add(again.into());
        Output::Frame(len)
    }

    fn greet(&mut self, now: Instant, frame: &mut [u8]) -> Option<usize> {
        let short = |len: usize| u16::try_from(len).unwrap_or(u16::MAX);
        let hello = Hello {
            epoch: self.epoch,
            known: self.peer.map_or(0, |peer| peer.epoch),
            // The caller sends no longer ones, so it receives none.
            frame: short(self.inn.frame().min(frame.len())),
            message: short(self.inn.limit()),
            window: self.inn.window(),
            answer: !self.up,
        };
        self.hello = (!self.up).then(|| {
            let doubled = self.config.hello.saturating_mul(1 << self.hellos.min(10));
            now + doubled.min(self.config.longest)
        });
        self.hellos = self.hellos.saturating_add(1);
        Frame::Hello(hello).write(frame)
    }

    /// The tether is up.
    fn work(&mut self, now: Instant, peer: Peer, frame: &mut [u8]) -> Output {
        let tag = tag(self.epoch, peer.epoch);
        let alive = self.heard + self.config.longest * 2 > now;
        let resend = match self.out.next(now, (peer.window, alive), &self.config, &self.times) {
            Next::Frame(place) => {
                let room = payload(frame.len().min(peer.frame));
                let report = self.inn.report(false);
                let Some(due) = self.out.take(now, place, room) else { return Output::Wait(None) };
                let again = due.again;
                let data = Frame::Ordinary(tag, report, Some((due.fragment, due.bytes)));
                let Some(len) = data.write(frame) else { return Output::Wait(None) };
                self.owed = None;
                return self.count(len, again);
            }
            Next::GivenUp => None,
            Next::Wait(at) => Some(at),
        };
        let (Some(resend), Some(question)) = (resend, self.question()) else {
            self.fall(now);
            return Output::Event(Event::Down(self.down.take().unwrap_or(crate::Loss::Silent)));
        };
        let ask = question.is_some_and(|at| at <= now);
        if ask || self.owed.is_some_and(|at| at <= now) {
            if ask {
                self.asked = (self.asked.0.saturating_add(1), now);
            }
            self.owed = None;
            let report = Frame::Ordinary(tag, self.inn.report(ask), None);
            let Some(len) = report.write(frame) else { return Output::Wait(None) };
            return self.count(len, false);
        }
        Output::Wait([resend, question, self.owed, self.hello].into_iter().flatten().min())
    }

    /// When to ask the other end for a sign of life; `None`: it was asked often enough.
    fn question(&self) -> Option<Option<Instant>> {
        let (times, last) = self.asked;
        if times >= self.config.tries {
            return None;
        }
        // All that is under way is there, and its application does not take it: the word that it has may
        // have been lost.
        let held = self.out.is_held().then_some(self.config.response);
        let silence = match times {
            0 => match (held, self.config.keep_alive) {
                (Some(held), Some(alive)) => Some(held.min(alive)),
                (held, alive) => held.or(alive),
            },
            _ => Some(self.times.patience(&self.config, times)),
        };
        Some(silence.map(|silence| self.heard.max(last) + silence))
    }
}
