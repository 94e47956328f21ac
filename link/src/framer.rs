//! Cuts a byte stream into packets.

use everlink_proto::engine::{Framing, MqttFraming};
use everlink_proto::wire::WireError;

use crate::buffer::{Buffer, LEAST};

/// The smallest buffer: the longest fixed header, a byte of packet type and four of length.
pub const MIN_BUFFER: usize = 5;

/// What the stream brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// One whole packet.
    Packet(&'a [u8]),
    /// A packet larger than the buffer; the rest of it follows as it comes.
    Skipped {
        /// How it begins: as many bytes as the buffer holds.
        head: &'a [u8],
        /// Length of the whole packet in bytes.
        total: usize,
    },
    /// Further bytes of the packet that was too large.
    Rest {
        /// As many as came.
        bytes: &'a [u8],
        /// How many are still to come after these.
        left: usize,
    },
    /// What comes next is no packet: the stream cannot be understood any further. Stays until
    /// [`Framer::reset`].
    Malformed(WireError),
}

/// Cuts a byte stream into packets, in memory given by the caller; where a packet ends, `R` knows.
///
/// Read into [`space`](Self::space), say how much with [`filled`](Self::filled), then take frames
/// with [`peek`](Self::peek) and [`consume`](Self::consume) until there is none. Memory that can grow
/// does so for a packet that needs it, and when a read fills it. A frame may be left
/// in place for as long as its receiver is busy. Bytes are moved only to bring the beginning of an
/// incomplete packet to the front, at most once for each packet.
#[derive(Debug)]
pub struct Framer<B, R = MqttFraming> {
    buf: B,
    framing: R,
    /// The first byte not consumed.
    start: usize,
    /// The end of what was read.
    end: usize,
    /// Length of the packet at `start`; 0 if not known.
    length: usize,
    /// Bytes of an oversized packet after its head, not yet consumed.
    skip: usize,
    /// The last read took all the room, so there may be more.
    eager: bool,
    /// A read filled more than the least memory since the last [`rest`](Self::rest).
    used: bool,
}

impl<B: Buffer> Framer<B> {
    /// A framer of MQTT in `buf`, which bounds the packets that can be received.
    ///
    /// # Panics
    /// If `buf` is shorter than [`MIN_BUFFER`].
    pub fn new(buf: B) -> Self {
        Self::with_framing(buf, MqttFraming)
    }
}

impl<B: Buffer, R: Framing> Framer<B, R> {
    /// A framer of another protocol.
    ///
    /// # Panics
    /// If `buf` is shorter than [`MIN_BUFFER`].
    pub fn with_framing(buf: B, framing: R) -> Self {
        assert!(
            buf.as_ref().len() >= MIN_BUFFER,
            "the receive buffer cannot hold a packet's fixed header"
        );
        Self { buf, framing, start: 0, end: 0, length: 0, skip: 0, eager: false, used: false }
    }

    /// Room to read into. Empty if the buffer is full: take a frame first.
    pub fn space(&mut self) -> &mut [u8] {
        let capacity = self.buf.as_ref().len();
        // Short reads cost more than moving what is left of one packet.
        if self.start > 0 && capacity - self.end < capacity / 2 {
            self.buf.as_mut().copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.eager || self.length > capacity {
            self.eager = false;
            self.buf.grow(self.length);
        }
        &mut self.buf.as_mut()[self.end..]
    }

    /// Says that the first `n` bytes of [`space`](Self::space) were read; more than it has count as
    /// all of it.
    pub fn filled(&mut self, n: usize) {
        let size = self.buf.as_ref().len();
        self.end = size.min(self.end + n);
        self.eager = self.end == size;
        self.used |= n >= LEAST;
    }

    /// The next frame, if it is complete; the same again until it is consumed.
    #[inline]
    pub fn peek(&mut self) -> Option<Frame<'_>> {
        if self.skip > 0 {
            return self.rest_of_packet();
        }
        if self.length == 0 {
            match self.framing.packet_len(&self.buf.as_ref()[self.start..self.end]) {
                Ok(Some(length)) => self.length = length,
                Ok(None) => return None,
                Err(error) => return Some(Frame::Malformed(error)),
            }
        }
        let buffered = &self.buf.as_ref()[self.start..self.end];
        if let Some(packet) = buffered.get(..self.length) {
            return Some(Frame::Packet(packet));
        }
        let full = buffered.len() == self.capacity();
        full.then_some(Frame::Skipped { head: buffered, total: self.length })
    }

    fn rest_of_packet(&self) -> Option<Frame<'_>> {
        let buffered = self.buf.as_ref().get(self.start..self.end)?;
        let bytes = buffered.get(..self.skip).unwrap_or(buffered);
        (!bytes.is_empty()).then_some(Frame::Rest { bytes, left: self.skip - bytes.len() })
    }

    /// Lets go of the frame that [`peek`](Self::peek) gave; without one, does nothing.
    #[inline]
    pub fn consume(&mut self) {
        let buffered = self.end - self.start;
        if self.skip > 0 {
            let bytes = self.skip.min(buffered);
            self.skip -= bytes;
            self.advance(bytes);
        } else if self.length <= buffered {
            self.advance(self.length);
        } else if buffered == self.capacity() {
            self.skip = self.length - buffered;
            self.advance(buffered);
        }
    }

    /// Forgets everything: what is read next begins a new connection.
    pub fn reset(&mut self) {
        (self.start, self.end, self.length, self.skip, self.eager) = (0, 0, 0, 0, false);
    }

    /// Call it now and then: memory that grew and was not needed since the last call is given back.
    pub fn rest(&mut self) {
        if !core::mem::take(&mut self.used) && self.start == self.end {
            self.buf.shrink();
        }
    }

    /// Bytes read and not yet consumed.
    pub fn buffered(&self) -> usize {
        self.end - self.start
    }

    /// Length of the largest packet that is not skipped, in bytes.
    pub fn capacity(&self) -> usize {
        self.buf.limit()
    }

    #[inline]
    fn advance(&mut self, n: usize) {
        self.length = 0;
        self.start += n;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }
}
