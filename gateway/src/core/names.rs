//! A node's topic ids, subscriptions and will: what consists of names.

use everlink_proto::mem::{Table, Text, Texts};
use everlink_proto::sn::wire::ReturnCode;
use everlink_proto::wire::QoS;

use super::Will;

/// A topic id.
#[derive(Clone, Copy, Debug, Default)]
pub struct Topic {
    pub(crate) id: u16,
    pub(crate) name: Text,
    /// The node knows it; otherwise REGISTER goes before PUBLISH.
    pub(crate) known: bool,
    /// The node asked for it, so it is not taken away.
    pub(crate) wanted: bool,
}

/// A subscription.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subscribed {
    pub(crate) filter: Text,
    pub(crate) qos: QoS,
    /// The pre-defined topic id it was made with; 0: with a name.
    pub(crate) predefined: u16,
}

#[derive(Debug)]
pub(crate) struct Names<'m> {
    texts: Texts<'m>,
    pub(crate) topics: Table<'m, Topic>,
    pub(crate) subscriptions: Table<'m, Subscribed>,
    will_topic: Text,
    will_message: Text,
    will_qos: QoS,
    will_retain: bool,
    pub(crate) next_topic_id: u16,
}

impl<'m> Names<'m> {
    pub(crate) fn new(
        topics: Table<'m, Topic>,
        subscriptions: Table<'m, Subscribed>,
        texts: Table<'m, u8>,
    ) -> Self {
        Self {
            texts: Texts::new(texts),
            topics,
            subscriptions,
            will_topic: Text::EMPTY,
            will_message: Text::EMPTY,
            will_qos: QoS::AtMostOnce,
            will_retain: false,
            next_topic_id: 0,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.topics.truncate(0);
        self.subscriptions.truncate(0);
        self.texts.clear();
        (self.will_topic, self.will_message) = (Text::EMPTY, Text::EMPTY);
    }

    pub(crate) fn text(&self, text: Text) -> &str {
        core::str::from_utf8(self.texts.get(text)).unwrap_or_default()
    }

    pub(crate) fn will(&self) -> Option<Will<'_>> {
        (!self.will_topic.is_empty()).then(|| Will {
            topic: self.text(self.will_topic),
            message: self.texts.get(self.will_message),
            qos: self.will_qos,
            retain: self.will_retain,
        })
    }

    /// Topic and flags of the will. Without a topic there is none, and the message goes as well.
    /// `false`: there is no room.
    pub(crate) fn set_will_topic(&mut self, topic: &str, qos: QoS, retain: bool) -> bool {
        self.remove_text(self.will_topic);
        self.will_topic = Text::EMPTY;
        if topic.is_empty() {
            return self.set_will_message(&[]);
        }
        let Some(text) = self.texts.add(&[topic.as_bytes()]) else { return false };
        (self.will_topic, self.will_qos, self.will_retain) = (text, qos, retain);
        true
    }

    /// `false`: there is no room.
    pub(crate) fn set_will_message(&mut self, message: &[u8]) -> bool {
        self.remove_text(self.will_message);
        self.will_message = Text::EMPTY;
        let Some(text) = self.texts.add(&[message]) else { return false };
        self.will_message = text;
        true
    }

    /// Remembers a subscription, or changes it.
    ///
    /// # Errors
    /// There is no room.
    pub(crate) fn subscribe(
        &mut self,
        filter: &str,
        qos: QoS,
        predefined: u16,
    ) -> Result<(), ReturnCode> {
        if let Some(at) = self.find_subscription(filter) {
            if let Some(entry) = self.subscriptions.as_mut_slice().get_mut(at) {
                (entry.qos, entry.predefined) = (qos, predefined);
            }
            return Ok(());
        }
        if self.subscriptions.is_full() {
            return Err(ReturnCode::CONGESTION);
        }
        let text = self.texts.add(&[filter.as_bytes()]).ok_or(ReturnCode::CONGESTION)?;
        let entry = Subscribed { filter: text, qos, predefined };
        if self.subscriptions.push(entry) { Ok(()) } else { Err(ReturnCode::CONGESTION) }
    }

    pub(crate) fn unsubscribe(&mut self, filter: &str) {
        let Some(at) = self.find_subscription(filter) else { return };
        let gone = self.subscriptions.as_slice().get(at).map_or(Text::EMPTY, |s| s.filter);
        self.subscriptions.remove(at);
        self.remove_text(gone);
    }

