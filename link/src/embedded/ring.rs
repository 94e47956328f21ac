//! A ring buffer in memory of the caller.

/// Bytes on their way, first in, first out.
pub(super) struct Ring<'m> {
    bytes: &'m mut [u8],
    start: usize,
    len: usize,
}

impl<'m> Ring<'m> {
    pub(super) const fn new(bytes: &'m mut [u8]) -> Self {
        Self { bytes, start: 0, len: 0 }
    }

    pub(super) fn clear(&mut self) {
        (self.start, self.len) = (0, 0);
    }

    /// Takes in as much as there is room for.
    pub(super) fn put(&mut self, mut from: &[u8]) -> usize {
        let before = self.len;
        // Up to the end of the memory, then from its beginning.
        for _ in 0..2 {
            let end = self.start + self.len;
            let (at, room) = match end.checked_sub(self.bytes.len()) {
                Some(wrapped) => (wrapped, self.bytes.len() - self.len),
                None => (end, self.bytes.len() - end),
            };
            let n = room.min(from.len());
            let (head, tail) = from.split_at_checked(n).unwrap_or((&[], &[]));
            if let Some(to) = self.bytes.get_mut(at..).and_then(|b| b.get_mut(..n)) {
                to.copy_from_slice(head);
                self.len += n;
            }
            from = tail;
        }
        self.len - before
    }

    /// Takes out as much as `to` holds.
    pub(super) fn take(&mut self, to: &mut [u8]) -> usize {
        let mut taken = 0;
        for _ in 0..2 {
            let whole = self.len.min(self.bytes.len() - self.start);
            let room = to.get_mut(taken..).unwrap_or_default();
            let n = whole.min(room.len());
            if let (Some(from), Some(to)) =
                (self.bytes.get(self.start..).and_then(|b| b.get(..n)), room.get_mut(..n))
            {
                to.copy_from_slice(from);
                (self.start, self.len, taken) = (self.start + n, self.len - n, taken + n);
            }
            if self.start == self.bytes.len() {
                self.start = 0;
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::Ring;
    use std::collections::VecDeque;
    use std::vec::Vec;

    #[test]
    fn a_ring_is_a_queue_of_bytes() {
        for size in 1..9 {
            let mut memory = [0; 8];
            let memory = &mut memory[..size.min(8)];
            let size = memory.len();
            let (mut ring, mut model) = (Ring::new(memory), VecDeque::<u8>::new());
            let (mut state, mut next) = (size as u32, 0_u8);
            for _ in 0..2000 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let n = (state >> 16) as usize % 11;
                if state >> 30 & 1 == 0 {
                    let bytes: Vec<u8> = (0..n as u8).map(|i| next.wrapping_add(i)).collect();
                    let put = ring.put(&bytes);
                    assert_eq!(put, n.min(size - model.len()));
                    model.extend(&bytes[..put]);
                    next = next.wrapping_add(put as u8);
                } else {
                    let mut buf = [0; 11];
                    let taken = ring.take(&mut buf[..n]);
                    assert_eq!(taken, n.min(model.len()));
                    assert!(model.drain(..taken).eq(buf[..taken].iter().copied()));
                }
            }
        }
    }
}
