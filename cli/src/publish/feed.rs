//! From the input into the client.

use std::time::Duration;

use everlink::{Client, Publish, PublishError, QoS, Refused, Version};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::fates::Known;
use super::input::{Input, Item};
use crate::args::{OwnedProperty, Packet, Properties, PubArgs};
use crate::exit::Failure;

/// All that the messages of one run have in common.
#[derive(Debug)]
pub(super) struct Template {
    topic: String,
    qos: QoS,
    retain: bool,
    expiry: Option<Duration>,
    properties: Properties,
}

impl Template {
    pub(super) fn of(args: &PubArgs, topic: String) -> Result<Self, Failure> {
        let given = &args.connection.properties;
        let property = given.of(Packet::Publish).find_map(|p| match p {
            OwnedProperty::MessageExpiryInterval(seconds) => Some(*seconds),
            _ => None,
        });
        if property.is_some() && args.expiry.is_some() {
            return Err(Failure::usage(
                "--expiry and -D publish message-expiry-interval say the same",
            ));
        }
        if given.of(Packet::Subscribe).next().is_some() {
            return Err(Failure::usage("-D subscribe: nothing is subscribed to"));
        }
        let property = property.map(|seconds| Duration::from_secs(seconds.into()));
        if property.is_some_and(|d| d.is_zero()) {
            return Err(Failure::usage("-D: message-expiry-interval must be at least 1"));
        }
        if args.connection.version == Version::V311 && !given.is_empty() {
            return Err(Failure::usage("-D: MQTT 3.1.1 has no properties"));
        }
        Ok(Self {
            topic,
            qos: args.qos,
            retain: args.retain,
            expiry: args.expiry.or(property),
            properties: given.clone(),
        })
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// Bytes a message takes besides its payload, generously.
    pub(super) fn overhead(&self) -> usize {
        let properties = self.properties.of(Packet::Publish);
        let bytes: usize = properties.map(|p| p.borrow().encoded_len()).sum();
        4096 + self.topic.len() + bytes
    }

    fn message<'a>(&'a self, client: &'a Client, payload: &'a [u8]) -> Publish<'a, &'a [u8]> {
        let mut message = client.publish(&self.topic, payload).qos(self.qos).retain(self.retain);
        if let Some(expiry) = self.expiry {
            message = message.expiry(expiry);
        }
        for property in self.properties.of(Packet::Publish) {
            if !matches!(property, OwnedProperty::MessageExpiryInterval(_)) {
                message = message.property(property.borrow());
            }
        }
        message
    }
}

/// Takes messages from the input and hands them to the client, waiting for room where that is the
/// policy.
#[derive(Debug)]
pub(super) struct Feed {
    client: Client,
    template: Template,
    input: Input,
    known: Option<mpsc::Sender<Known>>,
    taken: u64,
    refused: u64,
    broken: Option<String>,
    over: bool,
}

impl Feed {
    /// Tells `known`, if anybody, of each message.
    pub(super) fn new(
        client: Client,
        template: Template,
        input: Input,
        known: Option<mpsc::Sender<Known>>,
    ) -> Self {
        let taken = input.resumed();
        Self { client, template, input, known, taken, refused: 0, broken: None, over: false }
    }

    /// Until the end of the input, or of the client.
    pub(super) async fn run(&mut self) {
        loop {
            let Some(item) = self.input.next().await else {
                self.over = true;
                return;
            };
            let n = self.taken + 1;
            let payload = match item {
                Item::Payload(payload, place) => Ok((payload, place)),
                Item::TooLong => Err(Refused::TooLarge),
                Item::Broken(why) => {
                    self.broken = Some(why);
                    return;
                }
            };
            let accepted = match payload {
                Ok((payload, place)) => {
                    let message = self.template.message(&self.client, payload);
                    match place.map(|place| place.encode()) {
                        Some(mark) => message.mark(&mark).accepted().await,
                        None => message.accepted().await,
                    }
                }
                Err(refused) => Err(refused.into()),
            };
            let known = match accepted {
                Ok(delivery) => Known::Accepted { n, at: Instant::now(), delivery },
                Err(PublishError::Refused(Refused::Closed)) => return,
                Err(error) => {
                    self.refused += 1;
                    Known::Refused { n, why: error.to_string() }
                }
            };
            self.taken = n;
            if let Some(to) = &self.known {
                // The reporter lives until this end of the channel is gone.
                let _ = to.send(known).await;
            }
            // The connection must get its turn even if the input never makes us wait.
            tokio::task::consume_budget().await;
        }
    }

    /// Whether the input came to its end.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Messages taken from the input.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Of these, how many the client would not take.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Why the input ended before its end.
    pub(super) fn broken(&self) -> Option<String> {
        self.broken.clone()
    }
}