    fn find_subscription(&self, filter: &str) -> Option<usize> {
        let is = |s: &Subscribed| self.texts.get(s.filter) == filter.as_bytes();
        self.subscriptions.as_slice().iter().position(is)
    }

    /// All subscriptions.
    pub(crate) fn filters(&self) -> impl Iterator<Item = (&str, QoS)> {
        self.subscriptions.as_slice().iter().map(|s| (self.text(s.filter), s.qos))
    }

    /// The pre-defined topic id that `topic` was subscribed to with.
    pub(crate) fn predefined(&self, topic: &str) -> Option<u16> {
        let at = self.find_subscription(topic)?;
        let id = self.subscriptions.as_slice().get(at)?.predefined;
        (id != 0).then_some(id)
    }

    /// The id of `topic` for the node, made if need be. `wanted`: the node asked, and is told.
    ///
    /// # Errors
    /// There is no room.
    pub(crate) fn register(&mut self, topic: &str, wanted: bool) -> Result<u16, ReturnCode> {
        let is = |entry: &&mut Topic| self.texts.get(entry.name) == topic.as_bytes();
        if let Some(entry) = self.topics.as_mut_slice().iter_mut().find(is) {
            entry.known |= wanted;
            entry.wanted |= wanted;
            return Ok(entry.id);
        }
        while self.topics.is_full() || self.texts.room() < topic.len() {
            self.recycle()?;
        }
        let name = self.texts.add(&[topic.as_bytes()]).ok_or(ReturnCode::CONGESTION)?;
        let id = self.free_topic_id();
        let entry = Topic { id, name, known: wanted, wanted };
        if self.topics.push(entry) { Ok(id) } else { Err(ReturnCode::CONGESTION) }
    }

    /// A topic as it was before. `false`: there is no room.
    pub(crate) fn put_topic(&mut self, id: u16, topic: &str, known: bool, wanted: bool) -> bool {
        if self.topics.is_full() {
            return false;
        }
        let Some(name) = self.texts.add(&[topic.as_bytes()]) else { return false };
        self.topics.push(Topic { id, name, known, wanted })
    }

    pub(crate) fn named(&self, topic: &str) -> Option<&Topic> {
        self.topics.as_slice().iter().find(|t| self.texts.get(t.name) == topic.as_bytes())
    }

    pub(crate) fn topic(&self, id: u16) -> Option<&Topic> {
        self.topics.as_slice().iter().find(|topic| topic.id == id)
    }

    pub(crate) fn topic_mut(&mut self, id: u16) -> Option<&mut Topic> {
        self.topics.as_mut_slice().iter_mut().find(|topic| topic.id == id)
    }

    /// The node may have forgotten: REGISTER goes before the next PUBLISH of each (6.5).
    pub(crate) fn doubt(&mut self) {
        self.topics.as_mut_slice().iter_mut().for_each(|topic| topic.known = false);
    }

    /// Takes away the oldest topic id that the gateway gave unasked. Ids are not used again soon, so a
    /// PUBLISH that is under way meets no other topic.
    fn recycle(&mut self) -> Result<(), ReturnCode> {
        let oldest = self.topics.as_slice().iter().position(|topic| !topic.wanted);
        let at = oldest.ok_or(ReturnCode::CONGESTION)?;
        let gone = self.topics.as_slice().get(at).map_or(Text::EMPTY, |topic| topic.name);
        self.topics.remove(at);
        self.remove_text(gone);
        Ok(())
    }

    /// Takes a text out, and moves what lies behind.
    fn remove_text(&mut self, gone: Text) {
        if gone.is_empty() {
            return;
        }
        self.texts.remove(gone);
        let moved = |text: &mut Text| *text = Texts::moved(*text, gone);
        self.topics.as_mut_slice().iter_mut().for_each(|topic| moved(&mut topic.name));
        self.subscriptions.as_mut_slice().iter_mut().for_each(|s| moved(&mut s.filter));
        moved(&mut self.will_topic);
        moved(&mut self.will_message);
    }

    /// 0x0000 and 0xFFFF are no topic ids (5.3.11).
    fn free_topic_id(&mut self) -> u16 {
        loop {
            self.next_topic_id = match self.next_topic_id {
                0xFFFE.. => 1,
                id => id + 1,
            };
            // Ends: with 65 534 topics all would be in use, and then any will do.
            if self.topic(self.next_topic_id).is_none() || self.topics.len() >= 0xFFFE {
                return self.next_topic_id;
            }
        }
    }
}
