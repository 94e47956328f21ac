//! Who waits for the fate of an operation: a slot each, used again, so that waiting costs no allocation.

use std::task::{Context, Poll, Waker};

use everlink_proto::engine::{Outcome as EngineOutcome, Tag, WhenFull};
use everlink_proto::wire::{Properties, ReasonCode};

use super::wakes::Wakes;

/// How an accepted message, subscription or other operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The broker's final acknowledgement came. At QoS 0: the message was handed to the connection.
    Delivered(Ack),
    /// The broker refused it, or the limits it stated rule it out.
    Rejected(Ack),
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
    pub fn is_delivered(&self) -> bool {
        matches!(self, Self::Delivered(_))
    }
}

/// What the broker's acknowledgement said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Reason Code; for a subscription, the granted QoS. 3.1.1 has only success and failure.
    pub reason: ReasonCode,
    details: Option<Box<Details>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Details {
    reason_string: Option<String>,
    user_properties: Vec<(String, String)>,
}

impl Ack {
    pub(crate) fn new(reason: ReasonCode, props: Properties<'_>) -> Self {
        let details = (!props.is_empty()).then(|| {
            Box::new(Details {
                reason_string: props.reason_string().map(str::to_owned),
                user_properties: owned_user_properties(&props),
            })
        });
        Self { reason, details }
    }

    /// The broker's own words, if it gave any (MQTT 5).
    pub fn reason_string(&self) -> Option<&str> {
        self.details.as_ref()?.reason_string.as_deref()
    }

    /// User properties in the broker's order (MQTT 5).
    pub fn user_properties(&self) -> &[(String, String)] {
        self.details.as_ref().map_or(&[], |d| &d.user_properties)
    }
}

pub(crate) fn owned_user_properties(props: &Properties<'_>) -> Vec<(String, String)> {
    props.user_properties().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

impl From<EngineOutcome<'_>> for Outcome {
    fn from(outcome: EngineOutcome<'_>) -> Self {
        match outcome {
            EngineOutcome::Delivered(reason, props) => Self::Delivered(Ack::new(reason, props)),
            EngineOutcome::Rejected(reason, props) => Self::Rejected(Ack::new(reason, props)),
            EngineOutcome::Expired => Self::Expired,
            EngineOutcome::Dropped(policy) => Self::Dropped(policy),
            EngineOutcome::Superseded => Self::Superseded,
        }
    }
}

/// All waiting operations. A [`Tag`] is a slot's index plus one.
///
/// What most operations need lies in a few bytes each; only a waker, or an outcome that is more
/// than a reason, takes a place of its own.
#[derive(Debug)]
pub(crate) struct Waiters {
    slots: Vec<Slot>,
    extras: Vec<Extra>,
    /// The free slot to use next.
    free: u32,
    used: usize,
}

#[derive(Clone, Copy, Debug)]
enum Slot {
    /// Links to the next free slot.
    Free(u32),
    /// Not yet ended, and nobody has asked.
    Waiting,
    /// Not yet ended; the waker is in the extra.
    Watched,
    /// As `Waiting`, and on the durable medium.
    Stored,
    /// As `Watched`, and on the durable medium.
    StoredWatched,
    /// Not yet ended, and nobody cares.
    Abandoned,
    /// Not yet ended, but the client was closed.
    Held,
    /// Delivered, and nothing more to say.
    Delivered(ReasonCode),
    /// Ended; the outcome is in the extra.
    Ended,
}

#[derive(Clone, Debug)]
enum Extra {
    None,
    Waker(Waker),
    Outcome(Outcome),
}

/// The end of the list of free slots.
const NO_SLOT: u32 = u32::MAX;

impl Default for Waiters {
    fn default() -> Self {
        Self { slots: Vec::new(), extras: Vec::new(), free: NO_SLOT, used: 0 }
    }
}

impl Waiters {
    /// A new waiter.
    #[inline]
    pub(crate) fn add(&mut self) -> Tag {
        self.used += 1;
        let index = self.free;
        if let Some(slot) = self.slots.get_mut(index as usize) {
            if let Slot::Free(next) = *slot {
                self.free = next;
            }
            *slot = Slot::Waiting;
            return Tag(index + 1);
        }
        self.slots.push(Slot::Waiting);
        Tag(self.slots.len() as u32)
    }

    /// The operation ended. Gives who is to be woken.
    #[inline]
    pub(crate) fn done(&mut self, tag: Tag, outcome: EngineOutcome<'_>) -> Option<Waker> {
        let index = tag.0.checked_sub(1)? as usize;
        match *self.slots.get(index)? {
            Slot::Abandoned => {
                self.release(tag);
                None
            }
            Slot::Waiting | Slot::Stored | Slot::Held => {
                self.end(index, outcome);
                None
            }
            Slot::Watched | Slot::StoredWatched => {
                let waker = std::mem::replace(&mut self.extras[index], Extra::None);
                self.end(index, outcome);
                if let Extra::Waker(waker) = waker { Some(waker) } else { None }
            }
            Slot::Free(_) | Slot::Delivered(_) | Slot::Ended => None,
        }
    }

