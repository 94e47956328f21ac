//! REGISTER, REGACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE.

use super::super::version::Flags;
use super::connect::{check_topic_name, topic_name};
use super::{QoS, ReturnCode, ShortTopic, TopicIdType, Version, WireError};
use crate::topic::TopicFilter;
use crate::wire::reader::Reader;
use crate::wire::writer::Writer;

/// REGISTER (5.4.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register<'a> {
    /// The topic id that the gateway gives; 0 from a client, which asks for one.
    pub topic_id: u16,
    /// Repeated in REGACK.
    pub msg_id: u16,
    /// The Topic Name.
    pub topic: &'a str,
}

impl<'a> Register<'a> {
    pub(super) fn read(r: &mut Reader<'a>) -> Result<Self, WireError> {
        Ok(Self { topic_id: r.u16()?, msg_id: r.u16()?, topic: topic_name(r)? })
    }

    pub(super) fn check(&self) -> Result<(), WireError> {
        check_topic_name(self.topic)
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.u16(self.topic_id);
        w.u16(self.msg_id);
        w.bytes(self.topic.as_bytes());
    }
}

/// REGACK (5.4.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegAck {
    /// The topic id to be used in PUBLISH.
    pub topic_id: u16,
    /// That of the REGISTER.
    pub msg_id: u16,
    /// How it went.
    pub code: ReturnCode,
}

impl RegAck {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self { topic_id: r.u16()?, msg_id: r.u16()?, code: ReturnCode(r.u8()?) })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.u16(self.topic_id);
        w.u16(self.msg_id);
        w.u8(self.code.0);
    }
}

/// What SUBSCRIBE and UNSUBSCRIBE are about (5.4.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter<'a> {
    /// A Topic Filter, with wildcards or without.
    Name(&'a str),
    /// A topic id known to both sides beforehand.
    Predefined(u16),
    /// A topic name of two octets.
    Short(ShortTopic),
}

impl<'a> Filter<'a> {
    const fn id_type(self) -> TopicIdType {
        match self {
            Self::Name(_) => TopicIdType::Normal,
            Self::Predefined(_) => TopicIdType::Predefined,
            Self::Short(_) => TopicIdType::Short,
        }
    }

    fn read(kind: TopicIdType, r: &mut Reader<'a>) -> Result<Self, WireError> {
        match kind {
            TopicIdType::Normal => {
                let filter = Self::Name(r.rest_as_str()?);
                filter.check().map(|()| filter)
            }
            TopicIdType::Predefined => r.u16().map(Self::Predefined),
            TopicIdType::Short => ShortTopic::from_octets(r.u16()?.to_be_bytes()).map(Self::Short),
        }
    }

    fn check(self) -> Result<(), WireError> {
        match self {
            Self::Name(filter) => {
                TopicFilter::new(filter).map(drop).map_err(|_| WireError::BadTopicFilter)
            }
            Self::Predefined(_) | Self::Short(_) => Ok(()),
        }
    }

    fn write(self, w: &mut Writer<'_>) {
        match self {
            Self::Name(filter) => w.bytes(filter.as_bytes()),
            Self::Predefined(id) => w.u16(id),
            Self::Short(name) => w.u16(name.to_u16()),
        }
    }
}

/// SUBSCRIBE (5.4.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Sent before.
    pub dup: bool,
    /// The QoS asked for.
    pub qos: QoS,
    /// Repeated in SUBACK.
    pub msg_id: u16,
    /// What to receive.
    pub filter: Filter<'a>,
}

impl<'a> Subscribe<'a> {
    pub(super) fn read(version: Version, r: &mut Reader<'a>) -> Result<Self, WireError> {
        let flags = Flags::read(version, r.u8()?);
        let (qos, kind) = (flags.plain_qos()?, flags.id_type()?);
        Ok(Self { dup: flags.dup, qos, msg_id: r.u16()?, filter: Filter::read(kind, r)? })
    }

    pub(super) fn check(&self) -> Result<(), WireError> {
        self.filter.check()
    }

    pub(super) fn write(&self, version: Version, w: &mut Writer<'_>) {
        let flags = Flags {
            dup: self.dup,
            qos: self.qos as u8,
            topic_id_type: self.filter.id_type().bits(),
            ..Flags::default()
        };
        w.u8(flags.octet(version));
        w.u16(self.msg_id);
        self.filter.write(w);
    }
}

/// SUBACK (5.4.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubAck {
    /// The QoS granted.
    pub qos: QoS,
    /// The topic id of coming PUBLISHes; 0 for a filter with wildcards or a short topic name.
    pub topic_id: u16,
    /// That of the SUBSCRIBE.
    pub msg_id: u16,
    /// How it went.
    pub code: ReturnCode,
}

impl SubAck {
    pub(super) fn read(version: Version, r: &mut Reader<'_>) -> Result<Self, WireError> {
        let qos = Flags::read(version, r.u8()?).plain_qos()?;
        Ok(Self { qos, topic_id: r.u16()?, msg_id: r.u16()?, code: ReturnCode(r.u8()?) })
    }

    pub(super) fn write(&self, version: Version, w: &mut Writer<'_>) {
        w.u8(Flags { qos: self.qos as u8, ..Flags::default() }.octet(version));
        w.u16(self.topic_id);
        w.u16(self.msg_id);
        w.u8(self.code.0);
    }
}

/// UNSUBSCRIBE (5.4.17).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Repeated in UNSUBACK.
    pub msg_id: u16,
    /// What to receive no more.
    pub filter: Filter<'a>,
}

impl<'a> Unsubscribe<'a> {
    pub(super) fn read(version: Version, r: &mut Reader<'a>) -> Result<Self, WireError> {
        let kind = Flags::read(version, r.u8()?).id_type()?;
        Ok(Self { msg_id: r.u16()?, filter: Filter::read(kind, r)? })
    }

    pub(super) fn check(&self) -> Result<(), WireError> {
        self.filter.check()
    }

    pub(super) fn write(&self, version: Version, w: &mut Writer<'_>) {
        let topic_id_type = self.filter.id_type().bits();
        w.u8(Flags { topic_id_type, ..Flags::default() }.octet(version));
        w.u16(self.msg_id);
        self.filter.write(w);
    }
}
