//! Received messages: exactly-once bookkeeping, acknowledgements in order, aliases.

use super::*;
use crate::engine::{Incoming, Verdict};
use crate::mem::Table;
use crate::wire::{Publish, QoS, WireError};

/// A received QoS 1 or 2 message whose exchange is not over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    pid: u16,
    qos2: bool,
    state: State,
    /// Connections on which PUBREL was awaited in vain.
    carried: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The application has it and will acknowledge it.
    #[default]
    Held,
    /// Acknowledged by the application, but one received earlier is not yet.
    Ready,
    /// QoS 2: PUBREC owed or sent, PUBREL awaited.
    Recorded,
}

/// All exchanges with the broker as sender, in the order the messages came.
#[derive(Debug)]
pub(super) struct Received<'m> {
    entries: Table<'m, Entry>,
    /// Entries not yet acknowledged, by QoS 1 and 2.
    waiting: [usize; 2],
    /// Since when the PUBREL of the oldest entry is awaited, if any is, and its `carried`.
    oldest: Option<(Instant, u8)>,
}

impl<'m> Received<'m> {
    pub(super) fn new(entries: Table<'m, Entry>) -> Self {
        Self { entries, waiting: [0; 2], oldest: None }
    }

    /// The Receive Maximum to announce.
    pub(super) fn maximum(&self, cfg: &Config) -> u16 {
        let limit = u16::try_from(self.entries.limit()).unwrap_or(u16::MAX);
        cfg.receive_maximum.min(limit).max(1)
    }

    fn find(&self, pid: u16, qos2: bool) -> Option<usize> {
        self.entries.as_slice().iter().position(|e| e.pid == pid && e.qos2 == qos2)
    }

    fn push(&mut self, entry: Entry) -> bool {
        let pushed = self.entries.push(entry);
        self.waiting[usize::from(entry.qos2)] +=
            usize::from(pushed && entry.state != State::Recorded);
        pushed
    }

    /// A PUBREC goes out, so a PUBREL is awaited.
    fn recorded(&mut self, now: Instant) {
        if self.oldest.is_none_or(|(_, carried)| carried > 0) {
            self.oldest = Some((now, 0));
        }
    }

    /// Looks for the PUBREL that is awaited next: one that the broker has not been silent about on
    /// earlier connections, if there is one, because it may have forgotten those.
    fn await_release(&mut self, now: Instant) {
        let recorded = |e: &&Entry| e.state == State::Recorded;
        let entries = self.entries.as_slice().iter().filter(recorded);
        let mut least = None;
        for carried in entries.map(|e| e.carried) {
            least = Some(least.map_or(carried, |l: u8| l.min(carried)));
            if carried == 0 {
                break;
            }
        }
        self.oldest = least.map(|carried| (now, carried));
    }

    /// The exchange of entry `at` is over.
    fn release(&mut self, now: Instant, at: usize) {
        let Some(entry) = self.entries.as_slice().get(at).copied() else { return };
        let same = |e: &Entry| e.state == State::Recorded && e.carried == entry.carried;
        let first = self.entries.as_slice().iter().position(same) == Some(at);
        self.waiting[1] -= usize::from(entry.state != State::Recorded);
        self.entries.remove(at);
        if first && self.oldest.is_some_and(|(_, carried)| carried == entry.carried) {
            self.await_release(now);
        }
    }

    /// Since when a PUBREL is awaited. Each connection waits twice as long as the one before, so
    /// that a broker that forgot an exchange is not left again and again for it.
    pub(super) fn awaited_since(&self, response_time: Duration) -> Option<Instant> {
        let (since, carried) = self.oldest?;
        Some(since + response_time.saturating_mul((1 << carried.min(12)) - 1))
    }

    pub(super) fn restart_clock(&mut self, now: Instant) {
        if let Some((since, _)) = &mut self.oldest {
            *since = now;
        }
    }

    /// A connection of the same session is up: the broker is to go on with each exchange.
    pub(super) fn resumed(&mut self, now: Instant) {
        self.await_release(now);
    }

