//! Where unfinished outgoing messages live.
//!
//! The engine decides, the store remembers. Each message is in one of three stages, and within a
//! stage the store keeps order: the order of acceptance for [`Stage::Queued`], the order of first
//! sending for [`Stage::Sent`] `[MQTT-4.6.0-1]`, and the order in which the PUBRECs came for
//! [`Stage::Released`] `[MQTT-4.6.0-4]`.

mod fixed;
mod lists;
#[cfg(feature = "alloc")]
mod ram;
pub use fixed::{FixedStore, MessageSlot};
#[cfg(feature = "alloc")]
pub use ram::RamStore;

use crate::engine::Tag;
use crate::time::Instant;
use crate::wire::QoS;

/// Names a message while the store holds it. Reused after the message is removed.
pub type Key = u32;

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Accepted, never sent in the present session.
    Queued,
    /// Sent; PUBACK or PUBREC outstanding.
    Sent,
    /// PUBREC received, PUBREL owed or sent; PUBCOMP outstanding. The content is needed once more
    /// if the broker loses the session.
    Released,
}

/// What the engine must know of a message besides its content.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// How far it has come. Kept by the store; whoever pushes says [`Stage::Queued`].
    pub stage: Stage,
    /// Whom to tell when the fate of the message is known.
    pub tag: Tag,
    /// Quality of service of the publication.
    pub qos: QoS,
    /// RETAIN flag of the publication.
    pub retain: bool,
    /// Packet Identifier once sent, else 0.
    pub pid: u16,
    /// The key of its record on a durable medium, 0 if it has none.
    pub kept: u16,
    /// The connection it was last sent on.
    pub connection: u32,
    /// How often it was sent again on that connection.
    pub repeats: u8,
    /// When the message was accepted.
    pub accepted: Instant,
    /// When the present stage's packet was last sent.
    pub sent: Instant,
    /// The message is of no use from here on; [`Instant::MAX`] means it never expires.
    pub expires: Instant,
}

/// A message's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// The Topic Name.
    pub topic: &'a str,
    /// Encoded MQTT 5 properties, without length and without Message Expiry Interval.
    pub props: &'a [u8],
    /// The application message.
    pub payload: &'a [u8],
}

impl Content<'_> {
    /// The bytes a message is charged for: its content.
    pub fn cost(&self) -> usize {
        self.topic.len() + self.props.len() + self.payload.len()
    }
}

/// The store could not take the message (memory or medium exhausted or broken).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreError;

impl core::fmt::Display for StoreError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the store cannot take the message")
    }
}

impl core::error::Error for StoreError {}

/// Keeps messages in order by stage.
///
/// A key is valid from `push` until `remove`. Methods given a key that is not valid must not
/// panic: they return nothing or do nothing.
pub trait Store {
    /// Adds a message at the end of [`Stage::Queued`].
    fn push(&mut self, meta: Meta, content: Content<'_>) -> Result<Key, StoreError>;

    /// Whether a further message with so many bytes of content can be added. A store that is not
    /// bounded by itself always says yes.
    fn fits(&self, bytes: usize) -> bool {
        let _ = bytes;
        true
    }

    /// The oldest message of a stage.
    fn first(&self, stage: Stage) -> Option<Key>;

    /// The newest message of a stage.
    fn last(&self, stage: Stage) -> Option<Key>;

    /// The message after `key` in the same stage.
    fn next(&self, key: Key) -> Option<Key>;

    /// The facts about a message.
    fn meta(&self, key: Key) -> Option<&Meta>;

    /// The facts about a message, to be changed.
    fn meta_mut(&mut self, key: Key) -> Option<&mut Meta>;

    /// The content of a message.
    fn content(&self, key: Key) -> Option<Content<'_>>;

    /// Moves a message to the end of another stage.
    fn advance(&mut self, key: Key, to: Stage);

    /// Puts a message before all queued ones, without Packet Identifier: as if never sent.
    fn requeue(&mut self, key: Key);

    /// Forgets a message.
    fn remove(&mut self, key: Key);

    /// Number of messages in a stage.
    fn len(&self, stage: Stage) -> usize;

    /// Bytes of content held in a stage.
    fn bytes(&self, stage: Stage) -> usize;

    /// The oldest queued message with this Topic Name.
    fn oldest_of(&self, topic: &str) -> Option<Key>;
}
