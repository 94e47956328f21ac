//! Memory from the caller: tables that are a borrowed slice or, with `alloc`, a bounded vector.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;
use core::cell::Cell;

/// A list of small values in caller-given memory.
///
/// On a microcontroller it borrows a slice whose length is its capacity; with the `alloc` feature
/// it can be a vector that grows up to a limit.
#[derive(Debug)]
pub struct Table<'m, T>(Inner<'m, T>);

#[derive(Debug)]
enum Inner<'m, T> {
    Fixed {
        slots: &'m mut [T],
        len: usize,
    },
    #[cfg(feature = "alloc")]
    Growing {
        slots: Vec<T>,
        limit: usize,
    },
}

impl<'m, T: Copy + Default> Table<'m, T> {
    /// An empty table in `slots`.
    pub fn fixed(slots: &'m mut [T]) -> Self {
        Self(Inner::Fixed { slots, len: 0 })
    }

    /// An empty table that grows on demand up to `limit` entries.
    #[cfg(feature = "alloc")]
    pub fn growing(limit: usize) -> Self {
        Self(Inner::Growing { slots: Vec::new(), limit })
    }

    /// How many entries it can ever hold.
    pub fn limit(&self) -> usize {
        match &self.0 {
            Inner::Fixed { slots, .. } => slots.len(),
            #[cfg(feature = "alloc")]
            Inner::Growing { limit, .. } => *limit,
        }
    }

    /// Whether the memory is given and does not grow.
    pub(crate) fn is_fixed(&self) -> bool {
        matches!(self.0, Inner::Fixed { .. })
    }

    /// The entries.
    pub fn as_slice(&self) -> &[T] {
        match &self.0 {
            Inner::Fixed { slots, len } => slots.get(..*len).unwrap_or(&[]),
            #[cfg(feature = "alloc")]
            Inner::Growing { slots, .. } => slots,
        }
    }

    /// The entries, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        match &mut self.0 {
            Inner::Fixed { slots, len } => slots.get_mut(..*len).unwrap_or(&mut []),
            #[cfg(feature = "alloc")]
            Inner::Growing { slots, .. } => slots,
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no further entry fits.
    pub fn is_full(&self) -> bool {
        self.len() >= self.limit()
    }

    /// Adds an entry; `false` if there is no room.
    #[must_use]
    pub fn push(&mut self, value: T) -> bool {
        if self.is_full() {
            return false;
        }
        match &mut self.0 {
            Inner::Fixed { slots, len } => {
                if let Some(slot) = slots.get_mut(*len) {
                    *slot = value;
                    *len += 1;
                }
            }
            #[cfg(feature = "alloc")]
            Inner::Growing { slots, .. } => slots.push(value),
        }
        true
    }

    /// Removes the `n` entries from `at` on, keeping the order of the rest.
    pub fn remove_range(&mut self, at: usize, n: usize) {
        let count = self.len();
        let n = n.min(count.saturating_sub(at));
        if n == 0 {
            return;
        }
        close_gap(self.as_mut_slice().get_mut(at..).unwrap_or_default(), n);
        self.truncate(count - n);
    }

    /// Removes one entry, keeping the order of the rest.
    pub fn remove(&mut self, at: usize) {
        self.remove_range(at, 1);
    }

    /// Keeps the first `n` entries.
    pub fn truncate(&mut self, n: usize) {
        match &mut self.0 {
            Inner::Fixed { len, .. } => *len = (*len).min(n),
            #[cfg(feature = "alloc")]
            Inner::Growing { slots, .. } => slots.truncate(n),
        }
    }

    /// Fills up with default values to `n` entries or the limit, whichever is less.
    pub fn extend_to(&mut self, n: usize) {
        while self.len() < n && self.push(T::default()) {}
    }
}

/// A first-in first-out list over a [`Table`].
#[derive(Debug)]
pub struct Ring<'m, T> {
    table: Table<'m, T>,
    head: usize,
    len: usize,
}

