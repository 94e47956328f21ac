//! Subscriptions: wanted, asked for, active, and restored when a session is lost.

use super::liveness::{came_out, is_out};
use crate::engine::{Subscription, Tag};
use crate::mem::{Table, Text, Texts};
use crate::time::Instant;
use crate::wire::SubscribeOptions;

/// One Topic Filter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sub {
    pub(crate) tag: Tag,
    pub(crate) id: u32,
    pub(crate) filter: Text,
    pub(crate) props: Text,
    pub(crate) options: SubscribeOptions,
    pub(crate) state: SubState,
    pub(crate) pid: u16,
    pub(crate) sent: Instant,
}

impl Sub {
    fn is_awaiting(&self) -> bool {
        matches!(self.state, SubState::Asked | SubState::Leaving)
    }
}

/// How far it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SubState {
    /// SUBSCRIBE is to be sent.
    #[default]
    Wanted,
    /// SUBSCRIBE sent, SUBACK awaited.
    Asked,
    /// The broker has it.
    Active,
    /// UNSUBSCRIBE is to be sent.
    Unwanted,
    /// UNSUBSCRIBE sent, UNSUBACK awaited.
    Leaving,
}

#[derive(Debug)]
pub(crate) struct Subs<'m> {
    entries: Table<'m, Sub>,
    texts: Texts<'m>,
    /// Some entry is `Wanted` or `Unwanted`.
    due: bool,
    /// Entries that await an acknowledgement.
    awaited: usize,
    /// When the last one came.
    answered: Instant,
    /// Something changed that a record of them would say.
    #[cfg(feature = "alloc")]
    unrecorded: bool,
}

impl<'m> Subs<'m> {
    pub(crate) fn new(entries: Table<'m, Sub>, texts: Table<'m, u8>) -> Self {
        Self {
            entries,
            texts: Texts::new(texts),
            due: false,
            awaited: 0,
            answered: Instant::ZERO,
            #[cfg(feature = "alloc")]
            unrecorded: false,
        }
    }

    /// Adds the filter or changes the one there. Gives the tag of an operation this one
    /// overtakes; `None` if there is no room.
    pub(crate) fn want(&mut self, s: &Subscription<'_>, props: &[u8]) -> Option<Tag> {
        let sub = Sub { tag: s.tag, id: s.id, options: s.options, ..Sub::default() };
        self.replace(sub, s.filter.as_str(), props)
    }

    /// Marks the filter as no longer wanted. As [`want`](Self::want).
    pub(crate) fn unwant(&mut self, filter: &str, tag: Tag) -> Option<Tag> {
        let sub = Sub { tag, state: SubState::Unwanted, ..Sub::default() };
        self.replace(sub, filter, &[])
    }

    /// Puts an entry in place of the one on the same filter, if there is one. Changes nothing if
    /// there is no room.
    fn replace(&mut self, sub: Sub, filter: &str, props: &[u8]) -> Option<Tag> {
        let old = self.position(filter);
        let freed = old.and_then(|at| self.get(at)).map_or(0, |s| s.filter.len() + s.props.len());
        if self.entries.is_full() && old.is_none()
            || filter.len() + props.len() > self.texts.room() + freed
        {
            return None;
        }
        let overtaken = old.and_then(|at| self.take(at)).map_or(Tag::NONE, |old| pending_tag(&old));
        self.add(sub, filter, props).then_some(overtaken)
    }

    fn add(&mut self, mut sub: Sub, filter: &str, props: &[u8]) -> bool {
        if self.entries.is_full() {
            return false;
        }
        let Some(filter) = self.texts.add(&[filter.as_bytes()]) else { return false };
        let Some(props) = self.texts.add(&[props]) else {
            self.texts.remove(filter);
            return false;
        };
        (sub.filter, sub.props) = (filter, props);
        self.due = true;
        self.changed();
        self.entries.push(sub)
    }

    fn position(&self, filter: &str) -> Option<usize> {
        self.entries.as_slice().iter().position(|s| self.texts.get(s.filter) == filter.as_bytes())
    }

