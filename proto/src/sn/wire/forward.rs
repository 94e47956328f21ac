//! Forwarder encapsulation (5.5).

use super::frame::header;
use super::{MsgType, Version, WireError};
use crate::wire::reader::Reader;
use crate::wire::writer::Writer;

/// Length, MsgType and Ctrl.
const CAPSULE: usize = 3;
const RADIUS: u8 = 0x03;

/// A message in the capsule of a forwarder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward<'a> {
    /// Broadcast radius, 0 to 3; only from gateway to forwarder.
    pub radius: u8,
    /// Which node sent the message or is to get it: at most 252 octets.
    pub node: &'a [u8],
    /// The message: exactly one, not itself in a capsule, but otherwise not yet looked at.
    pub message: &'a [u8],
}

impl<'a> Forward<'a> {
    /// `r` is what follows the MsgType of a capsule whose Length is `capsule`.
    pub(super) fn read(
        version: Version,
        capsule: u8,
        r: &mut Reader<'a>,
    ) -> Result<Self, WireError> {
        let ctrl = r.u8()?;
        if ctrl & !RADIUS != 0 {
            return Err(WireError::BadFlags);
        }
        let node = r.take(usize::from(capsule).saturating_sub(CAPSULE))?;
        let forward = Self { radius: ctrl, node, message: r.take_rest() };
        forward.check_message(version).map(|()| forward)
    }

    fn check_message(&self, version: Version) -> Result<(), WireError> {
        match header(version, self.message)? {
            None => Err(WireError::Truncated),
            // "Encoded according to table 1": no capsule in a capsule.
            Some((_, MsgType::Forward)) => Err(WireError::BadPacketType),
            Some((len, _)) if len.total_len != self.message.len() => Err(WireError::BadLength),
            Some(_) => Ok(()),
        }
    }

    pub(super) fn check(&self, version: Version) -> Result<(), WireError> {
        if self.radius & !RADIUS != 0 {
            return Err(WireError::BadFlags);
        }
        self.check_message(version)
    }

    /// The whole, as it has no Length in the common form. `None` if `node` is too long.
    pub(super) fn capsule_len(&self) -> Option<u8> {
        u8::try_from(self.node.len().saturating_add(CAPSULE)).ok()
    }

    pub(super) fn total_len(&self) -> usize {
        self.node.len().saturating_add(self.message.len()).saturating_add(CAPSULE)
    }

    /// All but Length and MsgType.
    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.u8(self.radius);
        w.bytes(self.node);
        w.bytes(self.message);
    }
}
