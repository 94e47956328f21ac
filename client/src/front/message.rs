//! Received messages.

use std::sync::{Arc, Weak};

use bytes::{Bytes, BytesMut};
use everlink_proto::engine::{Incoming, Receipt, Refused};
use everlink_proto::wire::{Properties, QoS};

use super::shared::Shared;
use super::waiters::owned_user_properties;

/// An application message received from the broker.
#[derive(Clone, Debug)]
pub struct Message {
    /// Topic Name.
    pub topic: Arc<str>,
    /// The application message. Small ones that came together share up to 4 KiB of memory, which is
    /// free again when all of them are dropped: copy what is to be kept for long.
    pub payload: Bytes,
    /// Quality of service it came with.
    pub qos: QoS,
    /// Whether it was a retained message, or with Retain As Published, was published so.
    pub retain: bool,
    /// Whether the broker says it may have sent it before.
    pub dup: bool,
    packet_identifier: u16,
    sequence: u64,
    properties: Option<Box<MessageProperties>>,
    pub(crate) receipt: Option<(Receipt, Weak<Shared>)>,
}

/// MQTT 5 properties of a received message; all empty with 3.1.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageProperties {
    /// Payload Format Indicator: whether the payload is UTF-8 text.
    pub payload_is_utf8: Option<bool>,
    /// Message Expiry Interval left, in seconds.
    pub message_expiry: Option<u32>,
    /// Content Type.
    pub content_type: Option<String>,
    /// Response Topic: where to answer.
    pub response_topic: Option<String>,
    /// Correlation Data: what to answer with.
    pub correlation_data: Option<Bytes>,
    /// Subscription Identifiers of the subscriptions that matched.
    pub subscription_ids: Vec<u32>,
    /// Topic Alias that stood for the topic, or was defined, on the connection it came by.
    pub topic_alias: Option<u16>,
    /// User properties in order.
    pub user_properties: Vec<(String, String)>,
}

static NO_PROPERTIES: MessageProperties = MessageProperties {
    payload_is_utf8: None,
    message_expiry: None,
    content_type: None,
    response_topic: None,
    correlation_data: None,
    subscription_ids: Vec::new(),
    topic_alias: None,
    user_properties: Vec::new(),
};

impl Message {
    pub(crate) fn new(
        topic: Arc<str>,
        sequence: u64,
        payload: Bytes,
        incoming: &Incoming<'_>,
    ) -> Self {
        Self {
            topic,
            sequence,
            payload,
            qos: incoming.qos,
            retain: incoming.retain,
            dup: incoming.dup,
            packet_identifier: incoming.receipt.packet_identifier(),
            properties: MessageProperties::of(&incoming.props),
            receipt: None,
        }
    }

    /// Counts the messages this client took in: tells in which order those of several streams
    /// came, and is the same in all streams that got the same message.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Packet Identifier it came with, 0 at QoS 0. For logs: the broker uses it again for another
    /// message as soon as this one is acknowledged.
    pub fn packet_identifier(&self) -> u16 {
        self.packet_identifier
    }

    /// MQTT 5 properties.
    pub fn properties(&self) -> &MessageProperties {
        self.properties.as_deref().unwrap_or(&NO_PROPERTIES)
    }

    /// Acknowledges a message of a subscription made with
    /// [`manual_ack`](super::Subscribe::manual_ack): the broker may forget it. Does nothing for other messages.
    ///
    /// Acknowledgements reach the broker in the order the messages came `[MQTT-4.6.0-2]`, whatever
    /// the order of these calls.
    ///
    /// # Errors
    /// [`Refused::Stale`] if the connection was lost since (at QoS 2: the session); the broker
    /// sends the message again then.
    pub fn ack(&mut self) -> Result<(), Refused> {
        let Some((receipt, shared)) = self.receipt.take() else { return Ok(()) };
        let shared = shared.upgrade().ok_or(Refused::Closed)?;
        shared.acknowledge(receipt)
    }
}

/// Memory that small payloads share, so that most of them need no allocation.
#[derive(Debug, Default)]
pub(crate) struct Chunk(BytesMut);

impl Chunk {
    /// What one small message that is kept for long can hold on to.
    const SIZE: usize = 4096;

    /// A copy of `payload`.
    pub(crate) fn hold(&mut self, payload: &[u8]) -> Bytes {
        if payload.len() > Self::SIZE / 4 {
            return Bytes::copy_from_slice(payload);
        }
        if self.0.capacity() < payload.len() {
            // Takes the same memory again if nobody holds a part of it any more.
            self.0.reserve(Self::SIZE);
        }
        self.0.extend_from_slice(payload);
        self.0.split().freeze()
    }
}

impl MessageProperties {
    fn of(props: &Properties<'_>) -> Option<Box<Self>> {
        if props.is_empty() {
            return None;
        }
        Some(Box::new(Self {
            payload_is_utf8: props.payload_format(),
            message_expiry: props.message_expiry(),
            content_type: props.content_type().map(str::to_owned),
            response_topic: props.response_topic().map(str::to_owned),
            correlation_data: props.correlation_data().map(Bytes::copy_from_slice),
            subscription_ids: props.subscription_ids().collect(),
            topic_alias: props.topic_alias(),
            user_properties: owned_user_properties(props),
        }))
    }
}
