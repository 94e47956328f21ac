//! A connection that is open: bytes both ways.

use everlink_proto::engine::Cause;
use everlink_proto::time::Instant;

use super::script::{LONGEST_SEND, SENDING, Stage};
use super::{EspAt, Output, State, Trouble};
use crate::modem::queue::Queue;

/// What moves, and what is known about it.
#[derive(Debug)]
pub(super) struct Flow<B> {
    pub(super) out: Queue<B>,
    pub(super) inn: Queue<B>,
    /// Bytes announced, or for rinsing, and how many of them are out.
    sending: usize,
    paid: usize,
    /// They are for nobody any more.
    pub(super) owing: bool,
    /// The module has all of them, by its own count.
    pub(super) received: bool,
    /// There may be bytes to fetch.
    pub(super) waiting: bool,
    /// Bytes asked for; whether they were promised, how many are still to come, and what is to
    /// come of the line's end after them.
    wanted: usize,
    promised: Option<usize>,
    raw: usize,
    tail: &'static [u8],
    /// Bytes that nobody asked for.
    unasked: usize,
    /// The broker is gone.
    pub(super) closed: bool,
    /// We are to go.
    pub(super) closing: bool,
    /// Sending had its turn.
    sent_last: bool,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Flow<B> {
    pub(super) const fn new(out: Queue<B>, inn: Queue<B>) -> Self {
        Self {
            out,
            inn,
            sending: 0,
            paid: 0,
            owing: false,
            received: false,
            waiting: false,
            wanted: 0,
            promised: None,
            raw: 0,
            tail: &[],
            unasked: 0,
            closed: false,
            closing: false,
            sent_last: false,
        }
    }

    /// For another connection. What is owed to the module is still paid.
    pub(super) fn restart(&mut self, owing: bool) {
        self.inn.clear();
        if !owing {
            self.out.clear();
            (self.sending, self.paid) = (0, 0);
        }
        self.owing = owing;
        (self.received, self.waiting, self.closed, self.closing) = (false, false, false, false);
        (self.wanted, self.promised, self.raw, self.tail) = (0, None, 0, &[]);
        (self.unasked, self.sent_last) = (0, false);
    }

    pub(super) fn rinse(&mut self) {
        (self.sending, self.paid, self.owing) = (LONGEST_SEND, 0, true);
    }

    /// How many bytes the command of this stage is about.
    pub(super) fn wanted(&self, stage: Stage) -> usize {
        match stage {
            Stage::Announce => self.sending,
            Stage::Fetch => self.wanted,
            _ => 0,
        }
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> EspAt<B> {
    pub(super) fn connected(&mut self) {
        self.state = State::Open;
        self.trouble = None;
        let waiting = self.flow.waiting;
        self.flow.out.clear();
        self.flow.restart(false);
        self.flow.waiting = waiting;
        self.go(Stage::Ready);
    }

    /// What comes next on an open connection.
    pub(super) fn choose_flow(&mut self, now: Instant) -> Option<Output> {
        let flow = &mut self.flow;
        let may_fetch = flow.waiting && flow.inn.room() > 0;
        let may_send = !flow.out.ready().is_empty() && !flow.closed;
        if may_fetch && (flow.sent_last || !may_send) {
            flow.sent_last = false;
            // A notice that comes from now on is about more.
            (flow.waiting, flow.promised) = (false, None);
            flow.wanted = flow.inn.room().min(LONGEST_SEND);
            self.go(Stage::Fetch);
        } else if may_send {
            flow.sent_last = true;
            flow.sending = flow.out.ready().len().min(LONGEST_SEND);
            (flow.paid, flow.received, flow.owing) = (0, false, false);
            self.go(Stage::Announce);
        } else if flow.closed && !flow.waiting {
            self.rest(State::Ended(None));
        } else if flow.closing {
            self.go(Stage::Close);
        } else {
            return self.idle(now);
        }
        None
    }

    /// Waits for something to do, or for the time to look whether the module lives.
    fn idle(&mut self, now: Instant) -> Option<Output> {
        let look = *self.due.get_or_insert(now + self.options.check);
        Some(Output::Wait(Some(look)))
    }

    /// Bytes announced go out.
    pub(super) fn pay(&mut self, now: Instant, out: &mut [u8]) -> Option<Output> {
        let flow = &mut self.flow;
        let n = (flow.sending - flow.paid).min(out.len());
        let to = out.get_mut(..n).unwrap_or_default();
        if self.stage == Stage::Rinse {
            // Empty commands, if it was not waiting for anything.
            to.iter_mut().enumerate().for_each(|(at, byte)| *byte = b"\r\n"[at % 2]);
        } else {
            let from = flow.out.ready().get(flow.paid..flow.paid + n).unwrap_or_default();
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
        flow.paid += n;
        if flow.paid == flow.sending {
            match self.stage {
                Stage::Rinse => self.rinsed(),
                _ => {
                    // Before it goes out: the answer may come at once.
                    self.go(Stage::Confirm);
                    self.ask(now);
                }
            }
        }
        Some(Output::Send(n))
    }

    fn rinsed(&mut self) {
        let tries = self.tries;
        self.go(Stage::Attention);
        (self.tries, self.unsure) = (tries, true);
    }

    /// A message that nobody wants any more is out, or will not be taken. `whole` says that the module
    /// waits for no more of it.
    pub(super) fn paid(&mut self, whole: bool) {
        self.starved |= !whole;
        self.flow.restart(false);
        match self.state {
            State::Idle => self.rest(State::Idle),
            _ if !whole && self.options.has_reset_pin => self.pull(),
            _ => self.go(Stage::Attention),
        }
        // It has something to say about that.
        self.unsure = true;
    }

    /// The module says how many bytes it got.
    pub(super) fn count(&mut self, now: Instant, n: u32) {
        self.flow.received = n as usize == self.flow.sending;
        if self.stage == Stage::Confirm && self.flow.received && !self.flow.closed {
            self.due = Some(now + SENDING);
        }
    }

    /// What became of the bytes sent.
    pub(super) fn sent(&mut self, well: bool) {
        if self.stage != Stage::Confirm {
            return;
        }
        if self.flow.owing {
            return self.paid(true);
        }
        // If the line lost a digit of what we announced, it sent fewer and took the rest for noise.
        let all = self.flow.received;
        // In any case it waits for no more.
        self.flow.received = true;
        if !well || !all {
            return match self.flow.closed {
                true => self.go(Stage::Ready),
                false if well => self.fail(Cause::Reset, Trouble::Nonsense),
                false => self.fail(Cause::Reset, Trouble::Send),
            };
        }
        self.flow.out.skip(self.flow.sending);
        self.flow.sending = 0;
        self.go(Stage::Ready);
    }

    /// Takes bytes that are no lines; gives what follows them, or `None` if a line comes.
    pub(super) fn take_raw<'b>(&mut self, now: Instant, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let flow = &mut self.flow;
        if flow.unasked > 0 {
            let n = flow.unasked.min(bytes.len());
            flow.unasked -= n;
            return bytes.get(n..);
        }
        if flow.raw > 0 {
            let n = flow.raw.min(bytes.len());
            flow.inn.hold(bytes.get(..n).unwrap_or_default());
            flow.raw -= n;
            flow.tail = b"\r\n";
            // A slow line may take long, as long as something comes.
            self.due = Some(now + Stage::Fetch.bound(&self.options));
            return bytes.get(n..);
        }
        let (expected, tail) = flow.tail.split_first()?;
        if bytes.first() != Some(expected) {
            // The line lost some, and what came after them took their place.
            self.fail(Cause::Reset, Trouble::Nonsense);
            return Some(&[]);
        }
        flow.tail = tail;
        bytes.get(1..)
    }

    pub(super) fn data_follows(&mut self, n: u32) {
        let n = n as usize;
        if self.stage != Stage::Fetch {
            // An answer to somebody who is gone; what is still to come of it is noise.
            return;
        }
        if !self.asked || self.flow.promised.is_some() || n > self.flow.wanted {
            return self.fail(Cause::Reset, Trouble::Nonsense);
        }
        (self.flow.promised, self.flow.raw) = (Some(n), n);
    }

    /// A module in active mode was restarted, and nobody noticed.
    pub(super) fn data_was_pushed(&mut self, n: u32) {
        if self.state == State::Open {
            return self.fail(Cause::Reset, Trouble::Restarted);
        }
        // Of an earlier connection. It is over soon.
        self.flow.unasked = n as usize;
    }

    pub(super) fn fetched(&mut self) {
        let Some(n) = self.flow.promised.take() else {
            // They were there, but what announced them was lost.
            return self.fail(Cause::Reset, Trouble::Nonsense);
        };
        self.flow.inn.keep();
        self.flow.waiting |= n == self.flow.wanted;
        self.go(Stage::Ready);
    }

    /// There was nothing to fetch after all. What was announced after the question is still to come.
    pub(super) fn nothing_there(&mut self) {
        if self.flow.promised.is_some() {
            return self.fail(Cause::Reset, Trouble::Nonsense);
        }
        self.go(Stage::Ready);
    }

    /// The connection is closed, or there is none.
    pub(super) fn closed(&mut self, now: Instant) {
        if self.state != State::Open {
            return;
        }
        self.flow.closed = true;
        if matches!(self.stage, Stage::Announce | Stage::Confirm) {
            // It has a last word to say about these.
            self.due = Some(now + super::BUSY);
        }
    }
}
