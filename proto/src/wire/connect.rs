//! CONNECT.

use core::fmt;

use super::packet::Body;
use super::property::PropertyContext;
use super::reader::Reader;
use super::writer::Writer;
use super::{EncodeError, PacketType, Properties, QoS, Version, WireError};
use crate::topic::{TopicError, TopicName, contains};

const PROTOCOL: &[u8] = b"MQTT";

// Connect Flags.
const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS: u8 = 0x18;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;
const RESERVED: u8 = 0x01;

/// CONNECT. Its version is not in here: it is what the packet is encoded for or decoded as.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Client Identifier; empty asks the server to choose one.
    pub client_id: &'a str,
    /// Clean Start; Clean Session in MQTT 3.1.1.
    pub clean_start: bool,
    /// Keep Alive in seconds; 0 is none.
    pub keep_alive: u16,
    /// User Name.
    pub username: Option<&'a str>,
    /// Password, only with a user name in MQTT 3.1.1. Never shown by `Debug`.
    pub password: Option<&'a [u8]>,
    /// The Will Message.
    pub will: Option<Will<'a>>,
    /// What the client wants and can take.
    pub props: Properties<'a>,
}

/// The Will Message: what the server publishes when the connection ends without DISCONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Topic Name.
    pub topic: &'a str,
    /// At most 65 535 bytes.
    pub payload: &'a [u8],
    /// Quality of Service.
    pub qos: QoS,
    /// Whether the server retains it.
    pub retain: bool,
    /// Will Delay Interval and the properties of the message.
    pub props: Properties<'a>,
}

impl<'a> Connect<'a> {
    /// Reads what follows the fixed header.
    pub(super) fn read(mut r: Reader<'a>) -> Result<(Version, Self), WireError> {
        if r.binary()? != PROTOCOL {
            return Err(WireError::UnsupportedVersion);
        }
        let version = Version::from_level(r.u8()?)?;
        let flags = r.u8()?;
        check_flags(version, flags)?;
        let keep_alive = r.u16()?;
        let props = version.read_properties(&mut r, PropertyContext::Connect)?;
        let client_id = r.string()?;
        let has = |flag| flags & flag != 0;
        let will = if has(WILL) { Some(Will::read(version, flags, &mut r)?) } else { None };
        let username = if has(USER_NAME) { Some(r.string()?) } else { None };
        let password = if has(PASSWORD) { Some(r.binary()?) } else { None };
        r.end()?;
        let clean_start = has(CLEAN_START);
        Ok((version, Self { client_id, clean_start, keep_alive, username, password, will, props }))
    }

    /// [MQTT-3.1.2-9], [MQTT-3.1.2-16], [MQTT-3.1.2-17], [MQTT-3.1.2-18], [MQTT-3.1.2-19] Each flag says
    /// that a field is there, and comes from the field. [MQTT-3.1.2-11], [MQTT-3.1.2-12],
    /// [MQTT-3.1.2-13] Will QoS and Will Retain come from the will, if there is one.
    fn flags(&self) -> u8 {
        let will = self.will.map_or(0, |will| {
            WILL | (will.qos as u8) << 3 | if will.retain { WILL_RETAIN } else { 0 }
        });
        will | if self.clean_start { CLEAN_START } else { 0 }
            | if self.username.is_some() { USER_NAME } else { 0 }
            | if self.password.is_some() { PASSWORD } else { 0 }
    }
}

impl<'a> Will<'a> {
    fn read(version: Version, flags: u8, r: &mut Reader<'a>) -> Result<Self, WireError> {
        let props = version.read_properties(r, PropertyContext::Will)?;
        let topic = r.topic_or_empty()?;
        if topic.is_empty() {
            return Err(WireError::BadTopicName);
        }
        let payload = r.binary()?;
        let qos = QoS::try_from((flags & WILL_QOS) >> 3)?;
        Ok(Self { topic, payload, qos, retain: flags & WILL_RETAIN != 0, props })
    }

    fn check(&self, version: Version) -> Result<(), EncodeError> {
        // [MQTT-3.1.3-11]
        TopicName::new(self.topic).map_err(|fault| match fault {
            TopicError::TooLong => EncodeError::TooLong,
            _ => WireError::BadTopicName.into(),
        })?;
        version.check_properties(&self.props, PropertyContext::Will)
    }

    fn write(&self, version: Version, w: &mut Writer<'_>) {
        version.write_properties(&self.props, w);
        w.binary(self.topic.as_bytes());
        w.binary(self.payload);
    }
}

fn check_flags(version: Version, flags: u8) -> Result<(), WireError> {
    // [MQTT-3.1.2-3], and what belongs to a will is 0 without one: [MQTT-3.1.2-11],
    // [MQTT-3.1.2-13].
    if flags & RESERVED != 0 || (flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0) {
        return Err(WireError::BadFlags);
    }
    check_password(version, flags)
}

fn check_password(version: Version, flags: u8) -> Result<(), WireError> {
    if flags & (PASSWORD | USER_NAME) == PASSWORD && version.password_needs_user_name() {
        return Err(WireError::PasswordWithoutUserName);
    }
    Ok(())
}

impl Body for Connect<'_> {
    fn first_byte(&self) -> u8 {
        PacketType::Connect.first_byte()
    }

    fn check(&self, version: Version) -> Result<(), EncodeError> {
        check_password(version, self.flags())?;
        // [MQTT-3.1.3-4], [MQTT-3.1.3-12] The rest of what makes a UTF-8 Encoded String is in the type.
        let nul = |text: &str| contains(text.as_bytes(), [0]);
        if nul(self.client_id) || self.username.is_some_and(nul) {
            return Err(WireError::BadString.into());
        }
        version.check_properties(&self.props, PropertyContext::Connect)?;
        self.will.map_or(Ok(()), |will| will.check(version))
    }

    fn write(&self, version: Version, w: &mut Writer<'_>) {
        // [MQTT-3.1.2-1]
        w.binary(PROTOCOL);
        w.u8(version.level());
        w.u8(self.flags());
        w.u16(self.keep_alive);
        version.write_properties(&self.props, w);
        // [MQTT-3.1.3-1], [MQTT-3.1.3-3] In this order, the Client Identifier first.
        w.binary(self.client_id.as_bytes());
        if let Some(will) = &self.will {
            will.write(version, w);
        }
        if let Some(username) = self.username {
            w.binary(username.as_bytes());
        }
        if let Some(password) = self.password {
            w.binary(password);
        }
    }
}

impl fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("client_id", &self.client_id)
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("username", &self.username)
            .field("password", &self.password.map(|_| "***"))
            .field("will", &self.will)
            .field("props", &self.props)
            .finish()
    }
}
