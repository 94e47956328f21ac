//! A cursor over the bytes of a packet. It never reads past the end and never panics.

use super::{PacketId, WireError};
use crate::topic;

#[derive(Clone, Copy, Default)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[inline]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The last check of every packet that does not end in a payload.
    pub(crate) const fn end(&self) -> Result<(), WireError> {
        if self.is_empty() { Ok(()) } else { Err(WireError::TrailingBytes) }
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, WireError> {
        let (first, rest) = self.rest.split_first().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, WireError> {
        let (first, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(u16::from_be_bytes(*first))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, WireError> {
        let (first, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*first))
    }

    /// A Variable Byte Integer, in no more bytes than it needs [MQTT-1.5.5-1].
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u32, WireError> {
        match self.rest.split_first() {
            Some((value @ 0..0x80, rest)) => {
                self.rest = rest;
                Ok(u32::from(*value))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u32, WireError> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 {
                    Err(WireError::BadVariableByteInteger)
                } else {
                    Ok(value)
                };
            }
        }
        Err(WireError::BadVariableByteInteger)
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (first, rest) = self.rest.split_at_checked(len).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(first)
    }

    /// All that is left.
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// All that is left, as text without U+0000.
    pub(crate) fn rest_as_str(&mut self) -> Result<&'a str, WireError> {
        string(self.take_rest())
    }

    /// Binary Data: two bytes of length, then the bytes.
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], WireError> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// A UTF-8 Encoded String [MQTT-1.5.4-1], [MQTT-1.5.4-2].
    pub(crate) fn string(&mut self) -> Result<&'a str, WireError> {
        string(self.binary()?)
    }

    /// A Topic Name, or the empty string that stands for a Topic Alias.
    pub(crate) fn topic_or_empty(&mut self) -> Result<&'a str, WireError> {
        let bytes = self.binary()?;
        if topic::contains(bytes, [0, b'+', b'#']) {
            return Err(topic_fault(bytes));
        }
        utf8(bytes)
    }

    #[inline]
    pub(crate) fn packet_id(&mut self) -> Result<PacketId, WireError> {
        PacketId::new(self.u16()?).ok_or(WireError::BadPacketId)
    }
}

fn string(bytes: &[u8]) -> Result<&str, WireError> {
    if topic::contains(bytes, [0]) { Err(WireError::BadString) } else { utf8(bytes) }
}

/// [MQTT-1.5.4-3] Nothing is stripped: U+FEFF is a character like any other.
fn utf8(bytes: &[u8]) -> Result<&str, WireError> {
    core::str::from_utf8(bytes).map_err(|_| WireError::BadString)
}

#[cold]
fn topic_fault(bytes: &[u8]) -> WireError {
    if topic::contains(bytes, [0]) { WireError::BadString } else { WireError::BadTopicName }
}
