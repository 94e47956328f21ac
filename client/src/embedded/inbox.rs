//! What the engine tells, put where the application finds it.

use embassy_time::Instant;
use everlink_proto::engine::{Inbox, Incoming, Outcome as EngineOutcome, Refused, Tag, Verdict};
use everlink_proto::wire::{ConnAck, Properties, QoS, ReasonCode};

use super::connect::Connect;
use super::hub::{Handler, Pieces};
use super::mailbox::{Ack, Mailbox, size};
use super::route::{Overflow, Routes, bit, id_of};
use super::tasks::{Tasks, want};
use super::waiters::Waiters;

/// How long a full mailbox may hold back QoS 0 messages while the application waits for an
/// acknowledgement that is stuck behind them.
const DEADLOCK: embassy_time::Duration = embassy_time::Duration::from_secs(1);

pub(super) struct Front<'m> {
    pub(super) mailbox: Mailbox<'m>,
    pub(super) routes: Routes<'m>,
    pub(super) waiters: Waiters<'m>,
    pub(super) tasks: Tasks<'m>,
    pub(super) connect: Connect<'m>,
    pub(super) handler: Option<&'m mut Handler<'m>>,
    pub(super) pieces: Option<&'m mut (dyn Pieces + Send + 'm)>,
    /// What the broker said last in CONNACK or DISCONNECT.
    pub(super) said: Option<ReasonCode>,
    /// Messages nobody subscribed to, dropped.
    pub(super) unrouted: u32,
    pub(super) pongs: u32,
    pub(super) busy_since: Option<Instant>,
    pub(super) closed: bool,
}

impl Front<'_> {
    /// Nothing is accepted that nobody would send.
    pub(super) fn check_open(&self) -> Result<(), Refused> {
        if self.closed { Err(Refused::Closed) } else { Ok(()) }
    }

    /// The client is closed: nobody is left waiting.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.waiters.close();
        self.routes.wake(u32::MAX);
        self.tasks.wake(want::ANY);
    }

    /// Ends subscription `at` on this side.
    pub(super) fn abandon(&mut self, at: usize) {
        while let Some(mail) = self.mailbox.oldest(bit(at)) {
            self.mailbox.discard(mail, bit(at));
        }
    }

    /// Subscription `at` gets what came before it was made.
    pub(super) fn adopt(&mut self, at: usize) {
        let routes = &self.routes;
        self.mailbox.adopt(bit(at), |topic| routes.matches(at, topic));
    }

    /// Finds room for a message in the mailbox. Says which of `readers` will have it, and whether
    /// it is to be held back; `None` if it must be offered again.
    fn make_room(&mut self, message: &Incoming<'_>, readers: u32) -> Option<(u32, Ack)> {
        let size = size(message);
        while !self.mailbox.fits_easily(size) && self.mailbox.forget_one() {
            self.unrouted = self.unrouted.saturating_add(1);
        }
        let (mut takers, mut ack) = (0, Ack::Done);
        let holds =
            |at: &usize| self.routes.get(*at).is_some_and(|s| s.how.overflow == Overflow::Hold);
        let each = || (0..self.routes.len()).filter(|at| readers & bit(*at) != 0);
        let holding = each().filter(holds).fold(0, |mask, at| mask | bit(at));
        if holding != 0 {
            match self.hold(message.qos, size)? {
                Held::Lost => self.count_lost(holding),
                Held::Kept(how) => (takers, ack) = (holding, how),
            }
        }
        for at in 0..self.routes.len() {
            if readers & !holding & bit(at) != 0 && self.drop_for(at, message.topic, size) {
                takers |= bit(at);
            }
        }
        let manual = |at: usize| self.routes.get(at).is_some_and(|s| s.how.manual);
        let unacknowledged = message.qos != QoS::AtMostOnce;
        if unacknowledged && (0..self.routes.len()).any(|at| takers & bit(at) != 0 && manual(at)) {
            ack = Ack::Manual;
        }
        Some((takers, ack))
    }

    /// A message for a subscription that holds the broker back. `None`: not now.
    fn hold(&mut self, qos: QoS, size: usize) -> Option<Held> {
        if self.mailbox.fits_easily(size) {
            return Some(Held::Kept(Ack::Done));
        }
        if !self.mailbox.can_hold(size) {
            return Some(Held::Lost);
        }
        if qos != QoS::AtMostOnce {
            return self.mailbox.fits(size).then_some(Held::Kept(Ack::Parked));
        }
        let stuck = self.busy_since.is_some_and(|t| t.elapsed() >= DEADLOCK);
        (stuck && self.waiters.is_awaited()).then_some(Held::Lost)
    }

    /// Drops messages of subscription `at` by its policy until a new one fits; `false` if the new
    /// one is dropped.
    fn drop_for(&mut self, at: usize, topic: &str, size: usize) -> bool {
        let Some(how) = self.routes.get(at).map(|s| s.how) else { return false };
        loop {
            let room = self.mailbox.count(bit(at)) < usize::from(how.capacity);
            if room && self.mailbox.fits(size) {
                return true;
            }
            let oldest = self.mailbox.oldest(bit(at)).filter(|_| self.mailbox.can_hold(size));
            let victim = match how.overflow {
                Overflow::DropOldest => oldest,
                Overflow::Latest => self.mailbox.oldest_on(bit(at), topic).or(oldest),
                Overflow::DropNewest | Overflow::Hold => None,
            };
            self.count_lost(bit(at));
            match victim {
                Some(mail) => self.mailbox.discard(mail, bit(at)),
                None => return false,
            }
        }
    }

    fn count_lost(&mut self, readers: u32) {
        for at in 0..self.routes.len() {
            if let Some(slot) = self.routes.get_mut(at).filter(|_| readers & bit(at) != 0) {
                slot.lost = slot.lost.saturating_add(1);
            }
        }
    }

    /// A message that no subscription wants may be for one that is still to be made: a resumed
    /// session delivers at once.
    fn keep_in_limbo(&mut self, message: &Incoming<'_>) {
        let size = size(message);
        while !self.mailbox.fits_easily(size) && self.mailbox.forget_one() {
            self.unrouted = self.unrouted.saturating_add(1);
        }
        if self.mailbox.fits_easily(size) {
            self.mailbox.push(message, 0, Ack::Limbo);
        } else {
            self.unrouted = self.unrouted.saturating_add(1);
        }
    }

    fn place(&mut self, message: &Incoming<'_>) -> Verdict {
        let matched = self.routes.matching(message);
        let handled = self.routes.to_handler(matched);
        let readers = matched & !handled;
        let Some((takers, ack)) = self.make_room(message, readers) else { return Verdict::Busy };
        let verdict = match &mut self.handler {
            Some(handler) if readers == 0 || handled != 0 => handler(message),
            _ => Verdict::Taken,
        };
        if verdict == Verdict::Busy {
            return verdict;
        }
        if takers != 0 {
            self.mailbox.push(message, takers, ack);
            self.routes.wake(takers);
        } else if matched == 0 && self.handler.is_none() {
            self.keep_in_limbo(message);
        }
        if ack == Ack::Done { verdict } else { Verdict::Later }
    }
}

