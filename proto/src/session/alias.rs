//! Topic Aliases, both ways. They live and die with the connection `[MQTT-3.3.2-7]`.

use super::abilities::ALIASES;
use crate::mem::{Table, Text, Texts, hash};

/// Aliases the broker has set.
#[derive(Debug)]
pub(super) struct InboundAliases<'m> {
    entries: Table<'m, Text>,
    texts: Texts<'m>,
}

impl<'m> InboundAliases<'m> {
    pub(super) fn new(entries: Table<'m, Text>, texts: Table<'m, u8>) -> Self {
        Self { entries, texts: Texts::new(texts) }
    }

    /// The Topic Alias Maximum to advertise.
    pub(super) fn maximum(&self) -> u16 {
        if ALIASES { self.entries.limit().min(usize::from(u16::MAX)) as u16 } else { 0 }
    }

    pub(super) fn clear(&mut self) {
        self.entries.truncate(0);
        self.texts.clear();
    }

    /// [MQTT-3.3.2-10] All up to the maximum announced.
    /// Remembers `topic` under `alias`; `false` if the alias is out of range or memory is out.
    pub(super) fn set(&mut self, alias: u16, topic: &str) -> bool {
        let at = usize::from(alias).checked_sub(1).filter(|_| ALIASES);
        let Some(at) = at else { return false };
        self.entries.extend_to(at + 1);
        let Some(old) = self.entries.as_slice().get(at).copied() else { return false };
        if self.texts.get(old) == topic.as_bytes() {
            return true;
        }
        self.texts.remove(old);
        for entry in self.entries.as_mut_slice() {
            *entry = Texts::moved(*entry, old);
        }
        let new = self.texts.add(&[topic.as_bytes()]);
        if let Some(entry) = self.entries.as_mut_slice().get_mut(at) {
            *entry = new.unwrap_or_default();
        }
        new.is_some()
    }

    /// The Topic Name behind `alias`.
    pub(super) fn get(&self, alias: u16) -> Option<&str> {
        let at = usize::from(alias).checked_sub(1).filter(|_| ALIASES)?;
        let text = self.entries.as_slice().get(at).filter(|t| !t.is_empty())?;
        core::str::from_utf8(self.texts.get(*text)).ok()
    }
}

/// A Topic Name we gave an alias.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutboundAlias {
    hash: u32,
    text: Text,
}

/// Aliases we have set: the first topics of the connection get them.
#[derive(Debug)]
pub(super) struct OutboundAliases<'m> {
    entries: Table<'m, OutboundAlias>,
    texts: Texts<'m>,
    /// What the broker allows on this connection.
    maximum: u16,
}

/// What to write in place of a Topic Name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alias {
    None,
    /// Topic Name and alias: the broker learns it.
    New(u16),
    /// Alias only.
    Known(u16),
}

impl<'m> OutboundAliases<'m> {
    pub(super) fn new(entries: Table<'m, OutboundAlias>, texts: Table<'m, u8>) -> Self {
        Self { entries, texts: Texts::new(texts), maximum: 0 }
    }

    /// A new connection on which the broker allows `maximum` aliases.
    pub(super) fn reset(&mut self, maximum: u16) {
        self.entries.truncate(0);
        self.texts.clear();
        self.maximum = maximum;
    }

    /// [MQTT-3.2.2-17], [MQTT-3.2.2-18], [MQTT-3.3.2-9] Never more than the broker allows.
    /// What to write for `topic`. A new alias must then be [learnt](Self::learn).
    pub(super) fn find(&self, topic: &str) -> Alias {
        // The property costs three bytes.
        if !ALIASES || self.maximum == 0 || topic.len() <= 3 {
            return Alias::None;
        }
        let hash = hash(topic);
        let entries = self.entries.as_slice();
        let known = entries
            .iter()
            .position(|e| e.hash == hash && self.texts.get(e.text) == topic.as_bytes());
        match known {
            Some(at) => Alias::Known(at as u16 + 1),
            None if entries.len() < usize::from(self.maximum) && !self.entries.is_full() => {
                Alias::New(entries.len() as u16 + 1)
            }
            None => Alias::None,
        }
    }

    /// The packet that sets the next alias is on its way.
    pub(super) fn learn(&mut self, topic: &str) {
        let text = self.texts.add(&[topic.as_bytes()]).unwrap_or_default();
        // Without room for the text the alias is set but never found again: harmless.
        let _ = self.entries.push(OutboundAlias { hash: hash(topic), text });
    }
}