    /// Removes an entry.
    pub(crate) fn take(&mut self, at: usize) -> Option<Sub> {
        let sub = self.entries.as_slice().get(at).copied()?;
        self.entries.remove(at);
        self.changed();
        self.awaited -= usize::from(sub.is_awaiting());
        // Props lie behind the filter, so removing them first moves nothing we still need.
        for removed in [sub.props, sub.filter] {
            self.texts.remove(removed);
            for s in self.entries.as_mut_slice() {
                s.filter = Texts::moved(s.filter, removed);
                s.props = Texts::moved(s.props, removed);
            }
        }
        Some(sub)
    }

    /// The next entry that has something to send.
    pub(crate) fn next_due(&mut self) -> Option<usize> {
        if !self.due {
            return None;
        }
        let at = self
            .entries
            .as_slice()
            .iter()
            .position(|s| matches!(s.state, SubState::Wanted | SubState::Unwanted));
        self.due = at.is_some();
        at
    }

    /// The entry waiting for the acknowledgement `pid`.
    pub(crate) fn awaiting(&self, pid: u16) -> Option<usize> {
        self.entries.as_slice().iter().position(|s| s.pid == pid && s.is_awaiting())
    }

    /// The packet of entry `at` went out.
    pub(crate) fn asked(&mut self, at: usize, pid: u16, now: Instant) {
        let Some(s) = self.entries.as_mut_slice().get_mut(at) else { return };
        s.state = if s.state == SubState::Unwanted { SubState::Leaving } else { SubState::Asked };
        (s.pid, s.sent) = (pid, now);
        self.awaited += 1;
    }

    /// The broker granted entry `at`.
    pub(crate) fn granted(&mut self, at: usize) {
        if let Some(s) = self.entries.as_mut_slice().get_mut(at).filter(|s| s.is_awaiting()) {
            s.state = SubState::Active;
            self.awaited -= 1;
            self.changed();
        }
    }

    fn changed(&mut self) {
        #[cfg(feature = "alloc")]
        {
            self.unrecorded = true;
        }
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Sub> {
        self.entries.as_slice().get(at)
    }

    pub(crate) fn filter(&self, sub: &Sub) -> &str {
        core::str::from_utf8(self.texts.get(sub.filter)).unwrap_or("")
    }

    pub(crate) fn props(&self, sub: &Sub) -> &[u8] {
        self.texts.get(sub.props)
    }

    /// Since when the oldest acknowledgement is awaited, of packets that are
    /// [out](super::liveness::is_out); at the earliest since the last one came, so that a slow
    /// path that makes progress is not taken for a dead one.
    pub(crate) fn awaited_since(&self, unsent: Option<Instant>) -> Option<Instant> {
        if self.awaited == 0 {
            return None;
        }
        let awaited = self.entries.as_slice().iter().filter(|s| s.is_awaiting());
        let sent = awaited.map(|s| s.sent).filter(|sent| is_out(*sent, unsent));
        Some(sent.min()?.max(self.answered))
    }

    /// The pipe took packets; see [`came_out`].
    pub(crate) fn came_out(
        &mut self,
        now: Instant,
        before: Option<Instant>,
        unsent: Option<Instant>,
    ) {
        if self.awaited == 0 {
            return;
        }
        let awaited = self.entries.as_mut_slice().iter_mut().filter(|s| s.is_awaiting());
        for s in awaited.filter(|s| came_out(s.sent, before, unsent)) {
            s.sent = now;
        }
    }

    /// An acknowledgement came.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.answered = now;
    }

    /// What is awaited is awaited from now on.
    pub(crate) fn restart_clocks(&mut self, now: Instant) {
        for s in self.entries.as_mut_slice().iter_mut().filter(|s| s.is_awaiting()) {
            s.sent = now;
        }
    }

