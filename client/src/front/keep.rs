//! What waits to be written to the store, and what is there only.
//!
//! The engine hands out its records here the moment they change, under the lock; the [keeper](super::keeper)
//! writes them in a thread of its own and says when they are durable.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::thread::Thread;
use std::time::Duration;

use everlink_proto::engine::{Engine, Outgoing, Refused, Tag, WhenFull};
use everlink_proto::session::Record;
use everlink_proto::store::{Stage, Store};
use everlink_proto::time::Instant;

use super::engine::Session_;
use super::inbox::Front;
use crate::store::{Entry, MARK, SESSION, SUBSCRIPTIONS, StoreError, begin_put, cost, end_put};

/// The engine's numbers of messages begin anew behind this one, with 1.
const ROUND: u64 = u32::MAX as u64;

/// What the keeper takes away to write.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) entries: Vec<u8>,
    pub(crate) records: Vec<Record>,
    /// All messages below this number are in it or in an earlier one.
    pub(crate) next: u64,
}

/// Limits of a queue that is on disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Of the messages in the store, in bytes.
    pub(crate) bytes: u64,
    /// Of the files at a time when more is accepted, in bytes.
    pub(crate) disk: u64,
    /// Of what waits to be written, in bytes; a publisher who is faster waits. It is written as one frame, and
    /// a file must not get much larger than the others by it.
    pub(crate) waiting: u64,
    /// Of the queue, if that was asked for.
    pub(crate) messages: u64,
    pub(crate) queued_bytes: u64,
}

/// How the store is doing.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StoreStatus {
    /// Messages in the store that are not over.
    pub messages: u64,
    /// Bytes they take.
    pub bytes: u64,
    /// Bytes that wait to be written.
    pub waiting: usize,
    /// How often writing or reading failed.
    pub failures: u64,
    /// Why it fails at present, if it does. Writing is tried again each second; damage that was found
    /// stays, and then the messages behind it stay where they are.
    pub trouble: Option<Arc<StoreError>>,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Keep {
    batch: Batch,
    /// Where the mark is in the batch, and its length, if there is one.
    mark_at: Option<(usize, usize)>,
    /// Lengths of the records of messages in memory.
    lengths: HashMap<u64, u32>,
    /// Messages on the medium only: the last ones before `batch.next`.
    behind: u64,
    behind_bytes: u64,
    /// Whom to tell of these.
    tags: BTreeMap<u64, Tag>,
    /// All below this number is durable.
    durable: u64,
    held: u64,
    held_bytes: u64,
    /// Bytes that the files take, and that the keeper is about to write.
    disk: u64,
    in_hand: u64,
    limits: Limits,
    policy: WhenFull,
    keeper: Option<Thread>,
    /// The keeper was woken and has not yet looked.
    kicked: bool,
    /// It writes what it took.
    pub(crate) writing: bool,
    /// Somebody waits for all to be durable.
    pub(crate) hurry: bool,
    pub(crate) failures: u64,
    pub(crate) trouble: Option<Arc<StoreError>>,
    /// What was not taken when the client was dropped.
    left: Arc<Mutex<Batch>>,
}

impl Keep {
    /// For a store whose next message gets the number `next`, and which holds so many, of which
    /// `behind` are not in memory.
    pub(crate) fn new(
        next: u64,
        (held, held_bytes): (u64, u64),
        limits: Limits,
        policy: WhenFull,
    ) -> Self {
        Self {
            batch: Batch { next, ..Batch::default() },
            mark_at: None,
            lengths: HashMap::new(),
            behind: held,
            behind_bytes: held_bytes,
            tags: BTreeMap::new(),
            durable: next,
            held,
            held_bytes,
            disk: 0,
            in_hand: 0,
            limits,
            policy,
            keeper: None,
            kicked: false,
            writing: false,
            hurry: false,
            failures: 0,
            trouble: None,
            left: Arc::default(),
        }
    }

    pub(crate) fn kept_by(&mut self, thread: Thread) {
        self.keeper = Some(thread);
        self.kick();
    }

    pub(crate) fn left(&self) -> Arc<Mutex<Batch>> {
        self.left.clone()
    }

    /// Accepts a message into memory or, if that is full, onto the medium. Gives its number in the
    /// second case.
    pub(crate) fn accept(
        &mut self,
        engine: &mut Session_,
        front: &mut Front,
        now: Instant,
        message: &Outgoing<'_>,
        mark: Option<&[u8]>,
    ) -> Result<Option<u64>, Refused> {
        if self.is_waiting() {
            return Err(Refused::QueueFull);
        }
        let size =
            message.topic.as_str().len() + message.props.encoded_len() + message.payload.len();
        if !self.make_room(engine, front, now, message, size)? {
            self.mark(mark);
            return Ok(None);
        }
        let mut put_off = None;
        if self.behind > 0 || !engine.has_room(size) && self.may_put_off() {
            put_off = Some(self.put_off(engine, now, message)?);
        } else {
            engine.publish(now, message, front)?;
            self.collect(engine);
        }
        self.mark(mark);
        Ok(put_off)
    }

