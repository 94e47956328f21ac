//! Where a packet ends in a stream of bytes.

use super::reader::Reader;
use super::{PacketType, WireError};

/// The sizes told by a packet's fixed header, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameHeader {
    /// The fixed header: 2 to 5.
    pub header_len: usize,
    /// The whole packet, fixed header included: at most 268 435 460.
    pub total_len: usize,
}

/// The sizes of the packet that starts with `bytes`; `None` as long as more bytes are needed to
/// tell. Five are always enough.
///
/// # Errors
/// What no packet starts with: type 0, reserved flags, a Remaining Length of more bytes than it
/// needs or than four.
#[inline]
pub fn frame_len(bytes: &[u8]) -> Result<Option<FrameHeader>, WireError> {
    let Some((first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    PacketType::from_first_byte(*first)?;
    let mut r = Reader::new(rest);
    match r.varint() {
        Ok(remaining) => {
            let header_len = bytes.len() - r.rest().len();
            Ok(Some(FrameHeader { header_len, total_len: header_len + remaining as usize }))
        }
        Err(WireError::Truncated) => Ok(None),
        Err(fault) => Err(fault),
    }
}
