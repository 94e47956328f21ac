//! What the gateway says to what we asked.

use super::*;
use crate::sn::wire::{PubAck, RegAck, ReturnCode, SubAck, Topic};
use crate::store::Key;
use crate::wire::QoS;

/// So often a gateway may give an id for a topic and not know it for the same message.
const MOST_UNKNOWN: u8 = 3;

impl<S: Store> Node<'_, S> {
    /// "The client should wait for a time Twait" (6.5, 6.6, 6.9).
    pub(super) fn congested(&mut self, now: Instant) {
        self.hold = Some(now.plus(self.cfg.wait));
        if self.request.is_some_and(|r| r.ask.waits()) {
            self.request = None;
        }
        self.subs.connection_lost();
    }

    /// Whether `ask` is under way with this MsgId.
    fn awaits(&self, ask: impl Fn(Ask) -> bool, id: u16) -> bool {
        self.request.is_some_and(|r| ask(r.ask) && r.msg_id == id && r.is_repeated())
    }

    pub(super) fn on_regack(&mut self, now: Instant, ack: &RegAck, inbox: &mut impl Inbox) {
        if !self.awaits(|ask| ask == Ask::Register, ack.msg_id) {
            self.stats.strays += 1;
            return;
        }
        self.request = None;
        match ack.code {
            ReturnCode::ACCEPTED if is_id(ack.topic_id) => {
                self.topics.answered(ack.msg_id, Some(ack.topic_id));
            }
            ReturnCode::CONGESTION => {
                self.topics.answered(ack.msg_id, None);
                self.congested(now);
            }
            code => {
                self.topics_refused(now, ack.msg_id, code, inbox);
                self.topics.answered(ack.msg_id, None);
            }
        }
    }

    /// The gateway will not have this topic: nor can it get the message that it was registered for.
    fn topics_refused(
        &mut self,
        now: Instant,
        asked: u16,
        code: ReturnCode,
        inbox: &mut impl Inbox,
    ) {
        let Some(name) = self.topics.asked(asked) else { return };
        let key = self.store.first(Stage::Sent).or_else(|| self.store.first(Stage::Queued));
        let same = |k: &Key| self.store.content(*k).is_some_and(|c| c.topic == name);
        let Some(key) = key.filter(same) else { return };
        let reason = match code {
            // "Accepted", with an id that cannot be.
            ReturnCode::ACCEPTED => ReasonCode::PROTOCOL_ERROR,
            code => code.reason(),
        };
        self.finish(now, key, Outcome::Rejected(reason, Properties::EMPTY), inbox);
    }

    pub(super) fn on_puback(&mut self, now: Instant, ack: &PubAck, inbox: &mut impl Inbox) {
        let under_way = self.with_id(Stage::Sent, ack.msg_id).filter(|_| ack.msg_id != 0);
        let Some(key) = under_way else {
            return self.on_stray_puback(now, ack);
        };
        let qos = self.store.meta(key).map_or(QoS::AtMostOnce, |m| m.qos);
        match ack.code {
            ReturnCode::ACCEPTED if qos == QoS::AtLeastOnce => {
                self.finish(now, key, DELIVERED, inbox);
            }
            ReturnCode::ACCEPTED => self.stats.strays += 1,
            ReturnCode::CONGESTION => self.congested(now),
            ReturnCode::INVALID_TOPIC_ID => self.unknown_id(now, key, ack, inbox),
            code => {
                self.finish(now, key, Outcome::Rejected(code.reason(), Properties::EMPTY), inbox);
            }
        }
    }

    /// Of a QoS 0 message, which is gone, or late.
    fn on_stray_puback(&mut self, now: Instant, ack: &PubAck) {
        match ack.code {
            ReturnCode::INVALID_TOPIC_ID if ack.msg_id == 0 => self.topics.forget_id(ack.topic_id),
            ReturnCode::CONGESTION if ack.msg_id == 0 => self.congested(now),
            _ => self.stats.strays += 1,
        }
    }

    /// (6.6) "The client needs to register the topic name again", (6.7) which would not help where the
    /// id was not given by the gateway. The message keeps its MsgId: an earlier copy may have been taken.
    fn unknown_id(&mut self, now: Instant, key: Key, ack: &PubAck, inbox: &mut impl Inbox) {
        let Some(name) = self.store.content(key).map(|c| c.topic) else { return };
        let topic = self.topics.find(name);
        match topic {
            // A late copy of what was said about an earlier id.
            Some(Topic::Id(id)) if id != ack.topic_id => self.stats.strays += 1,
            None => self.stats.strays += 1,
            Some(topic) if !topic.is_given() || self.unknown >= MOST_UNKNOWN => {
                let reason = ReturnCode::INVALID_TOPIC_ID.reason();
                self.finish(now, key, Outcome::Rejected(reason, Properties::EMPTY), inbox);
            }
            Some(_) => {
                self.unknown += 1;
                self.topics.forget_id(ack.topic_id);
                self.request = self.request.filter(|r| r.ask != Ask::Publish(key));
            }
        }
    }

    pub(super) fn on_pubrec(&mut self, now: Instant, id: u16, inbox: &mut impl Inbox) {
        if let Some(key) = self.with_id(Stage::Sent, id) {
            if self.store.meta(key).is_none_or(|m| m.qos != QoS::ExactlyOnce) {
                self.stats.strays += 1;
                return;
            }
            if let Some(meta) = self.store.meta(key) {
                inbox.round_trip(now.since(meta.sent));
            }
            self.store.advance(key, Stage::Released);
            if let Some(meta) = self.store.meta_mut(key) {
                meta.sent = now;
            }
            if self.request.is_none_or(|r| r.ask == Ask::Publish(key)) {
                self.request = Some(Request::new(Ask::Release(key), id));
            }
            return;
        }
        match self.with_id(Stage::Released, id) {
            // The gateway has not got our PUBREL.
            Some(_) => match &mut self.request {
                Some(r) if matches!(r.ask, Ask::Release(_)) && r.msg_id == id => r.again(),
                _ => {}
            },
            // Of a message that is done with: the gateway only wants to be done, too.
            None => {
                self.stats.strays += 1;
                self.owe(Owed::PubRel(id));
            }
        }
    }

    pub(super) fn on_pubcomp(&mut self, now: Instant, id: u16, inbox: &mut impl Inbox) {
        match self.with_id(Stage::Released, id) {
            Some(key) => self.finish(now, key, DELIVERED, inbox),
            None => self.stats.strays += 1,
        }
    }

    pub(super) fn on_suback(&mut self, now: Instant, ack: &SubAck, inbox: &mut impl Inbox) {
        let asked = self.awaits(|ask| ask == Ask::Subscription, ack.msg_id);
        let Some(at) = self.subs.awaiting(ack.msg_id).filter(|_| asked) else {
            self.stats.strays += 1;
            return;
        };
        let Some(sub) = self.subs.get(at).copied() else { return };
        if ack.code == ReturnCode::CONGESTION {
            return self.congested(now);
        }
        self.request = None;
        let outcome = match ack.code {
            ReturnCode::ACCEPTED => {
                let filter = self.subs.filter(&sub);
                let given = matches!(self.topics.filter(filter), crate::sn::wire::Filter::Name(_));
                if given && is_id(ack.topic_id) && !filter.contains(['+', '#']) {
                    self.topics.learn(filter, ack.topic_id);
                }
                self.subs.granted(at);
                Outcome::Delivered(ReasonCode(ack.qos as u8), Properties::EMPTY)
            }
            code => {
                self.subs.take(at);
                Outcome::Rejected(code.reason(), Properties::EMPTY)
            }
        };
        if sub.tag != Tag::NONE {
            inbox.done(sub.tag, outcome);
        }
    }

    pub(super) fn on_unsuback(&mut self, id: u16, inbox: &mut impl Inbox) {
        let asked = self.awaits(|ask| ask == Ask::Subscription, id);
        let Some(at) = self.subs.awaiting(id).filter(|_| asked) else {
            self.stats.strays += 1;
            return;
        };
        self.request = None;
        if let Some(tag) = self.subs.take(at).map(|s| s.tag).filter(|tag| *tag != Tag::NONE) {
            inbox.done(tag, DELIVERED);
        }
    }

    pub(super) fn on_pingresp(&mut self, now: Instant, inbox: &mut impl Inbox) {
        match self.request.map(|r| r.ask) {
            Some(Ask::Ping) => {
                self.request = None;
                inbox.pong();
            }
            Some(Ask::Check) => self.fall_asleep(now),
            _ => self.stats.strays += 1,
        }
    }

    /// (6.12) "Upon receiving such a DISCONNECT message a client should retry to setup the connection
    /// again", unless it answers ours.
    pub(super) fn on_disconnect(&mut self, now: Instant, inbox: &mut impl Inbox) {
        match (self.phase, self.request.map(|r| (r.ask, r.is_repeated()))) {
            (Phase::Up, Some((Ask::Sleep(_), true))) => self.fall_asleep(now),
            // A late copy of that answer.
            (Phase::Asleep { .. }, _) => self.stats.strays += 1,
            _ => {
                let reason = ReasonCode::UNSPECIFIED_ERROR;
                inbox.refused(reason, Properties::EMPTY);
                let cause = Cause::DisconnectedByBroker(reason);
                self.break_off(now, Fault::new(Step::Up, cause));
            }
        }
    }
}

/// (5.3.11) These two are reserved.
pub(super) fn is_id(id: u16) -> bool {
    !matches!(id, 0 | 0xFFFF)
}
