//! Errors, by who must act.

use core::fmt;

use everlink_proto::engine::{Refused, WhenFull};
use everlink_proto::topic::TopicError;
use everlink_proto::wire::ReasonCode;

use super::waiters::Outcome;

/// Why a message was not accepted or not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// The Topic Name is not valid.
    Topic(TopicError),
    /// The message was not accepted; the caller has to act.
    Refused(Refused),
    /// As many deliveries are waited for as there is memory for. Drop one, or publish with
    /// [`forget`](super::Publish::forget).
    TooManyDeliveries,
    /// The message handler must not call the client.
    InHandler,
    /// The message was accepted, but came to another end than delivery.
    NotDelivered(NotDelivered),
}

/// How an accepted message ended, if not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotDelivered {
    /// The broker refused it.
    Rejected(ReasonCode),
    /// Its expiry passed.
    Expired,
    /// The queue's policy dropped it.
    Dropped(WhenFull),
    /// A later operation took its place.
    Superseded,
    /// The client was closed first; the message is still held.
    Held,
}

/// Why a subscription was not made or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The Topic Filter is not valid.
    Filter(TopicError),
    /// It was not accepted; the caller has to act.
    Refused(Refused),
    /// The message handler must not call the client.
    InHandler,
    /// The broker refused it.
    Rejected(ReasonCode),
    /// The client was closed first.
    Closed,
}

impl Outcome {
    /// The acknowledgement's Reason Code, or why there is none.
    pub fn into_result(self) -> Result<ReasonCode, NotDelivered> {
        match self {
            Self::Delivered(reason) => Ok(reason),
            Self::Rejected(reason) => Err(NotDelivered::Rejected(reason)),
            Self::Expired => Err(NotDelivered::Expired),
            Self::Dropped(policy) => Err(NotDelivered::Dropped(policy)),
            Self::Superseded => Err(NotDelivered::Superseded),
            Self::Held => Err(NotDelivered::Held),
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(error) => write!(f, "topic: {error}"),
            Self::Refused(error) => error.fmt(f),
            Self::TooManyDeliveries => f.write_str("too many deliveries are waited for"),
            Self::InHandler => f.write_str(IN_HANDLER),
            Self::NotDelivered(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for NotDelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(reason) => write!(f, "rejected by the broker: {reason}"),
            Self::Expired => f.write_str("expired before it could be delivered"),
            Self::Dropped(_) => f.write_str("dropped by the queue's policy"),
            Self::Superseded => f.write_str("overtaken by a later operation"),
            Self::Held => f.write_str("still held when the client was closed"),
        }
    }
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(error) => write!(f, "topic filter: {error}"),
            Self::Refused(error) => error.fmt(f),
            Self::InHandler => f.write_str(IN_HANDLER),
            Self::Rejected(reason) => write!(f, "subscription refused by the broker: {reason}"),
            Self::Closed => f.write_str("the client was closed"),
        }
    }
}

const IN_HANDLER: &str = "the message handler must not call the client";

impl core::error::Error for PublishError {}
impl core::error::Error for NotDelivered {}
impl core::error::Error for SubscribeError {}

impl From<Refused> for PublishError {
    fn from(error: Refused) -> Self {
        Self::Refused(error)
    }
}

impl From<NotDelivered> for PublishError {
    fn from(error: NotDelivered) -> Self {
        Self::NotDelivered(error)
    }
}

impl From<Refused> for SubscribeError {
    fn from(error: Refused) -> Self {
        Self::Refused(error)
    }
}
