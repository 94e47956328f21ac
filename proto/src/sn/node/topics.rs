//! Topic ids: those of the present session, learnt by registering, from SUBACK or from the gateway's
//! REGISTER, and those known beforehand.

use super::config::Predefined;
use crate::mem::{Table, Text, Texts};
use crate::sn::wire::{Filter, ShortTopic, Topic};

/// A Topic Name and its topic id.
#[derive(Clone, Copy, Debug, Default)]
pub struct TopicSlot {
    name: Text,
    /// 0 while its REGACK is awaited.
    id: u16,
    /// MsgId of its REGISTER.
    asked: u16,
}

/// Ordered by use, so that the first entry is the one longest not used.
#[derive(Debug)]
pub(super) struct Topics<'m> {
    entries: Table<'m, TopicSlot>,
    names: Texts<'m>,
    predefined: &'m [Predefined<'m>],
}

impl<'m> Topics<'m> {
    pub(super) fn new(
        entries: Table<'m, TopicSlot>,
        names: Table<'m, u8>,
        predefined: &'m [Predefined<'m>],
    ) -> Self {
        Self { entries, names: Texts::new(names), predefined }
    }

    /// What stands for `name` in PUBLISH without a registration (6.7).
    pub(super) fn known_beforehand(&self, name: &str) -> Option<Topic> {
        let listed = self.predefined.iter().find(|(_, n)| *n == name);
        let listed = listed.map(|(id, _)| Topic::Predefined(*id));
        listed.or_else(|| ShortTopic::new(name).map(Topic::Short))
    }

    /// How `filter` is said in SUBSCRIBE and UNSUBSCRIBE.
    pub(super) fn filter<'f>(&self, filter: &'f str) -> Filter<'f> {
        match self.known_beforehand(filter) {
            Some(Topic::Predefined(id)) => Filter::Predefined(id),
            // (6.7) No wildcards in short topic names.
            Some(Topic::Short(name)) if name.is_name() => Filter::Short(name),
            _ => Filter::Name(filter),
        }
    }

    /// Whether a name of so many octets can be registered at all.
    pub(super) fn takes(&self, name: &str) -> bool {
        name.len() <= self.names.limit() && self.entries.limit() > 0
    }

    /// What stands for `name`, if it is known; that counts as a use.
    pub(super) fn find(&mut self, name: &str) -> Option<Topic> {
        if let Some(topic) = self.known_beforehand(name) {
            return Some(topic);
        }
        let at = self.position(name)?;
        let slot = self.entries.as_slice().get(at).copied().filter(|s| s.id != 0)?;
        self.entries.remove(at);
        let _ = self.entries.push(slot);
        Some(Topic::Id(slot.id))
    }

    /// The Topic Name behind a topic id; of a short name, the name is the caller's.
    pub(super) fn name(&self, topic: Topic) -> Option<&str> {
        match topic {
            Topic::Short(_) => None,
            Topic::Predefined(id) => {
                self.predefined.iter().find(|(i, _)| *i == id).map(|(_, name)| *name)
            }
            Topic::Id(0) => None,
            Topic::Id(id) => {
                let slot = self.entries.as_slice().iter().find(|s| s.id == id)?;
                Some(self.text(slot.name))
            }
        }
    }

    /// Notes that `name` is asked about with REGISTER `msg_id`; `false` if there is no room.
    pub(super) fn ask(&mut self, name: &str, msg_id: u16) -> bool {
        self.put(name, 0, msg_id)
    }

    /// The name asked about with REGISTER `msg_id`.
    pub(super) fn asked(&self, msg_id: u16) -> Option<&str> {
        let slot = self.entries.as_slice().iter().find(|s| s.id == 0 && s.asked == msg_id)?;
        Some(self.text(slot.name))
    }

    /// REGACK `msg_id` came; `None` says the name was not accepted.
    pub(super) fn answered(&mut self, msg_id: u16, id: Option<u16>) {
        let position = |s: &TopicSlot| s.id == 0 && s.asked == msg_id;
        let Some(at) = self.entries.as_slice().iter().position(position) else { return };
        match id {
            Some(id) => {
                let at = if self.forget_id_but(id, at) { at - 1 } else { at };
                if let Some(slot) = self.entries.as_mut_slice().get_mut(at) {
                    slot.id = id;
                }
            }
            None => self.take(at),
        }
    }

    /// The gateway says so; `false` if there is no room.
    pub(super) fn learn(&mut self, name: &str, id: u16) -> bool {
        self.forget_id(id);
        self.put(name, id, 0)
    }

    pub(super) fn forget(&mut self, name: &str) {
        if let Some(at) = self.position(name) {
            self.take(at);
        }
    }

    pub(super) fn forget_id(&mut self, id: u16) {
        self.forget_id_but(id, usize::MAX);
    }

    /// A new session: no id is known.
    pub(super) fn clear(&mut self) {
        self.entries.truncate(0);
        self.names.clear();
    }

    /// Whether an entry before `but` was taken out.
    fn forget_id_but(&mut self, id: u16, but: usize) -> bool {
        let other = self.entries.as_slice().iter().position(|s| s.id == id && s.id != 0);
        match other.filter(|at| *at != but) {
            Some(at) => {
                self.take(at);
                at < but
            }
            None => false,
        }
    }

    fn put(&mut self, name: &str, id: u16, asked: u16) -> bool {
        if !self.takes(name) {
            return false;
        }
        self.forget(name);
        while self.entries.is_full() || self.names.room() < name.len() {
            self.take(0);
        }
        let Some(name) = self.names.add(&[name.as_bytes()]) else { return false };
        self.entries.push(TopicSlot { name, id, asked })
    }

    fn take(&mut self, at: usize) {
        let Some(slot) = self.entries.as_slice().get(at).copied() else { return };
        self.entries.remove(at);
        self.names.remove(slot.name);
        for other in self.entries.as_mut_slice() {
            other.name = Texts::moved(other.name, slot.name);
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        let same = |s: &TopicSlot| self.names.get(s.name) == name.as_bytes();
        self.entries.as_slice().iter().position(same)
    }

    fn text(&self, name: Text) -> &str {
        // Went in as text.
        core::str::from_utf8(self.names.get(name)).unwrap_or_default()
    }
}
