//! What has to survive a loss of power.
//!
//! The medium is a map from small keys to values: one record for each message, and one, under key 0,
//! for the state of the session. Each is written whole or not at all. Records of messages go first, so
//! that the session's record speaks of messages that are there; a message it speaks of that is not
//! there is over. Before the broker is sent anything that depends on a change of the session's record,
//! that record is written: the identifiers of QoS 2 messages, PUBREL, PUBREC and PUBCOMP wait for it.
//! QoS 1 waits for nothing: its messages may come twice.

use super::abilities::DURABLE;
use super::acks::NOT_TAKEN;
use super::flights::Flight;
use super::records::{MESSAGE_HEAD, SESSION_HEAD, Sink, Slice};
use super::*;
use crate::mem::Table;
use crate::store::{Content, Key};
use crate::wire::QoS;

/// Slots are named with 16 bits, and 0 is the session's.
const SLOTS: usize = u16::MAX as usize - 1;

/// A message's record on the medium.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeptSlot {
    /// Number of the message that is to be there, 0 for none, and where it is in the store.
    pub(super) wanted: u32,
    pub(super) key: Key,
    /// Number of the message that is there, or that was handed out to be written there.
    pub(super) there: u32,
}

/// A record to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its key on the medium.
    pub key: u16,
    /// Bytes of its value. 0: what is under this key can go.
    pub len: usize,
    version: u32,
    before: u32,
}

impl Record {
    /// Number of the message, counted up with each that is accepted from 1 to `u32::MAX` and again; `None`
    /// if it is the session's record or a message that can go.
    pub fn message(&self) -> Option<u32> {
        (self.key != 0 && self.version != 0).then_some(self.version)
    }

    /// Number of the message whose record this one replaces, for media that do not know keys.
    pub fn replaced(&self) -> Option<u32> {
        (self.before != 0).then_some(self.before)
    }
}

/// A record is damaged or of another format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl core::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the record is damaged or of another format")
    }
}

impl core::error::Error for Unreadable {}

#[derive(Debug)]
pub(super) struct Kept<'m> {
    pub(super) slots: Table<'m, KeptSlot>,
    /// Largest value that can be written, 0 if there is no medium.
    limit: usize,
    /// Number of the next message.
    pub(super) next: u32,
    /// Version of the session's record, the version handed out, and the version that is written.
    changes: u32,
    handed: u32,
    written: u32,
    /// Slots in use; those before `free` are.
    used: u16,
    free: u16,
    /// Slots with something to be written; none is before `due`.
    unsaved: u16,
    due: u16,
}

impl<'m> Kept<'m> {
    pub(super) fn none() -> Self {
        Self {
            slots: Table::fixed(&mut []),
            limit: 0,
            next: 1,
            changes: 0,
            handed: 0,
            written: 0,
            used: 0,
            free: 0,
            unsaved: 0,
            due: 0,
        }
    }

    /// Whether there is a medium.
    pub(super) fn is_on(&self) -> bool {
        DURABLE && self.limit > 0
    }

    /// The session's record is not what it was.
    pub(super) fn changed(&mut self) {
        if self.is_on() {
            self.changes = self.changes.wrapping_add(1);
        }
    }

    /// Whether the session's record has to be written before the broker is told more.
    pub(super) fn is_behind(&self) -> bool {
        DURABLE && self.changes != self.written
    }

    /// Whether a message fits into a record.
    pub(super) fn takes(&self, content: &Content<'_>) -> bool {
        !self.is_on() || MESSAGE_HEAD + content.cost() <= self.limit
    }

    /// Whether a further message can have a record, if it needs one.
    pub(super) fn has_room(&self) -> bool {
        !self.is_on() || usize::from(self.used) < self.slots.limit().min(SLOTS)
    }

    /// The message's record can go.
    pub(super) fn release(&mut self, kept: u16) {
        if self.slot(kept).is_some_and(|slot| slot.wanted != 0) {
            self.want(kept, 0);
            self.used = self.used.saturating_sub(1);
            self.free = self.free.min(kept - 1);
        }
    }

    /// Takes a slot for the message `number`, which is in the store under `key`.
    pub(super) fn take(&mut self, number: u32, key: Key) -> Option<u16> {
        let slots = self.slots.as_slice();
        let behind = slots.get(self.free.into()..).unwrap_or_default();
        let at = usize::from(self.free) + behind.iter().take_while(|s| s.wanted != 0).count();
        if at >= slots.len() && (at >= SLOTS || !self.slots.push(KeptSlot::default())) {
            return None;
        }
        (self.free, self.used) = (at as u16, self.used + 1);
        let kept = at as u16 + 1;
        self.slot(kept)?.key = key;
        self.want(kept, number);
        Some(kept)
    }

