//! What the entries amount to. The same code follows them while they are written and when they are read
//! again.

use std::collections::BTreeMap;

use super::frame::{Entries, Entry, PUT_HEAD};

/// A file's messages that are not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Number of its first message, and of its last.
    pub(super) first: u64,
    pub(super) last: u64,
    /// How many are not over, and the bytes they take.
    pub(super) count: u64,
    pub(super) bytes: u64,
}

/// Numbers of messages that are over: all below `low`, and some ranges above it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Over {
    low: u64,
    /// First and last.
    ranges: BTreeMap<u64, u64>,
}

impl Over {
    pub(super) fn contains(&self, number: u64) -> bool {
        number < self.low
            || self.ranges.range(..=number).next_back().is_some_and(|(_, last)| number <= *last)
    }

    fn insert(&mut self, number: u64) {
        let (mut first, mut last) = (number, number);
        if let Some((f, l)) = self.ranges.range(..number).next_back()
            && l + 1 == number
        {
            first = *f;
        }
        if let Some(l) = self.ranges.remove(&(number + 1)) {
            last = l;
        }
        if first == self.low {
            self.ranges.remove(&first);
            self.low = last + 1;
        } else {
            self.ranges.insert(first, last);
        }
    }

    /// The first number from `number` on that is not over.
    pub(super) fn next_open(&self, number: u64) -> u64 {
        let number = number.max(self.low);
        match self.ranges.range(..=number).next_back() {
            Some((_, last)) if number <= *last => last + 1,
            _ => number,
        }
    }
}

/// All that has to be known of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Number of the next message.
    pub(super) next: u64,
    pub(super) over: Over,
    /// By the number of the file.
    pub(super) pieces: BTreeMap<u64, Piece>,
    pub(super) notes: BTreeMap<u8, Vec<u8>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            next: 1,
            over: Over { low: 1, ranges: BTreeMap::new() },
            pieces: BTreeMap::new(),
            notes: BTreeMap::new(),
        }
    }
}

impl State {
    /// Messages that are not over, and the bytes they take.
    pub(super) fn held(&self) -> (u64, u64) {
        self.pieces.values().fold((0, 0), |(n, b), p| (n + p.count, b + p.bytes))
    }

    /// Follows all entries of a frame in file `id`.
    pub(super) fn apply(&mut self, id: u64, entries: &[u8]) -> Result<(), &'static str> {
        Entries(entries).try_for_each(|entry| self.follow(id, entry?))
    }

    fn follow(&mut self, id: u64, entry: Entry<'_>) -> Result<(), &'static str> {
        match entry {
            Entry::Put { number, value } => self.put(id, number, value.len() as u32),
            Entry::Gone { number, len } => self.gone(number, len),
            Entry::Note { key, value } => {
                let note = self.notes.entry(key).or_default();
                note.clear();
                note.extend_from_slice(value);
                Ok(())
            }
            Entry::Start { state } => {
                *self = Self::decode(state).ok_or("its first frame makes no sense")?;
                Ok(())
            }
        }
    }

    fn put(&mut self, id: u64, number: u64, len: u32) -> Result<(), &'static str> {
        if number != self.next {
            return Err("a message is out of its turn");
        }
        self.next = number + 1;
        let piece = self.pieces.entry(id).or_insert(Piece {
            first: number,
            last: number,
            count: 0,
            bytes: 0,
        });
        piece.last = number;
        piece.count += 1;
        piece.bytes += cost(len);
        Ok(())
    }

    fn gone(&mut self, number: u64, len: u32) -> Result<(), &'static str> {
        if number >= self.next || self.over.contains(number) {
            return Err("a message ends that is not there");
        }
        self.over.insert(number);
        let mut pieces = self.pieces.values_mut();
        let piece = pieces.find(|p| p.first <= number && number <= p.last);
        let piece = piece.ok_or("a message ends that is in no file")?;
        piece.count = piece.count.saturating_sub(1);
        piece.bytes = piece.bytes.saturating_sub(cost(len));
        Ok(())
    }

    /// As the first frame of a file has it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut state = Vec::new();
        let mut put = |n: u64| state.extend_from_slice(&n.to_le_bytes());
        put(self.next);
        put(self.over.low);
        put(self.over.ranges.len() as u64);
        for (first, last) in &self.over.ranges {
            [*first, *last].into_iter().for_each(&mut put);
        }
        put(self.pieces.len() as u64);
        for (id, p) in &self.pieces {
            [*id, p.first, p.last, p.count, p.bytes].into_iter().for_each(&mut put);
        }
        let mut entries = Vec::new();
        Entry::Start { state: &state }.encode(&mut entries);
        for (key, value) in &self.notes {
            Entry::Note { key: *key, value }.encode(&mut entries);
        }
        entries
    }

    fn decode(state: &[u8]) -> Option<Self> {
        let mut from = Entries(state);
        let (next, low) = (from.u64()?, from.u64()?);
        let mut ranges = BTreeMap::new();
        for _ in 0..from.u64()? {
            ranges.insert(from.u64()?, from.u64()?);
        }
        let mut pieces = BTreeMap::new();
        for _ in 0..from.u64()? {
            let id = from.u64()?;
            let (first, last) = (from.u64()?, from.u64()?);
            pieces.insert(id, Piece { first, last, count: from.u64()?, bytes: from.u64()? });
        }
        Some(Self { next, over: Over { low, ranges }, pieces, notes: BTreeMap::new() })
    }
}

/// Bytes that a message takes, all in all: its value, and as much again as it takes to end it.
pub(crate) fn cost(len: u32) -> u64 {
    u64::from(len) + 2 * PUT_HEAD as u64
}
