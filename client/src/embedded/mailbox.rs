//! Received messages that the application has not yet taken: one first-in first-out store of fixed
//! size that all subscriptions share.

use everlink_proto::engine::{Incoming, Receipt};
use everlink_proto::mem::{Table, Text, Texts};
use everlink_proto::wire::{Properties, QoS};

/// A received message's place.
#[derive(Clone, Copy, Debug, Default)]
pub struct MailSlot {
    /// Topic Name, properties, payload, one behind the other.
    text: Text,
    topic: u16,
    props: u16,
    /// The subscriptions that have not taken it, a bit each.
    readers: u32,
    receipt: Receipt,
    qos: QoS,
    retain: bool,
    dup: bool,
    ack: Ack,
}

/// Who acknowledges a message, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ack {
    /// It is acknowledged, or needs no acknowledgement.
    #[default]
    Done,
    /// It is held back until there is room, or until nobody wants it any more.
    Parked,
    /// The application acknowledges it.
    Manual,
    /// Acknowledged, but no subscription wanted it so far.
    Limbo,
}

/// The messages. See the [module](self).
#[derive(Debug)]
pub(super) struct Mailbox<'m> {
    slots: Table<'m, MailSlot>,
    texts: Texts<'m>,
}

impl<'m> Mailbox<'m> {
    pub(super) fn new(slots: &'m mut [MailSlot], bytes: &'m mut [u8]) -> Self {
        Self { slots: Table::fixed(slots), texts: Texts::new(Table::fixed(bytes)) }
    }

    /// Whether a message of this size can ever be held.
    pub(super) fn can_hold(&self, size: usize) -> bool {
        size <= self.texts.limit() && self.slots.limit() > 0
    }

    /// Whether a message of this size fits now.
    pub(super) fn fits(&self, size: usize) -> bool {
        size <= self.texts.room() && !self.slots.is_full()
    }

    /// Whether it fits into the half that is for everything. The rest is for messages that are held
    /// back: the broker can be stopped only after some more of them.
    pub(super) fn fits_easily(&self, size: usize) -> bool {
        let used = self.texts.limit() - self.texts.room();
        self.fits(size)
            && (self.slots.is_empty() || self.is_easy(self.slots.len(), used.saturating_add(size)))
    }

    fn is_easy(&self, before: usize, end: usize) -> bool {
        before < self.slots.limit().div_ceil(2) && end <= self.texts.limit() / 2
    }

    /// Adds a message; without room does nothing.
    pub(super) fn push(&mut self, message: &Incoming<'_>, readers: u32, ack: Ack) {
        let parts = [message.topic.as_bytes(), message.props.raw(), message.payload];
        if self.slots.is_full() {
            return;
        }
        let Some(text) = self.texts.add(&parts) else { return };
        let slot = MailSlot {
            text,
            // Neither is longer than a packet's two-byte lengths allow, or it would not have come.
            topic: message.topic.len() as u16,
            props: message.props.raw().len().min(usize::from(u16::MAX)) as u16,
            readers,
            receipt: if ack == Ack::Done { Receipt::default() } else { message.receipt },
            qos: message.qos,
            retain: message.retain,
            dup: message.dup,
            ack,
        };
        let _ = self.slots.push(slot);
    }

