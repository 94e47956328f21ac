//! Bytes on their way to the pipe.

use everlink_link::Buffer;

/// A pipe that is given no more than this at a time is idle: it needs no large buffer.
const FEW: usize = 256;

/// A buffer that packets are written into and the pipe takes from.
#[derive(Debug)]
pub(crate) struct Transmit<B> {
    buffer: B,
    start: usize,
    end: usize,
    /// Held more than [`FEW`] bytes since the last [`rest`](Self::rest).
    used: bool,
}

impl<B: Buffer> Transmit<B> {
    pub(crate) fn new(buffer: B) -> Self {
        Self { buffer, start: 0, end: 0, used: false }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn pending(&self) -> &[u8] {
        &self.buffer.as_ref()[self.start..self.end]
    }

    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
        &mut self.buffer.as_mut()[self.end..]
    }

    /// The first `n` bytes of [`space`](Self::space) were written.
    pub(crate) fn filled(&mut self, n: usize) {
        self.end += n;
        self.used |= self.end > FEW;
    }

    pub(crate) fn sent(&mut self, n: usize) {
        self.start = self.end.min(self.start + n);
    }

    /// Forgets everything: a new connection begins.
    pub(crate) fn reset(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// More room, if the buffer can grow; `false` if not.
    pub(crate) fn grow(&mut self) -> bool {
        self.buffer.grow(0)
    }

    /// All room the buffer can have.
    pub(crate) fn grow_to_limit(&mut self) {
        self.buffer.grow(usize::MAX);
    }

    /// Call it now and then: memory that was not needed since the last call is given back.
    pub(crate) fn rest(&mut self) {
        if !core::mem::take(&mut self.used) && self.is_empty() {
            self.buffer.shrink();
            self.reset();
        }
    }
}
