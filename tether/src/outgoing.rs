//! Messages to be sent: waiting, cut into frames, sent again until they are there.

use everlink_proto::time::Instant;

use crate::config::{Bytes, Config};
use crate::frame::{Channel, Fragment, HEADER, Report, after, distance};
use crate::round_trip::RoundTrip;

/// In front of each message in the buffer: its length and its channel.
const RECORD: usize = 3;
const WINDOW: usize = 4;
/// Fragments are never cut shorter than this for a bad line.
const SHORTEST: usize = 16;
/// The first fragments, before anything is known of the line.
const FIRST: usize = 64;
/// So many frames in a row that arrived at once make the next ones twice as long.
const GOOD: u8 = 8;

/// A frame that is not acknowledged yet.
#[derive(Clone, Copy, Debug)]
struct Sent {
    fragment: Fragment,
    /// Where its bytes are in the buffer.
    start: usize,
    len: usize,
    at: Instant,
    times: u8,
    /// Sent more than once: nobody knows which of them an answer is for.
    again: bool,
    /// It has come, but not all before it.
    here: bool,
    /// A later one has come: it is lost, or late.
    overtaken: bool,
}

#[derive(Debug)]
pub(crate) struct Outgoing<'m> {
    buffer: Bytes<'m>,
    used: usize,
    /// Where the next byte is that no frame has carried yet; within a message or at a record.
    cut: usize,
    /// Bytes of the message being cut that are still to go, and its channel.
    rest: Option<(usize, Channel)>,
    /// In order; empty ones last.
    sent: [Option<Sent>; WINDOW],
    /// Number of the next new frame.
    next: u8,
    /// Fragments are cut to this: a line that garbles one octet in a hundred lets a frame of 60 through
    /// every second time, one of 260 hardly ever.
    size: usize,
    /// Frames in a row that arrived when they were sent first.
    good: u8,
}

/// A frame to be sent.
pub(crate) struct Due<'b> {
    pub(crate) fragment: Fragment,
    pub(crate) bytes: &'b [u8],
    pub(crate) again: bool,
}

/// What the present moment asks for.
pub(crate) enum Next {
    /// Send the fragment at this place of the window.
    Frame(usize),
    /// Nothing before this time.
    Wait(Option<Instant>),
    /// A frame was sent as often as may be.
    GivenUp,
}

impl<'m> Outgoing<'m> {
    pub(crate) fn new(buffer: Bytes<'m>) -> Self {
        Self {
            buffer,
            used: 0,
            cut: 0,
            rest: None,
            sent: [None; WINDOW],
            next: 0,
            size: FIRST,
            good: 0,
        }
    }

    /// Forgets everything: the other end lost its memory.
    pub(crate) fn clear(&mut self) {
        (self.used, self.cut, self.rest, self.next) = (0, 0, None, 0);
        self.sent = [None; WINDOW];
    }

