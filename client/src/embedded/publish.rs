//! Publishing: accepted now, delivered later.

use core::future::{Future, IntoFuture, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use embassy_sync::blocking_mutex::raw::RawMutex;
use everlink_proto::engine::{Engine, Outgoing, Refused, Tag, WhenFull};
use everlink_proto::store::{FixedStore, Store};
use everlink_proto::topic::TopicName;
use everlink_proto::wire::{Properties, Property, QoS, ReasonCode};

use super::client::Client;
use super::error::PublishError;
use super::tasks::want;
use super::waiters::Outcome;

/// A message about to be published. Made by [`Client::publish`].
///
/// Awaiting it accepts the message, waiting for room if the queue is full and its policy is to
/// wait, and then waits for the final acknowledgement of its QoS, across outages. Dropping that
/// future takes nothing back that was accepted.
#[must_use = "nothing is published until it is sent or awaited"]
pub struct Publish<'a, 'm, M: RawMutex, S = FixedStore<'m>> {
    client: Client<'m, M, S>,
    topic: &'a str,
    payload: &'a [u8],
    qos: QoS,
    retain: bool,
    expiry: Option<Duration>,
    props: Properties<'a>,
}

impl<M: RawMutex, S> core::fmt::Debug for Publish<'_, '_, M, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Publish").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl<'a, 'm, M: RawMutex, S: Store> Publish<'a, 'm, M, S> {
    pub(super) fn new(client: Client<'m, M, S>, topic: &'a str, payload: &'a [u8]) -> Self {
        let (qos, retain) = (QoS::AtMostOnce, false);
        Self { client, topic, payload, qos, retain, expiry: None, props: Properties::EMPTY }
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

    /// MQTT 5: properties, in place of those set before. With 3.1.1 they are left out. Topic Alias
    /// and Message Expiry Interval are set by the client itself. At most 1024 bytes.
    pub fn properties(mut self, properties: &'a [Property<'a>]) -> Self {
        self.props = Properties::from_list(properties);
        self
    }

    /// Accepts the message now, or says why not. Never waits.
    ///
    /// # Errors
    /// An invalid topic or property; [`Refused::QueueFull`] if there is no room and the queue's
    /// policy is to wait or to reject; or another reason why the caller has to act.
    pub fn send(self) -> Result<Delivery<'m, M, S>, PublishError> {
        let topic = self.checked()?;
        self.offer(topic, None)
    }

    /// Accepts the message now, or says why not, and wants to know no more. Its fate still counts
    /// in [`Client::stats`].
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn forget(self) -> Result<(), PublishError> {
        let topic = self.checked()?;
        let result = self.client.change(|core, now| {
            core.front.check_open()?;
            core.engine.publish(now, &self.outgoing(topic, Tag::NONE), &mut core.front)
        });
        Ok(result.ok_or(PublishError::InHandler)??)
    }

    /// Accepts the message as soon as there is room. Cancel-safe: dropped before it is ready, the
    /// message is not accepted.
    ///
    /// # Errors
    /// As [`send`](Self::send), but a full queue whose policy is to wait is waited for.
    pub async fn accepted(self) -> Result<Delivery<'m, M, S>, PublishError> {
        let topic = self.checked()?;
        poll_fn(|cx| self.poll_accepted(topic, cx)).await
    }

    fn poll_accepted(
        &self,
        topic: TopicName<'a>,
        cx: &Context<'_>,
    ) -> Poll<Result<Delivery<'m, M, S>, PublishError>> {
        let patient = self.client.when_full() == WhenFull::Wait;
        match self.offer(topic, patient.then_some(cx)) {
            Err(PublishError::Refused(Refused::QueueFull)) if patient => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    /// Offers it to the engine; when the queue is full, `cx` is woken when it has room.
    fn offer(
        &self,
        topic: TopicName<'a>,
        cx: Option<&Context<'_>>,
    ) -> Result<Delivery<'m, M, S>, PublishError> {
        let result = self.client.change(|core, now| {
            let front = &mut core.front;
            front.check_open()?;
            let tag = front.waiters.add().ok_or(PublishError::TooManyDeliveries)?;
            let result = core.engine.publish(now, &self.outgoing(topic, tag), front);
            if let Err(refused) = result {
                front.waiters.release(tag);
                if let (Refused::QueueFull, Some(cx)) = (refused, cx) {
                    front.tasks.wait(want::ROOM, cx.waker());
                }
                return Err(PublishError::Refused(refused));
            }
            Ok(tag)
        });
        let tag = result.ok_or(PublishError::InHandler)??;
        Ok(Delivery { client: self.client, tag })
    }

    fn checked(&self) -> Result<TopicName<'a>, PublishError> {
        TopicName::new(self.topic).map_err(PublishError::Topic)
    }

    fn outgoing(&self, topic: TopicName<'a>, tag: Tag) -> Outgoing<'a> {
        Outgoing {
            topic,
            payload: self.payload,
            qos: self.qos,
            retain: self.retain,
            props: self.props,
            expiry: self.expiry,
            tag,
        }
    }
}