    /// Shows `reader` its next message; `f` says whether it takes it.
    pub(super) fn read<R>(
        &mut self,
        reader: u32,
        f: impl FnOnce(&Incoming<'_>) -> (R, bool),
    ) -> Option<R> {
        let at = self.oldest(reader)?;
        let message = self.message(at)?;
        let (result, taken) = f(&message);
        if taken {
            self.drop_reader(at, reader);
        }
        Some(result)
    }

    /// `reader` does not want a message that it has not seen.
    pub(super) fn discard(&mut self, at: usize, reader: u32) {
        if let Some(slot) = self.slots.as_mut_slice().get_mut(at)
            && slot.ack == Ack::Manual
        {
            slot.ack = Ack::Parked;
        }
        self.drop_reader(at, reader);
    }

    fn drop_reader(&mut self, at: usize, reader: u32) {
        let Some(slot) = self.slots.as_mut_slice().get_mut(at) else { return };
        slot.readers &= !reader;
        // One that is parked is still to be acknowledged.
        if slot.readers == 0 && slot.ack != Ack::Parked {
            self.remove(at);
        }
    }

    fn remove(&mut self, at: usize) {
        let Some(slot) = self.slots.as_slice().get(at).copied() else { return };
        self.slots.remove(at);
        self.texts.remove(slot.text);
        for other in self.slots.as_mut_slice() {
            other.text = Texts::moved(other.text, slot.text);
        }
    }

    /// Acknowledges what was held back and now has room or no reader. Whether there was any.
    pub(super) fn settle(&mut self, mut acknowledge: impl FnMut(Receipt)) -> bool {
        let mut any = false;
        let mut at = 0;
        while let Some(slot) = self.slots.as_slice().get(at).copied() {
            let free = slot.readers == 0;
            if slot.ack == Ack::Parked && (free || self.is_easy(at, slot.text.end())) {
                acknowledge(slot.receipt);
                any = true;
                if free {
                    self.remove(at);
                    continue;
                }
                if let Some(slot) = self.slots.as_mut_slice().get_mut(at) {
                    (slot.ack, slot.receipt) = (Ack::Done, Receipt::default());
                }
            }
            at += 1;
        }
        any
    }

    /// The oldest message for one of `readers`.
    pub(super) fn oldest(&self, readers: u32) -> Option<usize> {
        self.slots.as_slice().iter().position(|s| s.readers & readers != 0)
    }

    /// The oldest message on `topic` for `reader`.
    pub(super) fn oldest_on(&self, reader: u32, topic: &str) -> Option<usize> {
        self.slots.as_slice().iter().position(|s| {
            s.readers & reader != 0
                && self.texts.get(s.text).get(..s.topic.into()) == Some(topic.as_bytes())
        })
    }

    /// Messages for `reader`.
    pub(super) fn count(&self, reader: u32) -> usize {
        self.slots.as_slice().iter().filter(|s| s.readers & reader != 0).count()
    }

    /// Drops the oldest message that nobody wanted so far; `false` if there is none.
    pub(super) fn forget_one(&mut self) -> bool {
        let limbo = self.slots.as_slice().iter().position(|s| s.ack == Ack::Limbo);
        if let Some(at) = limbo {
            self.remove(at);
        }
        limbo.is_some()
    }

    /// Gives `reader` the messages that nobody wanted so far and whose topic `wanted` says it wants.
    pub(super) fn adopt(&mut self, reader: u32, wanted: impl Fn(&str) -> bool) {
        for at in 0..self.slots.len() {
            let adopted = self.slots.as_slice().get(at).is_some_and(|s| s.ack == Ack::Limbo)
                && self.message(at).is_some_and(|m| wanted(m.topic));
            if let Some(slot) = self.slots.as_mut_slice().get_mut(at).filter(|_| adopted) {
                (slot.ack, slot.readers, slot.receipt) = (Ack::Done, reader, Receipt::default());
            }
        }
    }

    fn message(&self, at: usize) -> Option<Incoming<'_>> {
        let slot = self.slots.as_slice().get(at)?;
        let (topic, rest) = self.texts.get(slot.text).split_at_checked(slot.topic.into())?;
        let (props, payload) = rest.split_at_checked(slot.props.into())?;
        Some(Incoming {
            topic: core::str::from_utf8(topic).ok()?,
            payload,
            qos: slot.qos,
            retain: slot.retain,
            dup: slot.dup,
            props: Properties::from_trusted_raw(props),
            receipt: if slot.ack == Ack::Manual { slot.receipt } else { Receipt::default() },
        })
    }
}

/// Bytes that a message takes.
pub(super) fn size(message: &Incoming<'_>) -> usize {
    message.topic.len() + message.props.raw().len() + message.payload.len()
}