    /// Bytes a further message may have.
    pub(crate) fn room(&self) -> usize {
        self.buffer.len().saturating_sub(self.used + RECORD)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// The largest message that ever fits.
    pub(crate) fn capacity(&self) -> usize {
        self.buffer.len().saturating_sub(RECORD)
    }

    /// Whether the message was taken.
    pub(crate) fn push(&mut self, channel: Channel, message: &[u8]) -> bool {
        let Ok(len) = u16::try_from(message.len()) else { return false };
        let end = self.used + RECORD + message.len();
        let Some(room) = self.buffer.get_mut(self.used..end) else { return false };
        let [l0, l1] = len.to_be_bytes();
        let (head, body) = room.split_at_mut(RECORD);
        head.copy_from_slice(&[l0, l1, channel.number()]);
        body.copy_from_slice(message);
        self.used = end;
        true
    }

    /// Takes the other end's report.
    pub(crate) fn reported(&mut self, now: Instant, report: Report, times: &mut RoundTrip) {
        let Some(first) = self.sent[0] else { return };
        let done = usize::from(distance(first.fragment.number, report.next));
        if done > self.in_flight() {
            // Of no frame that is under way: an old report that was overtaken.
            return;
        }
        for _ in 0..done {
            if let Some(sent) = self.sent[0] {
                if !sent.again && !sent.here {
                    times.add(now.since(sent.at));
                }
                if !sent.again {
                    self.arrived();
                }
                self.finish(&sent);
            }
            self.sent.rotate_left(1);
            self.sent[WINDOW - 1] = None;
        }
        let mut latest = None;
        for sent in self.sent.iter_mut().flatten() {
            let place = distance(report.next, sent.fragment.number);
            if place < 4 && report.here & (1 << place) != 0 {
                if !sent.here && !sent.again {
                    times.add(now.since(sent.at));
                }
                sent.here = true;
                latest = latest.max(Some(sent.at));
            }
        }
        for sent in self.sent.iter_mut().flatten() {
            sent.overtaken |= !sent.again && !sent.here && Some(sent.at) < latest;
        }
    }

    /// A frame arrived at the first attempt.
    fn arrived(&mut self) {
        self.good += 1;
        if self.good >= GOOD {
            (self.good, self.size) = (0, (self.size * 2).min(1 << 16));
        }
    }

    /// A frame has arrived for good: with the last one of a message, its bytes go.
    fn finish(&mut self, sent: &Sent) {
        if !sent.fragment.last {
            return;
        }
        let end = sent.start + sent.len;
        self.buffer.copy_within(end..self.used, 0);
        self.used -= end;
        self.cut -= end;
        self.sent
            .iter_mut()
            .flatten()
            .for_each(|later| later.start = later.start.saturating_sub(end));
    }

    fn in_flight(&self) -> usize {
        self.sent.iter().flatten().count()
    }

    /// Whether all that is under way has come, and waits for the application there.
    pub(crate) fn is_held(&self) -> bool {
        self.sent[0].is_some() && self.sent.iter().flatten().all(|sent| sent.here)
    }

    /// `alive`: the other end was heard of late, so it is the line that loses frames.
    pub(crate) fn next(
        &self,
        now: Instant,
        (window, alive): (usize, bool),
        config: &Config,
        times: &RoundTrip,
    ) -> Next {
        let mut wait: Option<Instant> = None;
        let tries = if alive { config.tries.saturating_mul(8) } else { config.tries };
        for (place, sent) in self.sent.iter().enumerate() {
            let Some(sent) = sent.filter(|sent| !sent.here) else { continue };
            // A line that loses is no reason to wait longer and longer; an end that is gone is.
            let waits = if alive { sent.times.min(2) } else { sent.times };
            let due = sent.at + times.patience(config, waits);
            if due <= now && sent.times >= tries {
                return Next::GivenUp;
            }
            if due <= now || sent.overtaken {
                return Next::Frame(place);
            }
            wait = Some(wait.map_or(due, |wait| wait.min(due)));
        }
        let place = self.in_flight();
        if place < window.min(WINDOW) && self.cut < self.used {
            return Next::Frame(place);
        }
        Next::Wait(wait)
    }

    /// Cuts or takes the frame at `place`; `room` is that for its fragment.
    pub(crate) fn take(&mut self, now: Instant, place: usize, room: usize) -> Option<Due<'_>> {
        if let Some(sent) = self.sent.get_mut(place)?.as_mut() {
            sent.at = now;
            sent.times = sent.times.saturating_add(1);
            (sent.overtaken, sent.again) = (false, true);
            // Those that were cut before the last change say nothing about the present size.
            if sent.len >= self.size {
                self.size = (self.size / 2).max(SHORTEST);
            }
            self.good = 0;
            let bytes = self.buffer.get(sent.start..sent.start + sent.len)?;
            return Some(Due { fragment: sent.fragment, bytes, again: true });
        }
        let first = self.rest.is_none();
        let (rest, channel) = match self.rest {
            Some(rest) => rest,
            None => {
                let [l0, l1, channel] = *self.buffer.get(self.cut..)?.first_chunk()?;
                self.cut += RECORD;
                (usize::from(u16::from_be_bytes([l0, l1])), Channel::of(channel))
            }
        };
        let len = rest.min(self.size).min(room.max(1));
        let start = self.cut;
        self.cut += len;
        self.rest = (rest > len).then_some((rest - len, channel));
        let fragment = Fragment { number: self.next, channel, first, last: self.rest.is_none() };
        self.next = after(self.next, 1);
        let sent = Sent {
            fragment,
            start,
            len,
            at: now,
            times: 1,
            again: false,
            here: false,
            overtaken: false,
        };
        *self.sent.get_mut(place)? = Some(sent);
        Some(Due { fragment, bytes: self.buffer.get(start..start + len)?, again: false })
    }

    /// The connection was interrupted: everything under way gets its tries anew.
    pub(crate) fn try_again(&mut self) {
        for sent in self.sent.iter_mut().flatten() {
            (sent.times, sent.again, sent.overtaken) = (0, true, !sent.here);
        }
    }
}

/// Room for a fragment in a frame of `frame` bytes.
pub(crate) const fn payload(frame: usize) -> usize {
    frame.saturating_sub(HEADER)
}