    /// The broker sends unacknowledged QoS 1 messages again, and we shall take them anew.
    pub(super) fn connection_lost(&mut self) {
        self.retain(|e| e.qos2);
        for entry in self.entries.as_mut_slice() {
            entry.carried = entry.carried.saturating_add(1);
        }
        (self.waiting[0], self.oldest) = (0, None);
    }

    /// The broker knows nothing of these exchanges any more.
    pub(super) fn session_lost(&mut self) {
        self.entries.truncate(0);
        (self.waiting, self.oldest) = ([0; 2], None);
    }

    fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        let entries = self.entries.as_mut_slice();
        let mut kept = 0;
        for i in 0..entries.len() {
            if keep(&entries[i]) {
                entries[kept] = entries[i];
                kept += 1;
            }
        }
        self.entries.truncate(kept);
    }
}

impl<S: Store> Session<'_, S> {
    pub(super) fn on_publish(
        &mut self,
        now: Instant,
        publish: &Publish<'_>,
        inbox: &mut impl Inbox,
    ) -> Handled {
        match publish.pid {
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
        if qos2 && let Some(at) = self.received.find(pid, true) {
            self.repeated(now, pid, at);
            // The alias it may carry counts all the same.
            self.resolve(now, publish);
            return Handled::Done;
        }
        // [MQTT-3.3.4-9] more than we said we take.
        let limit = match self.cfg.version {
            Version::V5 => usize::from(self.cfg.receive_maximum),
            Version::V311 => usize::MAX,
        };
        if self.received.entries.len() >= limit.min(self.received.entries.limit()) {
            self.violation(now, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED);
            return Handled::Done;
        }
        // QoS 2 needs no connection: the exchange goes on in a resumed session.
        let epoch = if qos2 { self.session } else { self.connection };
        match self.offer(now, publish, Receipt { pid, qos2, epoch }, inbox) {
            None => {}
            Some(Verdict::Busy) => return Handled::Busy,
            Some(Verdict::Taken) => self.taken(now, pid, qos2, State::Ready),
            Some(Verdict::Later) => self.taken(now, pid, qos2, State::Held),
        }
        Handled::Done
    }

    /// [MQTT-4.3.3-10] a QoS 2 message that came before must not be delivered again.
    fn repeated(&mut self, now: Instant, pid: u16, at: usize) {
        self.stats.duplicates += 1;
        let Some(entry) = self.received.entries.as_mut_slice().get_mut(at) else { return };
        if entry.state != State::Recorded {
            return;
        }
        entry.carried = 0;
        self.received.await_release(now);
        self.owe(AckKind::PubRec, pid, ReasonCode::SUCCESS);
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
        let topic = match publish.topic {
            "" => self.inbound_aliases.get(publish.props.topic_alias()?)?,
            topic => topic,
        };
        let message = Incoming {
            topic,
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            props: publish.props,
            receipt,
        };
        let verdict = inbox.message(&message);
        self.stats.received += u64::from(verdict != Verdict::Busy);
        Some(verdict)
    }

    /// Learns or looks up the Topic Alias; `false` ends the connection.
    fn resolve(&mut self, now: Instant, publish: &Publish<'_>) -> bool {
        if self.cfg.version == Version::V311
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

    fn taken(&mut self, now: Instant, pid: u16, qos2: bool, state: State) {
        let nothing_before = self.received.waiting[usize::from(qos2)] == 0;
        if state == State::Ready && nothing_before {
            if qos2 {
                self.received.push(Entry { pid, qos2, state: State::Recorded, carried: 0 });
                self.received.recorded(now);
            }
            let kind = if qos2 { AckKind::PubRec } else { AckKind::PubAck };
            return self.owe(kind, pid, ReasonCode::SUCCESS);
        }
        self.received.push(Entry { pid, qos2, state, carried: 0 });
    }

    pub(super) fn acknowledge_later(
        &mut self,
        now: Instant,
        receipt: Receipt,
    ) -> Result<(), Refused> {
        let epoch = if receipt.qos2 { self.session } else { self.connection };
        if receipt.epoch != epoch || receipt.pid == 0 {
            return Err(Refused::Stale);
        }
        let at = self.received.find(receipt.pid, receipt.qos2).ok_or(Refused::Stale)?;
        let entry = self.received.entries.as_mut_slice().get_mut(at).ok_or(Refused::Stale)?;
        if entry.state != State::Held {
            return Err(Refused::Stale);
        }
        entry.state = State::Ready;
        self.release_acknowledged(now);
        Ok(())
    }

    /// [MQTT-4.6.0-2] [MQTT-4.6.0-3] acknowledgements go out in the order the messages came, so
    /// only a prefix of each QoS can be released. Returns whether anything is now owed.
    pub(super) fn release_acknowledged(&mut self, now: Instant) -> bool {
        let mut released = false;
        for qos2 in [false, true] {
            while self.received.waiting[usize::from(qos2)] > 0 && self.owed.room() > 0 {
                let first = |e: &Entry| e.qos2 == qos2 && e.state != State::Recorded;
                let Some(at) = self.received.entries.as_slice().iter().position(first) else {
                    break;
                };
                let Some(entry) = self.received.entries.as_mut_slice().get_mut(at) else { break };
                if entry.state != State::Ready {
                    break;
                }
                let pid = entry.pid;
                self.received.waiting[usize::from(qos2)] -= 1;
                if qos2 {
                    entry.state = State::Recorded;
                    entry.carried = 0;
                    self.received.recorded(now);
                    self.owe_if_connected(AckKind::PubRec, pid);
                } else {
                    self.received.entries.remove(at);
                    self.owe_if_connected(AckKind::PubAck, pid);
                }
                released = true;
            }
        }
        released
    }

    /// Without a connection the broker asks again in the next one.
    fn owe_if_connected(&mut self, kind: AckKind, pid: u16) {
        if self.phase == Phase::Up {
            self.owe(kind, pid, ReasonCode::SUCCESS);
        }
    }

    pub(super) fn on_pubrel(&mut self, now: Instant, pid: u16) {
        match self.received.find(pid, true) {
            Some(at) => {
                self.received.release(now, at);
                self.owe(AckKind::PubComp, pid, ReasonCode::SUCCESS);
            }
            // After a lost PUBCOMP, or a lost session of ours: the broker only wants to be done.
            None => self.owe(AckKind::PubComp, pid, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND),
        }
    }

    /// A packet larger than the receive buffer. A PUBLISH is acknowledged, else the broker would
    /// send it again for ever; the application is told.
    pub(super) fn on_skipped(
        &mut self,
        now: Instant,
        head: &[u8],
        total: usize,
        inbox: &mut impl Inbox,
    ) -> Handled {
        if self.phase != Phase::Up || self.cut.is_some() {
            return Handled::Done;
        }
        if self.owed.room() == 0 {
            return Handled::Busy;
        }
        self.stats.skipped += 1;
        self.stats.bytes_in += total as u64;
        match Publish::decode_head(self.cfg.version, head) {
            Ok(publish) => {
                self.resolve(now, &publish);
                let topic = publish.props.topic_alias().and_then(|a| self.inbound_aliases.get(a));
                inbox.skipped(
                    if publish.topic.is_empty() { topic.unwrap_or("") } else { publish.topic },
                    total,
                );
                if let Some(pid) = publish.pid {
                    self.refuse_skipped(now, pid.get(), publish.qos);
                }
            }
            Err(WireError::Truncated | WireError::BadPacketType) => {
                inbox.skipped("", total);
                // Not even its identifier is known, so it cannot be answered.
                self.violation(now, ReasonCode::PACKET_TOO_LARGE);
            }
            Err(e) => self.violation(now, e.reason()),
        }
        Handled::Done
    }

    fn refuse_skipped(&mut self, now: Instant, pid: u16, qos: QoS) {
        match qos {
            QoS::ExactlyOnce => match self.received.find(pid, true) {
                Some(at) => self.repeated(now, pid, at),
                // 3.1.1 knows no refusal: the exchange is completed as if taken.
                None if self.cfg.version == Version::V311 => {
                    self.taken(now, pid, true, State::Ready)
                }
                None => self.owe(AckKind::PubRec, pid, ReasonCode::PACKET_TOO_LARGE),
            },
            _ => self.owe(AckKind::PubAck, pid, ReasonCode::PACKET_TOO_LARGE),
        }
    }
}
