//! The small values messages are made of.

use core::fmt;

use super::{QoS, WireError};
use crate::topic::{TopicFilter, TopicName};

/// The type of a message (table 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the text's")]
pub enum MsgType {
    Advertise,
    SearchGw,
    GwInfo,
    Connect,
    ConnAck,
    WillTopicReq,
    WillTopic,
    WillMsgReq,
    WillMsg,
    Register,
    RegAck,
    Publish,
    PubAck,
    PubComp,
    PubRec,
    PubRel,
    Subscribe,
    SubAck,
    Unsubscribe,
    UnsubAck,
    PingReq,
    PingResp,
    Disconnect,
    WillTopicUpd,
    WillTopicResp,
    WillMsgUpd,
    WillMsgResp,
    /// An encapsulated message.
    Forward,
}

/// How an operation went (table 5).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReturnCode(pub u8);

impl ReturnCode {
    /// Accepted.
    pub const ACCEPTED: Self = Self(0);
    /// Rejected: congestion. To be tried again after Twait.
    pub const CONGESTION: Self = Self(1);
    /// Rejected: invalid topic ID. A normal one is to be registered again.
    pub const INVALID_TOPIC_ID: Self = Self(2);
    /// Rejected: not supported.
    pub const NOT_SUPPORTED: Self = Self(3);

    /// The text's words for this code; "rejected" for a reserved one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ACCEPTED => "accepted",
            Self::CONGESTION => "rejected: congestion",
            Self::INVALID_TOPIC_ID => "rejected: invalid topic ID",
            Self::NOT_SUPPORTED => "rejected: not supported",
            _ => "rejected",
        }
    }
}

impl fmt::Debug for ReturnCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x} {}", self.0, self.name())
    }
}

impl fmt::Display for ReturnCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The QoS of a PUBLISH: besides the three of MQTT, -1 (6.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PublishQoS {
    /// QoS -1: sent without a connection, and forgotten.
    MinusOne,
    /// QoS 0.
    #[default]
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce,
    /// QoS 2.
    ExactlyOnce,
}

impl PublishQoS {
    /// The QoS in a connection; `None` for -1.
    pub const fn in_connection(self) -> Option<QoS> {
        match self {
            Self::MinusOne => None,
            Self::AtMostOnce => Some(QoS::AtMostOnce),
            Self::AtLeastOnce => Some(QoS::AtLeastOnce),
            Self::ExactlyOnce => Some(QoS::ExactlyOnce),
        }
    }

    /// Whether the receiver answers: QoS 1 and 2.
    pub const fn is_acknowledged(self) -> bool {
        matches!(self, Self::AtLeastOnce | Self::ExactlyOnce)
    }

    /// The two bits of the Flags.
    pub(super) const fn bits(self) -> u8 {
        match self {
            Self::MinusOne => 3,
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }
}

impl From<QoS> for PublishQoS {
    fn from(qos: QoS) -> Self {
        match qos {
            QoS::AtMostOnce => Self::AtMostOnce,
            QoS::AtLeastOnce => Self::AtLeastOnce,
            QoS::ExactlyOnce => Self::ExactlyOnce,
        }
    }
}

/// What a TopicId field holds (5.3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicIdType {
    /// A topic id given by the gateway; in SUBSCRIBE and UNSUBSCRIBE, a topic name.
    Normal,
    /// A topic id known to both sides beforehand.
    Predefined,
    /// A topic name of two octets.
    Short,
}

impl TopicIdType {
    pub(super) const fn bits(self) -> u8 {
        match self {
            Self::Normal => 0,
            Self::Predefined => 1,
            Self::Short => 2,
        }
    }
}

/// A topic name of exactly two octets of UTF-8 without U+0000.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortTopic([u8; 2]);

impl ShortTopic {
    /// The short form of the Topic Name or Topic Filter `topic`; `None` if it has not two octets, or
    /// no topic may be so.
    pub fn new(topic: &str) -> Option<Self> {
        <[u8; 2]>::try_from(topic.as_bytes()).ok().and_then(|octets| Self::from_octets(octets).ok())
    }

    /// # Errors
    /// [`WireError::BadString`] for what is not UTF-8 or has U+0000, [`WireError::BadTopicFilter`]
    /// for a wildcard that stands wrong. (A filter such as `+/` does not make sense (6.7), and is none
    /// the less allowed.)
    pub(super) fn from_octets(octets: [u8; 2]) -> Result<Self, WireError> {
        let text = core::str::from_utf8(&octets).map_err(|_| WireError::BadString)?;
        if text.contains('\0') {
            return Err(WireError::BadString);
        }
        TopicFilter::new(text).map_err(|_| WireError::BadTopicFilter)?;
        Ok(Self(octets))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        // Was checked when it was made.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The two octets, as they stand in a TopicId field.
    pub const fn to_u16(self) -> u16 {
        u16::from_be_bytes(self.0)
    }

    /// Whether it can be published to.
    pub fn is_name(&self) -> bool {
        TopicName::new(self.as_str()).is_ok()
    }
}

impl fmt::Debug for ShortTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// What a message is published to. 0x0000 and 0xFFFF are no topic ids (5.3.11): they decode, so that
/// they can be answered with [`ReturnCode::INVALID_TOPIC_ID`] as any unknown one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// A topic id given by the gateway.
    Id(u16),
    /// A topic id known to both sides beforehand.
    Predefined(u16),
    /// The topic name itself.
    Short(ShortTopic),
}

impl Topic {
    /// Its type.
    pub const fn id_type(self) -> TopicIdType {
        match self {
            Self::Id(_) => TopicIdType::Normal,
            Self::Predefined(_) => TopicIdType::Predefined,
            Self::Short(_) => TopicIdType::Short,
        }
    }

    /// The TopicId field, as PUBACK repeats it.
    pub const fn to_u16(self) -> u16 {
        match self {
            Self::Id(id) | Self::Predefined(id) => id,
            Self::Short(name) => name.to_u16(),
        }
    }

    pub(super) fn from_u16(kind: TopicIdType, value: u16) -> Result<Self, WireError> {
        match kind {
            TopicIdType::Normal => Ok(Self::Id(value)),
            TopicIdType::Predefined => Ok(Self::Predefined(value)),
            TopicIdType::Short => ShortTopic::from_octets(value.to_be_bytes()).map(Self::Short),
        }
    }
}
