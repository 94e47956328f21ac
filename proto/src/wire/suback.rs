//! SUBACK and UNSUBACK.

use super::packet::Body;
use super::property::PropertyContext;
use super::reader::Reader;
use super::writer::Writer;
use super::{EncodeError, PacketId, PacketType, Properties, ReasonCode, Version, WireError};

/// SUBACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// Packet Identifier of the SUBSCRIBE.
    pub pid: PacketId,
    /// Reason String and User Properties.
    pub props: Properties<'a>,
    /// One Reason Code for each Topic Filter of the SUBSCRIBE. Every refusal becomes 0x80 in
    /// MQTT 3.1.1.
    pub codes: &'a [u8],
}

/// UNSUBACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// Packet Identifier of the UNSUBSCRIBE.
    pub pid: PacketId,
    /// Reason String and User Properties.
    pub props: Properties<'a>,
    /// One Reason Code for each Topic Filter of the UNSUBSCRIBE; none in MQTT 3.1.1, where an
    /// UNSUBACK is success.
    pub codes: &'a [u8],
}

impl<'a> SubAck<'a> {
    /// The Reason Codes in the order of the Topic Filters.
    pub fn reasons(&self) -> impl ExactSizeIterator<Item = ReasonCode> + 'a {
        self.codes.iter().map(|code| ReasonCode(*code))
    }

    pub(super) fn read(version: Version, mut r: Reader<'a>) -> Result<Self, WireError> {
        let pid = r.packet_id()?;
        let props = version.read_properties(&mut r, PropertyContext::SubAck)?;
        let codes = r.rest();
        check_codes(codes, |code| version.check_suback_code(code))?;
        Ok(Self { pid, props, codes })
    }
}

impl<'a> UnsubAck<'a> {
    /// The Reason Codes in the order of the Topic Filters.
    pub fn reasons(&self) -> impl ExactSizeIterator<Item = ReasonCode> + 'a {
        self.codes.iter().map(|code| ReasonCode(*code))
    }

    pub(super) fn read(version: Version, mut r: Reader<'a>) -> Result<Self, WireError> {
        let pid = r.packet_id()?;
        let props = version.read_properties(&mut r, PropertyContext::UnsubAck)?;
        let codes = r.rest();
        if version.unsuback_has_codes() {
            check_codes(codes, check_unsuback_code)?;
        } else {
            r.end()?;
        }
        Ok(Self { pid, props, codes })
    }
}

impl Body for SubAck<'_> {
    fn first_byte(&self) -> u8 {
        PacketType::SubAck.first_byte()
    }

    fn check(&self, version: Version) -> Result<(), EncodeError> {
        check_codes(self.codes, |code| version.check_suback_code(version.suback_code(code)))?;
        version.check_properties(&self.props, PropertyContext::SubAck)
    }

    fn write(&self, version: Version, w: &mut Writer<'_>) {
        w.packet_id(self.pid);
        version.write_properties(&self.props, w);
        for code in self.codes {
            w.u8(version.suback_code(*code));
        }
    }
}

impl Body for UnsubAck<'_> {
    fn first_byte(&self) -> u8 {
        PacketType::UnsubAck.first_byte()
    }

    fn check(&self, version: Version) -> Result<(), EncodeError> {
        if version.unsuback_has_codes() {
            check_codes(self.codes, check_unsuback_code)?;
        }
        version.check_properties(&self.props, PropertyContext::UnsubAck)
    }

    fn write(&self, version: Version, w: &mut Writer<'_>) {
        w.packet_id(self.pid);
        version.write_properties(&self.props, w);
        if version.unsuback_has_codes() {
            w.bytes(self.codes);
        }
    }
}

fn check_unsuback_code(code: u8) -> Result<(), WireError> {
    ReasonCode(code).check(PropertyContext::UnsubAck).map(drop)
}

/// There is a code for each Topic Filter [MQTT-3.8.4-6], and there was a Topic Filter.
fn check_codes(codes: &[u8], check: impl Fn(u8) -> Result<(), WireError>) -> Result<(), WireError> {
    if codes.is_empty() {
        return Err(WireError::BadReasonCode);
    }
    codes.iter().try_for_each(|code| check(*code))
}
