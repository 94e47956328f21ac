//! Who a datagram came from, and finding the node.

use core::hash::{Hash, Hasher};

use everlink_proto::mem::Table;

/// Most octets of a Wireless Node Id that the gateway serves; a capsule with a longer one is dropped.
const WIRELESS: usize = 16;

/// A node's place in the network: the address of a datagram, and behind a forwarder, which node there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer<A> {
    pub(crate) address: A,
    pub(crate) wireless: Option<Wireless>,
}

/// A Wireless Node Id (5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wireless {
    octets: [u8; WIRELESS],
    len: u8,
}

impl Wireless {
    pub(crate) fn new(id: &[u8]) -> Option<Self> {
        let mut octets = [0; WIRELESS];
        octets.get_mut(..id.len())?.copy_from_slice(id);
        Some(Self { octets, len: id.len() as u8 })
    }

    pub(crate) fn octets(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// From a key to a place in the table of nodes: open addressing, linear probing.
///
/// It holds places only; what their keys are, the caller tells.
#[derive(Debug)]
pub(crate) struct Index<'m> {
    /// Place + 1; 0 is free.
    slots: Table<'m, u32>,
    used: usize,
}

impl<'m> Index<'m> {
    /// Takes the whole table at once: twice the number of nodes is a good size.
    pub(crate) fn new(mut slots: Table<'m, u32>) -> Self {
        slots.extend_to(slots.limit());
        Self { slots, used: 0 }
    }

    pub(crate) fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash)?;
        for _ in 0..self.slots.len() {
            match self.get(at) {
                0 => return None,
                place if is(place - 1) => return Some(place - 1),
                _ => at = self.next(at),
            }
        }
        None
    }

    /// Adds `place`; `false` if there is no room.
    pub(crate) fn insert(&mut self, hash: u32, place: u32) -> bool {
        // One stays free, so that every search ends there.
        if self.used + 1 >= self.slots.len() {
            return false;
        }
        self.used += 1;
        self.put(hash, place);
        true
    }

    /// Takes `place` out. `hash_of` tells the hash of any other place in the index.
    pub(crate) fn remove(&mut self, hash: u32, place: u32, hash_of: impl Fn(u32) -> u32) {
        let Some(mut at) = self.home(hash) else { return };
        while self.get(at) != place + 1 {
            if self.get(at) == 0 {
                return;
            }
            at = self.next(at);
        }
        self.set(at, 0);
        self.used -= 1;
        // What stands behind may have been pushed there by what is gone.
        at = self.next(at);
        while let Some(moved) = self.get(at).checked_sub(1) {
            self.set(at, 0);
            self.put(hash_of(moved), moved);
            at = self.next(at);
        }
    }

    fn put(&mut self, hash: u32, place: u32) {
        let Some(mut at) = self.home(hash) else { return };
        while self.get(at) != 0 {
            at = self.next(at);
        }
        self.set(at, place + 1);
    }

    fn home(&self, hash: u32) -> Option<usize> {
        (hash as usize).checked_rem(self.slots.len())
    }

    fn next(&self, at: usize) -> usize {
        if at + 1 < self.slots.len() { at + 1 } else { 0 }
    }

    fn get(&self, at: usize) -> u32 {
        self.slots.as_slice().get(at).copied().unwrap_or_default()
    }

    fn set(&mut self, at: usize, value: u32) {
        if let Some(slot) = self.slots.as_mut_slice().get_mut(at) {
            *slot = value;
        }
    }
}

/// FNV-1a.
struct Fnv(u32);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }

    fn finish(&self) -> u64 {
        self.0.into()
    }
}

/// Good enough to find things, none against somebody who wants collisions: those cost time, no more.
pub(crate) fn hash(key: &(impl Hash + ?Sized)) -> u32 {
    let mut hasher = Fnv(0x811c_9dc5);
    key.hash(&mut hasher);
    // The low bits choose the place, and FNV mixes upwards.
    hasher.0 ^ hasher.0 >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All in one heap, so that each but the first stands where it was pushed to.
    fn hash_of(place: u32) -> u32 {
        if place < 4 { 5 } else { 6 }
    }

    #[test]
    fn what_was_pushed_aside_is_found_when_others_are_gone() {
        for gone in 0..6 {
            let mut slots = [0; 8];
            let mut index = Index::new(Table::fixed(&mut slots));
            for place in 0..6 {
                assert!(index.insert(hash_of(place), place));
            }
            index.remove(hash_of(gone), gone, hash_of);
            for place in 0..6 {
                let found = index.find(hash_of(place), |found| found == place);
                assert_eq!(found, (place != gone).then_some(place), "{gone} is gone");
            }
            assert!(index.insert(hash_of(gone), gone), "its room is free again");
        }
    }

    #[test]
    fn a_full_index_takes_no_more_and_finds_nothing_for_ever() {
        let mut slots = [0; 4];
        let mut index = Index::new(Table::fixed(&mut slots));
        assert!((0..3).all(|place| index.insert(0, place)));
        assert!(!index.insert(0, 3));
        assert_eq!(index.find(0, |place| place == 3), None);
        index.remove(0, 3, |_| 0);
    }
}
