//! A ring of bytes in memory that the caller gives.

/// Holds at most as many bytes as its buffer is long.
pub(crate) struct Ring {
    bytes: &'static mut [u8],
    /// Index of the oldest byte.
    start: usize,
    length: usize,
}

impl Ring {
    pub(crate) const fn new(bytes: &'static mut [u8]) -> Self {
        Self { bytes, start: 0, length: 0 }
    }

    /// Returns whether there was room.
    pub(crate) fn push(&mut self, byte: u8) -> bool {
        if self.is_full() {
            return false;
        }
        let end = (self.start + self.length) % self.bytes.len();
        self.bytes[end] = byte;
        self.length += 1;
        true
    }

    pub(crate) fn pop(&mut self) -> Option<u8> {
        if self.is_empty() {
            return None;
        }
        let byte = self.bytes[self.start];
        self.start = (self.start + 1) % self.bytes.len();
        self.length -= 1;
        Some(byte)
    }

    /// Moves bytes out until the ring is empty or `target` is full; returns how many.
    pub(crate) fn pop_into(&mut self, target: &mut [u8]) -> usize {
        let mut moved = 0;
        while moved < target.len()
            && let Some(byte) = self.pop()
        {
            target[moved] = byte;
            moved += 1;
        }
        moved
    }

    pub(crate) fn is_full(&self) -> bool {
        self.length == self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }
}
