//! The bytes of MQTT 3.1.1 and 5.0 Control Packets.
//!
//! One type for each packet, shaped as in MQTT 5, borrowing from the buffer it was decoded from.
//! What differs between the versions is in `version.rs` alone. Nothing here allocates, and no bytes
//! make it panic.
//!
//! A packet that decodes is one that the specification allows, as far as a single packet can tell;
//! which peer may send it, and when, is for the session to know.

mod ack;
mod connack;
mod connect;
mod disconnect;
mod error;
mod filters;
mod frame;
mod getters;
mod packet;
mod properties;
mod property;
mod property_table;
mod publish;
pub(crate) mod reader;
mod reason;
mod suback;
mod subscribe;
mod types;
mod version;
pub(crate) mod writer;

pub use ack::{Ack, AckKind};
pub use connack::ConnAck;
pub use connect::{Connect, Will};
pub use disconnect::{Auth, Disconnect};
pub use error::{EncodeError, WireError};
pub use filters::{
    FilterIter, Filters, RetainHandling, SubscribeOptions, UnsubscribeFilterIter,
    UnsubscribeFilters,
};
pub use frame::{FrameHeader, frame_len};
pub use packet::Packet;
pub(crate) use packet::{Bare, Body, encode, encoded_len};
pub use properties::{Properties, PropertyIter};
pub use property::{Property, PropertyContext};
pub use publish::Publish;
pub use reason::ReasonCode;
pub use suback::{SubAck, UnsubAck};
pub use subscribe::{Subscribe, Unsubscribe};
pub use types::{PacketId, PacketType, QoS, Version};