    /// Whether the queue may be longer than memory holds.
    fn may_put_off(&self) -> bool {
        self.limits.messages > 0
    }

    /// Applies the policy of a full store. `false`: the new message is the one dropped.
    fn make_room(
        &mut self,
        engine: &mut Session_,
        front: &mut Front,
        now: Instant,
        message: &Outgoing<'_>,
        size: usize,
    ) -> Result<bool, Refused> {
        let bytes = cost(size as u32);
        if bytes > self.limits.bytes {
            return Err(Refused::TooLarge);
        }
        while self.is_full(engine, bytes) {
            let dropped = match self.policy {
                WhenFull::Wait | WhenFull::Reject => false,
                WhenFull::DropNewest => {
                    engine.dropped(message.tag, front);
                    return Ok(false);
                }
                WhenFull::DropOldest => engine.drop_oldest(now, None, front),
                WhenFull::Latest => engine.drop_oldest(now, Some(message.topic.as_str()), front),
            };
            if !dropped {
                return Err(Refused::QueueFull);
            }
            self.collect(engine);
        }
        Ok(true)
    }

    fn is_full(&self, engine: &Session_, bytes: u64) -> bool {
        let store = engine.store();
        let queued = store.len(Stage::Queued) as u64 + self.behind;
        let queued_bytes = store.bytes(Stage::Queued) as u64 + self.behind_bytes;
        let Limits { bytes: most, messages, queued_bytes: most_queued, .. } = self.limits;
        self.held_bytes + bytes > most
            || self.may_put_off() && (queued >= messages || queued_bytes + bytes > most_queued)
    }

    fn put_off(
        &mut self,
        engine: &mut Session_,
        now: Instant,
        message: &Outgoing<'_>,
    ) -> Result<u64, Refused> {
        let entries = &mut self.batch.entries;
        let at = begin_put(entries);
        if let Err(refused) = engine.put_off(now, message, entries) {
            entries.truncate(at);
            return Err(refused);
        }
        let number = self.batch.next;
        let len = end_put(entries, at, number);
        self.came(len);
        (self.behind, self.behind_bytes) = (self.behind + 1, self.behind_bytes + cost(len));
        if message.tag != Tag::NONE {
            self.tags.insert(number, message.tag);
        }
        self.kick();
        Ok(number)
    }

    fn came(&mut self, len: u32) {
        self.batch.next += 1;
        (self.held, self.held_bytes) = (self.held + 1, self.held_bytes + cost(len));
    }

    /// Takes over what the engine has to have written. The session's record, which changes often, stays with
    /// it until the keeper comes.
    pub(crate) fn collect(&mut self, engine: &mut Session_) {
        while engine.has_unsaved_message() && self.take_over(engine) {}
        if !self.is_idle(engine) || self.wants_more(engine) {
            self.kick();
        }
    }

    fn take_over(&mut self, engine: &mut Session_) -> bool {
        let entries = &mut self.batch.entries;
        let at = begin_put(entries);
        let Some(record) = engine.unsaved_into(engine.seen(), entries) else {
            entries.truncate(at);
            return false;
        };
        engine.handed(record);
        if record.key == 0 {
            let value = entries.split_off(entries.len() - record.len);
            entries.truncate(at);
            Entry::Note { key: SESSION, value: &value }.encode(entries);
        } else if let Some(number) = record.message() {
            let number = self.number(number);
            let len = end_put(&mut self.batch.entries, at, number);
            self.lengths.insert(number, len);
            self.came(len);
        } else {
            entries.truncate(at);
        }
        if let Some(number) = record.replaced() {
            self.gone(self.number(number));
        }
        self.batch.records.push(record);
        true
    }

    fn gone(&mut self, number: u64) {
        let Some(len) = self.lengths.remove(&number) else { return };
        Entry::Gone { number, len }.encode(&mut self.batch.entries);
        self.held -= 1;
        self.held_bytes -= cost(len);
    }

    fn number(&self, engines: u32) -> u64 {
        number(engines, self.batch.next)
    }

    /// The application's mark is stored with the message before it.
    pub(crate) fn mark(&mut self, mark: Option<&[u8]>) {
        let Some(value) = mark else { return };
        let entries = &mut self.batch.entries;
        if let Some((at, len)) = self.mark_at.filter(|(_, len)| *len == value.len()) {
            entries[at..at + len].copy_from_slice(value);
        } else {
            Entry::Note { key: MARK, value }.encode(entries);
            self.mark_at = Some((entries.len() - value.len(), value.len()));
        }
        self.kick();
    }