    fn want(&mut self, kept: u16, number: u32) {
        let Some(slot) = self.slot(kept) else { return };
        let before = slot.wanted != slot.there;
        slot.wanted = number;
        let after = number != slot.there;
        self.unsaved = self.unsaved + u16::from(after) - u16::from(before);
        self.due = self.due.min(kept - 1);
    }

    /// The record of the message that is wanted in this slot is there.
    pub(super) fn is_there(&mut self, kept: u16, number: u32) {
        let Some(slot) = self.slot(kept) else { return };
        let before = slot.wanted != slot.there;
        slot.there = number;
        let after = slot.wanted != number;
        self.unsaved = self.unsaved + u16::from(after) - u16::from(before);
        // Not simply this one: while it was written, one before it may have changed.
        let slots = self.slots.as_slice();
        let saved = |at: u16| slots.get(usize::from(at)).is_some_and(|s| s.wanted == s.there);
        while saved(self.due) {
            self.due += 1;
        }
    }

    /// The message `number` was found there.
    pub(super) fn put_there(&mut self, kept: u16, number: u32, key: Key) {
        let Some(slot) = self.slot(kept) else { return };
        let (empty, unsaved) = (slot.wanted == 0, slot.wanted != slot.there);
        *slot = KeptSlot { wanted: number, key, there: number };
        self.used += u16::from(empty);
        self.unsaved -= u16::from(unsaved);
    }

    pub(super) fn slot(&mut self, kept: u16) -> Option<&mut KeptSlot> {
        let at = usize::from(kept).checked_sub(1).filter(|_| DURABLE)?;
        self.slots.as_mut_slice().get_mut(at)
    }

    /// The number after `number`.
    pub(super) fn after(number: u32) -> u32 {
        number.checked_add(1).unwrap_or(1)
    }
}

impl<'m, S: Store> Session<'m, S> {
    /// From now on, what has to survive a loss of power is handed out by [`unsaved`](Self::unsaved),
    /// in records of at most `limit` bytes; larger messages of QoS 1 and 2 are refused. Of these,
    /// `slots` limits how many there can be, 65 534 at most. To be called before anything else is done
    /// with the session, and before [`restore`](Self::restore).
    pub fn keep_records(&mut self, limit: usize, mut slots: Table<'m, KeptSlot>) {
        if slots.is_fixed() {
            slots.extend_to(slots.limit().min(SLOTS));
        }
        self.kept = Kept { slots, limit, ..Kept::none() };
    }

    /// The keys that [`restore`](Self::restore) takes.
    pub fn record_keys(&self) -> core::ops::Range<u16> {
        1..self.kept.slots.limit().min(SLOTS) as u16 + 1
    }

    /// The longest that the session's record can get, in bytes, with so many records of messages. Where
    /// records have less room, what depends on it could never be sent.
    pub fn session_record_len(&self, messages: usize) -> usize {
        let window = usize::from(self.cfg.window).min(messages);
        SESSION_HEAD + 6 * window + 4 * self.received.limit()
    }

    /// A message was accepted.
    pub(super) fn keep(&mut self, key: Key) {
        if !self.kept.is_on() {
            return;
        }
        let number = self.kept.next;
        let Some(kept) = self.kept.take(number, key) else { return };
        self.kept.next = Kept::after(number);
        if let Some(meta) = self.store.meta_mut(key) {
            meta.kept = kept;
        }
    }

    /// Gives identifiers to the QoS 2 messages that can go next. They are sent once the session's
    /// record is written: after a loss of power the broker would take one with another identifier
    /// for another message.
    pub(super) fn give_identifiers(&mut self, inbox: &mut impl Inbox) {
        let mut room = self.quota(QoS::ExactlyOnce).saturating_sub(self.sending.open);
        while room > 0
            && let Some(key) = self.store.first(Stage::Queued)
            && self.store.meta(key).is_some_and(|m| m.qos == QoS::ExactlyOnce && m.kept != 0)
            && let Some(pid) = self.flights.allocate(Flight::Message(key))
        {
            room -= 1;
            self.waiting.left(&self.store, key);
            let earlier = self.connection.wrapping_sub(1);
            if let Some(meta) = self.store.meta_mut(key) {
                (meta.pid, meta.connection, meta.repeats) = (pid, earlier, NOT_TAKEN);
            }
            self.store.advance(key, Stage::Sent);
            self.kept.changed();
        }
        self.sending.resend = self.store.first(Stage::Sent);
        self.room_again(inbox);
    }

