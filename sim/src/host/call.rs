//! What an application would call.

use everlink_proto::engine::{Engine, Outgoing, Receipt, Refused, Subscription, Tag};
use everlink_proto::time::{Duration, Instant};
use everlink_proto::topic::{TopicFilter, TopicName};
use everlink_proto::wire::{Disconnect, Properties, QoS, SubscribeOptions};

use super::Host;

/// A message to publish, with defaults for what a test does not care about.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    /// Topic Name.
    pub topic: &'a str,
    /// The application message.
    pub payload: &'a [u8],
    /// Quality of service.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// MQTT 5 properties.
    pub props: Properties<'a>,
    /// Of no use after this time.
    pub expiry: Option<Duration>,
}

impl<'a> Post<'a> {
    /// A message that does not expire and is not retained.
    pub fn new(topic: &'a str, payload: &'a [u8], qos: QoS) -> Self {
        let props = Properties::EMPTY;
        Self { topic, payload, qos, retain: false, props, expiry: None }
    }
}

impl<E: Engine> Host<E> {
    fn tag(&mut self) -> Tag {
        self.next_tag += 1;
        Tag(self.next_tag)
    }

    /// Starts connecting.
    pub fn open(&mut self, now: Instant) {
        self.engine.open(now);
        self.touch();
    }

    /// Leaves.
    pub fn close(&mut self, now: Instant) {
        self.engine.close(now, Disconnect::default());
        self.touch();
    }

    /// Publishes; the tag names the message in [`Recorder::fate`](super::Recorder::fate).
    ///
    /// # Errors
    /// What the engine says.
    ///
    /// # Panics
    /// If the topic is no Topic Name.
    pub fn post(&mut self, now: Instant, post: Post<'_>) -> Result<Tag, Refused> {
        let tag = self.tag();
        let Ok(topic) = TopicName::new(post.topic) else { panic!("{:?} as topic", post.topic) };
        let Post { payload, qos, retain, props, expiry, .. } = post;
        let message = Outgoing { topic, payload, qos, retain, props, expiry, tag };
        self.inbox.now = now;
        let result = self.engine.publish(now, &message, &mut self.inbox);
        self.touch();
        result.map(|()| tag)
    }

    /// Subscribes, with all options.
    ///
    /// # Errors
    /// What the engine says.
    ///
    /// # Panics
    /// If the filter is no Topic Filter.
    pub fn subscribe_with(
        &mut self,
        now: Instant,
        filter: &str,
        options: SubscribeOptions,
        id: u32,
    ) -> Result<Tag, Refused> {
        let tag = self.tag();
        let Ok(filter) = TopicFilter::new(filter) else { panic!("{filter:?} as filter") };
        self.inbox.subscriptions.insert(tag.0);
        let subscription = Subscription { filter, options, id, props: Properties::EMPTY, tag };
        self.inbox.now = now;
        let result = self.engine.subscribe(now, &subscription, &mut self.inbox);
        self.touch();
        result.map(|()| tag)
    }

    /// Unsubscribes.
    ///
    /// # Errors
    /// What the engine says.
    ///
    /// # Panics
    /// If the filter is no Topic Filter.
    pub fn unsubscribe(&mut self, now: Instant, filter: &str) -> Result<Tag, Refused> {
        let tag = self.tag();
        let Ok(filter) = TopicFilter::new(filter) else { panic!("{filter:?} as filter") };
        self.inbox.now = now;
        let result = self.engine.unsubscribe(now, filter, tag, &mut self.inbox);
        self.touch();
        result.map(|()| tag)
    }

    /// Acknowledges a message whose acknowledgement was put off.
    ///
    /// # Errors
    /// What the engine says.
    pub fn acknowledge(&mut self, now: Instant, receipt: Receipt) -> Result<(), Refused> {
        let result = self.engine.acknowledge(now, receipt);
        self.touch();
        result
    }
}
