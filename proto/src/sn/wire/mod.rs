//! The octets of MQTT-SN messages, in both directions: a node, a gateway and a forwarder share them.
//!
//! One type for each message, borrowing from the buffer it was decoded from. Nothing here allocates,
//! and no octets make it panic. A message that decodes is one that the text allows, as far as a
//! single message can tell; who may send it, and when, is for the node and the gateway to know.
//!
//! The Length of a message has 1 octet up to 255 octets, else 3 (5.2.1); a peer may use 3 for a short
//! message, too.

mod connect;
mod discovery;
mod forward;
mod frame;
mod message;
mod publish;
mod topics;
mod types;

pub use super::version::Version;
pub use crate::wire::{EncodeError, QoS, WireError};
pub use connect::{Connect, WillTopic};
pub use discovery::{Advertise, GwInfo};
pub use forward::Forward;
pub use frame::{FrameHeader, MAX_MESSAGE, frame_len};
pub use message::Message;
pub use publish::{PubAck, Publish};
pub use topics::{Filter, RegAck, Register, SubAck, Subscribe, Unsubscribe};
pub use types::{MsgType, PublishQoS, ReturnCode, ShortTopic, Topic, TopicIdType};
