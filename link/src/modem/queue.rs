//! Bytes on their way, in memory of the caller.

/// First in, first out. The last [`held`](Self::hold) bytes may yet turn out to be wrong.
#[derive(Debug)]
pub(super) struct Queue<B> {
    bytes: B,
    start: usize,
    end: usize,
    held: usize,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Queue<B> {
    pub(super) const fn new(bytes: B) -> Self {
        Self { bytes, start: 0, end: 0, held: 0 }
    }

    pub(super) fn clear(&mut self) {
        (self.start, self.end, self.held) = (0, 0, 0);
    }

    /// What can be taken.
    pub(super) fn ready(&self) -> &[u8] {
        self.bytes.as_ref().get(self.start..self.end - self.held).unwrap_or_default()
    }

    pub(super) fn room(&self) -> usize {
        self.bytes.as_ref().len() - (self.end - self.start)
    }

    /// Takes in as much as there is room for.
    pub(super) fn put(&mut self, from: &[u8]) -> usize {
        let len = self.bytes.as_ref().len();
        if self.end + from.len() > len && self.start > 0 {
            self.bytes.as_mut().copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let n = from.len().min(len - self.end);
        let to = self.bytes.as_mut().get_mut(self.end..self.end + n);
        if let (Some(to), Some(from)) = (to, from.get(..n)) {
            to.copy_from_slice(from);
        }
        self.end += n;
        n
    }

    /// Takes in as much as there is room for, but hands it out only after [`keep`](Self::keep).
    pub(super) fn hold(&mut self, from: &[u8]) -> usize {
        let n = self.put(from);
        self.held += n;
        n
    }

    /// What was held is good.
    pub(super) fn keep(&mut self) {
        self.held = 0;
    }

    /// Forgets the first `n` bytes.
    pub(super) fn skip(&mut self, n: usize) {
        self.start += n.min(self.end - self.held - self.start);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Takes out as much as `to` holds.
    pub(super) fn take(&mut self, to: &mut [u8]) -> usize {
        let from = self.ready();
        let n = from.len().min(to.len());
        if let (Some(to), Some(from)) = (to.get_mut(..n), from.get(..n)) {
            to.copy_from_slice(from);
        }
        self.skip(n);
        n
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;

    #[test]
    fn what_is_held_comes_out_only_when_it_is_good() {
        let mut queue = Queue::new([0; 8]);
        let mut to = [0; 8];
        assert_eq!((queue.put(b"abc"), queue.hold(b"defghij"), queue.room()), (3, 5, 0));
        assert_eq!((queue.take(&mut to), &to[..3]), (3, &b"abc"[..]));
        assert_eq!((queue.take(&mut to), queue.room()), (0, 3));
        queue.keep();
        queue.skip(1);
        assert_eq!((queue.put(b"xyz4"), queue.ready()), (4, &b"efghxyz4"[..]));
        queue.clear();
        assert_eq!((queue.room(), queue.ready()), (8, &b""[..]));
    }
}
