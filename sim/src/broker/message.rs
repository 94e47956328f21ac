//! Messages the broker owns.

use everlink_proto::time::{Duration, Instant};
use everlink_proto::wire::{Properties, Property, QoS, ReasonCode, SubscribeOptions, Will};

/// An application message.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Encoded properties that are forwarded as they are.
    pub(super) props: Vec<u8>,
    /// Message Expiry Interval, counted from when it is published.
    lifetime: Option<Duration>,
    born: Instant,
}

impl Message {
    pub(super) fn new(topic: &str, payload: &[u8], qos: QoS, retain: bool) -> Self {
        let (topic, payload) = (topic.to_owned(), payload.to_vec());
        let (props, lifetime, born) = (Vec::new(), None, Instant::ZERO);
        Self { topic, payload, qos, retain, props, lifetime, born }
    }

    /// With the properties of a PUBLISH or a will.
    pub(super) fn with_props(mut self, props: Properties<'_>) -> Self {
        self.lifetime = props.message_expiry().map(|secs| Duration::from_secs(u64::from(secs)));
        self.props = forwarded(props);
        self
    }

    pub(super) fn of_will(will: &Will<'_>) -> Self {
        Self::new(will.topic, will.payload, will.qos, will.retain).with_props(will.props)
    }

    pub(super) fn published(&mut self, now: Instant) {
        self.born = now;
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.lifetime.is_some_and(|lifetime| self.born + lifetime <= now)
    }

    /// The Message Expiry Interval to forward [MQTT-3.3.2-6].
    pub(super) fn remaining(&self, now: Instant) -> Option<u32> {
        let left = |lifetime| (self.born + lifetime).since(now).as_micros().div_ceil(1_000_000);
        self.lifetime.map(|lifetime| left(lifetime) as u32)
    }
}

/// What a server passes on unaltered (3.3.2.3).
fn forwarded(props: Properties<'_>) -> Vec<u8> {
    use Property::*;
    let list: Vec<_> = props
        .iter()
        .filter(|p| {
            matches!(
                p,
                PayloadFormatIndicator(_)
                    | ContentType(_)
                    | ResponseTopic(_)
                    | CorrelationData(_)
                    | UserProperty(..)
            )
        })
        .collect();
    let props = Properties::from_list(&list);
    let mut raw = vec![0; props.encoded_len()];
    let n = props.encode_raw(&mut raw).unwrap_or(0);
    raw.truncate(n);
    raw
}

/// A message on its way to one subscriber.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) message: Message,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Subscription Identifiers.
    pub(super) ids: Vec<u32>,
}

/// A subscription of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sub {
    pub(super) options: SubscribeOptions,
    pub(super) id: Option<u32>,
}

/// A message that the broker took from a client; at QoS 2 exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// When.
    pub at: Instant,
    /// Client Identifier of the publisher.
    pub client: String,
    /// Topic Name, aliases resolved.
    pub topic: String,
    /// The application message.
    pub payload: Vec<u8>,
    /// Quality of service.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// DUP flag.
    pub dup: bool,
    /// Message Expiry Interval, in seconds.
    pub expiry: Option<u32>,
    /// Packet Identifier, 0 at QoS 0.
    pub pid: u16,
}

impl Accepted {
    /// The application message as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

/// A publication that the broker refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedPublish {
    /// Topic Name.
    pub topic: String,
    /// Why.
    pub reason: ReasonCode,
}
