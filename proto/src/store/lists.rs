//! Ordered lists of messages by stage, linked through the slots of a store.

use super::{Key, Stage};

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

/// A slot's place in the lists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    /// The list it is in; `None` for a free slot.
    pub(super) stage: Option<Stage>,
    prev: u32,
    next: u32,
}

impl Links {
    pub(super) const FREE: Self = Self { stage: None, prev: NONE, next: NONE };
}

/// A slot that can be linked.
pub(super) trait Linked {
    fn links(&self) -> &Links;
    fn links_mut(&mut self) -> &mut Links;
    /// Bytes of content it is charged for.
    fn cost(&self) -> usize;
}

/// One list per stage, and one of free slots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lists {
    stages: [List; 3],
    free: u32,
}

#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    tail: u32,
    len: usize,
    bytes: usize,
}

impl Lists {
    pub(super) const fn new() -> Self {
        const EMPTY: List = List { head: NONE, tail: NONE, len: 0, bytes: 0 };
        Self { stages: [EMPTY; 3], free: NONE }
    }

    /// Makes `key`, in no list, the next free slot.
    pub(super) fn give_back<T: Linked>(&mut self, slots: &mut [T], key: Key) {
        if let Some(slot) = slots.get_mut(key as usize) {
            *slot.links_mut() = Links { next: self.free, ..Links::FREE };
            self.free = key;
        }
    }

    /// Takes a free slot out.
    pub(super) fn take_free<T: Linked>(&mut self, slots: &[T]) -> Option<Key> {
        let key = self.free;
        self.free = slots.get(key as usize)?.links().next;
        Some(key)
    }

    /// Whether no slot is in a stage's list.
    #[cfg(feature = "alloc")]
    pub(super) fn is_empty(&self) -> bool {
        self.stages.iter().all(|l| l.len == 0)
    }

    /// Whether a slot is free.
    pub(super) fn has_free(&self) -> bool {
        self.free != NONE
    }

    pub(super) fn append<T: Linked>(&mut self, slots: &mut [T], key: Key, stage: Stage) {
        let list = &mut self.stages[stage as usize];
        let Some(slot) = slots.get_mut(key as usize) else { return };
        list.len += 1;
        list.bytes += slot.cost();
        *slot.links_mut() = Links { stage: Some(stage), prev: list.tail, next: NONE };
        match slots.get_mut(list.tail as usize) {
            Some(last) => last.links_mut().next = key,
            None => list.head = key,
        }
        list.tail = key;
    }

    pub(super) fn prepend<T: Linked>(&mut self, slots: &mut [T], key: Key, stage: Stage) {
        let list = &mut self.stages[stage as usize];
        let Some(slot) = slots.get_mut(key as usize) else { return };
        list.len += 1;
        list.bytes += slot.cost();
        *slot.links_mut() = Links { stage: Some(stage), prev: NONE, next: list.head };
        match slots.get_mut(list.head as usize) {
            Some(first) => first.links_mut().prev = key,
            None => list.tail = key,
        }
        list.head = key;
    }

    /// Takes `key` out of its list, and tells which that was.
    pub(super) fn unlink<T: Linked>(&mut self, slots: &mut [T], key: Key) -> Option<Stage> {
        let slot = slots.get(key as usize)?;
        let Links { stage, prev, next } = *slot.links();
        let stage = stage?;
        let list = &mut self.stages[stage as usize];
        list.len -= 1;
        list.bytes -= slot.cost();
        match slots.get_mut(prev as usize) {
            Some(p) => p.links_mut().next = next,
            None => list.head = next,
        }
        match slots.get_mut(next as usize) {
            Some(n) => n.links_mut().prev = prev,
            None => list.tail = prev,
        }
        if let Some(slot) = slots.get_mut(key as usize) {
            *slot.links_mut() = Links::FREE;
        }
        Some(stage)
    }

    pub(super) fn first(&self, stage: Stage) -> Option<Key> {
        Some(self.stages[stage as usize].head).filter(|k| *k != NONE)
    }

    pub(super) fn last(&self, stage: Stage) -> Option<Key> {
        Some(self.stages[stage as usize].tail).filter(|k| *k != NONE)
    }

    pub(super) fn next<T: Linked>(&self, slots: &[T], key: Key) -> Option<Key> {
        let links = slots.get(key as usize)?.links();
        links.stage?;
        Some(links.next).filter(|k| *k != NONE)
    }

    pub(super) fn len(&self, stage: Stage) -> usize {
        self.stages[stage as usize].len
    }

    pub(super) fn bytes(&self, stage: Stage) -> usize {
        self.stages[stage as usize].bytes
    }
}
