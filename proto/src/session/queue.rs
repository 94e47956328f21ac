//! Messages accepted and not yet sent: limits, what gives way when they are reached, expiry. It decides;
//! the engine that has the store ends the messages.

use super::abilities::POLICIES;
use super::config::Queue;
use crate::engine::WhenFull;
use crate::store::{Content, Key, Stage, Store};
use crate::time::{Instant, Span};

/// A whole queue is searched for expired messages at most so often; its head is checked at once.
const SWEEP_INTERVAL: Span = Span::from_millis(1000);

/// The bounds of the messages that wait in a store.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) limits: Queue,
    /// The queue was full since the inbox was last told of room.
    was_full: bool,
    /// When the whole queue may be searched for expired messages again.
    next_sweep: Instant,
    expiring: usize,
}

/// What is to be done about a new message that there is no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// The caller is to be told that the queue is full.
    No,
    /// This message makes room: end it, and ask again.
    Instead(Key),
    /// The new message is the one dropped.
    DropNew,
}

impl Waiting {
    pub(crate) fn new(limits: Queue) -> Self {
        Self { limits, was_full: false, next_sweep: Instant::MAX, expiring: 0 }
    }

    /// Whether there is no room for a message of this size.
    pub(crate) fn is_full(&self, store: &impl Store, cost: usize) -> bool {
        store.len(Stage::Queued) >= self.limits.messages
            || store.bytes(Stage::Queued) + cost > self.limits.bytes
            || !store.fits(cost)
    }

    /// What the policy of a full queue says; `begun` is a message that must be finished.
    pub(crate) fn when_full(
        &mut self,
        store: &impl Store,
        content: &Content<'_>,
        begun: Option<Key>,
    ) -> Room {
        let victim = match self.limits.when_full {
            WhenFull::Wait | WhenFull::Reject => {
                self.was_full = true;
                return Room::No;
            }
            WhenFull::DropNewest => None,
            _ if !POLICIES => None,
            WhenFull::DropOldest => oldest_droppable(store, None, begun),
            WhenFull::Latest => oldest_droppable(store, Some(content.topic), begun),
        };
        victim.map_or(Room::DropNew, Room::Instead)
    }

    /// Tells, once, that the queue is no longer full; `is_full` is what the engine thinks.
    pub(crate) fn has_room_again(&mut self, is_full: impl FnOnce(&Self) -> bool) -> bool {
        let again = self.was_full && !is_full(self);
        self.was_full &= !again;
        again
    }

    /// A message is queued: its expiry counts.
    pub(crate) fn entered(&mut self, expires: Instant) {
        if expires != Instant::MAX {
            self.expiring += 1;
            self.next_sweep = self.next_sweep.min(expires);
        }
    }

    /// A message is no longer queued.
    pub(crate) fn left(&mut self, store: &impl Store, key: Key) {
        let expiring = store.meta(key).is_some_and(|m| m.expires != Instant::MAX);
        self.expiring -= usize::from(expiring && self.expiring > 0);
    }

    /// Sent messages are queued again: their expiry counts again.
    pub(crate) fn recount(&mut self, store: &impl Store) {
        let queued = core::iter::successors(store.first(Stage::Queued), |k| store.next(*k));
        let expiring = |k: &Key| store.meta(*k).is_some_and(|m| m.expires != Instant::MAX);
        self.expiring = queued.filter(expiring).count();
        self.next_sweep = Instant::ZERO;
    }

    pub(crate) fn is_expiring(&self) -> bool {
        self.expiring > 0
    }

    /// The message at the head, if it has expired and is not the one that is `begun`.
    pub(crate) fn expired_head(
        &self,
        store: &impl Store,
        now: Instant,
        begun: Option<Key>,
    ) -> Option<Key> {
        if self.expiring == 0 {
            return None;
        }
        let key = store.first(Stage::Queued)?;
        let expired = store.meta(key).is_some_and(|m| now >= m.expires);
        (expired && begun != Some(key)).then_some(key)
    }

    /// Whether it is time to search the whole queue.
    pub(crate) fn is_sweep_due(&self, now: Instant) -> bool {
        self.expiring > 0 && now >= self.next_sweep
    }

    /// The queue was searched; of what is left, this is the earliest expiry.
    pub(crate) fn swept(&mut self, now: Instant, earliest: Instant) {
        self.next_sweep = earliest.max(now.plus(SWEEP_INTERVAL));
    }

    /// When an expiry has to be looked at.
    pub(crate) fn next_expiry(&self, store: &impl Store, begun: Option<Key>) -> Instant {
        if self.expiring == 0 {
            return Instant::MAX;
        }
        let head = store.first(Stage::Queued).filter(|k| begun != Some(*k));
        let head = head.and_then(|k| store.meta(k)).map_or(Instant::MAX, |m| m.expires);
        head.min(self.next_sweep)
    }
}

/// The oldest message that may give way, of this topic if there is one.
pub(crate) fn oldest_droppable(
    store: &impl Store,
    topic: Option<&str>,
    begun: Option<Key>,
) -> Option<Key> {
    let same = topic.and_then(|t| store.oldest_of(t));
    let oldest = || store.first(Stage::Queued);
    let key = same.filter(|k| begun != Some(*k)).or_else(oldest)?;
    if begun == Some(key) { store.next(key) } else { Some(key) }
}
