//! A cursor over the caller's buffer. The packet's length is known before the first byte is
//! written, so the buffer is checked once, by [`Writer::packet`]; after that only a field that is
//! too long can fail, and [`Writer::finish`] tells. That length is what [`Writer::counter`] counts.

use super::{EncodeError, PacketId};
use crate::mem::copy;

/// The largest Remaining Length.
pub(crate) const MAX_REMAINING: usize = 268_435_455;

pub(crate) struct Writer<'a> {
    rest: &'a mut [u8],
    written: usize,
    fault: Option<EncodeError>,
    /// Nothing is written, only counted.
    counts: bool,
}

impl<'a> Writer<'a> {
    /// Over a buffer without a packet's fixed header.
    #[inline]
    pub(crate) fn new(out: &'a mut [u8]) -> Self {
        Self { rest: out, written: 0, fault: None, counts: false }
    }

    /// Counts the bytes that would be written.
    pub(crate) fn counter() -> Self {
        Self { rest: &mut [], written: 0, fault: None, counts: true }
    }

    /// Starts a packet with its fixed header. Of the `remaining` bytes after it, the last `streamed`
    /// are written by someone else, and the buffer need not have room for them.
    #[inline]
    pub(crate) fn packet(
        out: &'a mut [u8],
        first: u8,
        remaining: usize,
        streamed: usize,
    ) -> Result<Self, EncodeError> {
        if remaining > MAX_REMAINING {
            return Err(EncodeError::TooLong);
        }
        let needed = packet_len(remaining) - streamed;
        if out.len() < needed {
            return Err(EncodeError::NoSpace { needed });
        }
        let mut w = Self::new(out);
        w.u8(first);
        w.varint(remaining as u32);
        Ok(w)
    }

    /// Bytes written.
    #[inline]
    pub(crate) fn finish(self) -> Result<usize, EncodeError> {
        match self.fault {
            None => Ok(self.written),
            Some(fault) => Err(fault),
        }
    }

    #[inline]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        match core::mem::take(&mut self.rest).split_at_mut_checked(bytes.len()) {
            Some((first, rest)) => {
                copy(first, bytes);
                self.rest = rest;
                self.written += bytes.len();
            }
            None => self.no_room(bytes.len()),
        }
    }

    #[inline]
    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    #[inline]
    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// A Variable Byte Integer of at most [`MAX_REMAINING`].
    #[inline]
    pub(crate) fn varint(&mut self, mut value: u32) {
        while value > 0x7F {
            self.u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8);
    }

    /// Binary Data, or a UTF-8 Encoded String.
    #[inline]
    pub(crate) fn binary(&mut self, bytes: &[u8]) {
        match u16::try_from(bytes.len()) {
            Ok(len) => {
                self.u16(len);
                self.bytes(bytes);
            }
            Err(_) => {
                self.no_room(field_len(bytes.len()));
                self.fault = Some(EncodeError::TooLong);
            }
        }
    }

    #[inline]
    pub(crate) fn packet_id(&mut self, pid: PacketId) {
        self.u16(pid.get());
    }

    /// Bytes written, or that would be.
    pub(crate) fn written(&self) -> usize {
        self.written
    }

    // A counter never has room: so the hot path has one question less.
    #[cold]
    fn no_room(&mut self, bytes: usize) {
        let needed = self.written.saturating_add(bytes);
        if self.counts {
            self.written = needed;
        } else {
            self.rest = &mut [];
            self.fault.get_or_insert(EncodeError::NoSpace { needed });
        }
    }
}

/// Bytes that `value` takes as a Variable Byte Integer.
pub(crate) const fn varint_len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

/// Bytes that a packet takes with its fixed header.
pub(crate) const fn packet_len(remaining: usize) -> usize {
    remaining.saturating_add(1 + varint_len(remaining))
}

/// Bytes that `field` takes as Binary Data or as a UTF-8 Encoded String.
pub(crate) const fn field_len(len: usize) -> usize {
    len.saturating_add(2)
}