    /// The next record to be written, its value in the front of `out`, which is as long as the limit
    /// given to [`keep_records`](Self::keep_records). After it is on the medium,
    /// [`saved`](Self::saved) is called; if it could not be written it is handed out again.
    pub fn unsaved(&self, now: Instant, out: &mut [u8]) -> Option<Record> {
        self.next_unsaved(now, &mut Slice::new(out))
    }

    /// As [`unsaved`](Self::unsaved), with the value at the end of `out`.
    #[cfg(feature = "alloc")]
    pub fn unsaved_into(&self, now: Instant, out: &mut alloc::vec::Vec<u8>) -> Option<Record> {
        self.next_unsaved(now, out)
    }

    fn next_unsaved(&self, now: Instant, to: &mut impl Sink) -> Option<Record> {
        if self.kept.limit == 0 {
            return None;
        }
        if self.kept.unsaved > 0 {
            let first = usize::from(self.kept.due);
            let slots = self.kept.slots.as_slice().iter().enumerate().skip(first);
            let (at, slot) = slots.into_iter().find(|(_, s)| s.wanted != s.there)?;
            let len = match slot.wanted {
                0 => 0,
                number => self.encode_message(now, number, slot.key, to)?,
            };
            let key = at as u16 + 1;
            return Some(Record { key, len, version: slot.wanted, before: slot.there });
        }
        if self.kept.changes == self.kept.handed {
            return None;
        }
        let len = self.encode_session(to)?;
        Some(Record { key: 0, len, version: self.kept.changes, before: 0 })
    }

    /// The record is on the medium: what waited for it can go on. `inbox` learns which message was
    /// stored, if it was one.
    pub fn saved(&mut self, record: Record, inbox: &mut impl Inbox) {
        self.handed(record);
        self.confirmed(record, inbox);
    }

    /// Whoever writes has the record and will not give up before it is on the medium, and writes in the
    /// order in which records were handed out: the first half of [`saved`](Self::saved). It is not
    /// handed out again.
    pub fn handed(&mut self, record: Record) {
        match record.key {
            0 => self.kept.handed = record.version,
            kept => self.kept.is_there(kept, record.version),
        }
    }

    /// The record is on the medium: the second half of [`saved`](Self::saved).
    pub fn confirmed(&mut self, record: Record, inbox: &mut impl Inbox) {
        let Some(slot) = self.kept.slot(record.key) else {
            self.kept.written = record.version;
            return;
        };
        let key = (slot.wanted == record.version && record.version != 0).then_some(slot.key);
        if let Some(meta) = key.and_then(|key| self.store.meta(key))
            && meta.tag != Tag::NONE
        {
            inbox.stored(meta.tag);
        }
    }

    /// Whether everything is on the medium.
    pub fn is_saved(&self) -> bool {
        !self.kept.is_behind() && self.kept.unsaved == 0
    }

    /// Whether something waits to be handed out.
    pub fn is_unsaved(&self) -> bool {
        self.has_unsaved_message() || self.kept.changes != self.kept.handed
    }

    /// Whether a record of a message waits to be handed out, or that one can go. The session's record is best
    /// taken last: it changes often.
    pub fn has_unsaved_message(&self) -> bool {
        self.kept.unsaved > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_while_another_record_is_written_is_not_forgotten() {
        let mut slots = [KeptSlot::default(); 4];
        let mut kept = Kept { slots: Table::fixed(&mut slots), limit: 100, ..Kept::none() };
        kept.slots.extend_to(4);
        assert_eq!(
            (kept.take(1, Key::default()), kept.take(2, Key::default())),
            (Some(1), Some(2))
        );
        kept.is_there(1, 1);
        // The record of the second is being written when the first message is over.
        kept.release(1);
        kept.is_there(2, 2);
        let behind = kept.slots.as_slice().iter().skip(kept.due.into());
        assert_eq!(behind.filter(|s| s.wanted != s.there).count(), 1);
        assert_eq!(kept.unsaved, 1);
    }
}
