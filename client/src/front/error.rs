//! Errors, by who must act.

use everlink_proto::engine::{Refused, WhenFull};
use everlink_proto::topic::TopicError;

use super::waiters::{Ack, Outcome};

/// Why a message was not accepted or not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The Topic Name is not valid.
    #[error("topic: {0}")]
    Topic(#[from] TopicError),
    /// The message was not accepted; the caller has to act.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// A property is too long, or does not belong to a message.
    #[error("a property of the message is not valid")]
    Property,
    /// The message was accepted, but came to another end than delivery.
    #[error("{0}")]
    NotDelivered(#[from] NotDelivered),
}

/// How an accepted message ended, if not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotDelivered {
    /// The broker refused it.
    #[error("rejected by the broker: {}", .0.reason)]
    Rejected(Ack),
    /// Its expiry passed.
    #[error("expired before it could be delivered")]
    Expired,
    /// The queue's policy dropped it.
    #[error("dropped by the queue's policy")]
    Dropped(WhenFull),
    /// A later operation took its place.
    #[error("overtaken by a later operation")]
    Superseded,
    /// The client was closed first; the message is still held.
    #[error("still held when the client was closed")]
    Held,
}

impl Outcome {
    /// The acknowledgement, or why there is none.
    pub fn into_result(self) -> Result<Ack, NotDelivered> {
        match self {
            Self::Delivered(ack) => Ok(ack),
            Self::Rejected(ack) => Err(NotDelivered::Rejected(ack)),
            Self::Expired => Err(NotDelivered::Expired),
            Self::Dropped(policy) => Err(NotDelivered::Dropped(policy)),
            Self::Superseded => Err(NotDelivered::Superseded),
            Self::Held => Err(NotDelivered::Held),
        }
    }
}

/// Why a subscription was not made or ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The Topic Filter is not valid.
    #[error("topic filter: {0}")]
    Filter(#[from] TopicError),
    /// It was not accepted; the caller has to act.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// The broker refused it.
    #[error("subscription refused by the broker: {}", .0.reason)]
    Rejected(Ack),
    /// The client was closed first.
    #[error("the client was closed")]
    Closed,
}
