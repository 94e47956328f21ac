//! Publishing: accepted now, delivered later.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use everlink_proto::engine::{Outgoing, Refused, Tag, WhenFull};
use everlink_proto::topic::TopicName;
use everlink_proto::wire::{Properties, Property, QoS, Version};

use super::connect::push;
use super::error::PublishError;
use super::handle::Client;
use super::inbox::Front;
use super::shared::Shared;
use super::waiters::{Ack, Outcome};
use super::wakes::Place;

/// A message about to be published. Made by [`Client::publish`].
///
/// Awaiting it accepts the message, waiting for room if the queue is full and its policy is to
/// wait, and then waits for the final acknowledgement of its QoS, across outages. Dropping that
/// future takes nothing back that was accepted.
#[derive(Debug)]
#[must_use = "nothing is published until it is sent or awaited"]
pub struct Publish<'a, P> {
    client: &'a Client,
    topic: &'a str,
    payload: P,
    qos: QoS,
    retain: bool,
    expiry: Option<Duration>,
    props: Vec<u8>,
    mark: Option<&'a [u8]>,
}

impl<'a, P: AsRef<[u8]>> Publish<'a, P> {
    pub(crate) fn new(client: &'a Client, topic: &'a str, payload: P) -> Self {
        Self {
            client,
            topic,
            payload,
            qos: QoS::AtMostOnce,
            retain: false,
            expiry: None,
            props: Vec::new(),
            mark: None,
        }
    }

    /// With a store: something of the application's own, such as how far it has read its input, that is
    /// stored together with the message, both or neither. It takes the place of the mark before;
    /// `FileStore::mark` gives it back. Without a store it is forgotten.
    pub fn mark(mut self, mark: &'a [u8]) -> Self {
        self.mark = Some(mark);
        self
    }

