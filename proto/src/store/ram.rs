//! Messages in growing memory.

use alloc::string::String;
use alloc::vec::Vec;

use super::lists::{Linked, Links, Lists, NONE};
use super::{Content, Key, Meta, Stage, Store, StoreError};
use crate::mem::hash;

/// Slots whose buffers stay allocated for the next messages; beyond it memory is given back.
const KEPT_BUFFERS: usize = 256;
/// A recycled buffer larger than this is given back at once.
const KEPT_BUFFER_BYTES: usize = 4096;

/// A [`Store`] in RAM that grows as needed; the engine's queue limits bound it.
///
/// Buffers of finished messages are used again, so a steady flow allocates nothing.
#[derive(Debug)]
pub struct RamStore {
    slots: Vec<Slot>,
    lists: Lists,
    free_buffers: usize,
    index: Option<TopicIndex>,
}

#[derive(Debug)]
struct Slot {
    links: Links,
    meta: Meta,
    /// The Topic Name, apart from the other bytes so that it need not be checked each time it is
    /// read.
    name: String,
    /// Properties, then payload.
    data: Vec<u8>,
    props_len: u32,
    topic: Chain,
}

impl Slot {
    fn has_buffers(&self) -> bool {
        self.data.capacity() + self.name.capacity() != 0
    }
}

impl Linked for Slot {
    fn links(&self) -> &Links {
        &self.links
    }

    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }

    fn cost(&self) -> usize {
        self.name.len() + self.data.len()
    }
}

/// Links of one hash bucket of the topic index, oldest first.
#[derive(Clone, Copy, Debug)]
struct Chain {
    hash: u32,
    prev: u32,
    next: u32,
}

impl Default for RamStore {
    fn default() -> Self {
        Self::new()
    }
}

impl RamStore {
    /// An empty store.
    pub const fn new() -> Self {
        Self { slots: Vec::new(), lists: Lists::new(), free_buffers: 0, index: None }
    }

    /// An empty store that finds messages by topic in constant time, as the policy that keeps the
    /// latest message per topic needs it.
    pub fn indexed() -> Self {
        Self { index: Some(TopicIndex::default()), ..Self::new() }
    }

    fn slot(&self, key: Key) -> Option<&Slot> {
        self.slots.get(key as usize).filter(|s| s.links.stage.is_some())
    }

    fn slot_mut(&mut self, key: Key) -> Option<&mut Slot> {
        self.slots.get_mut(key as usize).filter(|s| s.links.stage.is_some())
    }

    fn take_free(&mut self, meta: Meta) -> Result<Key, StoreError> {
        if let Some(key) = self.lists.take_free(&self.slots) {
            let slot = &mut self.slots[key as usize];
            self.free_buffers -= usize::from(slot.has_buffers());
            slot.meta = meta;
            return Ok(key);
        }
        let key = u32::try_from(self.slots.len()).ok().filter(|k| *k < NONE).ok_or(StoreError)?;
        self.slots.try_reserve(1).map_err(|_| StoreError)?;
        self.slots.push(Slot {
            links: Links::FREE,
            meta,
            name: String::new(),
            data: Vec::new(),
            props_len: 0,
            topic: Chain { hash: 0, prev: NONE, next: NONE },
        });
        Ok(key)
    }

    fn unlink(&mut self, key: Key) -> Option<Stage> {
        let stage = self.lists.unlink(&mut self.slots, key)?;
        if stage == Stage::Queued {
            self.index_unlink(key);
        }
        Some(stage)
    }

    /// Makes a slot that is in no list free.
    fn give_back(&mut self, key: Key) {
        self.free_buffers += usize::from(self.slots[key as usize].has_buffers());
        self.lists.give_back(&mut self.slots, key);
    }

    fn drop_content(&mut self, key: Key) {
        let slot = &mut self.slots[key as usize];
        slot.name.clear();
        slot.data.clear();
        slot.props_len = 0;
        if slot.name.capacity() + slot.data.capacity() > KEPT_BUFFER_BYTES {
            (slot.name, slot.data) = Default::default();
        }
    }

    fn shrink_if_idle(&mut self) {
        // A backlog's memory goes back as soon as the backlog is gone.
        if self.slots.len() > KEPT_BUFFERS && self.lists.is_empty() {
            self.slots = Vec::new();
            self.lists = Lists::new();
            self.free_buffers = 0;
            if let Some(index) = &mut self.index {
                *index = TopicIndex::default();
            }
        }
    }
}

impl Store for RamStore {
    fn push(&mut self, meta: Meta, content: Content<'_>) -> Result<Key, StoreError> {
        let key = self.take_free(meta)?;
        let slot = &mut self.slots[key as usize];
        let Content { topic, props, payload } = content;
        if slot.name.try_reserve_exact(topic.len()).is_err()
            || slot.data.try_reserve_exact(props.len() + payload.len()).is_err()
        {
            self.give_back(key);
            return Err(StoreError);
        }
        slot.name.push_str(topic);
        slot.data.extend_from_slice(props);
        slot.data.extend_from_slice(payload);
        // Properties are shorter than a packet, and that is less than 2^28 bytes.
        slot.props_len = props.len() as u32;
        self.lists.append(&mut self.slots, key, Stage::Queued);
        self.index_append(key, topic);
        Ok(key)
    }

    fn first(&self, stage: Stage) -> Option<Key> {
        self.lists.first(stage)
    }

