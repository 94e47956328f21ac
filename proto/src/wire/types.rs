//! The small values packets are made of.

use core::fmt;
use core::num::NonZeroU16;

use super::WireError;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.0.
    V5,
}

/// Quality of Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// QoS 0: sent once, never acknowledged.
    #[default]
    AtMostOnce = 0,
    /// QoS 1: acknowledged; may arrive twice.
    AtLeastOnce = 1,
    /// QoS 2: acknowledged in two steps; arrives once.
    ExactlyOnce = 2,
}

impl TryFrom<u8> for QoS {
    type Error = WireError;

    /// # Errors
    /// [`WireError::BadQoS`] above 2 [MQTT-3.3.1-4].
    #[inline]
    fn try_from(value: u8) -> Result<Self, WireError> {
        match value {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            2 => Ok(Self::ExactlyOnce),
            _ => Err(WireError::BadQoS),
        }
    }
}

/// A Packet Identifier: 1 to 65 535.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The identifier `value`; `None` for 0.
    #[inline]
    pub const fn new(value: u16) -> Option<Self> {
        match NonZeroU16::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The identifier as a number.
    #[inline]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Debug for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PacketId({})", self.0)
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The type of a Control Packet, as in the high half of its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the specification's, table 2-1")]
pub enum PacketType {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketType {
    /// The type told by a packet's first byte, with the flags checked [MQTT-2.1.3-1],
    /// [MQTT-3.6.1-1], [MQTT-3.14.1-1], [MQTT-3.15.1-1].
    ///
    /// # Errors
    /// [`WireError::BadPacketType`] for type 0, [`WireError::BadFlags`] for reserved flags.
    #[inline]
    pub const fn from_first_byte(first: u8) -> Result<Self, WireError> {
        use PacketType::*;
        let kind = match first >> 4 {
            1 => Connect,
            2 => ConnAck,
            // The flags of PUBLISH are its DUP, QoS and RETAIN.
            3 => return Ok(Publish),
            4 => PubAck,
            5 => PubRec,
            6 => PubRel,
            7 => PubComp,
            8 => Subscribe,
            9 => SubAck,
            10 => Unsubscribe,
            11 => UnsubAck,
            12 => PingReq,
            13 => PingResp,
            14 => Disconnect,
            15 => Auth,
            _ => return Err(WireError::BadPacketType),
        };
        if first == kind.first_byte() { Ok(kind) } else { Err(WireError::BadFlags) }
    }

    /// The first byte of a packet of this type; of PUBLISH, with no flag set. Those of the others are
    /// fixed [MQTT-2.1.3-1], [MQTT-3.6.1-1], [MQTT-3.8.1-1], [MQTT-3.10.1-1].
    #[inline]
    pub const fn first_byte(self) -> u8 {
        use PacketType::*;
        let flags = if matches!(self, PubRel | Subscribe | Unsubscribe) { 2 } else { 0 };
        (self as u8) << 4 | flags
    }
}
