//! The Length: where a message ends (5.2.1).

use super::{MsgType, Version, WireError};
use crate::engine::Framing;
use crate::wire::reader::Reader;

/// Most octets of a message.
pub const MAX_MESSAGE: usize = 65_535;

/// Says that the Length has 3 octets.
const LONG: u8 = 1;
/// Length and MsgType.
const SHORT_HEADER: usize = 2;
const LONG_HEADER: usize = 4;

/// The sizes told by a message's header, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameHeader {
    /// Length and MsgType: 2 or 4. Of an encapsulated message, all that stands before the message
    /// within.
    pub header_len: usize,
    /// The whole message with its header; an encapsulated one with its capsule.
    pub total_len: usize,
}

/// The sizes of the message that starts with `bytes`; `None` as long as more octets are needed to
/// tell. Of an encapsulated message these are more than its Length says: it ends where the message
/// within ends (5.5).
///
/// # Errors
/// What no message starts with: a Length too short for the header, a reserved MsgType, a capsule in a
/// capsule.
pub fn frame_len(version: Version, bytes: &[u8]) -> Result<Option<FrameHeader>, WireError> {
    let Some((len, kind)) = header(version, bytes)? else {
        return Ok(None);
    };
    if kind != MsgType::Forward {
        return Ok(Some(FrameHeader { header_len: len.header_len, total_len: len.total_len }));
    }
    let capsule = len.total_len;
    let Some((inner, kind)) = header(version, bytes.get(capsule..).unwrap_or_default())? else {
        return Ok(None);
    };
    if kind == MsgType::Forward {
        return Err(WireError::BadPacketType);
    }
    Ok(Some(FrameHeader { header_len: capsule, total_len: capsule + inner.total_len }))
}

/// A stream of messages, on a serial line for instance.
impl Framing for Version {
    fn packet_len(self, bytes: &[u8]) -> Result<Option<usize>, WireError> {
        Ok(frame_len(self, bytes)?.map(|header| header.total_len))
    }
}

/// Length and MsgType of the message that starts with `bytes`.
pub(super) fn header(
    version: Version,
    bytes: &[u8],
) -> Result<Option<(FrameHeader, MsgType)>, WireError> {
    let (header_len, total_len) = match *bytes {
        [LONG, high, low, ..] => (LONG_HEADER, usize::from(u16::from_be_bytes([high, low]))),
        [] | [LONG, ..] => return Ok(None),
        [len, ..] => (SHORT_HEADER, usize::from(len)),
    };
    if total_len < header_len {
        return Err(WireError::BadLength);
    }
    let Some(octet) = bytes.get(header_len - 1) else {
        return Ok(None);
    };
    let kind = version.msg_type(*octet)?;
    // The capsule's Length is always one octet (5.5), and Ctrl belongs to it.
    if kind == MsgType::Forward && (header_len != SHORT_HEADER || total_len <= SHORT_HEADER) {
        return Err(WireError::BadLength);
    }
    Ok(Some((FrameHeader { header_len, total_len }, kind)))
}

/// Takes the header off; tells the type and the rest. `bytes` are exactly one message.
pub(super) fn open(version: Version, bytes: &[u8]) -> Result<(MsgType, Reader<'_>), WireError> {
    let (len, kind) = header(version, bytes)?.ok_or(WireError::Truncated)?;
    if kind != MsgType::Forward && len.total_len != bytes.len() {
        return Err(WireError::BadLength);
    }
    Ok((kind, Reader::new(bytes.get(len.header_len..).unwrap_or_default())))
}

/// Octets of a message whose variable part has `body` of them.
pub(super) const fn message_len(body: usize) -> usize {
    let short = body.saturating_add(SHORT_HEADER);
    if short <= u8::MAX as usize { short } else { body.saturating_add(LONG_HEADER) }
}
