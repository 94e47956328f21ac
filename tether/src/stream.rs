//! Frames on a byte stream: `00`, COBS of the frame and its CRC-32, `00`.
//!
//! No zero is within a frame, so the reader finds the next one behind any zero, whatever came before: half a
//! frame, a boot ROM's greeting, noise. CRC-32 is that of Ethernet (ISO-HDLC), lowest octet first.

use cobs::{CobsEncoder, decode_in_place};
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);
const CRC_LEN: usize = 4;

/// Bytes on the line for a frame of `len` bytes, at most.
pub const fn encoded_len(len: usize) -> usize {
    let inner = len + CRC_LEN;
    inner + inner / 254 + 1 + 2
}

/// Writes `frame` as it goes on the line to the front of `out`; its length. `None`: `out` is shorter than
/// [`encoded_len`].
pub fn encode(frame: &[u8], out: &mut [u8]) -> Option<usize> {
    let len = encoded_len(frame.len());
    let out = out.get_mut(..len)?;
    let (start, rest) = out.split_first_mut()?;
    *start = 0;
    let mut encoder = CobsEncoder::new(rest);
    encoder.push(frame).ok()?;
    encoder.push(&CRC.checksum(frame).to_le_bytes()).ok()?;
    let len = encoder.finalize();
    *rest.get_mut(len)? = 0;
    Some(len + 2)
}

/// Finds frames in a stream of bytes.
#[derive(Debug)]
pub struct Deframer<B> {
    buffer: B,
    len: usize,
    /// More came than fits: skipped to the next zero.
    skipping: bool,
    /// The frame in the buffer was handed out.
    handed: bool,
    bad: u32,
}

impl<B: AsMut<[u8]> + AsRef<[u8]>> Deframer<B> {
    /// With room for frames of as many bytes as [`encoded_len`] makes of them, less two.
    pub fn new(buffer: B) -> Self {
        Self { buffer, len: 0, skipping: false, handed: false, bad: 0 }
    }

    /// Takes bytes from the front of `bytes` until a frame is whole: that frame, without its CRC, and how
    /// many bytes were taken. No frame: all were taken.
    pub fn push(&mut self, bytes: &[u8]) -> (usize, Option<&[u8]>) {
        if core::mem::take(&mut self.handed) {
            self.len = 0;
        }
        let mut taken = 0;
        for byte in bytes {
            taken += 1;
            if *byte != 0 {
                match self.buffer.as_mut().get_mut(self.len) {
                    Some(room) if !self.skipping => {
                        *room = *byte;
                        self.len += 1;
                    }
                    _ => self.skipping = true,
                }
                continue;
            }
            let (len, skipped) = (self.len, self.skipping);
            (self.len, self.skipping) = (0, false);
            if len == 0 && !skipped {
                // Between two frames.
                continue;
            }
            match self.check(len).filter(|_| !skipped) {
                Some(frame) => {
                    self.handed = true;
                    return (taken, self.buffer.as_ref().get(..frame));
                }
                None => self.bad = self.bad.wrapping_add(1),
            }
        }
        (taken, None)
    }

    /// The length of the frame in the first `len` bytes of the buffer.
    fn check(&mut self, len: usize) -> Option<usize> {
        let encoded = self.buffer.as_mut().get_mut(..len)?;
        let decoded = decode_in_place(encoded).ok()?;
        let (frame, sum) = encoded.get(..decoded)?.split_last_chunk::<CRC_LEN>()?;
        (CRC.checksum(frame) == u32::from_le_bytes(*sum)).then_some(frame.len())
    }

    /// What was between zeros and no frame.
    pub fn bad(&self) -> u32 {
        self.bad
    }
}