    fn end(&mut self, index: usize, outcome: EngineOutcome<'_>) {
        self.slots[index] = match outcome {
            EngineOutcome::Delivered(reason, props) if props.is_empty() => Slot::Delivered(reason),
            outcome => {
                *self.extra(index) = Extra::Outcome(outcome.into());
                Slot::Ended
            }
        };
    }

    fn extra(&mut self, index: usize) -> &mut Extra {
        if self.extras.len() <= index {
            self.extras.resize(index + 1, Extra::None);
        }
        &mut self.extras[index]
    }

    pub(crate) fn poll(&mut self, tag: Tag, cx: &Context<'_>) -> Poll<Outcome> {
        let index = (tag.0 - 1) as usize;
        match self.slots[index] {
            Slot::Waiting | Slot::Watched | Slot::Stored | Slot::StoredWatched => {
                self.watch(index, cx);
                Poll::Pending
            }
            Slot::Delivered(reason) => {
                Poll::Ready(Outcome::Delivered(Ack { reason, details: None }))
            }
            Slot::Ended => Poll::Ready(match &self.extras[index] {
                Extra::Outcome(outcome) => outcome.clone(),
                _ => Outcome::Held,
            }),
            Slot::Held | Slot::Free(_) | Slot::Abandoned => Poll::Ready(Outcome::Held),
        }
    }

    fn watch(&mut self, index: usize, cx: &Context<'_>) {
        match (self.slots[index], self.extra(index)) {
            (Slot::Watched | Slot::StoredWatched, Extra::Waker(waker)) => {
                waker.clone_from(cx.waker());
            }
            (_, extra) => *extra = Extra::Waker(cx.waker().clone()),
        }
        self.slots[index] = match self.slots[index] {
            Slot::Stored | Slot::StoredWatched => Slot::StoredWatched,
            _ => Slot::Watched,
        };
    }

    /// The message is on the durable medium. Gives who is to be woken.
    pub(crate) fn stored(&mut self, tag: Tag) -> Option<Waker> {
        let index = tag.0.checked_sub(1)? as usize;
        match *self.slots.get(index)? {
            Slot::Waiting => {
                self.slots[index] = Slot::Stored;
                None
            }
            Slot::Watched => {
                self.slots[index] = Slot::StoredWatched;
                match self.extra(index) {
                    Extra::Waker(waker) => Some(waker.clone()),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Ready when the message is on the durable medium, or over.
    pub(crate) fn poll_stored(&mut self, tag: Tag, cx: &Context<'_>) -> Poll<bool> {
        let index = (tag.0 - 1) as usize;
        match self.slots[index] {
            Slot::Waiting | Slot::Watched => {
                self.watch(index, cx);
                Poll::Pending
            }
            slot => Poll::Ready(matches!(slot, Slot::Stored | Slot::StoredWatched)),
        }
    }

    /// The waiter is gone.
    #[inline]
    pub(crate) fn abandon(&mut self, tag: Tag) {
        let index = (tag.0 - 1) as usize;
        match self.slots[index] {
            Slot::Waiting | Slot::Stored | Slot::Held => self.slots[index] = Slot::Abandoned,
            Slot::Watched | Slot::StoredWatched => {
                self.extras[index] = Extra::None;
                self.slots[index] = Slot::Abandoned;
            }
            Slot::Ended => {
                self.extras[index] = Extra::None;
                self.release(tag);
            }
            Slot::Delivered(_) => self.release(tag),
            Slot::Free(_) | Slot::Abandoned => {}
        }
    }

    /// The operation was refused, so it will never end.
    #[inline]
    pub(crate) fn release(&mut self, tag: Tag) {
        let index = tag.0 - 1;
        self.slots[index as usize] = Slot::Free(self.free);
        self.free = index;
        self.used -= 1;
        // A backlog's memory goes back when the backlog is gone.
        if self.used == 0 && self.slots.len() > 1024 {
            *self = Self::default();
        }
    }

    /// The client is closed: everybody who still waits learns that.
    pub(crate) fn close(&mut self, wakes: &mut Wakes) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if let Slot::Watched | Slot::StoredWatched = slot
                && let Extra::Waker(waker) = std::mem::replace(&mut self.extras[index], Extra::None)
            {
                wakes.push(waker);
            }
            if let Slot::Waiting | Slot::Watched | Slot::Stored | Slot::StoredWatched = slot {
                *slot = Slot::Held;
            }
        }
    }
}
