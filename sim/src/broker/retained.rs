//! Retained messages (3.3.1.3).

use everlink_proto::topic::TopicFilter;
use everlink_proto::wire::RetainHandling;

use super::message::{Delivery, Sub};
use super::*;

impl Broker {
    /// Keeps the message for later subscribers; an empty one deletes what is kept.
    pub(super) fn retain(&mut self, message: &Message) {
        if message.payload.is_empty() {
            self.retained.remove(&message.topic);
        } else {
            self.retained.insert(message.topic.clone(), message.clone());
        }
    }

    /// The retained message of a topic.
    pub fn retained(&self, topic: &str) -> Option<&[u8]> {
        self.retained.get(topic).map(|m| m.payload.as_slice())
    }

    /// Queues what is retained for a subscription just made; `new` if it replaced none.
    pub(super) fn queue_retained(&mut self, client: &str, filter: &str, sub: Sub, new: bool) {
        let wanted = match sub.options.retain_handling {
            RetainHandling::AtSubscribe => true,
            RetainHandling::IfNew => new,
            RetainHandling::Never => false,
        };
        let Ok(filter) = TopicFilter::new(filter) else { return };
        if !wanted || filter.is_shared() {
            return;
        }
        let now = self.now;
        self.retained.retain(|_, m| !m.is_expired(now));
        let matching: Vec<_> =
            self.retained.values().filter(|m| filter.matches(&m.topic)).cloned().collect();
        for message in matching {
            let qos = message.qos.min(sub.options.qos);
            let ids = sub.id.into_iter().collect();
            self.queue(client, Delivery { message, qos, retain: true, ids });
        }
    }
}