impl<'a, 'm, M: RawMutex, S: Store> IntoFuture for Publish<'a, 'm, M, S> {
    type Output = Result<ReasonCode, PublishError>;
    type IntoFuture = Publishing<'a, 'm, M, S>;

    fn into_future(self) -> Publishing<'a, 'm, M, S> {
        Publishing { offer: self, delivery: None }
    }
}

/// Awaits acceptance, then delivery, of a [`Publish`]: the Reason Code of the final acknowledgement.
pub struct Publishing<'a, 'm, M: RawMutex, S: Store = FixedStore<'m>> {
    offer: Publish<'a, 'm, M, S>,
    delivery: Option<Delivery<'m, M, S>>,
}

impl<M: RawMutex, S: Store> core::fmt::Debug for Publishing<'_, '_, M, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.offer.fmt(f)
    }
}

impl<M: RawMutex, S: Store> Future for Publishing<'_, '_, M, S> {
    type Output = Result<ReasonCode, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            if let Some(delivery) = &mut self.delivery {
                return Pin::new(delivery).poll(cx).map(|o| Ok(o.into_result()?));
            }
            let accepted = match self.offer.checked() {
                Ok(topic) => core::task::ready!(self.offer.poll_accepted(topic, cx)),
                Err(error) => Err(error),
            };
            match accepted {
                Ok(delivery) => self.delivery = Some(delivery),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// The fate of an accepted message: a future that ends when the message has come to its end,
/// across any number of outages.
///
/// Cancel-safe. Dropping it only means that nobody wants to know: the message goes its way.
pub struct Delivery<'m, M: RawMutex, S: Store = FixedStore<'m>> {
    client: Client<'m, M, S>,
    tag: Tag,
}

impl<M: RawMutex, S: Store> core::fmt::Debug for Delivery<'_, M, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Delivery").field(&self.tag).finish()
    }
}

impl<M: RawMutex, S: Store> Delivery<'_, M, S> {
    /// Waits until the message survives a loss of power: until a [`Keeper`](super::Keeper) has written it,
    /// or it has come to its end, or the client is closed. Without a keeper that is its end. At QoS 0
    /// nothing is written. Cancel-safe.
    pub async fn stored(&mut self) {
        poll_fn(|cx| {
            let poll = self.client.look(|core| core.front.waiters.poll_stored(self.tag, cx));
            poll.unwrap_or(Poll::Ready(()))
        })
        .await;
    }
}

impl<M: RawMutex, S: Store> Future for Delivery<'_, M, S> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let poll = self.client.look(|core| core.front.waiters.poll(self.tag, cx));
        poll.unwrap_or(Poll::Ready(Outcome::Held))
    }
}

impl<M: RawMutex, S: Store> Drop for Delivery<'_, M, S> {
    fn drop(&mut self) {
        self.client.look(|core| core.front.waiters.release(self.tag));
    }
}
