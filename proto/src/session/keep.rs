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
use super::received::{Entry, State};
use super::*;
use crate::mem::{Table, copy};
use crate::store::{Content, Key, Meta};
use crate::wire::QoS;

/// First byte of the session's record; another one is that of another format.
const FORMAT: u8 = 1;
/// Bytes before topic, properties and payload of a message.
const MESSAGE_HEAD: usize = 4 + 1 + 4 + 2 + 2;
/// Bytes before the lists of the session's record.
const SESSION_HEAD: usize = 1 + 2 + 4 + 3 * 2;

/// A message's record on the medium.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeptSlot {
    /// Number of the message that is to be there, 0 for none, and where it is in the store.
    wanted: u32,
    key: Key,
    /// Number of the message that is there.
    there: u32,
}

/// A record to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its key on the medium.
    pub key: u16,
    /// Bytes of its value. 0: what is under this key can go.
    pub len: usize,
    version: u32,
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
    slots: Table<'m, KeptSlot>,
    /// Largest value that can be written, 0 if there is no medium.
    limit: usize,
    /// Number of the next message.
    next: u32,
    /// Version of the session's record, and the version that is written.
    changes: u32,
    written: u32,
}

impl<'m> Kept<'m> {
    pub(super) fn none() -> Self {
        Self { slots: Table::fixed(&mut []), limit: 0, next: 1, changes: 0, written: 0 }
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
        !self.is_on() || self.slots.as_slice().iter().any(|s| s.wanted == 0)
    }

    /// The message's record can go.
    pub(super) fn release(&mut self, kept: u16) {
        if let Some(slot) = self.slot(kept) {
            slot.wanted = 0;
        }
    }

    fn slot(&mut self, kept: u16) -> Option<&mut KeptSlot> {
        let at = usize::from(kept).checked_sub(1).filter(|_| DURABLE)?;
        self.slots.as_mut_slice().get_mut(at)
    }
}

impl<'m, S: Store> Session<'m, S> {
    /// From now on, what has to survive a loss of power is handed out by [`unsaved`](Self::unsaved),
    /// in records of at most `limit` bytes; larger messages of QoS 1 and 2 are refused. Of these,
    /// `slots` limits how many there can be, 65 534 at most. To be called before anything else is done
    /// with the session, and before [`restore`](Self::restore).
    pub fn keep_records(&mut self, limit: usize, mut slots: Table<'m, KeptSlot>) {
        slots.extend_to(slots.limit().min(usize::from(u16::MAX) - 1));
        self.kept = Kept { slots, limit, ..Kept::none() };
    }

    /// The keys that [`restore`](Self::restore) takes.
    pub fn record_keys(&self) -> core::ops::Range<u16> {
        1..self.kept.slots.len() as u16 + 1
    }

