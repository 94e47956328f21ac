//! PUBACK, PUBREC, PUBREL, PUBCOMP: one shape.

use super::packet::Body;
use super::property::PropertyContext;
use super::reader::Reader;
use super::writer::Writer;
use super::{EncodeError, PacketId, PacketType, Properties, ReasonCode, Version, WireError};

/// Which acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AckKind {
    /// The answer to a QoS 1 PUBLISH.
    PubAck,
    /// The first answer to a QoS 2 PUBLISH.
    PubRec,
    /// The answer to PUBREC.
    PubRel,
    /// The answer to PUBREL.
    PubComp,
}

impl AckKind {
    const fn packet_type(self) -> PacketType {
        match self {
            Self::PubAck => PacketType::PubAck,
            Self::PubRec => PacketType::PubRec,
            Self::PubRel => PacketType::PubRel,
            Self::PubComp => PacketType::PubComp,
        }
    }

    const fn context(self) -> PropertyContext {
        match self {
            Self::PubAck => PropertyContext::PubAck,
            Self::PubRec => PropertyContext::PubRec,
            Self::PubRel => PropertyContext::PubRel,
            Self::PubComp => PropertyContext::PubComp,
        }
    }
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP. Reason and properties are left out in MQTT 3.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Which of the four.
    pub kind: AckKind,
    /// Packet Identifier of the PUBLISH.
    pub pid: PacketId,
    /// How it went.
    pub reason: ReasonCode,
    /// Reason String and User Properties.
    pub props: Properties<'a>,
}

impl<'a> Ack<'a> {
    /// An acknowledgement of success, without properties.
    #[inline]
    pub const fn new(kind: AckKind, pid: PacketId) -> Self {
        Self { kind, pid, reason: ReasonCode::SUCCESS, props: Properties::EMPTY }
    }

    /// The whole packet that says success without properties: four bytes, in both versions.
    #[inline]
    pub const fn short(kind: AckKind, pid: PacketId) -> [u8; 4] {
        let [high, low] = pid.get().to_be_bytes();
        [kind.packet_type().first_byte(), 2, high, low]
    }

    /// Most acknowledgements are these four bytes.
    #[inline]
    pub(super) const fn read_short(bytes: &[u8]) -> Option<Self> {
        let [first, 2, high, low] = *bytes else {
            return None;
        };
        let kind = match first {
            0x40 => AckKind::PubAck,
            0x50 => AckKind::PubRec,
            0x62 => AckKind::PubRel,
            0x70 => AckKind::PubComp,
            _ => return None,
        };
        match PacketId::new(u16::from_be_bytes([high, low])) {
            Some(pid) => Some(Self::new(kind, pid)),
            None => None,
        }
    }

    pub(super) fn read(
        version: Version,
        kind: AckKind,
        mut r: Reader<'a>,
    ) -> Result<Self, WireError> {
        let pid = r.packet_id()?;
        let (reason, props) = version.read_outcome(&mut r, kind.context())?;
        Ok(Self { kind, pid, reason, props })
    }
}

impl Body for Ack<'_> {
    fn first_byte(&self) -> u8 {
        self.kind.packet_type().first_byte()
    }

    fn check(&self, version: Version) -> Result<(), EncodeError> {
        version.check_outcome(self.reason, &self.props, self.kind.context())
    }

    fn write(&self, version: Version, w: &mut Writer<'_>) {
        w.packet_id(self.pid);
        version.write_outcome(self.reason, &self.props, w);
    }
}
