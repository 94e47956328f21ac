//! Who waits for the fate of an operation: a slot each.

use core::task::{Context, Poll};

use embassy_sync::waitqueue::WakerRegistration;
use everlink_proto::engine::{Outcome as EngineOutcome, Tag, WhenFull};
use everlink_proto::wire::ReasonCode;

/// How an accepted message, subscription or other operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The broker's final acknowledgement came. At QoS 0: the message was handed to the connection.
    Delivered(ReasonCode),
    /// The broker refused it, or the limits it stated rule it out.
    Rejected(ReasonCode),
    /// Its expiry passed before it could be delivered.
    Expired,
    /// The queue's policy dropped it to make room.
    Dropped(WhenFull),
    /// A later operation on the same Topic Filter took its place.
    Superseded,
    /// The client was closed; the message is still held and goes out when it is opened again.
    Held,
}

impl Outcome {
    /// Whether it was delivered.
    pub fn is_delivered(self) -> bool {
        matches!(self, Self::Delivered(_))
    }
}

impl From<EngineOutcome<'_>> for Outcome {
    fn from(outcome: EngineOutcome<'_>) -> Self {
        match outcome {
            EngineOutcome::Delivered(reason, _) => Self::Delivered(reason),
            EngineOutcome::Rejected(reason, _) => Self::Rejected(reason),
            EngineOutcome::Expired => Self::Expired,
            EngineOutcome::Dropped(policy) => Self::Dropped(policy),
            EngineOutcome::Superseded => Self::Superseded,
        }
    }
}

/// Somebody who waits.
#[derive(Debug)]
pub struct WaiterSlot {
    state: State,
    waker: WakerRegistration,
    /// Told apart by tags, so that the end of an operation that nobody waits for any more is not
    /// taken for that of the slot's next user.
    generation: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Free,
    Waiting,
    /// On the durable medium, and waiting.
    Stored,
    Done(Outcome),
}

impl State {
    fn is_waiting(self) -> bool {
        matches!(self, Self::Waiting | Self::Stored)
    }
}

impl WaiterSlot {
    /// A free slot.
    pub const FREE: Self =
        Self { state: State::Free, waker: WakerRegistration::new(), generation: 0 };
}

/// All waiting operations. A [`Tag`] is a slot's index plus one, and its generation.
#[derive(Debug)]
pub(super) struct Waiters<'m>(&'m mut [WaiterSlot]);

/// Bits of a tag that are the index; the highest bit marks Topic Filters.
const INDEX: u32 = 10;
const GENERATION: u32 = (1 << (31 - INDEX)) - 1;

impl<'m> Waiters<'m> {
    pub(super) fn new(slots: &'m mut [WaiterSlot]) -> Self {
        Self(slots)
    }

    /// A new waiter, if there is a free slot.
    pub(super) fn add(&mut self) -> Option<Tag> {
        let at = self.0.iter().position(|s| matches!(s.state, State::Free))?;
        let slot = self.0.get_mut(at)?;
        slot.state = State::Waiting;
        slot.generation = (slot.generation + 1) & GENERATION;
        Some(Tag((at as u32 + 1) | slot.generation << INDEX))
    }

    fn slot(&mut self, tag: Tag) -> Option<&mut WaiterSlot> {
        let at = (tag.0 & ((1 << INDEX) - 1)).checked_sub(1)?;
        self.0.get_mut(at as usize).filter(|s| s.generation == tag.0 >> INDEX)
    }

    /// The operation ended.
    pub(super) fn done(&mut self, tag: Tag, outcome: Outcome) {
        if let Some(slot) = self.slot(tag)
            && slot.state.is_waiting()
        {
            slot.state = State::Done(outcome);
            slot.waker.wake();
        }
    }

    pub(super) fn poll(&mut self, tag: Tag, cx: &Context<'_>) -> Poll<Outcome> {
        let Some(slot) = self.slot(tag) else { return Poll::Ready(Outcome::Held) };
        match slot.state {
            State::Done(outcome) => Poll::Ready(outcome),
            State::Free => Poll::Ready(Outcome::Held),
            State::Waiting | State::Stored => {
                slot.waker.register(cx.waker());
                Poll::Pending
            }
        }
    }

    /// The message is on the durable medium.
    pub(super) fn stored(&mut self, tag: Tag) {
        if let Some(slot) = self.slot(tag)
            && matches!(slot.state, State::Waiting)
        {
            slot.state = State::Stored;
            slot.waker.wake();
        }
    }

    /// Whether the message is on the durable medium, or over; registers the waker if not.
    pub(super) fn poll_stored(&mut self, tag: Tag, cx: &Context<'_>) -> Poll<()> {
        match self.slot(tag) {
            Some(slot) if matches!(slot.state, State::Waiting) => {
                slot.waker.register(cx.waker());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// The waiter is gone, or the operation was refused.
    pub(super) fn release(&mut self, tag: Tag) {
        if let Some(slot) = self.slot(tag) {
            slot.state = State::Free;
            slot.waker = WakerRegistration::new();
        }
    }

    /// Whether somebody really waits.
    pub(super) fn is_awaited(&self) -> bool {
        self.0.iter().any(|s| s.state.is_waiting() && s.waker.occupied())
    }

    /// The client is closed: everybody who still waits learns that.
    pub(super) fn close(&mut self) {
        for slot in self.0.iter_mut().filter(|s| s.state.is_waiting()) {
            slot.state = State::Done(Outcome::Held);
            slot.waker.wake();
        }
    }
}