/// What becomes of a message for subscriptions that hold the broker back.
enum Held {
    Kept(Ack),
    Lost,
}

impl Inbox for Front<'_> {
    fn begin(&mut self, message: &Incoming<'_>, payload: usize) -> bool {
        self.pieces.as_mut().is_some_and(|pieces| pieces.begin(message, payload))
    }

    fn piece(&mut self, bytes: &[u8], left: usize) -> bool {
        self.pieces.as_mut().is_none_or(|pieces| pieces.piece(bytes, left))
    }

    fn stored(&mut self, tag: Tag) {
        self.waiters.stored(tag);
    }

    fn message(&mut self, message: &Incoming<'_>) -> Verdict {
        let verdict = self.place(message);
        match verdict {
            Verdict::Busy => {
                self.busy_since.get_or_insert_with(Instant::now);
            }
            _ => self.busy_since = None,
        }
        verdict
    }

    fn done(&mut self, tag: Tag, outcome: EngineOutcome<'_>) {
        match id_of(tag) {
            Some(id) => self.routes.answered(id, &outcome),
            None => self.waiters.done(tag, outcome.into()),
        }
    }

    fn room(&mut self) {
        self.tasks.wake(want::ROOM);
    }

    fn pong(&mut self) {
        self.pongs = self.pongs.wrapping_add(1);
        self.tasks.wake(want::PONG);
    }

    fn connected(&mut self, ack: &ConnAck<'_>) -> bool {
        self.said = Some(ack.reason);
        true
    }

    fn refused(&mut self, reason: ReasonCode, _props: Properties<'_>) {
        self.said = Some(reason);
    }
}