    /// Sets the quality of service; the default is QoS 0.
    pub fn qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }

    /// Sets the RETAIN flag: the broker keeps the message for later subscribers.
    pub fn retain(mut self, retain: bool) -> Self {
        self.retain = retain;
        self
    }

    /// The message is of no use after this time. Enforced here in both protocol versions; MQTT 5
    /// brokers are told what is left of it, in whole seconds.
    pub fn expiry(mut self, after: Duration) -> Self {
        self.expiry = Some(after);
        self
    }

    /// MQTT 5: adds a property. With 3.1.1 it is left out, and that is logged. Topic Alias and
    /// Message Expiry Interval are set by the client itself.
    pub fn property(mut self, property: Property<'_>) -> Self {
        if self.client.version == Version::V5 {
            push(&mut self.props, property);
        } else {
            tracing::debug!(?property, "MQTT 3.1.1 has no properties; left out");
        }
        self
    }

    /// MQTT 5: a user property. May be called several times; the order is kept.
    pub fn user_property(self, name: &str, value: &str) -> Self {
        self.property(Property::UserProperty(name, value))
    }

    /// MQTT 5: says what the payload is, for instance `application/json`.
    pub fn content_type(self, content_type: &str) -> Self {
        self.property(Property::ContentType(content_type))
    }

    /// MQTT 5: where an answer is expected.
    pub fn response_topic(self, topic: &str) -> Self {
        self.property(Property::ResponseTopic(topic))
    }

    /// MQTT 5: what an answer is to carry.
    pub fn correlation_data(self, data: &[u8]) -> Self {
        self.property(Property::CorrelationData(data))
    }

    /// Accepts the message now, or says why not. Never waits.
    ///
    /// # Errors
    /// An invalid topic or property; [`Refused::QueueFull`] if there is no room and the queue's
    /// policy is to wait or to reject; or another reason why the caller has to act.
    pub fn send(self) -> Result<Delivery, PublishError> {
        Ok(self.offer(self.checked()?, |_| ())?)
    }

    /// Accepts the message as soon as there is room. Cancel-safe: dropped before it is ready, the
    /// message is not accepted.
    ///
    /// # Errors
    /// As [`send`](Self::send), but a full queue whose policy is to wait is waited for.
    pub async fn accepted(self) -> Result<Delivery, PublishError> {
        let topic = self.checked()?;
        let mut place = Place::new(&self.client.shared, |front| &mut front.room);
        let mut waiting = None;
        poll_fn(|cx| {
            let mut waits = false;
            let offered = self.offer(topic, |front| {
                waits = self.client.when_full == WhenFull::Wait || front.is_busy();
                if waits {
                    place.wait(front, cx);
                }
            });
            match offered {
                Err(Refused::QueueFull) if waits => {
                    waiting.get_or_insert_with(|| self.client.shared.awaiting());
                    Poll::Pending
                }
                other => Poll::Ready(other.map_err(PublishError::from)),
            }
        })
        .await
    }

    /// Offers the message to the engine once.
    fn offer(
        &self,
        topic: TopicName<'_>,
        full: impl FnOnce(&mut Front),
    ) -> Result<Delivery, Refused> {
        let shared = &self.client.shared;
        let (tag, number) = shared.submit(self.expiry.is_some(), |engine, front, now| {
            front.check_open()?;
            let tag = front.waiters.add();
            let accepted = front.accept(engine, now, &self.outgoing(topic, tag), self.mark);
            accepted.map(|number| (tag, number)).inspect_err(|refused| {
                front.waiters.release(tag);
                if *refused == Refused::QueueFull {
                    full(front);
                }
            })
        })?;
        Ok(Delivery { shared: shared.clone(), tag, number, awaited: false })
    }

    fn checked(&self) -> Result<TopicName<'a>, PublishError> {
        if !self.props.is_empty() {
            // Ours to add, or the broker's [MQTT-3.3.4-6].
            let own = |p: &Property<'_>| {
                use Property::{MessageExpiryInterval, SubscriptionIdentifier, TopicAlias};
                matches!(p, TopicAlias(_) | MessageExpiryInterval(_) | SubscriptionIdentifier(_))
            };
            let props = Properties::from_trusted_raw(&self.props);
            let allowed = |p: Property<'_>| {
                p.allowed_in(everlink_proto::wire::PropertyContext::Publish) && !own(&p)
            };
            if !props.iter().all(allowed) {
                return Err(PublishError::Property);
            }
        }
        Ok(TopicName::new(self.topic)?)
    }

    fn outgoing<'m>(&'m self, topic: TopicName<'m>, tag: Tag) -> Outgoing<'m> {
        Outgoing {
            topic,
            payload: self.payload.as_ref(),
            qos: self.qos,
            retain: self.retain,
            props: Properties::from_trusted_raw(&self.props),
            expiry: self.expiry,
            tag,
        }
    }
}

impl<'a, P: AsRef<[u8]> + Send + Sync + 'a> IntoFuture for Publish<'a, P> {
    type Output = Result<Ack, PublishError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.accepted().await?.await.into_result()?) })
    }
}

/// The fate of an accepted message: a future that ends when the message has come to its end,
/// across any number of outages.
///
/// Cancel-safe. Dropping it only means that nobody wants to know: the message goes its way.
#[derive(Debug)]
pub struct Delivery {
    shared: Arc<Shared>,
    tag: Tag,
    /// Its number in the store, if it went only there.
    number: Option<u64>,
    awaited: bool,
}

impl Delivery {
    /// Waits until the message is in the store, as durable as was asked for: from here on the process may be
    /// killed or the power go. `false`: it is not, because it has come to its end before, because there is no
    /// store, or because the client was closed. At QoS 0 only a message that memory had no room for is stored.
    ///
    /// Cancel-safe.
    pub async fn stored(&mut self) -> bool {
        poll_fn(|cx| self.shared.look(|_, front| front.waiters.poll_stored(self.tag, cx))).await
    }
}

impl Future for Delivery {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let this = &mut *self;
        this.shared.look(|_, front| {
            let poll = front.waiters.poll(this.tag, cx);
            if poll.is_pending() != this.awaited {
                this.awaited = poll.is_pending();
                front.awaited = if this.awaited { front.awaited + 1 } else { front.awaited - 1 };
            }
            poll
        })
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.shared.look(|_, front| {
            front.abandon(self.tag, self.number);
            front.awaited -= usize::from(self.awaited);
        });
    }
}
