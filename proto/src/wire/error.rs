//! Why bytes are no packet, and why a packet cannot become bytes.

use core::fmt;

use super::ReasonCode;

/// Why bytes are not an acceptable packet. Every one of these ends the connection, with the Reason
/// Code that [`reason`](Self::reason) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WireError {
    /// The packet ends inside a field.
    Truncated,
    /// Bytes follow the last field.
    TrailingBytes,
    /// The Remaining Length differs from the bytes at hand.
    BadLength,
    /// A Variable Byte Integer has more bytes than it needs, or more than four.
    BadVariableByteInteger,
    /// The packet type is 0, or one that this version does not have.
    BadPacketType,
    /// Reserved bits are set, or flags contradict each other.
    BadFlags,
    /// A string is not UTF-8, or has U+0000.
    BadString,
    /// A QoS of 3, or one that is not allowed here.
    BadQoS,
    /// DUP is set at QoS 0.
    DupAtQoS0,
    /// The Packet Identifier is 0 or missing, or one is given where there is none.
    BadPacketId,
    /// A Topic Name has a wildcard, or is empty where it must not be.
    BadTopicName,
    /// A PUBLISH has neither Topic Name nor Topic Alias.
    NoTopic,
    /// A Topic Filter breaks the rules of the specification's section 4.7 or 4.8.
    BadTopicFilter,
    /// SUBSCRIBE or UNSUBSCRIBE without a Topic Filter.
    NoTopicFilter,
    /// No Local is set on a Shared Subscription.
    NoLocalOnShared,
    /// A Reason Code that this packet does not have, or none where one must be.
    BadReasonCode,
    /// A property identifier that does not exist.
    UnknownProperty,
    /// A property that this packet must not have.
    PropertyNotAllowed,
    /// A property that may be there once is there twice.
    DuplicateProperty,
    /// The value of a property is out of its range.
    BadPropertyValue,
    /// The Topic Alias is 0.
    BadTopicAlias,
    /// Authentication Data without Authentication Method.
    NoAuthenticationMethod,
    /// A password without a user name, which MQTT 3.1.1 does not allow.
    PasswordWithoutUserName,
    /// CONNECT for another protocol, or another version of it.
    UnsupportedVersion,
    /// MQTT-SN: the TopicIdType is reserved, or one that may not stand here.
    BadTopicIdType,
    /// MQTT-SN: the client identifier has no character, or too many.
    BadClientId,
}

impl WireError {
    /// The Reason Code to close the connection with.
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::NoTopic
            | Self::NoTopicFilter
            | Self::NoLocalOnShared
            | Self::DuplicateProperty
            | Self::BadPropertyValue
            | Self::NoAuthenticationMethod => ReasonCode::PROTOCOL_ERROR,
            Self::BadTopicAlias => ReasonCode::TOPIC_ALIAS_INVALID,
            Self::UnsupportedVersion => ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
            _ => ReasonCode::MALFORMED_PACKET,
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "packet ends inside a field",
            Self::TrailingBytes => "bytes after the last field",
            Self::BadLength => "wrong remaining length",
            Self::BadVariableByteInteger => "bad variable byte integer",
            Self::BadPacketType => "bad packet type",
            Self::BadFlags => "bad flags",
            Self::BadString => "string is not UTF-8 or has U+0000",
            Self::BadQoS => "bad QoS",
            Self::DupAtQoS0 => "DUP at QoS 0",
            Self::BadPacketId => "bad packet identifier",
            Self::BadTopicName => "bad topic name",
            Self::NoTopic => "neither topic name nor topic alias",
            Self::BadTopicFilter => "bad topic filter",
            Self::NoTopicFilter => "no topic filter",
            Self::NoLocalOnShared => "no local on a shared subscription",
            Self::BadReasonCode => "bad reason code",
            Self::UnknownProperty => "unknown property",
            Self::PropertyNotAllowed => "property not allowed here",
            Self::DuplicateProperty => "property given twice",
            Self::BadPropertyValue => "property value out of range",
            Self::BadTopicAlias => "topic alias 0",
            Self::NoAuthenticationMethod => "authentication data without method",
            Self::PasswordWithoutUserName => "password without user name",
            Self::UnsupportedVersion => "unsupported protocol version",
            Self::BadTopicIdType => "bad topic id type",
            Self::BadClientId => "client identifier too short or too long",
        })
    }
}

impl core::error::Error for WireError {}

/// Why a packet was not encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EncodeError {
    /// The buffer is too small.
    NoSpace {
        /// Bytes that the packet takes.
        needed: usize,
    },
    /// A string or binary field is longer than 65 535 bytes, or the packet longer than MQTT allows
    /// (a Remaining Length of 268 435 455).
    TooLong,
    /// The packet breaks the protocol: a peer would refuse it for this reason.
    Invalid(WireError),
}

impl From<WireError> for EncodeError {
    fn from(fault: WireError) -> Self {
        Self::Invalid(fault)
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpace { needed } => write!(f, "buffer too small, {needed} bytes needed"),
            Self::TooLong => f.write_str("field or packet too long for MQTT"),
            Self::Invalid(fault) => fault.fmt(f),
        }
    }
}

impl core::error::Error for EncodeError {}
