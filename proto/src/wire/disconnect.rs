//! DISCONNECT and AUTH.

use super::packet::Body;
use super::property::PropertyContext;
use super::reader::Reader;
use super::writer::Writer;
use super::{EncodeError, PacketType, Properties, ReasonCode, Version, WireError};

/// DISCONNECT. Reason and properties are left out in MQTT 3.1.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why.
    pub reason: ReasonCode,
    /// Session Expiry Interval, Reason String, User Properties, Server Reference.
    pub props: Properties<'a>,
}

/// AUTH, of MQTT 5 only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, Continue authentication or Re-authenticate.
    pub reason: ReasonCode,
    /// Authentication Method and Data, Reason String, User Properties.
    pub props: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    pub(super) fn read(version: Version, mut r: Reader<'a>) -> Result<Self, WireError> {
        let (reason, props) = version.read_outcome(&mut r, PropertyContext::Disconnect)?;
        Ok(Self { reason, props })
    }
}

impl<'a> Auth<'a> {
    pub(super) fn read(version: Version, mut r: Reader<'a>) -> Result<Self, WireError> {
        let (reason, props) = version.read_outcome(&mut r, PropertyContext::Auth)?;
        Ok(Self { reason, props })
    }
}

impl Body for Disconnect<'_> {
    fn first_byte(&self) -> u8 {
        PacketType::Disconnect.first_byte()
    }

    fn check(&self, version: Version) -> Result<(), EncodeError> {
        version.check_outcome(self.reason, &self.props, PropertyContext::Disconnect)
    }

    fn write(&self, version: Version, w: &mut Writer<'_>) {
        version.write_outcome(self.reason, &self.props, w);
    }
}

impl Body for Auth<'_> {
    fn first_byte(&self) -> u8 {
        PacketType::Auth.first_byte()
    }

    fn check(&self, version: Version) -> Result<(), EncodeError> {
        version.check_type(PacketType::Auth)?;
        version.check_outcome(self.reason, &self.props, PropertyContext::Auth)
    }

    fn write(&self, version: Version, w: &mut Writer<'_>) {
        version.write_outcome(self.reason, &self.props, w);
    }
}