    /// The connection is gone: what was asked must be asked again.
    pub(crate) fn connection_lost(&mut self) {
        for s in self.entries.as_mut_slice() {
            s.state = match s.state {
                SubState::Asked => SubState::Wanted,
                SubState::Leaving => SubState::Unwanted,
                other => other,
            };
        }
        self.awaited = 0;
        self.due = true;
    }

    /// The broker has forgotten the session: what was active must be asked for again.
    pub(crate) fn session_lost(&mut self) {
        for s in self.entries.as_mut_slice().iter_mut().filter(|s| s.state == SubState::Active) {
            s.state = SubState::Wanted;
        }
        self.due = true;
    }
}

/// A record of all that is wanted: what survives a loss of power on a machine with an allocator. On a board the
/// program subscribes at each start.
#[cfg(feature = "alloc")]
impl Subs<'_> {
    /// Whether the record is not what it was.
    pub(crate) fn is_unrecorded(&self) -> bool {
        self.unrecorded
    }

    /// Writes the record.
    pub(crate) fn record(&mut self, out: &mut alloc::vec::Vec<u8>) {
        self.unrecorded = false;
        let wanted = |s: &&Sub| !matches!(s.state, SubState::Unwanted | SubState::Leaving);
        for s in self.entries.as_slice().iter().filter(wanted) {
            let granted = u8::from(s.state == SubState::Active);
            out.extend_from_slice(&[s.options.to_byte(), granted]);
            out.extend_from_slice(&s.id.to_le_bytes());
            for text in [self.texts.get(s.filter), self.texts.get(s.props)] {
                // Both fit into one packet.
                out.extend_from_slice(&(text.len() as u32).to_le_bytes());
                out.extend_from_slice(text);
            }
        }
    }

    /// Takes back what a record says; `None` if it makes no sense.
    pub(crate) fn restore(&mut self, mut record: &[u8]) -> Option<()> {
        while !record.is_empty() {
            let [options, granted] = cut(&mut record)?;
            let id = u32::from_le_bytes(cut(&mut record)?);
            let mut texts = [&[][..]; 2];
            for text in &mut texts {
                let len = u32::from_le_bytes(cut(&mut record)?) as usize;
                (*text, record) = record.split_at_checked(len)?;
            }
            let options = SubscribeOptions::from_byte(options).ok()?;
            let state = if granted == 1 { SubState::Active } else { SubState::Wanted };
            let filter = core::str::from_utf8(texts[0]).ok()?;
            let sub = Sub { options, id, state, ..Sub::default() };
            self.add(sub, filter, texts[1]).then_some(())?;
        }
        self.unrecorded = false;
        Some(())
    }
}

#[cfg(feature = "alloc")]
fn cut<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*first)
}

/// Whom an entry still owes an answer.
fn pending_tag(sub: &Sub) -> Tag {
    if sub.state == SubState::Active { Tag::NONE } else { sub.tag }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_full_to_the_last_byte_and_not_one_further() {
        let (mut entries, mut texts) = ([Sub::default(); 3], [0; 20]);
        let mut subs = Subs::new(Table::fixed(&mut entries), Table::fixed(&mut texts));
        let sub = Sub::default();
        assert!(subs.replace(sub, "aaaaaaaaaa", &[]).is_some());
        assert!(subs.replace(sub, "bbbbbbbb", &[1, 2, 3]).is_none());
        assert!(subs.replace(sub, "bbbbbbbb", &[1, 2]).is_some());
        assert!(subs.replace(sub, "c", &[]).is_none());
        // What takes the place of another has its bytes.
        assert!(subs.replace(sub, "bbbbbbbb", &[1, 2, 3]).is_none());
        assert!(subs.replace(sub, "bbbbbbbb", &[3]).is_some());
        assert!(subs.replace(sub, "c", &[]).is_some());
        assert!(subs.replace(sub, "", &[]).is_none(), "three entries");
        let kept: [_; 3] =
            core::array::from_fn(|at| subs.get(at).map(|s| (s.filter.len(), s.props.len())));
        assert_eq!(kept, [Some((10, 0)), Some((8, 1)), Some((1, 0))]);
    }
}