    /// A message was accepted.
    pub(super) fn keep(&mut self, key: Key) {
        if !self.kept.is_on() {
            return;
        }
        let slots = self.kept.slots.as_mut_slice().iter_mut();
        let Some((at, slot)) = slots.enumerate().find(|(_, s)| s.wanted == 0) else { return };
        (slot.wanted, slot.key) = (self.kept.next, key);
        self.kept.next = self.kept.next.checked_add(1).unwrap_or(1);
        if let Some(meta) = self.store.meta_mut(key) {
            meta.kept = at as u16 + 1;
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
            self.leave_queue(key);
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
        if self.kept.limit == 0 {
            return None;
        }
        let slots = self.kept.slots.as_slice();
        if let Some(at) = slots.iter().position(|s| s.wanted != s.there) {
            let slot = slots.get(at)?;
            let len = match slot.wanted {
                0 => 0,
                number => self.encode_message(now, number, slot.key, out)?,
            };
            return Some(Record { key: at as u16 + 1, len, version: slot.wanted });
        }
        let behind = self.kept.is_behind();
        let len = if behind { self.encode_session(out)? } else { 0 };
        behind.then_some(Record { key: 0, len, version: self.kept.changes })
    }

    /// The record is on the medium: what waited for it can go on. `inbox` learns which message was
    /// stored, if it was one.
    pub fn saved(&mut self, record: Record, inbox: &mut impl Inbox) {
        let Some(slot) = self.kept.slot(record.key) else {
            self.kept.written = record.version;
            return;
        };
        slot.there = record.version;
        let key = (slot.wanted == record.version && record.version != 0).then_some(slot.key);
        if let Some(meta) = key.and_then(|key| self.store.meta(key))
            && meta.tag != Tag::NONE
        {
            inbox.stored(meta.tag);
        }
    }

    /// Whether everything is on the medium.
    pub fn is_saved(&self) -> bool {
        !self.kept.is_behind() && self.kept.slots.as_slice().iter().all(|s| s.wanted == s.there)
    }

    fn encode_message(&self, now: Instant, number: u32, key: Key, out: &mut [u8]) -> Option<usize> {
        let (meta, content) = (self.store.meta(key)?, self.store.content(key)?);
        let left = match meta.expires {
            Instant::MAX => u32::MAX,
            at => at.since(now).as_secs().min(u64::from(u32::MAX - 1)) as u32,
        };
        let mut to = Out { out, at: 0 };
        to.put(&number.to_le_bytes())?;
        to.put(&[meta.qos as u8 | u8::from(meta.retain) << 2])?;
        to.put(&left.to_le_bytes())?;
        to.put(&u16::try_from(content.topic.len()).ok()?.to_le_bytes())?;
        to.put(&u16::try_from(content.props.len()).ok()?.to_le_bytes())?;
        [content.topic.as_bytes(), content.props, content.payload]
            .into_iter()
            .try_for_each(|part| to.put(part))?;
        Some(to.at)
    }

    fn encode_session(&self, out: &mut [u8]) -> Option<usize> {
        let under_way = |stage| {
            let keys = core::iter::successors(self.store.first(stage), |k| self.store.next(*k));
            keys.filter_map(|k| self.store.meta(k)).filter_map(|m| {
                let at = usize::from(m.kept).checked_sub(1)?;
                Some((self.kept.slots.as_slice().get(at)?.wanted, m.pid))
            })
        };
        let mut to = Out { out, at: 0 };
        to.put(&[FORMAT])?;
        to.put(&self.flights.next().to_le_bytes())?;
        to.put(&self.kept.next.to_le_bytes())?;
        for stage in [Stage::Sent, Stage::Released] {
            to.put(&(under_way(stage).count() as u16).to_le_bytes())?;
        }
        to.put(&(self.received.recorded_ones().count() as u16).to_le_bytes())?;
        for (number, pid) in under_way(Stage::Sent).chain(under_way(Stage::Released)) {
            to.put(&number.to_le_bytes())?;
            to.put(&pid.to_le_bytes())?;
        }
        for (pid, digest) in self.received.recorded_ones() {
            to.put(&pid.to_le_bytes())?;
            to.put(&digest.to_le_bytes())?;
        }
        Some(to.at)
    }

    /// Takes back a message's record, found on the medium under `key`.
    ///
    /// # Errors
    /// The record makes no sense, or there is no room: the message is not there.
    pub fn restore(&mut self, now: Instant, key: u16, value: &[u8]) -> Result<(), Unreadable> {
        self.restore_message(now, key, value).ok_or(Unreadable)
    }

    fn restore_message(&mut self, now: Instant, kept: u16, value: &[u8]) -> Option<()> {
        let mut from = In(value);
        let number = from.u32().filter(|n| *n != 0)?;
        let flags = from.u8()?;
        let left = from.u32()?;
        let (topic, props) = (from.u16()?, from.u16()?);
        let (topic, props) = (from.take(topic.into())?, from.take(props.into())?);
        let content = Content { topic: core::str::from_utf8(topic).ok()?, props, payload: from.0 };
        let qos = QoS::try_from(flags & 3).ok()?;
        self.kept.slot(kept)?;
        let expires = match left {
            u32::MAX => Instant::MAX,
            secs => now + Duration::from_secs(secs.into()),
        };
        let meta = Meta {
            stage: Stage::Queued,
            tag: Tag::NONE,
            qos,
            retain: flags & 4 != 0,
            pid: 0,
            kept,
            connection: 0,
            repeats: 0,
            accepted: now,
            sent: now,
            expires,
        };
        let key = self.store.push(meta, content).ok()?;
        *self.kept.slot(kept)? = KeptSlot { wanted: number, key, there: number };
        self.kept.next = self.kept.next.max(number.checked_add(1).unwrap_or(1));
        Some(())
    }

    /// All records of messages were given back; `session` is that of the session, empty if there is
    /// none. Puts the messages in order and takes the session up where it was. The next connection
    /// asks for it, whatever [`Config::clean_start`] says.
    ///
    /// # Errors
    /// The session's record makes no sense: its messages start anew.
    pub fn restored(&mut self, session: &[u8]) -> Result<(), Unreadable> {
        // The highest number first, so that each becomes the new head.
        let mut below = u32::MAX;
        while let Some(slot) =
            self.kept.slots.as_slice().iter().filter(|s| s.wanted < below).max_by_key(|s| s.wanted)
            && slot.wanted != 0
        {
            below = slot.wanted;
            self.store.requeue(slot.key);
        }
        self.recount_expiring();
        if session.is_empty() {
            return Ok(());
        }
        let result = self.restore_session(session).ok_or(Unreadable);
        self.cfg.clean_start &= result.is_err();
        result
    }

    fn restore_session(&mut self, value: &[u8]) -> Option<()> {
        let mut from = In(value);
        if value.len() < SESSION_HEAD || from.u8()? != FORMAT {
            return None;
        }
        self.flights.start_at(from.u16()?);
        self.kept.next = self.kept.next.max(from.u32()?);
        let counts = [from.u16()?, from.u16()?];
        let received = from.u16()?;
        for (stage, count) in [Stage::Sent, Stage::Released].into_iter().zip(counts) {
            for _ in 0..count {
                let (number, pid) = (from.u32()?, from.u16()?);
                // One that is not there is over.
                let slot = self.kept.slots.as_slice().iter().find(|s| s.wanted == number);
                let Some(key) = slot.filter(|_| number != 0).map(|s| s.key) else { continue };
                if self.flights.claim(pid, Flight::Message(key)) {
                    if let Some(meta) = self.store.meta_mut(key) {
                        meta.pid = pid;
                    }
                    self.leave_queue(key);
                    self.store.advance(key, stage);
                }
            }
        }
        for _ in 0..received {
            let (pid, digest) = (from.u16()?, from.u16()?);
            let state = State::Recorded;
            self.received.push(Entry {
                pid,
                digest,
                epoch: 0,
                qos2: true,
                state,
                carried: 1,
                doubtful: false,
            });
        }
        Some(())
    }
}

struct Out<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Out<'_> {
    fn put(&mut self, part: &[u8]) -> Option<()> {
        let end = self.at.checked_add(part.len())?;
        copy(self.out.get_mut(self.at..end)?, part);
        self.at = end;
        Some(())
    }
}

struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(first)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
}