    fn last(&self, stage: Stage) -> Option<Key> {
        self.lists.last(stage)
    }

    fn next(&self, key: Key) -> Option<Key> {
        self.lists.next(&self.slots, key)
    }

    fn meta(&self, key: Key) -> Option<&Meta> {
        self.slot(key).map(|s| &s.meta)
    }

    fn meta_mut(&mut self, key: Key) -> Option<&mut Meta> {
        self.slot_mut(key).map(|s| &mut s.meta)
    }

    fn content(&self, key: Key) -> Option<Content<'_>> {
        let slot = self.slot(key)?;
        let (props, payload) = slot.data.split_at_checked(slot.props_len as usize)?;
        Some(Content { topic: &slot.name, props, payload })
    }

    fn advance(&mut self, key: Key, to: Stage) {
        if self.unlink(key).is_some() {
            self.lists.append(&mut self.slots, key, to);
            self.slots[key as usize].meta.stage = to;
        }
    }

    fn requeue(&mut self, key: Key) {
        if self.unlink(key).is_some() {
            self.lists.prepend(&mut self.slots, key, Stage::Queued);
            let meta = &mut self.slots[key as usize].meta;
            (meta.stage, meta.pid) = (Stage::Queued, 0);
            self.index_link_first(key);
        }
    }

    fn remove(&mut self, key: Key) {
        if self.unlink(key).is_none() {
            return;
        }
        self.drop_content(key);
        if self.free_buffers >= KEPT_BUFFERS {
            let slot = &mut self.slots[key as usize];
            (slot.name, slot.data) = Default::default();
        }
        self.give_back(key);
        self.shrink_if_idle();
    }

    fn len(&self, stage: Stage) -> usize {
        self.lists.len(stage)
    }

    fn bytes(&self, stage: Stage) -> usize {
        self.lists.bytes(stage)
    }

    fn oldest_of(&self, topic: &str) -> Option<Key> {
        let is_topic = |key: &Key| self.content(*key).is_some_and(|c| c.topic == topic);
        match &self.index {
            Some(index) => self.chain(index.head(hash(topic))).find(is_topic),
            None => {
                core::iter::successors(self.first(Stage::Queued), |k| self.next(*k)).find(is_topic)
            }
        }
    }
}

/// Hash buckets of queued messages by topic; each bucket is a chain through the slots.
#[derive(Debug, Default)]
struct TopicIndex {
    buckets: Vec<(u32, u32)>,
    used: usize,
}

impl TopicIndex {
    fn bucket(&self, hash: u32) -> Option<usize> {
        (!self.buckets.is_empty()).then(|| hash as usize & (self.buckets.len() - 1))
    }

    fn head(&self, hash: u32) -> u32 {
        self.bucket(hash).map_or(NONE, |b| self.buckets[b].0)
    }
}

impl RamStore {
    fn chain(&self, head: u32) -> impl Iterator<Item = Key> {
        core::iter::successors(Some(head).filter(|k| *k != NONE), |k| {
            self.slots.get(*k as usize).map(|s| s.topic.next).filter(|k| *k != NONE)
        })
    }

    fn index_append(&mut self, key: Key, topic: &str) {
        if self.index.is_some() {
            self.slots[key as usize].topic.hash = hash(topic);
            self.index_grow(key);
            self.index_link_last(key);
        }
    }

    fn index_link_last(&mut self, key: Key) {
        let Some(index) = &mut self.index else { return };
        let chain = &mut self.slots[key as usize].topic;
        let Some(b) = index.bucket(chain.hash) else { return };
        let tail = core::mem::replace(&mut index.buckets[b].1, key);
        (chain.prev, chain.next) = (tail, NONE);
        index.used += 1;
        match self.slots.get_mut(tail as usize) {
            Some(last) => last.topic.next = key,
            None => index.buckets[b].0 = key,
        }
    }

    fn index_link_first(&mut self, key: Key) {
        let Some(index) = &mut self.index else { return };
        let chain = &mut self.slots[key as usize].topic;
        let Some(b) = index.bucket(chain.hash) else { return };
        let head = core::mem::replace(&mut index.buckets[b].0, key);
        (chain.prev, chain.next) = (NONE, head);
        index.used += 1;
        match self.slots.get_mut(head as usize) {
            Some(first) => first.topic.prev = key,
            None => index.buckets[b].1 = key,
        }
    }

    fn index_unlink(&mut self, key: Key) {
        let Some(index) = &mut self.index else { return };
        let Chain { hash, prev, next } = self.slots[key as usize].topic;
        let Some(b) = index.bucket(hash) else { return };
        index.used -= 1;
        match self.slots.get_mut(prev as usize) {
            Some(p) => p.topic.next = next,
            None => index.buckets[b].0 = next,
        }
        match self.slots.get_mut(next as usize) {
            Some(n) => n.topic.prev = prev,
            None => index.buckets[b].1 = prev,
        }
    }

    /// Doubles the buckets when they are full and links all queued messages but `newest` anew.
    fn index_grow(&mut self, newest: Key) {
        let Some(index) = &mut self.index else { return };
        if index.used < index.buckets.len() {
            return;
        }
        let size = (index.buckets.len() * 2).max(16);
        *index = TopicIndex { buckets: alloc::vec![(NONE, NONE); size], used: 0 };
        let mut next = self.first(Stage::Queued);
        while let Some(key) = next.filter(|k| *k != newest) {
            self.index_link_last(key);
            next = self.next(key);
        }
    }
}
