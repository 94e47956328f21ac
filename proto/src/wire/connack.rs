//! CONNACK.

use super::packet::Body;
use super::property::PropertyContext;
use super::reader::Reader;
use super::writer::Writer;
use super::{EncodeError, PacketType, Properties, ReasonCode, Version, WireError};

/// CONNACK. The return codes of MQTT 3.1.1 are translated to and from Reason Codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// Whether the server has a session for this client. False with a refusal.
    pub session_present: bool,
    /// Success, or why the connection is refused.
    pub reason: ReasonCode,
    /// What the server supports and decided.
    pub props: Properties<'a>,
}

impl<'a> ConnAck<'a> {
    pub(super) fn read(version: Version, mut r: Reader<'a>) -> Result<Self, WireError> {
        let flags = r.u8()?;
        if flags > 1 {
            return Err(WireError::BadFlags); // [MQTT-3.2.2-1]
        }
        let reason = version.connack_reason(r.u8()?)?;
        let props = version.read_properties(&mut r, PropertyContext::ConnAck)?;
        r.end()?;
        // [MQTT-3.2.2-6] forbids the flag with a refusal. The refusal says more than a complaint
        // about the flag would, so it is kept and the flag is not.
        Ok(Self { session_present: flags == 1 && reason == ReasonCode::SUCCESS, reason, props })
    }
}

impl Body for ConnAck<'_> {
    fn first_byte(&self) -> u8 {
        PacketType::ConnAck.first_byte()
    }

    fn check(&self, version: Version) -> Result<(), EncodeError> {
        if self.session_present && self.reason != ReasonCode::SUCCESS {
            return Err(WireError::BadFlags.into());
        }
        version.connack_code(self.reason)?;
        version.check_properties(&self.props, PropertyContext::ConnAck)
    }

    fn write(&self, version: Version, w: &mut Writer<'_>) {
        w.u8(self.session_present.into());
        w.u8(version.connack_code(self.reason).unwrap_or(self.reason.0));
        version.write_properties(&self.props, w);
    }
}
