//! SUBSCRIBE and UNSUBSCRIBE.

use super::packet::Body;
use super::property::PropertyContext;
use super::reader::Reader;
use super::writer::Writer;
use super::{
    EncodeError, Filters, PacketId, PacketType, Properties, UnsubscribeFilters, Version, WireError,
};

/// SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Packet Identifier.
    pub pid: PacketId,
    /// Subscription Identifier and User Properties.
    pub props: Properties<'a>,
    /// The Topic Filters and their options, at least one.
    pub filters: Filters<'a>,
}

/// UNSUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Packet Identifier.
    pub pid: PacketId,
    /// User Properties.
    pub props: Properties<'a>,
    /// The Topic Filters, at least one.
    pub filters: UnsubscribeFilters<'a>,
}

impl<'a> Subscribe<'a> {
    pub(super) fn read(version: Version, mut r: Reader<'a>) -> Result<Self, WireError> {
        let pid = r.packet_id()?;
        let props = version.read_properties(&mut r, PropertyContext::Subscribe)?;
        Ok(Self { pid, props, filters: Filters::read(version, r.rest())? })
    }
}

impl<'a> Unsubscribe<'a> {
    pub(super) fn read(version: Version, mut r: Reader<'a>) -> Result<Self, WireError> {
        let pid = r.packet_id()?;
        let props = version.read_properties(&mut r, PropertyContext::Unsubscribe)?;
        Ok(Self { pid, props, filters: UnsubscribeFilters::from_raw(r.rest())? })
    }
}

impl Body for Subscribe<'_> {
    fn first_byte(&self) -> u8 {
        PacketType::Subscribe.first_byte()
    }

    fn check(&self, version: Version) -> Result<(), EncodeError> {
        self.filters.validate()?;
        version.check_properties(&self.props, PropertyContext::Subscribe)
    }

    fn write(&self, version: Version, w: &mut Writer<'_>) {
        w.packet_id(self.pid);
        version.write_properties(&self.props, w);
        self.filters.write(version, w);
    }
}

impl Body for Unsubscribe<'_> {
    fn first_byte(&self) -> u8 {
        PacketType::Unsubscribe.first_byte()
    }

    fn check(&self, version: Version) -> Result<(), EncodeError> {
        self.filters.validate()?;
        version.check_properties(&self.props, PropertyContext::Unsubscribe)
    }

    fn write(&self, version: Version, w: &mut Writer<'_>) {
        w.packet_id(self.pid);
        version.write_properties(&self.props, w);
        self.filters.write(w);
    }
}
