//! Messages in memory of a fixed size, given by the caller.

use super::lists::{Linked, Links, Lists};
use super::{Content, Key, Meta, Stage, Store, StoreError};
use crate::mem::{close_gap, copy};

/// One message's place in a [`FixedStore`].
#[derive(Clone, Copy, Debug)]
pub struct MessageSlot {
    links: Links,
    meta: Option<Meta>,
    at: u32,
    topic_len: u16,
    props_len: u16,
    payload_len: u32,
}

impl MessageSlot {
    /// A free slot.
    pub const FREE: Self =
        Self { links: Links::FREE, meta: None, at: 0, topic_len: 0, props_len: 0, payload_len: 0 };

    fn len(&self) -> usize {
        usize::from(self.topic_len) + usize::from(self.props_len) + self.payload_len as usize
    }
}

impl Linked for MessageSlot {
    fn links(&self) -> &Links {
        &self.links
    }

    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }

    fn cost(&self) -> usize {
        self.len()
    }
}

/// A [`Store`] in two slices: as many messages as there are slots, as much content as there are
/// bytes. Contents are packed; removing one moves those behind it, which is cheap for the few
/// kilobytes of a microcontroller and leaves no holes.
#[derive(Debug)]
pub struct FixedStore<'m> {
    slots: &'m mut [MessageSlot],
    bytes: &'m mut [u8],
    used: usize,
    lists: Lists,
}

impl<'m> FixedStore<'m> {
    /// An empty store in `slots` and `bytes`.
    pub fn new(slots: &'m mut [MessageSlot], bytes: &'m mut [u8]) -> Self {
        let mut lists = Lists::new();
        for key in (0..slots.len()).rev() {
            lists.give_back(slots, key as Key);
        }
        Self { slots, bytes, used: 0, lists }
    }

    fn slot(&self, key: Key) -> Option<&MessageSlot> {
        self.slots.get(key as usize).filter(|s| s.links.stage.is_some())
    }

    /// Gives a message's bytes back and closes the gap.
    fn drop_content(&mut self, key: Key) {
        let Some(slot) = self.slots.get_mut(key as usize) else { return };
        let (at, len) = (slot.at as usize, slot.len());
        (slot.topic_len, slot.props_len, slot.payload_len) = (0, 0, 0);
        if len == 0 || at + len > self.used {
            return;
        }
        close_gap(self.bytes.get_mut(at..self.used).unwrap_or_default(), len);
        self.used -= len;
        for other in self.slots.iter_mut().filter(|s| s.at as usize > at) {
            other.at -= len as u32;
        }
    }

    fn write(&mut self, part: &[u8]) {
        if let Some(to) = self.bytes.get_mut(self.used..) {
            copy(to, part);
            self.used += part.len();
        }
    }
}

impl Store for FixedStore<'_> {
    fn push(&mut self, meta: Meta, content: Content<'_>) -> Result<Key, StoreError> {
        let topic_len = u16::try_from(content.topic.len()).map_err(|_| StoreError)?;
        let props_len = u16::try_from(content.props.len()).map_err(|_| StoreError)?;
        if content.cost() > self.bytes.len() - self.used {
            return Err(StoreError);
        }
        let key = self.lists.take_free(self.slots).ok_or(StoreError)?;
        let slot = self.slots.get_mut(key as usize).ok_or(StoreError)?;
        let (at, payload_len) = (self.used as u32, content.payload.len() as u32);
        *slot = MessageSlot {
            links: Links::FREE,
            meta: Some(meta),
            at,
            topic_len,
            props_len,
            payload_len,
        };
        for part in [content.topic.as_bytes(), content.props, content.payload] {
            self.write(part);
        }
        self.lists.append(self.slots, key, Stage::Queued);
        Ok(key)
    }

    fn fits(&self, bytes: usize) -> bool {
        self.lists.has_free() && bytes <= self.bytes.len() - self.used
    }

    fn first(&self, stage: Stage) -> Option<Key> {
        self.lists.first(stage)
    }

    fn last(&self, stage: Stage) -> Option<Key> {
        self.lists.last(stage)
    }

    fn next(&self, key: Key) -> Option<Key> {
        self.lists.next(self.slots, key)
    }

    fn meta(&self, key: Key) -> Option<&Meta> {
        self.slot(key)?.meta.as_ref()
    }

    fn meta_mut(&mut self, key: Key) -> Option<&mut Meta> {
        self.slots.get_mut(key as usize).filter(|s| s.links.stage.is_some())?.meta.as_mut()
    }

    fn content(&self, key: Key) -> Option<Content<'_>> {
        let slot = self.slot(key)?;
        let bytes = self.bytes.get(slot.at as usize..)?.get(..slot.len())?;
        let (topic, rest) = bytes.split_at_checked(usize::from(slot.topic_len))?;
        let (props, payload) = rest.split_at_checked(usize::from(slot.props_len))?;
        Some(Content { topic: core::str::from_utf8(topic).ok()?, props, payload })
    }

    fn advance(&mut self, key: Key, to: Stage) {
        if self.lists.unlink(self.slots, key).is_none() {
            return;
        }
        self.lists.append(self.slots, key, to);
        if let Some(meta) = self.meta_mut(key) {
            meta.stage = to;
        }
    }

    fn requeue(&mut self, key: Key) {
        if self.lists.unlink(self.slots, key).is_some() {
            self.lists.prepend(self.slots, key, Stage::Queued);
            if let Some(meta) = self.meta_mut(key) {
                (meta.stage, meta.pid) = (Stage::Queued, 0);
            }
        }
    }

    fn remove(&mut self, key: Key) {
        if self.lists.unlink(self.slots, key).is_some() {
            self.drop_content(key);
            self.lists.give_back(self.slots, key);
        }
    }

    fn len(&self, stage: Stage) -> usize {
        self.lists.len(stage)
    }

    fn bytes(&self, stage: Stage) -> usize {
        self.lists.bytes(stage)
    }

    fn oldest_of(&self, topic: &str) -> Option<Key> {
        let queued = core::iter::successors(self.first(Stage::Queued), |k| self.next(*k));
        queued.into_iter().find(|k| self.content(*k).is_some_and(|c| c.topic == topic))
    }
}
