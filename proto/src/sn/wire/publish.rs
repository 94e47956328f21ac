//! PUBLISH, PUBACK.

use super::super::version::Flags;
use super::{PublishQoS, ReturnCode, Topic, TopicIdType, Version, WireError};
use crate::wire::reader::Reader;
use crate::wire::writer::Writer;

/// PUBLISH (5.4.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Sent before. Only at QoS 1 and 2.
    pub dup: bool,
    /// Quality of service.
    pub qos: PublishQoS,
    /// RETAIN flag.
    pub retain: bool,
    /// Where to. At QoS -1, not a normal topic id (6.8).
    pub topic: Topic,
    /// Not 0 at QoS 1 and 2; else it should be 0.
    pub msg_id: u16,
    /// The published data.
    pub data: &'a [u8],
}

impl<'a> Publish<'a> {
    /// Octets of a PUBLISH besides its data, if its Length has 1 octet; 2 more if it has 3.
    pub const OVERHEAD: usize = 7;

    pub(super) fn read(version: Version, r: &mut Reader<'a>) -> Result<Self, WireError> {
        let flags = Flags::read(version, r.u8()?);
        let topic = Topic::from_u16(flags.id_type()?, r.u16()?)?;
        let publish = Self {
            dup: flags.dup,
            qos: flags.publish_qos(),
            retain: flags.retain,
            topic,
            msg_id: r.u16()?,
            data: r.take_rest(),
        };
        publish.check().map(|()| publish)
    }

    pub(super) fn check(&self) -> Result<(), WireError> {
        if self.qos.is_acknowledged() && self.msg_id == 0 {
            return Err(WireError::BadPacketId);
        }
        if self.dup && !self.qos.is_acknowledged() {
            return Err(WireError::DupAtQoS0);
        }
        match self.topic {
            Topic::Short(name) if !name.is_name() => Err(WireError::BadTopicName),
            Topic::Id(_) if self.qos == PublishQoS::MinusOne => Err(WireError::BadTopicIdType),
            _ => Ok(()),
        }
    }

    pub(super) fn write(&self, version: Version, w: &mut Writer<'_>) {
        let kind: TopicIdType = self.topic.id_type();
        let flags = Flags {
            dup: self.dup,
            qos: self.qos.bits(),
            retain: self.retain,
            topic_id_type: kind.bits(),
            ..Flags::default()
        };
        w.u8(flags.octet(version));
        w.u16(self.topic.to_u16());
        w.u16(self.msg_id);
        w.bytes(self.data);
    }
}

/// PUBACK: the answer at QoS 1, or at any QoS what is wrong (5.4.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PubAck {
    /// The TopicId field of the PUBLISH: [`Topic::to_u16`].
    pub topic_id: u16,
    /// That of the PUBLISH.
    pub msg_id: u16,
    /// How it went.
    pub code: ReturnCode,
}

impl PubAck {
    /// The answer to `publish`.
    pub const fn to(publish: &Publish<'_>, code: ReturnCode) -> Self {
        Self { topic_id: publish.topic.to_u16(), msg_id: publish.msg_id, code }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self { topic_id: r.u16()?, msg_id: r.u16()?, code: ReturnCode(r.u8()?) })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.u16(self.topic_id);
        w.u16(self.msg_id);
        w.u8(self.code.0);
    }
}
