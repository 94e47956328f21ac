//! The records that survive a loss of power: a message's, and the session's.

use super::flights::Flight;
use super::keep::{Kept, Unreadable};
use super::received::{Entry, State};
use super::*;
use crate::mem::copy;
use crate::store::{Content, Key, Meta};
use crate::wire::QoS;

/// First byte of the session's record; another one is that of another format.
const FORMAT: u8 = 1;
/// Bytes before topic, properties and payload of a message.
pub(super) const MESSAGE_HEAD: usize = 4 + 1 + 4 + 2 + 2;
/// Bytes before the lists of the session's record.
pub(super) const SESSION_HEAD: usize = 1 + 2 + 4 + 3 * 2;

/// What a message's record says besides its content.
pub(super) struct Head {
    pub(super) number: u32,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Whole seconds until it expires, `u32::MAX` for never.
    pub(super) left: u32,
}

impl Head {
    pub(super) fn left(now: Instant, expires: Instant) -> u32 {
        match expires {
            Instant::MAX => u32::MAX,
            at => at.since(now).as_secs().min(u64::from(u32::MAX - 1)) as u32,
        }
    }

    /// Writes the record.
    pub(super) fn encode(&self, content: &Content<'_>, to: &mut impl Sink) -> Option<usize> {
        let start = to.len();
        to.put(&self.number.to_le_bytes())?;
        to.put(&[self.qos as u8 | u8::from(self.retain) << 2])?;
        to.put(&self.left.to_le_bytes())?;
        to.put(&u16::try_from(content.topic.len()).ok()?.to_le_bytes())?;
        to.put(&u16::try_from(content.props.len()).ok()?.to_le_bytes())?;
        [content.topic.as_bytes(), content.props, content.payload]
            .into_iter()
            .try_for_each(|part| to.put(part))?;
        Some(to.len() - start)
    }

    /// Reads a record.
    pub(super) fn decode(value: &[u8]) -> Option<(Self, Content<'_>)> {
        let mut from = In(value);
        let number = from.u32().filter(|n| *n != 0)?;
        let flags = from.u8()?;
        let left = from.u32()?;
        let (topic, props) = (from.u16()?, from.u16()?);
        let (topic, props) = (from.take(topic.into())?, from.take(props.into())?);
        let content = Content { topic: core::str::from_utf8(topic).ok()?, props, payload: from.0 };
        let qos = QoS::try_from(flags & 3).ok()?;
        Some((Self { number, qos, retain: flags & 4 != 0, left }, content))
    }
}

impl<S: Store> Session<'_, S> {
    pub(super) fn encode_message(
        &self,
        now: Instant,
        number: u32,
        key: Key,
        to: &mut impl Sink,
    ) -> Option<usize> {
        let (meta, content) = (self.store.meta(key)?, self.store.content(key)?);
        let left = Head::left(now, meta.expires);
        Head { number, qos: meta.qos, retain: meta.retain, left }.encode(&content, to)
    }

    pub(super) fn encode_session(&self, to: &mut impl Sink) -> Option<usize> {
        let under_way = |stage| {
            let keys = core::iter::successors(self.store.first(stage), |k| self.store.next(*k));
            keys.filter_map(|k| self.store.meta(k)).filter_map(|m| {
                let at = usize::from(m.kept).checked_sub(1)?;
                Some((self.kept.slots.as_slice().get(at)?.wanted, m.pid))
            })
        };
        let start = to.len();
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
        Some(to.len() - start)
    }

    /// Takes back a message's record, found on the medium under `key`.
    ///
    /// # Errors
    /// The record makes no sense, or there is no room: the message is not there.
    pub fn restore(&mut self, now: Instant, key: u16, value: &[u8]) -> Result<(), Unreadable> {
        let (head, content) = Head::decode(value).ok_or(Unreadable)?;
        self.kept.slots.extend_to(key.into());
        self.restore_message(now, (key, Tag::NONE), &head, content).ok_or(Unreadable)
    }

    /// Puts a message whose record is there at the end of the queue.
    pub(super) fn restore_message(
        &mut self,
        now: Instant,
        (kept, tag): (u16, Tag),
        head: &Head,
        content: Content<'_>,
    ) -> Option<()> {
        self.kept.slot(kept)?;
        let expires = match head.left {
            u32::MAX => Instant::MAX,
            secs => now + Duration::from_secs(secs.into()),
        };
        let meta = Meta {
            stage: Stage::Queued,
            tag,
            qos: head.qos,
            retain: head.retain,
            pid: 0,
            kept,
            connection: 0,
            repeats: 0,
            accepted: now,
            sent: now,
            expires,
        };
        let key = self.store.push(meta, content).ok()?;
        self.kept.put_there(kept, head.number, key);
        self.kept.next = self.kept.next.max(Kept::after(head.number));
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
        self.waiting.recount(&self.store);
        self.resume_from(session)
    }

    pub(super) fn resume_from(&mut self, session: &[u8]) -> Result<(), Unreadable> {
        if session.is_empty() {
            return Ok(());
        }
        let result = self.restore_session(session).ok_or(Unreadable);
        // The broker may have begun a new session since, of which the record does not tell.
        self.doubt = result.is_ok();
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
                    self.waiting.left(&self.store, key);
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

/// Numbers of the messages that were under way when the session's record was written. Some may be over.
#[cfg(feature = "alloc")]
pub fn under_way(session: &[u8]) -> impl Iterator<Item = u32> {
    let counts = session.get(SESSION_HEAD - 6..).map(In);
    let count = counts.and_then(|mut c| Some(usize::from(c.u16()?) + usize::from(c.u16()?)));
    let mut entries = In(session.get(SESSION_HEAD..).unwrap_or_default());
    (0..count.unwrap_or(0)).map_while(move |_| {
        let number = entries.u32();
        entries.u16().and(number)
    })
}

/// Where a record is written to.
pub(super) trait Sink {
    /// Bytes written.
    fn len(&self) -> usize;
    /// Writes; `None` if there is no room.
    fn put(&mut self, part: &[u8]) -> Option<()>;
}

pub(super) struct Slice<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> Slice<'a> {
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0 }
    }
}

impl Sink for Slice<'_> {
    fn len(&self) -> usize {
        self.at
    }

    fn put(&mut self, part: &[u8]) -> Option<()> {
        let end = self.at.checked_add(part.len())?;
        copy(self.out.get_mut(self.at..end)?, part);
        self.at = end;
        Some(())
    }
}

#[cfg(feature = "alloc")]
impl Sink for alloc::vec::Vec<u8> {
    fn len(&self) -> usize {
        self.len()
    }

    fn put(&mut self, part: &[u8]) -> Option<()> {
        self.extend_from_slice(part);
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
