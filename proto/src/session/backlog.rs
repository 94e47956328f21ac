//! Messages that are on the durable medium only: the queue beyond what memory holds.
//!
//! They are in order behind all that are in memory, are written once with the very record that survives a
//! loss of power, and come back from it in the same way.

use alloc::vec::Vec;

use super::keep::Kept;
use super::queue::oldest_droppable;
use super::records::Head;
use super::*;
use crate::engine::Tag;

impl<S: Store> Session<'_, S> {
    /// Whether a message with so many bytes of content can be accepted into memory.
    pub fn has_room(&self, bytes: usize) -> bool {
        !self.is_full(bytes)
    }

    /// Accepts a message onto the medium only: its record is written to the end of `out`. Gives its
    /// number. Until it is [taken up](Self::take_up), all later ones have to go the same way.
    ///
    /// # Errors
    /// As [`Engine::publish`], but for a full queue.
    pub fn put_off(
        &mut self,
        now: Instant,
        message: &Outgoing<'_>,
        out: &mut Vec<u8>,
    ) -> Result<u32, Refused> {
        self.checked(message, |session, content| {
            let number = session.kept.next;
            let left = Head::left(now, message.expiry.map_or(Instant::MAX, |d| now + d));
            let head = Head { number, qos: message.qos, retain: message.retain, left };
            let start = out.len();
            if head.encode(content, out).is_none() {
                out.truncate(start);
                return Err(Refused::TooLarge);
            }
            session.kept.next = Kept::after(number);
            session.stats.accepted += 1;
            Ok(number)
        })
    }

    /// Takes a message into memory that was put off, or accepted before the power went. Messages come in
    /// the order of their numbers. `aged` is how much of its expiry has passed since its record was
    /// written; `tag` whom to tell.
    ///
    /// # Errors
    /// The record makes no sense, or there is no room for it.
    pub fn take_up(
        &mut self,
        now: Instant,
        value: &[u8],
        aged: Duration,
        tag: Tag,
    ) -> Result<(), Unreadable> {
        let (mut head, content) = Head::decode(value).ok_or(Unreadable)?;
        if head.left != u32::MAX {
            let aged = u32::try_from(aged.as_secs()).unwrap_or(u32::MAX);
            head.left = head.left.saturating_sub(aged);
        }
        let next = self.kept.next;
        let kept = self.kept.take(head.number, 0).ok_or(Unreadable)?;
        let result = self.restore_message(now, (kept, tag), &head, content);
        // Those that were put off have numbers as well.
        self.kept.next = next;
        if result.is_none() {
            self.kept.release(kept);
            return Err(Unreadable);
        }
        let last = self.store.last(Stage::Queued).and_then(|key| self.store.meta(key));
        let expires = last.map_or(Instant::MAX, |m| m.expires);
        self.waiting.entered(expires);
        Ok(())
    }

    /// All messages under way when the power went were taken up: goes on with the session where it was,
    /// after the record `session`, empty if there is none. The next message gets the number `next`. The
    /// next connection asks for the session, whatever [`Config::clean_start`] says.
    ///
    /// # Errors
    /// The session's record makes no sense: its messages start anew.
    pub fn taken_up(&mut self, session: &[u8], next: u32) -> Result<(), Unreadable> {
        let result = self.resume_from(session);
        self.kept.next = next;
        result
    }

    /// Whether the subscriptions are not those that were recorded last.
    pub fn has_unsaved_subscriptions(&self) -> bool {
        self.subs.is_unrecorded()
    }

    /// Writes the record of all subscriptions to the end of `out`. Nothing waits for it.
    pub fn unsaved_subscriptions(&mut self, out: &mut Vec<u8>) {
        self.subs.record(out);
    }

    /// Takes back subscriptions: those that the broker had granted are asked for again if it has lost the
    /// session, the others in any case. To be called before anything is subscribed to.
    ///
    /// # Errors
    /// The record makes no sense.
    pub fn restore_subscriptions(&mut self, record: &[u8]) -> Result<(), Unreadable> {
        self.subs.restore(record).ok_or(Unreadable)
    }

    /// So many messages of an earlier run were found: they are to be accounted for by this one.
    pub fn found(&mut self, messages: u64) {
        self.stats.accepted += messages;
    }

    /// Drops the oldest message in memory that was not begun, the oldest with this Topic Name if there is
    /// one. `false`: there is none.
    pub fn drop_oldest(
        &mut self,
        now: Instant,
        topic: Option<&str>,
        inbox: &mut impl Inbox,
    ) -> bool {
        let begun = self.sending.begun();
        let Some(key) = oldest_droppable(&self.store, topic, begun) else { return false };
        self.finish(now, key, Outcome::Dropped(self.waiting.limits.when_full), inbox);
        true
    }

    /// A message was dropped instead of accepted, or while it was put off.
    pub fn dropped(&mut self, tag: Tag, inbox: &mut impl Inbox) {
        self.stats.accepted += 1;
        self.settle(tag, Outcome::Dropped(self.waiting.limits.when_full), inbox);
    }
}
