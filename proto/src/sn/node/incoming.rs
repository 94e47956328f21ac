//! Received messages: offered to the application, acknowledged, known again.

use super::answers::is_id;
use super::*;
use crate::engine::{Incoming, Verdict};
use crate::mem::{Table, hash_bytes};
use crate::sn::wire::{PubAck, Publish, RegAck, Register, ReturnCode, Topic};
use crate::wire::QoS;

/// So many Tretry a copy of a datagram may be late. It looks like the first one; so does another message of
/// a gateway that restarted and counts from 1 again, if its content is the same. Beyond this time it is
/// taken for that.
const LIFETIME: u32 = 3;

/// A received QoS 1 or 2 message whose exchange is not over.
#[derive(Clone, Copy, Debug, Default)]
pub struct InboundSlot {
    msg_id: u16,
    /// Repeated in PUBACK.
    topic_id: u16,
    digest: u32,
    /// Number of the connection that brought it, and when.
    epoch: u32,
    arrived: Instant,
    qos2: bool,
    /// The application has it and will acknowledge it.
    held: bool,
}

/// A QoS 2 exchange that is over.
#[derive(Clone, Copy, Debug, Default)]
pub struct EndedSlot {
    msg_id: u16,
    digest: u32,
    arrived: Instant,
}

#[derive(Debug)]
pub(super) struct Inbound<'m> {
    entries: Table<'m, InboundSlot>,
    ended: Ring<'m, EndedSlot>,
}

impl<'m> Inbound<'m> {
    pub(super) fn new(entries: Table<'m, InboundSlot>, ended: Table<'m, EndedSlot>) -> Self {
        Self { entries, ended: Ring::new(ended) }
    }

    /// QoS 1 messages come again, and are acknowledged then.
    pub(super) fn connection_lost(&mut self) {
        while let Some(at) = self.entries.as_slice().iter().position(|e| !e.qos2) {
            self.entries.remove(at);
        }
    }

    pub(super) fn session_lost(&mut self) {
        self.entries.truncate(0);
        self.ended.clear();
    }

    fn find(&self, msg_id: u16, qos2: bool) -> Option<usize> {
        self.entries.as_slice().iter().position(|e| e.msg_id == msg_id && e.qos2 == qos2)
    }

    /// Whether the exchange of a QoS 2 message is over, and this a late copy of its datagram.
    fn has_ended(&self, publish: &Publish<'_>, digest: u32, since: Instant) -> bool {
        let same = |e: EndedSlot| e.msg_id == publish.msg_id && e.digest == digest;
        self.ended.iter().any(|e| same(e) && (publish.dup || e.arrived >= since))
    }

    fn end(&mut self, at: usize) {
        let Some(entry) = self.entries.as_slice().get(at).copied() else { return };
        self.entries.remove(at);
        if self.ended.room() == 0 {
            self.ended.pop();
        }
        let InboundSlot { msg_id, digest, arrived, .. } = entry;
        let _ = self.ended.push(EndedSlot { msg_id, digest, arrived });
    }
}