impl<'m, T: Copy + Default> Ring<'m, T> {
    /// An empty ring in the memory of `table`.
    pub fn new(mut table: Table<'m, T>) -> Self {
        if table.is_fixed() {
            table.extend_to(table.limit());
        }
        Self { table, head: 0, len: 0 }
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Entries that still fit.
    pub fn room(&self) -> usize {
        self.table.limit() - self.len
    }

    /// Adds at the end; `false` if there is no room.
    #[must_use]
    pub fn push(&mut self, value: T) -> bool {
        if self.len == self.table.len() && !self.grow() {
            return false;
        }
        let size = self.table.len();
        let mut at = self.head + self.len;
        if at >= size {
            at -= size;
        }
        if let Some(slot) = self.table.as_mut_slice().get_mut(at) {
            *slot = value;
            self.len += 1;
        }
        true
    }

    /// The oldest entry.
    pub fn front(&self) -> Option<T> {
        if self.len == 0 { None } else { self.table.as_slice().get(self.head).copied() }
    }

    /// Takes the oldest entry out.
    pub fn pop(&mut self) -> Option<T> {
        let value = self.front()?;
        self.len -= 1;
        self.head += 1;
        if self.head >= self.table.len() {
            self.head = 0;
        }
        Some(value)
    }

    /// The entries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        let (late, early) = self.table.as_slice().split_at_checked(self.head).unwrap_or_default();
        early.iter().chain(late).take(self.len).copied()
    }

    /// The entries, oldest first, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let slots = self.table.as_mut_slice();
        let (late, early) = slots.split_at_mut_checked(self.head).unwrap_or_default();
        early.iter_mut().chain(late).take(self.len)
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        (self.head, self.len) = (0, 0);
    }

    #[cfg(not(feature = "alloc"))]
    fn grow(&mut self) -> bool {
        false
    }

    #[cfg(feature = "alloc")]
    fn grow(&mut self) -> bool {
        let old = self.table.len();
        self.table.as_mut_slice().rotate_left(self.head);
        self.head = 0;
        self.table.extend_to((old * 2).max(8));
        self.table.len() > old
    }
}

/// A text in [`Texts`]: where it lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text {
    at: u32,
    len: u32,
}

impl Text {
    /// Without a byte.
    pub const EMPTY: Self = Self { at: 0, len: 0 };

    /// Whether it has no bytes.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Number of bytes.
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Where it ends: the bytes of all texts before it, and its own.
    pub fn end(self) -> usize {
        self.at as usize + self.len as usize
    }
}

/// Byte strings of any length, packed one behind the other.
#[derive(Debug)]
pub struct Texts<'m>(Table<'m, u8>);

impl<'m> Texts<'m> {
    /// No texts yet, in the memory of `table`.
    pub fn new(table: Table<'m, u8>) -> Self {
        Self(table)
    }

    /// Bytes that still fit.
    pub fn room(&self) -> usize {
        self.0.limit().saturating_sub(self.0.len())
    }

    /// Bytes that can ever fit.
    pub fn limit(&self) -> usize {
        self.0.limit()
    }

    /// Adds a text made of the given parts; `None` if there is no room.
    pub fn add(&mut self, parts: &[&[u8]]) -> Option<Text> {
        let len: usize = parts.iter().map(|p| p.len()).sum();
        let at = self.0.len();
        if len > self.room() {
            return None;
        }
        self.0.extend_to(at + len);
        let mut room = self.0.as_mut_slice().get_mut(at..)?;
        for part in parts {
            let (head, tail) = room.split_at_mut_checked(part.len())?;
            copy(head, part);
            room = tail;
        }
        Some(Text { at: at as u32, len: len as u32 })
    }

    /// The bytes of a text.
    pub fn get(&self, text: Text) -> &[u8] {
        self.0.as_slice().get(text.at as usize..).and_then(|s| s.get(..text.len())).unwrap_or(&[])
    }

    /// Removes a text; every other text must be [moved](Self::moved).
    pub fn remove(&mut self, text: Text) {
        self.0.remove_range(text.at as usize, text.len());
    }

    /// Where `text` lies after `removed` was removed.
    pub fn moved(text: Text, removed: Text) -> Text {
        if text.at > removed.at { Text { at: text.at - removed.len, ..text } } else { text }
    }

    /// Forgets all texts.
    pub fn clear(&mut self) {
        self.0.truncate(0);
    }
}

/// Copies as much as both have. `copy_from_slice` would link a panic, which nobody could take out.
#[inline]
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}

/// Moves all entries `n` to the front, over the first ones. As [`copy`], instead of `copy_within`.
pub(crate) fn close_gap<T: Copy>(entries: &mut [T], n: usize) {
    let entries = Cell::from_mut(entries).as_slice_of_cells();
    let behind = entries.get(n..).unwrap_or_default();
    entries.iter().zip(behind).for_each(|(to, from)| to.set(from.get()));
}

/// FNV-1a: short, no table, good enough for topics from the application itself.
pub(crate) fn hash(text: &str) -> u32 {
    hash_bytes(text.as_bytes())
}

/// As [`hash`].
pub(crate) fn hash_bytes(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |h, b| (h ^ u32::from(*b)).wrapping_mul(0x0100_0193))
}
