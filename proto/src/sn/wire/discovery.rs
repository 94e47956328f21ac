//! ADVERTISE, SEARCHGW, GWINFO.

use super::WireError;
use crate::wire::reader::Reader;
use crate::wire::writer::Writer;

/// ADVERTISE: a gateway is there (5.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// Which gateway.
    pub gateway: u8,
    /// Seconds until its next ADVERTISE.
    pub duration: u16,
}

impl Advertise {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self { gateway: r.u8()?, duration: r.u16()? })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.u8(self.gateway);
        w.u16(self.duration);
    }
}

/// GWINFO: the answer to SEARCHGW (5.4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GwInfo<'a> {
    /// Which gateway.
    pub gateway: u8,
    /// Where it is, if a client says so; empty if the gateway itself does. What the octets mean
    /// depends on the network (5.3.5).
    pub address: &'a [u8],
}

impl<'a> GwInfo<'a> {
    pub(super) fn read(r: &mut Reader<'a>) -> Result<Self, WireError> {
        let gateway = r.u8()?;
        Ok(Self { gateway, address: r.take_rest() })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.u8(self.gateway);
        w.bytes(self.address);
    }
}
