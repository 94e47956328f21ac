//! Who waits for the fate of an operation: a slot each, used again, so that waiting costs no allocation.

use std::task::{Context, Poll, Waker};

use everlink_proto::engine::{Outcome as EngineOutcome, Tag, WhenFull};
use everlink_proto::wire::{Properties, ReasonCode};

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
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug)]
enum Slot {
    Free,
    /// Not yet ended, and who is to be woken.
    Waiting(Option<Waker>),
    /// Not yet ended, and nobody cares.
    Abandoned,
    Done(Outcome),
}

impl Waiters {
    /// A new waiter.
    pub(crate) fn add(&mut self) -> Tag {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::Free);
            (self.slots.len() - 1) as u32
        });
        self.slots[index as usize] = Slot::Waiting(None);
        Tag(index + 1)
    }

    /// The operation ended. Gives who is to be woken.
    pub(crate) fn done(&mut self, tag: Tag, outcome: impl FnOnce() -> Outcome) -> Option<Waker> {
        let slot = self.slots.get_mut(tag.0.checked_sub(1)? as usize)?;
        match slot {
            Slot::Waiting(waker) => {
                let waker = waker.take();
                *slot = Slot::Done(outcome());
                waker
            }
            Slot::Abandoned => {
                self.release(tag);
                None
            }
            Slot::Free | Slot::Done(_) => None,
        }
    }

    pub(crate) fn poll(&mut self, tag: Tag, cx: &Context<'_>) -> Poll<Outcome> {
        let slot = &mut self.slots[(tag.0 - 1) as usize];
        match slot {
            Slot::Waiting(waker) => {
                match waker {
                    Some(w) => w.clone_from(cx.waker()),
                    None => *waker = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            Slot::Done(outcome) => Poll::Ready(outcome.clone()),
            Slot::Free | Slot::Abandoned => Poll::Ready(Outcome::Held),
        }
    }

    /// The waiter is gone.
    pub(crate) fn abandon(&mut self, tag: Tag) {
        match self.slots[(tag.0 - 1) as usize] {
            Slot::Waiting(_) => self.slots[(tag.0 - 1) as usize] = Slot::Abandoned,
            Slot::Done(_) => self.release(tag),
            Slot::Free | Slot::Abandoned => {}
        }
    }

    /// The operation was refused, so it will never end.
    pub(crate) fn release(&mut self, tag: Tag) {
        self.slots[(tag.0 - 1) as usize] = Slot::Free;
        self.free.push(tag.0 - 1);
        // A backlog's memory goes back when the backlog is gone.
        if self.free.len() == self.slots.len() && self.slots.len() > 1024 {
            *self = Self::default();
        }
    }

    /// The client is closed: everybody who still waits learns that.
    pub(crate) fn close(&mut self, wakes: &mut Vec<Waker>) {
        for slot in &mut self.slots {
            if let Slot::Waiting(waker) = slot {
                wakes.extend(waker.take());
                *slot = Slot::Done(Outcome::Held);
            }
        }
    }
}
