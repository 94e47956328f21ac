//! Bytes on their way to the pipe.

/// A buffer that packets are written into and the pipe takes from.
#[derive(Debug)]
pub(crate) struct Transmit<B> {
    pub(crate) buffer: B,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Transmit<B> {
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

    pub(crate) fn sent(&mut self, n: usize) {
        self.start = self.end.min(self.start + n);
    }
}
