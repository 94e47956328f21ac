//! What only the driver can fill in: CONNECT and the will, and the PINGREQ of a sleeping node, which
//! names it. The driver is asked with [`Output::Connect`] each time, so that the node needs no memory
//! for any of it; and the gateway's side of the handshake.

use super::*;
use crate::sn::wire::{Connect as SnConnect, EncodeError, ReturnCode, WillTopic};
use crate::wire::ConnAck;
use crate::wire::Will;

impl<S: Store> Node<'_, S> {
    /// Writes what is due, in answer to [`Output::Connect`].
    pub(super) fn speak(
        &mut self,
        now: Instant,
        with: &Connect<'_>,
        tx: &mut [u8],
    ) -> Result<usize, Refused> {
        let due = self.request.filter(|r| r.is_due() && r.ask.is_personal());
        let Some(ask) = due.map(|r| r.ask) else { return Err(Refused::Invalid) };
        if ask == Ask::Connect && !self.is_returning() {
            self.clean =
                self.cfg.clean_reconnect || self.cfg.clean_start && !self.recovery.has_session;
        }
        let room = tx.len().min(self.cfg.frame);
        let tx = tx.get_mut(..room).unwrap_or_default();
        match self.personal(ask, with).encode(self.cfg.version, tx) {
            Ok(n) => {
                self.spoke = now;
                self.stats.bytes_out += n as u64;
                self.told_will = with.will.is_some();
                self.has_will |= self.told_will;
                if let Some(request) = &mut self.request {
                    self.stats.repeats += u64::from(request.is_repeated());
                    request.sent(now);
                }
                Ok(n)
            }
            Err(fault) => {
                self.unspeakable(now, ask, fault);
                Err(Refused::TooLarge)
            }
        }
    }

    fn personal<'a>(&self, ask: Ask, with: &Connect<'a>) -> Message<'a> {
        let will = with.will.as_ref();
        let topic = |w: &Will<'a>| WillTopic { qos: w.qos, retain: w.retain, topic: w.topic };
        let payload = will.map_or(&[][..], |w| w.payload);
        match ask {
            Ask::WillTopic => Message::WillTopic(will.map(topic)),
            Ask::WillMsg => Message::WillMsg(payload),
            Ask::WillTopicUpd => Message::WillTopicUpd(will.map(topic)),
            Ask::WillMsgUpd => Message::WillMsgUpd(payload),
            Ask::Check => Message::PingReq(Some(with.client_id)),
            _ => Message::Connect(SnConnect {
                // (6.3) An empty WILLTOPIC deletes what the gateway may hold of earlier times.
                will: will.is_some() || self.has_will && !self.clean,
                clean_session: self.clean && !self.is_returning(),
                duration: self.cfg.keep_alive,
                client_id: with.client_id,
            }),
        }
    }

    /// Nobody can mend this but the application; try again slowly.
    fn unspeakable(&mut self, now: Instant, ask: Ask, fault: EncodeError) {
        let reason = match fault {
            EncodeError::Invalid(WireError::BadTopicName) => ReasonCode::TOPIC_NAME_INVALID,
            EncodeError::Invalid(_) => ReasonCode::CLIENT_IDENTIFIER_NOT_VALID,
            _ => ReasonCode::PACKET_TOO_LARGE,
        };
        if matches!(ask, Ask::WillTopicUpd | Ask::WillMsgUpd) {
            // The connection can live without; whoever asked is told at the next poll.
            self.request = None;
            self.will_refused = Some(reason);
            return;
        }
        self.break_off(now, Fault::new(self.step_now(), Cause::RefusedByBroker(reason)));
    }

    /// Figure 3.
    pub(super) fn on_handshake(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        inbox: &mut impl Inbox,
    ) {
        let asked = self.request.is_some_and(|r| r.is_repeated() || r.ask != Ask::Connect);
        match message {
            _ if !asked => self.stats.strays += 1,
            Message::WillTopicReq => self.request = Some(Request::new(Ask::WillTopic, 0)),
            Message::WillMsgReq => self.request = Some(Request::new(Ask::WillMsg, 0)),
            Message::ConnAck(code) => self.on_connack(now, *code, inbox),
            // Of the connection before. A message of QoS 1 or 2 comes again.
            _ => self.stats.strays += 1,
        }
    }

    fn on_connack(&mut self, now: Instant, code: ReturnCode, inbox: &mut impl Inbox) {
        let reason = code.reason();
        self.request = None;
        if code != ReturnCode::ACCEPTED {
            inbox.refused(reason, Properties::EMPTY);
            return self
                .break_off(now, Fault::new(Step::Handshake, Cause::RefusedByBroker(reason)));
        }
        if self.is_returning() {
            self.nap.returned();
            return self.enter(now, Phase::Up);
        }
        let resumed = self.recovery.has_session && !self.clean;
        let ack = ConnAck { session_present: resumed, reason, props: Properties::EMPTY };
        if !inbox.connected(&ack) {
            let cause = Cause::Protocol(ReasonCode::NOT_AUTHORIZED);
            return self.break_off(now, Fault::new(Step::Handshake, cause));
        }
        self.has_will = self.told_will;
        self.new_will = self.new_will.take().filter(|tag| {
            // This CONNECT told it.
            if *tag != Tag::NONE {
                inbox.done(*tag, DELIVERED);
            }
            false
        });
        if self.clean {
            self.session_lost(now, inbox);
        } else if self.epoch.is_none() {
            // CONNACK does not say whether the gateway still knows.
            self.topics.clear();
            self.subs.session_lost();
        }
        self.is_up(now, resumed);
    }

    /// The gateway has forgotten the session, because we said so: what was not acknowledged goes again
    /// as new, what was released is done.
    fn session_lost(&mut self, now: Instant, inbox: &mut impl Inbox) {
        self.topics.clear();
        self.subs.session_lost();
        self.inbound.session_lost();
        while let Some(key) = self.store.first(Stage::Released) {
            self.finish(now, key, DELIVERED, inbox);
        }
        while let Some(key) = self.store.last(Stage::Sent) {
            self.store.requeue(key);
            if let Some(meta) = self.store.meta_mut(key) {
                meta.repeats = 0;
            }
        }
        self.waiting.recount(&self.store);
    }

    /// (6.4) Whether a part of the new will is to be told.
    pub(super) fn will_due(&self) -> Option<Ask> {
        self.new_will.map(|_| Ask::WillTopicUpd)
    }

    pub(super) fn on_will_topic_resp(
        &mut self,
        now: Instant,
        code: ReturnCode,
        inbox: &mut impl Inbox,
    ) {
        if self.request.is_none_or(|r| r.ask != Ask::WillTopicUpd || !r.is_repeated()) {
            self.stats.strays += 1;
            return;
        }
        self.request = None;
        match code {
            ReturnCode::ACCEPTED if self.told_will => {
                self.request = Some(Request::new(Ask::WillMsgUpd, 0));
            }
            // (5.4.22) That deletes the message as well.
            ReturnCode::ACCEPTED => {
                self.has_will = false;
                self.end_will_update(ReasonCode::SUCCESS, inbox);
            }
            _ => self.will_answered(now, code, inbox),
        }
    }

    pub(super) fn on_will_msg_resp(
        &mut self,
        now: Instant,
        code: ReturnCode,
        inbox: &mut impl Inbox,
    ) {
        if self.request.is_none_or(|r| r.ask != Ask::WillMsgUpd || !r.is_repeated()) {
            self.stats.strays += 1;
            return;
        }
        self.request = None;
        self.will_answered(now, code, inbox);
    }

    fn will_answered(&mut self, now: Instant, code: ReturnCode, inbox: &mut impl Inbox) {
        match code {
            ReturnCode::CONGESTION => self.congested(now),
            _ => self.end_will_update(code.reason(), inbox),
        }
    }

    pub(super) fn end_will_update(&mut self, reason: ReasonCode, inbox: &mut impl Inbox) {
        let Some(tag) = self.new_will.take().filter(|tag| *tag != Tag::NONE) else { return };
        inbox.done(
            tag,
            match reason {
                ReasonCode::SUCCESS => DELIVERED,
                _ => Outcome::Rejected(reason, Properties::EMPTY),
            },
        );
    }
}