    /// Whether the messages in memory get few, and there are more on the medium.
    pub(crate) fn wants_more(&self, engine: &Session_) -> bool {
        self.behind > 0
            && engine.has_room(0)
            && engine.store().len(Stage::Queued) <= super::keeper::MESSAGES / 2
    }

    /// Number of the first message that is on the medium only.
    pub(crate) fn first_behind(&self) -> u64 {
        self.batch.next - self.behind
    }

    /// A message was read from the medium.
    pub(crate) fn take_up(
        &mut self,
        engine: &mut Session_,
        now: Instant,
        (number, aged, value): (u64, Duration, &[u8]),
    ) -> bool {
        let tag = self.tags.remove(&number).unwrap_or(Tag::NONE);
        let len = value.len() as u32;
        if engine.take_up(now, value, aged, tag).is_err() {
            return false;
        }
        self.lengths.insert(number, len);
        (self.behind, self.behind_bytes) = (self.behind - 1, self.behind_bytes - cost(len));
        true
    }

    /// Hands over what is to be written.
    pub(crate) fn take(&mut self, engine: &mut Session_, spare: Batch) -> Batch {
        while engine.is_unsaved() && self.take_over(engine) {}
        if engine.has_unsaved_subscriptions() {
            let mut value = Vec::new();
            engine.unsaved_subscriptions(&mut value);
            Entry::Note { key: SUBSCRIPTIONS, value: &value }.encode(&mut self.batch.entries);
        }
        self.kicked = false;
        self.mark_at = None;
        self.in_hand = self.batch.entries.len() as u64;
        let next = self.batch.next;
        self.writing |= !self.batch.entries.is_empty();
        std::mem::replace(&mut self.batch, Batch { next, ..spare })
    }

    /// What was taken is durable.
    pub(crate) fn confirm(&mut self, engine: &mut Session_, front: &mut Front, batch: &Batch) {
        for record in &batch.records {
            engine.confirmed(*record, front);
        }
        for (_, tag) in self.tags.range(self.durable..batch.next.max(self.durable)) {
            front.wakes.extend(front.waiters.stored(*tag));
        }
        self.durable = batch.next;
        self.writing = false;
    }

    /// Nobody wants to know the fate of a message any more that was put off. Whether it still is.
    pub(crate) fn abandon(&mut self, number: u64, tag: Tag) -> bool {
        let is_it = self.tags.get(&number) == Some(&tag);
        if is_it {
            self.tags.remove(&number);
        }
        is_it
    }

    /// Messages on the medium only.
    pub(crate) fn behind(&self) -> usize {
        usize::try_from(self.behind).unwrap_or(usize::MAX)
    }

    /// Whether all is durable.
    pub(crate) fn is_saved(&self, engine: &Session_) -> bool {
        engine.is_saved() && self.is_idle(engine) && !self.writing
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_idle(&self, engine: &Session_) -> bool {
        self.batch.entries.is_empty() && !engine.is_unsaved() && !engine.has_unsaved_subscriptions()
    }

    /// Whether more can only be accepted when the keeper has written, or has given files back.
    fn is_waiting(&self) -> bool {
        let waiting = self.batch.entries.len() as u64;
        waiting >= self.limits.waiting || self.disk + self.in_hand + waiting > self.limits.disk
    }

    /// Whether a publisher is only too fast.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_waiting() && self.trouble.is_none()
    }

    /// The keeper has done a round, and the files take so many bytes.
    pub(crate) fn tidied(&mut self, disk: u64) {
        (self.disk, self.in_hand) = (disk, 0);
    }

    pub(crate) fn status(&self) -> StoreStatus {
        StoreStatus {
            messages: self.held,
            bytes: self.held_bytes,
            waiting: self.batch.entries.len(),
            failures: self.failures,
            trouble: self.trouble.clone(),
        }
    }

    #[inline]
    pub(crate) fn kick(&mut self) {
        if !self.kicked
            && let Some(keeper) = &self.keeper
        {
            self.kicked = true;
            keeper.unpark();
        }
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        // Nobody panics while holding it.
        *self.left.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = batch;
        if let Some(keeper) = &self.keeper {
            keeper.unpark();
        }
    }
}

/// The number in the store of a message that was accepted, or will be as the `next`.
pub(crate) fn number(engines: u32, next: u64) -> u64 {
    let back = (u64::from(round(next)) + ROUND - u64::from(engines)) % ROUND;
    next.saturating_sub(back)
}

/// The engine's number of a message.
pub(crate) fn round(number: u64) -> u32 {
    ((number - 1) % ROUND) as u32 + 1
}