impl<S: Store> Node<'_, S> {
    pub(super) fn on_publish(
        &mut self,
        now: Instant,
        publish: &Publish<'_>,
        inbox: &mut impl Inbox,
    ) -> Handled {
        let Some(qos) = publish.qos.in_connection() else {
            // (6.8) Only clients send it.
            self.stats.strays += 1;
            return Handled::Done;
        };
        let qos2 = qos == QoS::ExactlyOnce;
        let digest = digest(publish);
        if qos != QoS::AtMostOnce && self.is_known(now, publish, qos2, digest) {
            return Handled::Done;
        }
        if qos != QoS::AtMostOnce && self.inbound.entries.is_full() {
            // Not answered, so it comes again.
            return Handled::Done;
        }
        if self.topic_name(&publish.topic).is_none() {
            // (6.10) "It shall respond with a PUBACK": the gateway then registers it again.
            self.owe(Owed::PubAck(PubAck::to(publish, ReturnCode::INVALID_TOPIC_ID)));
            return Handled::Done;
        }
        match self.offer(publish, qos, inbox) {
            Verdict::Busy => return Handled::Busy,
            verdict => self.taken(now, publish, qos, digest, verdict == Verdict::Later),
        }
        Handled::Done
    }

    fn topic_name<'a>(&'a self, topic: &'a Topic) -> Option<&'a str> {
        match topic {
            Topic::Short(name) => Some(name.as_str()),
            topic => self.topics.name(*topic),
        }
    }

    fn offer(&mut self, publish: &Publish<'_>, qos: QoS, inbox: &mut impl Inbox) -> Verdict {
        let qos2 = qos == QoS::ExactlyOnce;
        let pid = if qos == QoS::AtMostOnce { 0 } else { publish.msg_id };
        let message = Incoming {
            topic: self.topic_name(&publish.topic).unwrap_or_default(),
            payload: publish.data,
            qos,
            retain: publish.retain,
            dup: publish.dup,
            props: Properties::EMPTY,
            receipt: Receipt { pid, qos2, epoch: self.connection },
        };
        let verdict = inbox.message(&message);
        self.stats.received += u64::from(verdict != Verdict::Busy);
        verdict
    }

    /// Whether the message came before; if so, it is answered as then.
    fn is_known(&mut self, now: Instant, publish: &Publish<'_>, qos2: bool, digest: u32) -> bool {
        let (id, epoch) = (publish.msg_id, self.connection);
        let recent = now.minus(self.cfg.retry.times(LIFETIME));
        if qos2 && self.inbound.has_ended(publish, digest, recent) {
            self.stats.duplicates += 1;
            self.owe(Owed::PubRec(id));
            return true;
        }
        let Some(at) = self.inbound.find(id, qos2) else { return false };
        let Some(entry) = self.inbound.entries.as_slice().get(at).copied() else { return false };
        // The gateway began anew, and counts from 1 again.
        let is_late = publish.dup || entry.epoch == epoch || entry.arrived >= recent;
        if entry.digest != digest || !is_late {
            self.inbound.entries.remove(at);
            return false;
        }
        self.stats.duplicates += 1;
        if !entry.held {
            self.owe(Owed::PubRec(id));
        }
        true
    }

    fn taken(&mut self, now: Instant, publish: &Publish<'_>, qos: QoS, digest: u32, held: bool) {
        let qos2 = qos == QoS::ExactlyOnce;
        if qos != QoS::AtMostOnce && (qos2 || held) {
            let (msg_id, topic_id) = (publish.msg_id, publish.topic.to_u16());
            let (epoch, arrived) = (self.connection, now);
            let slot = InboundSlot { msg_id, topic_id, digest, epoch, arrived, qos2, held };
            // Room was checked.
            let _ = self.inbound.entries.push(slot);
        }
        match qos {
            _ if held => {}
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => {
                self.owe(Owed::PubAck(PubAck::to(publish, ReturnCode::ACCEPTED)));
            }
            QoS::ExactlyOnce => self.owe(Owed::PubRec(publish.msg_id)),
        }
    }

    pub(super) fn acknowledge_later(&mut self, receipt: Receipt) -> Result<(), Refused> {
        let at = self.inbound.find(receipt.pid, receipt.qos2).ok_or(Refused::Stale)?;
        let entries = self.inbound.entries.as_mut_slice();
        let entry = entries.get_mut(at).filter(|e| e.held && e.epoch == receipt.epoch);
        let entry = entry.ok_or(Refused::Stale)?;
        entry.held = false;
        let (topic_id, msg_id) = (entry.topic_id, entry.msg_id);
        // Without a connection, or without room, the gateway asks again.
        let answers = self.is_established() && self.owed.room() > 0;
        if receipt.qos2 {
            if answers {
                self.owe(Owed::PubRec(msg_id));
            }
        } else {
            self.inbound.entries.remove(at);
            if answers {
                let code = ReturnCode::ACCEPTED;
                self.owe(Owed::PubAck(PubAck { topic_id, msg_id, code }));
            }
        }
        Ok(())
    }

    pub(super) fn on_pubrel(&mut self, id: u16) {
        if let Some(at) = self.inbound.find(id, true) {
            let held = self.inbound.entries.as_slice().get(at).is_some_and(|e| e.held);
            if held {
                // It was not given PUBREC: a word of another age.
                self.stats.strays += 1;
                return;
            }
            self.inbound.end(at);
        }
        // After a lost PUBCOMP, or a lost session of ours: the gateway only wants to be done.
        self.owe(Owed::PubComp(id));
    }

    /// (6.10) The gateway says which topic id it will use.
    pub(super) fn on_register(&mut self, register: &Register<'_>) {
        let Register { topic_id, msg_id, topic } = *register;
        let code = if !is_id(topic_id) {
            ReturnCode::INVALID_TOPIC_ID
        } else if self.topics.learn(topic, topic_id) {
            ReturnCode::ACCEPTED
        } else {
            ReturnCode::NOT_SUPPORTED
        };
        self.owe(Owed::RegAck(RegAck { topic_id, msg_id, code }));
    }
}

/// Tells most messages apart that have the same MsgId.
fn digest(publish: &Publish<'_>) -> u32 {
    hash_bytes(publish.data)
}
