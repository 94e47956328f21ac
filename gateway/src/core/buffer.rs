//! Messages for a node, in the order they came.

use everlink_proto::mem::{Table, Text, Texts};
use everlink_proto::wire::QoS;

use super::{Arrival, Limits, Receipt};

/// A message for the node. Its text is the topic, then the data.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    text: Text,
    topic: u16,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) receipt: Receipt,
    /// The broker will send it again: the connection it came by is gone.
    pub(crate) stale: bool,
    /// The MsgId it was sent with; 0: never sent.
    pub(crate) sent: u16,
    /// QoS 2: the node said PUBREC.
    pub(crate) released: bool,
}

#[derive(Debug)]
pub(crate) struct Buffer<'m> {
    held: Table<'m, Held>,
    texts: Texts<'m>,
}

impl<'m> Buffer<'m> {
    pub(crate) fn new(held: Table<'m, Held>, texts: Table<'m, u8>) -> Self {
        Self { held, texts: Texts::new(texts) }
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn clear(&mut self) {
        self.held.truncate(0);
        self.texts.clear();
    }

    pub(crate) fn all(&self) -> &[Held] {
        self.held.as_slice()
    }

    pub(crate) fn all_mut(&mut self) -> &mut [Held] {
        self.held.as_mut_slice()
    }

    /// Topic and data of a message.
    pub(crate) fn message(&self, held: &Held) -> (&str, &[u8]) {
        let text = self.texts.get(held.text);
        let (topic, data) = text.split_at_checked(held.topic.into()).unwrap_or_default();
        (core::str::from_utf8(topic).unwrap_or_default(), data)
    }

    /// Whether it would fit if nothing else were here.
    pub(crate) fn could_hold(&self, message: &Arrival<'_>, limits: &Limits) -> bool {
        let bytes = message.topic.len() + message.data.len();
        bytes <= limits.bytes.min(self.texts.limit())
            && limits.messages.min(self.held.limit()) > 0
            && message.topic.len() <= usize::from(u16::MAX)
    }

    /// Whether it fits now.
    pub(crate) fn has_room(&self, message: &Arrival<'_>, limits: &Limits) -> bool {
        let bytes = message.topic.len() + message.data.len();
        let used = self.texts.limit() - self.texts.room();
        !self.held.is_full()
            && self.held.len() < limits.messages
            && bytes <= self.texts.room().min(limits.bytes.saturating_sub(used))
    }

    /// Adds a message; `false` if there is no room.
    pub(crate) fn push(&mut self, message: &Arrival<'_>) -> bool {
        if self.held.is_full() {
            return false;
        }
        let parts = [message.topic.as_bytes(), message.data];
        let Some(text) = self.texts.add(&parts) else { return false };
        self.held.push(Held {
            text,
            topic: message.topic.len() as u16,
            qos: message.qos,
            retain: message.retain,
            receipt: message.receipt,
            ..Held::default()
        })
    }

    pub(crate) fn remove(&mut self, at: usize) {
        let Some(gone) = self.held.as_slice().get(at).copied() else { return };
        self.held.remove(at);
        self.texts.remove(gone.text);
        for other in self.held.as_mut_slice() {
            other.text = Texts::moved(other.text, gone.text);
        }
    }

    /// The connection they came by is gone: the broker sends those of QoS 1 again, as other messages.
    pub(crate) fn outlive_connection(&mut self) {
        for held in self.held.as_mut_slice() {
            held.stale |= held.qos == QoS::AtLeastOnce && held.receipt != 0;
        }
    }

    /// The broker knows nothing of them any more.
    pub(crate) fn outlive_session(&mut self) {
        for held in self.held.as_mut_slice() {
            (held.stale, held.receipt) = (false, 0);
        }
    }

    /// A message that comes again takes the place of what is kept of it.
    pub(crate) fn adopt(&mut self, message: &Arrival<'_>) -> bool {
        if !message.dup || message.qos != QoS::AtLeastOnce {
            return false;
        }
        let same = |held: &Held| held.stale && self.message(held) == (message.topic, message.data);
        let Some(at) = self.held.as_slice().iter().position(same) else { return false };
        if let Some(held) = self.held.as_mut_slice().get_mut(at) {
            (held.stale, held.receipt) = (false, message.receipt);
        }
        true
    }
}
