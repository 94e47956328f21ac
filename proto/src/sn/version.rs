//! Everything in which a version of MQTT-SN may differ from another on the wire: the numbers of the
//! message types, where a flag stands in its octet, return codes, limits. The messages of
//! [`wire`](super::wire) are what a version is translated to and from.

use super::wire::{MsgType, PublishQoS, ReturnCode, TopicIdType};
use crate::wire::{QoS, ReasonCode, WireError};

/// A version of MQTT-SN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// MQTT-SN 1.2.
    #[default]
    V12,
}

/// Table 4: DUP, QoS, Retain, Will, CleanSession, TopicIdType.
const DUP: u8 = 0x80;
const QOS_SHIFT: u8 = 5;
const RETAIN: u8 = 0x10;
const WILL: u8 = 0x08;
const CLEAN_SESSION: u8 = 0x04;
const TOPIC_ID_TYPE: u8 = 0x03;

/// Table 3, by value. Octets that are not here are reserved.
const TYPES: [(u8, MsgType); 28] = [
    (0x00, MsgType::Advertise),
    (0x01, MsgType::SearchGw),
    (0x02, MsgType::GwInfo),
    (0x04, MsgType::Connect),
    (0x05, MsgType::ConnAck),
    (0x06, MsgType::WillTopicReq),
    (0x07, MsgType::WillTopic),
    (0x08, MsgType::WillMsgReq),
    (0x09, MsgType::WillMsg),
    (0x0A, MsgType::Register),
    (0x0B, MsgType::RegAck),
    (0x0C, MsgType::Publish),
    (0x0D, MsgType::PubAck),
    (0x0E, MsgType::PubComp),
    (0x0F, MsgType::PubRec),
    (0x10, MsgType::PubRel),
    (0x12, MsgType::Subscribe),
    (0x13, MsgType::SubAck),
    (0x14, MsgType::Unsubscribe),
    (0x15, MsgType::UnsubAck),
    (0x16, MsgType::PingReq),
    (0x17, MsgType::PingResp),
    (0x18, MsgType::Disconnect),
    (0x1A, MsgType::WillTopicUpd),
    (0x1B, MsgType::WillTopicResp),
    (0x1C, MsgType::WillMsgUpd),
    (0x1D, MsgType::WillMsgResp),
    (0xFE, MsgType::Forward),
];

impl Version {
    /// The ProtocolId in CONNECT (5.3.8).
    pub const fn protocol_id(self) -> u8 {
        match self {
            Self::V12 => 1,
        }
    }

    /// The version that a CONNECT with this ProtocolId speaks.
    ///
    /// # Errors
    /// [`WireError::UnsupportedVersion`]: "all other values are reserved" (5.3.8).
    pub const fn from_protocol_id(id: u8) -> Result<Self, WireError> {
        match id {
            1 => Ok(Self::V12),
            _ => Err(WireError::UnsupportedVersion),
        }
    }

    /// Most characters that a client identifier may have (5.3.1).
    pub const fn max_client_id(self) -> usize {
        match self {
            Self::V12 => 23,
        }
    }

    /// # Errors
    /// [`WireError::BadClientId`] unless it has 1 to 23 characters (5.3.1).
    pub fn check_client_id(self, id: &str) -> Result<(), WireError> {
        let characters = id.chars().count();
        if characters == 0 || characters > self.max_client_id() || id.contains('\0') {
            return Err(WireError::BadClientId);
        }
        Ok(())
    }

    /// # Errors
    /// [`WireError::BadPacketType`] for a reserved value.
    pub(super) fn msg_type(self, octet: u8) -> Result<MsgType, WireError> {
        let entry = TYPES.iter().find(|(value, _)| *value == octet);
        entry.map(|(_, kind)| *kind).ok_or(WireError::BadPacketType)
    }

    pub(super) fn msg_type_octet(self, kind: MsgType) -> u8 {
        // Every type is in the table; a reserved value stands for one that would not be.
        TYPES.iter().find(|(_, listed)| *listed == kind).map_or(0xFF, |(value, _)| *value)
    }
}

/// The Flags octet taken apart; each message uses some of it (5.3.4). What a message does not use is
/// not looked at when it is read, and is 0 when it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) dup: bool,
    /// Two bits, not yet judged: 3 is fine in PUBLISH only.
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) will: bool,
    pub(super) clean_session: bool,
    pub(super) topic_id_type: u8,
}

impl Flags {
    pub(super) fn read(_version: Version, octet: u8) -> Self {
        Self {
            dup: octet & DUP != 0,
            qos: octet >> QOS_SHIFT & 3,
            retain: octet & RETAIN != 0,
            will: octet & WILL != 0,
            clean_session: octet & CLEAN_SESSION != 0,
            topic_id_type: octet & TOPIC_ID_TYPE,
        }
    }

    pub(super) fn octet(self, _version: Version) -> u8 {
        let bit = |set: bool, mask: u8| if set { mask } else { 0 };
        bit(self.dup, DUP)
            | (self.qos & 3) << QOS_SHIFT
            | bit(self.retain, RETAIN)
            | bit(self.will, WILL)
            | bit(self.clean_session, CLEAN_SESSION)
            | (self.topic_id_type & TOPIC_ID_TYPE)
    }

    /// # Errors
    /// [`WireError::BadQoS`] for 3, which only PUBLISH may have.
    pub(super) fn plain_qos(self) -> Result<QoS, WireError> {
        QoS::try_from(self.qos)
    }

    pub(super) fn publish_qos(self) -> PublishQoS {
        match QoS::try_from(self.qos) {
            Ok(qos) => qos.into(),
            Err(_) => PublishQoS::MinusOne,
        }
    }

    /// # Errors
    /// [`WireError::BadTopicIdType`] for the reserved value 3.
    pub(super) fn id_type(self) -> Result<TopicIdType, WireError> {
        match self.topic_id_type {
            0 => Ok(TopicIdType::Normal),
            1 => Ok(TopicIdType::Predefined),
            2 => Ok(TopicIdType::Short),
            _ => Err(WireError::BadTopicIdType),
        }
    }
}

impl ReturnCode {
    /// The nearest Reason Code of MQTT 5: what a refusal is told to the application as.
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::ACCEPTED => ReasonCode::SUCCESS,
            Self::CONGESTION => ReasonCode::SERVER_BUSY,
            Self::INVALID_TOPIC_ID => ReasonCode::TOPIC_NAME_INVALID,
            Self::NOT_SUPPORTED => ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR,
            _ => ReasonCode::UNSPECIFIED_ERROR,
        }
    }
}
