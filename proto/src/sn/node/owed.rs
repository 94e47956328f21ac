//! Answers to be sent, in the order the messages came that they answer.

use crate::sn::wire::{Message, PubAck, RegAck};

/// An answer to be sent.
#[derive(Clone, Copy, Debug)]
pub struct OwedSlot(pub(super) Owed);

#[derive(Clone, Copy, Debug)]
pub(super) enum Owed {
    PubAck(PubAck),
    PubRec(u16),
    PubRel(u16),
    PubComp(u16),
    RegAck(RegAck),
    PingResp,
}

impl Default for OwedSlot {
    fn default() -> Self {
        Self(Owed::PingResp)
    }
}

impl Owed {
    pub(super) fn message(self) -> Message<'static> {
        match self {
            Self::PubAck(ack) => Message::PubAck(ack),
            Self::PubRec(id) => Message::PubRec(id),
            Self::PubRel(id) => Message::PubRel(id),
            Self::PubComp(id) => Message::PubComp(id),
            Self::RegAck(ack) => Message::RegAck(ack),
            Self::PingResp => Message::PingResp,
        }
    }
}
