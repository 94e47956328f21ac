//! Received messages: offered to the application, acknowledged in order; aliases.

use super::abilities::{OVERSIZED, offers};
use super::digest::digest;
use super::received::{Entry, State};
use super::*;
use crate::engine::{Incoming, Verdict};
use crate::wire::{PacketId, Publish, QoS, WireError};

/// A message larger than the receive buffer of which not all has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pid: Option<PacketId>,
    qos2: bool,
    digest: u16,
    dup: bool,
}

impl<S: Store> Session<'_, S> {
    pub(super) fn on_publish(
        &mut self,
        now: Instant,
        publish: &Publish<'_>,
        inbox: &mut impl Inbox,
    ) -> Handled {
        match publish.pid {
            _ if !offers(publish.qos) => {
                self.violation(now, ReasonCode::QOS_NOT_SUPPORTED);
                Handled::Done
            }
            None => self.deliver_qos0(now, publish, inbox),
            Some(pid) => self.deliver_acknowledged(now, publish, pid.get(), inbox),
        }
    }

    fn deliver_qos0(
        &mut self,
        now: Instant,
        publish: &Publish<'_>,
        inbox: &mut impl Inbox,
    ) -> Handled {
        match self.offer(now, publish, Receipt::default(), inbox) {
            Some(Verdict::Busy) => Handled::Busy,
            _ => Handled::Done,
        }
    }

    fn deliver_acknowledged(
        &mut self,
        now: Instant,
        publish: &Publish<'_>,
        pid: u16,
        inbox: &mut impl Inbox,
    ) -> Handled {
        let qos2 = publish.qos == QoS::ExactlyOnce;
        if qos2 && let Some(at) = self.known(now, publish, pid) {
            self.repeated(now, pid, at);
            // The alias it may carry counts all the same.
            self.resolve(now, publish);
            return Handled::Done;
        }
        if let Some(handled) = self.too_many() {
            if handled == Handled::Done && self.cut.is_none() {
                // Later messages may use the alias that this one sets.
                self.resolve(now, publish);
            }
            return handled;
        }
        if qos2 && self.is_ended(publish, pid) {
            self.stats.duplicates += 1;
            if self.resolve(now, publish) {
                self.taken(now, publish, pid, State::Ready);
            }
            return Handled::Done;
        }
        let epoch = self.connection;
        match self.offer(now, publish, Receipt { pid, qos2, epoch }, inbox) {
            None => {}
            Some(Verdict::Busy) => return Handled::Busy,
            Some(Verdict::Taken) => self.taken(now, publish, pid, State::Ready),
            Some(Verdict::Later) => self.taken(now, publish, pid, State::Held),
        }
        Handled::Done
    }

    /// [MQTT-4.3.3-10] forbids to deliver it again, though the broker ought not to have sent it.
    fn is_ended(&self, publish: &Publish<'_>, pid: u16) -> bool {
        publish.dup && self.received.has_ended(pid, digest(publish), self.cfg.receive_maximum)
    }

    /// What to do if the list of exchanges is full, if it is.
    fn too_many(&mut self) -> Option<Handled> {
        let usual = match self.cfg.version() {
            Version::V5 => usize::from(self.cfg.receive_maximum),
            Version::V311 => usize::MAX,
        };
        if self.received.is_behind() {
            return Some(Handled::Done);
        }
        if !self.received.is_full(usual) {
            return None;
        }
        // A 3.1.1 broker knows no limit, so it is held back until the application acknowledges. So is
        // one that breaks the limit: mosquitto 2.0 sends a whole window for each PUBACK while it has
        // more queued, and would be left again and again.
        if self.received.is_waiting() {
            return Some(Handled::Busy);
        }
        // Exchanges with PUBREC given do not count: a broker that takes that for their end would be
        // left again and again, and holding it back would hold back the PUBRELs that make room.
        // mosquitto 2.0 sends far more than its own limit in a resumed session.
        self.received.fall_behind();
        Some(Handled::Done)
    }

    /// [MQTT-4.3.3-10] a QoS 2 message that came before must not be delivered again.
    fn repeated(&mut self, now: Instant, pid: u16, at: usize) {
        self.stats.duplicates += 1;
        if self.received.came_again(now, at) {
            self.owe(AckKind::PubRec, pid, ReasonCode::SUCCESS);
        }
    }

    /// Offers the message to the application. `None`: it cannot be understood, the connection ends.
    fn offer(
        &mut self,
        now: Instant,
        publish: &Publish<'_>,
        receipt: Receipt,
        inbox: &mut impl Inbox,
    ) -> Option<Verdict> {
        if !self.resolve(now, publish) {
            return None;
        }
        let message = self.incoming(publish, receipt);
        let verdict = inbox.message(&message);
        self.stats.received += u64::from(verdict != Verdict::Busy);
        Some(verdict)
    }

    /// Learns or looks up the Topic Alias; `false` ends the connection.
    fn resolve(&mut self, now: Instant, publish: &Publish<'_>) -> bool {
        if self.cfg.version() == Version::V311
            || publish.props.is_empty() && !publish.topic.is_empty()
        {
            return true;
        }
        let known = match (publish.topic, publish.props.topic_alias()) {
            ("", Some(alias)) => self.inbound_aliases.get(alias).is_some(),
            ("", None) => false,
            (_, Some(alias)) => {
                alias <= self.inbound_aliases.maximum()
                    && self.inbound_aliases.set(alias, publish.topic)
            }
            (_, None) => true,
        };
        if !known {
            let reason = if publish.props.topic_alias().is_some() {
                ReasonCode::TOPIC_ALIAS_INVALID
            } else {
                ReasonCode::PROTOCOL_ERROR
            };
            self.violation(now, reason);
        }
        known
    }

    fn taken(&mut self, now: Instant, publish: &Publish<'_>, pid: u16, state: State) {
        let qos2 = publish.qos == QoS::ExactlyOnce;
        let digest = if qos2 { digest(publish) } else { 0 };
        self.taken_over(now, (pid, qos2, digest, publish.dup), state);
    }

    fn taken_over(
        &mut self,
        now: Instant,
        (pid, qos2, digest, dup): (u16, bool, u16, bool),
        state: State,
    ) {
        if !dup {
            self.received.new_message(pid);
        }
        let epoch = self.connection;
        self.received.push(Entry { pid, digest, epoch, qos2, state, carried: 0, doubtful: false });
        self.release_acknowledged(now);
    }

    /// The exchange that a QoS 2 message belongs to, if it is not a new one.
    fn known(&mut self, now: Instant, publish: &Publish<'_>, pid: u16) -> Option<usize> {
        let at = self.received.find(pid, true)?;
        let other = || !publish.dup || self.received.digest(at) != digest(publish);
        if self.received.is_doubtful(at) && other() {
            self.received.release(now, at);
            return None;
        }
        Some(at)
    }

    pub(super) fn acknowledge_later(
        &mut self,
        now: Instant,
        receipt: Receipt,
    ) -> Result<(), Refused> {
        if !self.received.acknowledge(receipt) {
            return Err(Refused::Stale);
        }
        self.release_acknowledged(now);
        Ok(())
    }

    /// [MQTT-3.3.4-1], [MQTT-4.3.2-4], [MQTT-4.3.3-8] What is taken is acknowledged, and
    /// [MQTT-4.6.0-2], [MQTT-4.6.0-3] in the order the messages came, so
    /// only a prefix of each QoS can be released. Returns whether anything is now owed.
    pub(super) fn release_acknowledged(&mut self, now: Instant) -> bool {
        let mut released = false;
        while self.owed.room() > 0
            && let Some(entry) = self.received.next_released(now)
        {
            if entry.qos2 {
                self.kept.changed();
            }
            // [MQTT-2.2.1-5]
            let kind = if entry.qos2 { AckKind::PubRec } else { AckKind::PubAck };
            let reason = match entry.state {
                State::Refused => ReasonCode::PACKET_TOO_LARGE,
                _ => ReasonCode::SUCCESS,
            };
            // What came on an earlier connection comes again, and is answered then.
            if matches!(self.phase, Phase::Up) && entry.carried == 0 {
                self.owe(kind, entry.pid, reason);
            }
            released = true;
        }
        released
    }

    /// [MQTT-4.3.3-11], [MQTT-4.3.3-12] PUBCOMP, and the identifier is free.
    pub(super) fn on_pubrel(&mut self, now: Instant, pid: u16) {
        match self.received.find(pid, true) {
            Some(at) => {
                self.received.end(now, at);
                self.kept.changed();
                self.owe(AckKind::PubComp, pid, ReasonCode::SUCCESS);
            }
            // After a lost PUBCOMP, or a lost session of ours: the broker only wants to be done.
            None => self.owe(AckKind::PubComp, pid, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND),
        }
    }

    /// A packet larger than the receive buffer. A PUBLISH is acknowledged [MQTT-4.5.0-2], else the
    /// broker would send it again for ever; the application is told.
    pub(super) fn on_skipped(
        &mut self,
        now: Instant,
        head: &[u8],
        total: usize,
        inbox: &mut impl Inbox,
    ) -> Handled {
        if !matches!(self.phase, Phase::Up) || self.cut.is_some() {
            return Handled::Done;
        }
        if !OVERSIZED {
            self.violation(now, ReasonCode::PACKET_TOO_LARGE);
            return Handled::Done;
        }
        if self.owed.room() == 0 {
            return Handled::Busy;
        }
        let publish = Publish::decode_head(self.cfg.version(), head);
        if publish.is_ok_and(|p| p.pid.is_some())
            && let Some(handled) = self.too_many()
        {
            return handled;
        }
        self.stats.bytes_in += total as u64;
        match publish {
            Ok(publish) => {
                if !self.resolve(now, &publish) {
                    return Handled::Done;
                }
                if !self.begins(now, &publish, total - head.len(), inbox) {
                    self.skip(now, &publish, total, inbox);
                }
            }
            Err(WireError::Truncated | WireError::BadPacketType) => {
                self.stats.skipped += 1;
                inbox.skipped("", total);
                // Not even its identifier is known, so it cannot be answered.
                self.violation(now, ReasonCode::PACKET_TOO_LARGE);
            }
            Err(e) => {
                self.stats.skipped += 1;
                self.violation(now, e.reason());
            }
        }
        Handled::Done
    }

    /// The Topic Name, aliases resolved.
    fn topic<'a>(&'a self, publish: &Publish<'a>) -> &'a str {
        match publish.topic {
            "" => {
                let alias = publish.props.topic_alias();
                alias.and_then(|a| self.inbound_aliases.get(a)).unwrap_or("")
            }
            topic => topic,
        }
    }

    /// What the application is shown of a message whose alias is [resolved](Self::resolve).
    fn incoming<'a>(&'a self, publish: &Publish<'a>, receipt: Receipt) -> Incoming<'a> {
        Incoming {
            topic: self.topic(publish),
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            props: publish.props,
            receipt,
        }
    }

    /// Offers a message larger than the buffer, of which `rest` bytes are still to come.
    fn begins(
        &mut self,
        now: Instant,
        publish: &Publish<'_>,
        rest: usize,
        inbox: &mut impl Inbox,
    ) -> bool {
        let qos2 = publish.qos == QoS::ExactlyOnce;
        let pid = publish.pid.map_or(0, PacketId::get);
        if qos2 && (self.known(now, publish, pid).is_some() || self.is_ended(publish, pid)) {
            return false;
        }
        let message = self.incoming(publish, Receipt::default());
        let begun = inbox.begin(&message, publish.payload.len() + rest);
        let digest = if qos2 { digest(publish) } else { 0 };
        self.begun = begun.then_some(Begun { pid: publish.pid, qos2, digest, dup: publish.dup });
        begun
    }

    /// Further bytes of a packet larger than the buffer.
    pub(super) fn on_rest(
        &mut self,
        now: Instant,
        bytes: &[u8],
        left: usize,
        inbox: &mut impl Inbox,
    ) -> Handled {
        let Some(begun) = self.begun else { return Handled::Done };
        if self.owed.room() == 0 || !inbox.piece(bytes, left) {
            return Handled::Busy;
        }
        if left == 0 {
            self.begun = None;
            self.stats.received += 1;
            if let Some(pid) = begun.pid {
                let exchange = (pid.get(), begun.qos2, begun.digest, begun.dup);
                self.taken_over(now, exchange, State::Ready);
            }
        }
        Handled::Done
    }

    fn skip(&mut self, now: Instant, publish: &Publish<'_>, total: usize, inbox: &mut impl Inbox) {
        self.stats.skipped += 1;
        inbox.skipped(self.topic(publish), total);
        if let Some(pid) = publish.pid {
            self.refuse_skipped(now, publish, pid.get());
        }
    }

    fn refuse_skipped(&mut self, now: Instant, publish: &Publish<'_>, pid: u16) {
        let known = match publish.qos {
            QoS::ExactlyOnce => self.known(now, publish, pid),
            _ => None,
        };
        match known {
            Some(at) => self.repeated(now, pid, at),
            // 3.1.1 knows no refusal: the exchange is completed as if taken.
            None if self.cfg.version() == Version::V311 => {
                self.taken(now, publish, pid, State::Ready)
            }
            None => self.taken(now, publish, pid, State::Refused),
        }
    }
}
