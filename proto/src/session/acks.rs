//! What the broker acknowledges. A late or second acknowledgement is counted and harms nothing.

use super::flights::Flight;
use super::subs::SubState;
use super::*;
use crate::engine::{Step, Tag};
use crate::store::Key;
use crate::wire::{QoS, SubAck, UnsubAck};

/// In place of the number of repeats: the broker ended the exchange without taking the message, so
/// that it goes without DUP next time.
pub(super) const NOT_TAKEN: u8 = u8::MAX;

impl<S: Store> Session<'_, S> {
    pub(super) fn on_puback(
        &mut self,
        now: Instant,
        pid: u16,
        ack: &Ack<'_>,
        inbox: &mut impl Inbox,
    ) {
        // [MQTT-4.3.2-3] Until then it stays where it is sent again from.
        let mut taken = self.awaiting(pid, QoS::AtLeastOnce, Stage::Sent);
        if taken.is_none() && self.cfg.version() == Version::V311 {
            // RabbitMQ before 3.13 answers QoS 2 so: it has taken the message, at QoS 1. Who waits
            // for PUBREC sends it again and again, and each copy is passed on.
            taken = self.awaiting(pid, QoS::ExactlyOnce, Stage::Sent);
        }
        match taken {
            Some(key) => self.acknowledged(now, key, ack, inbox),
            None => self.stray(pid),
        }
    }

    pub(super) fn on_pubrec(
        &mut self,
        now: Instant,
        pid: u16,
        ack: &Ack<'_>,
        inbox: &mut impl Inbox,
    ) {
        // [MQTT-4.3.3-3] Until then it stays where it is sent again from.
        if let Some(key) = self.awaiting(pid, QoS::ExactlyOnce, Stage::Sent) {
            if ack.reason.is_error() {
                // [MQTT-4.3.3-4] no PUBREL follows; the exchange is over.
                return self.acknowledged(now, key, ack, inbox);
            }
            if self.sending.is_partial(key) {
                return self.premature(now);
            }
            self.measure(now, key, inbox);
            self.release(now, key, pid);
        } else if let Some(key) = self.awaiting(pid, QoS::ExactlyOnce, Stage::Released) {
            // A second PUBREC, as after a PUBLISH sent twice. PUBREL is on its way already.
            if let Some(meta) = self.store.meta_mut(key) {
                meta.repeats = meta.repeats.saturating_sub(1);
            }
            self.stats.strays += 1;
        } else if ack.reason.is_error() || matches!(self.flights.get(pid), Flight::Ghost(_)) {
            self.stray(pid);
        } else {
            // The broker holds an exchange we know nothing of: let it end.
            self.stats.strays += 1;
            self.owe(AckKind::PubRel, pid, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND);
        }
    }

    /// [MQTT-4.3.3-4], [MQTT-4.3.3-5], [MQTT-4.3.3-6] The message is the
    /// broker's now; PUBREL follows, in the order of the PUBRECs.
    fn release(&mut self, now: Instant, key: Key, pid: u16) {
        self.sending.leaving(&self.store, key, now);
        let connection = self.connection;
        if let Some(meta) = self.store.meta_mut(key) {
            meta.sent = now;
            if meta.connection != connection {
                // It was not sent again on this connection yet, and need not be.
                (meta.connection, meta.repeats) = (connection, 0);
                self.sending.opened_one();
            }
        }
        if self.store.first(Stage::Released).is_none() {
            self.sending.released_head_at(now);
        }
        self.store.advance(key, Stage::Released);
        self.kept.changed();
        self.owe(AckKind::PubRel, pid, ReasonCode::SUCCESS);
    }

    pub(super) fn on_pubcomp(
        &mut self,
        now: Instant,
        pid: u16,
        ack: &Ack<'_>,
        inbox: &mut impl Inbox,
    ) {
        match self.awaiting(pid, QoS::ExactlyOnce, Stage::Released) {
            // "Packet Identifier not found" ends the exchange as well: PUBREC had been given.
            Some(key) => {
                let outcome = Outcome::Delivered(ReasonCode::SUCCESS, ack.props);
                self.finish(now, key, outcome, inbox);
            }
            None => self.stray(pid),
        }
    }

    /// The message that `pid` names, if it is of this QoS and at this stage.
    fn awaiting(&self, pid: u16, qos: QoS, stage: Stage) -> Option<Key> {
        let Flight::Message(key) = self.flights.get(pid) else { return None };
        let matches =
            self.store.meta(key).is_some_and(|m| m.pid == pid && m.qos == qos && m.stage == stage);
        matches.then_some(key)
    }

    fn acknowledged(&mut self, now: Instant, key: Key, ack: &Ack<'_>, inbox: &mut impl Inbox) {
        if self.sending.is_partial(key) {
            return self.premature(now);
        }
        if self.over_quota(key, ack.reason) {
            return;
        }
        self.measure(now, key, inbox);
        // [MQTT-4.4.0-2] A refusal ends it, too.
        let outcome = if ack.reason.is_error() {
            Outcome::Rejected(ack.reason, ack.props)
        } else {
            Outcome::Delivered(ack.reason, ack.props)
        };
        self.finish(now, key, outcome, inbox);
    }

    /// The broker refused a message because others are under way, fewer than it said it takes: it
    /// may count exchanges that are over, as after a crash. So fewer from now on, and this one
    /// once more. What is refused on its own is refused.
    fn over_quota(&mut self, key: Key, reason: ReasonCode) -> bool {
        if reason != ReasonCode::QUOTA_EXCEEDED || self.sending.open < 2 {
            return false;
        }
        let connection = self.connection;
        let Some(meta) = self.store.meta_mut(key).filter(|m| m.connection == connection) else {
            return false;
        };
        (meta.connection, meta.repeats) = (connection.wrapping_sub(1), NOT_TAKEN);
        self.sending.closed_one();
        self.sending.narrowed = self.sending.open;
        self.sending.resend = self.store.first(Stage::Sent);
        true
    }

    /// Round trips of messages sent once only: else it is unknown which copy was meant.
    fn measure(&mut self, now: Instant, key: Key, inbox: &mut impl Inbox) {
        let Some(meta) = self.store.meta(key) else { return };
        if meta.connection == self.connection && meta.repeats == 0 {
            let round_trip = now.micros_since(meta.sent);
            self.live.acknowledged(now, round_trip);
            inbox.round_trip(Duration::from_micros(round_trip));
        }
    }

    /// An acknowledgement came in the middle of the packet that it is for. If that is a second
    /// sending, it is for the first one; another will follow.
    fn premature(&mut self, now: Instant) {
        if self.sending.partial_again {
            self.stats.strays += 1;
        } else {
            self.violation(now, ReasonCode::PROTOCOL_ERROR);
        }
    }

    fn stray(&mut self, pid: u16) {
        self.stats.strays += 1;
        match self.flights.get(pid) {
            Flight::Ghost(0 | 1) => self.flights.set(pid, Flight::Free),
            Flight::Ghost(n) => self.flights.set(pid, Flight::Ghost(n - 1)),
            _ => {}
        }
    }

    pub(super) fn on_suback(&mut self, now: Instant, ack: &SubAck<'_>, inbox: &mut impl Inbox) {
        let pid = ack.pid.get();
        let Some(at) = self.end_operation(now, pid, SubState::Asked) else { return };
        let reason = ack.reasons().next().unwrap_or(ReasonCode::UNSPECIFIED_ERROR);
        let tag = self.subs.get(at).map_or(Tag::NONE, |s| s.tag);
        if reason.is_error() {
            self.subs.take(at);
            tell(tag, Outcome::Rejected(reason, ack.props), inbox);
        } else {
            self.subs.granted(at);
            tell(tag, Outcome::Delivered(reason, ack.props), inbox);
        }
    }

    pub(super) fn on_unsuback(&mut self, now: Instant, ack: &UnsubAck<'_>, inbox: &mut impl Inbox) {
        let Some(at) = self.end_operation(now, ack.pid.get(), SubState::Leaving) else { return };
        // 3.1.1 gives no reason.
        let reason = ack.reasons().next().unwrap_or(ReasonCode::SUCCESS);
        let tag = self.subs.take(at).map_or(Tag::NONE, |s| s.tag);
        let outcome = match reason.is_error() {
            true => Outcome::Rejected(reason, ack.props),
            false => Outcome::Delivered(reason, ack.props),
        };
        tell(tag, outcome, inbox);
    }

    /// Frees the identifier and finds whose it was.
    fn end_operation(&mut self, now: Instant, pid: u16, state: SubState) -> Option<usize> {
        if self.flights.get(pid) == Flight::Operation {
            self.flights.set(pid, Flight::Free);
            self.subs.answered(now);
        } else {
            self.stats.strays += 1;
        }
        self.subs.awaiting(pid).filter(|at| self.subs.get(*at).is_some_and(|s| s.state == state))
    }

    /// The peer lives, but an acknowledgement does not come.
    pub(super) fn acknowledgement_overdue(&mut self, now: Instant) {
        let limit = now.minus(self.cfg.response_time);
        let heads = [self.store.first(Stage::Sent), self.store.first(Stage::Released)];
        let worn_out =
            |key: Key| self.store.meta(key).is_some_and(|m| m.repeats >= self.cfg.max_repeats);
        // [MQTT-4.4.0-1] MQTT 5 allows no second sending on a live connection.
        if self.cfg.version() == Version::V5
            || self.subs.awaited_since(self.live.unsent_since()).is_some_and(|t| t <= limit)
            || self.received.awaited_since(self.cfg.response_time).is_some_and(|t| t <= limit)
            || heads.into_iter().flatten().any(worn_out)
        {
            return self.break_off(now, Fault::new(Step::Up, Cause::AckMissing), None);
        }
        self.sending.start_resending(&self.store, Some(limit));
        self.sending.restart_clocks(now);
    }
}

fn tell(tag: Tag, outcome: Outcome<'_>, inbox: &mut impl Inbox) {
    if tag != Tag::NONE {
        inbox.done(tag, outcome);
    }
}
