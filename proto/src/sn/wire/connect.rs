//! CONNECT, WILLTOPIC, WILLTOPICUPD.

use super::super::version::Flags;
use super::{QoS, Version, WireError};
use crate::topic::TopicName;
use crate::wire::reader::Reader;
use crate::wire::writer::Writer;

/// CONNECT (5.4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The gateway is to ask for Will topic and Will message.
    pub will: bool,
    /// The gateway is to forget subscriptions and Will of an earlier connection (6.3).
    pub clean_session: bool,
    /// Keep-alive in seconds.
    pub duration: u16,
    /// 1 to 23 characters.
    pub client_id: &'a str,
}

impl<'a> Connect<'a> {
    pub(super) fn read(version: Version, r: &mut Reader<'a>) -> Result<Self, WireError> {
        let flags = Flags::read(version, r.u8()?);
        if Version::from_protocol_id(r.u8()?)? != version {
            return Err(WireError::UnsupportedVersion);
        }
        let duration = r.u16()?;
        let client_id = r.rest_as_str()?;
        version.check_client_id(client_id)?;
        Ok(Self { will: flags.will, clean_session: flags.clean_session, duration, client_id })
    }

    pub(super) fn check(&self, version: Version) -> Result<(), WireError> {
        version.check_client_id(self.client_id)
    }

    pub(super) fn write(&self, version: Version, w: &mut Writer<'_>) {
        let flags =
            Flags { will: self.will, clean_session: self.clean_session, ..Flags::default() };
        w.u8(flags.octet(version));
        w.u8(version.protocol_id());
        w.u16(self.duration);
        w.bytes(self.client_id.as_bytes());
    }
}

/// What WILLTOPIC and WILLTOPICUPD say (5.4.7, 5.4.22). Without it, such a message is empty and
/// deletes topic and message of the Will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WillTopic<'a> {
    /// QoS of the Will.
    pub qos: QoS,
    /// RETAIN flag of the Will.
    pub retain: bool,
    /// The Will topic: a Topic Name.
    pub topic: &'a str,
}

impl<'a> WillTopic<'a> {
    pub(super) fn read(version: Version, r: &mut Reader<'a>) -> Result<Option<Self>, WireError> {
        if r.is_empty() {
            return Ok(None);
        }
        let flags = Flags::read(version, r.u8()?);
        let topic = topic_name(r)?;
        Ok(Some(Self { qos: flags.plain_qos()?, retain: flags.retain, topic }))
    }

    pub(super) fn check(&self) -> Result<(), WireError> {
        check_topic_name(self.topic)
    }

    pub(super) fn write(&self, version: Version, w: &mut Writer<'_>) {
        let flags = Flags { qos: self.qos as u8, retain: self.retain, ..Flags::default() };
        w.u8(flags.octet(version));
        w.bytes(self.topic.as_bytes());
    }
}

/// The Topic Name that the rest of a message is.
pub(super) fn topic_name<'a>(r: &mut Reader<'a>) -> Result<&'a str, WireError> {
    let topic = r.rest_as_str()?;
    check_topic_name(topic)?;
    Ok(topic)
}

pub(super) fn check_topic_name(topic: &str) -> Result<(), WireError> {
    TopicName::new(topic).map(drop).map_err(|_| WireError::BadTopicName)
}
