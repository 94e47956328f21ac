//! Subscribing: a stream of messages per Topic Filter.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use everlink_proto::engine::{Engine, Receipt, Subscription as Wanted, Tag};
use everlink_proto::topic::TopicFilter;
use everlink_proto::wire::{Properties, Property, QoS, RetainHandling, SubscribeOptions};
use futures_core::Stream;

use super::connect::push;
use super::error::SubscribeError;
use super::handle::Client;
use super::message::Message;
use super::shared::{Awaiting, Shared};
use super::streams::{Overflow, filter_tag, subscription_id};
use super::waiters::Ack;

/// A subscription about to be made. Made by [`Client::subscribe`]; await it to get the stream.
///
/// Dropping that future before it is ready withdraws the subscription.
#[derive(Debug)]
#[must_use = "nothing is subscribed until it is awaited or opened"]
pub struct Subscribe<'a> {
    client: &'a Client,
    filter: &'a str,
    options: SubscribeOptions,
    capacity: usize,
    overflow: Overflow,
    manual: bool,
    props: Vec<u8>,
}

impl<'a> Subscribe<'a> {
    pub(crate) fn new(client: &'a Client, filter: &'a str, qos: QoS) -> Self {
        let options = SubscribeOptions { qos, ..SubscribeOptions::default() };
        Self {
            client,
            filter,
            options,
            capacity: 256,
            overflow: Overflow::Hold,
            manual: false,
            props: Vec::new(),
        }
    }

    /// How many messages the channel holds, at least 1; the default is 256.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = messages;
        self
    }

    /// What a full channel does; the default is to hold back the broker.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// The application acknowledges each message itself, with [`Message::ack`].
    pub fn manual_ack(mut self) -> Self {
        self.manual = true;
        self
    }

    /// MQTT 5: do not send us our own messages.
    pub fn no_local(mut self) -> Self {
        self.options.no_local = true;
        self
    }

    /// MQTT 5: keep the RETAIN flag as it was published.
    pub fn retain_as_published(mut self) -> Self {
        self.options.retain_as_published = true;
        self
    }

    /// MQTT 5: when to send retained messages.
    pub fn retain_handling(mut self, handling: RetainHandling) -> Self {
        self.options.retain_handling = handling;
        self
    }

    /// MQTT 5: a user property of SUBSCRIBE. May be called several times; the order is kept.
    pub fn user_property(mut self, name: &str, value: &str) -> Self {
        push(&mut self.props, Property::UserProperty(name, value));
        self
    }

    /// Registers the stream at once and does not wait for the broker; it is subscribed as soon as
    /// there is a connection. [`Subscription::granted`] tells the broker's answer.
    ///
    /// # Errors
    /// An invalid filter, or a reason why it was not accepted.
    pub fn open(self) -> Result<Subscription, SubscribeError> {
        let filter = TopicFilter::new(self.filter)?;
        let shared = self.client.shared.clone();
        let stream = shared.change(|engine, front, now| {
            front.check_open()?;
            let channel = (self.capacity, self.overflow, self.manual);
            let (stream, index) = front.streams.add(self.filter, self.options, channel);
            let options = front.streams.filter(index).map_or(self.options, |f| f.options);
            let wanted = Wanted {
                filter,
                options,
                id: subscription_id(index),
                props: Properties::from_trusted_raw(&self.props),
                tag: filter_tag(index),
            };
            engine.subscribe(now, &wanted, front).map(|()| stream).inspect_err(|_| {
                front.streams.remove(stream);
            })
        })?;
        Ok(Subscription { shared, stream })
    }
}

impl<'a> IntoFuture for Subscribe<'a> {
    type Output = Result<Subscription, SubscribeError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let subscription = self.open()?;
            subscription.granted().await?;
            Ok(subscription)
        })
    }
}

impl Client {
    /// Ends a subscription of the session that no stream stands for, made by an earlier run, and
    /// waits for the broker's answer. (Streams unsubscribe when they are dropped.) Cancel-safe: it
    /// is unsubscribed in any case.
    ///
    /// # Errors
    /// An invalid filter; [`SubscribeError::Rejected`] if the broker refused;
    /// [`SubscribeError::Closed`] if there is no answer, because the client was closed or somebody
    /// subscribes to the same filter.
    pub async fn unsubscribe(&self, filter: &str) -> Result<Ack, SubscribeError> {
        let filter = TopicFilter::new(filter)?;
        let tag = self.shared.change(|engine, front, now| {
            front.check_open()?;
            let tag = front.waiters.add();
            let result = engine.unsubscribe(now, filter, tag, front);
            result.map(|()| tag).inspect_err(|_| front.waiters.release(tag))
        })?;
        let waiting = Leaving { shared: &self.shared, _waits: self.shared.awaiting(), tag };
        let outcome =
            poll_fn(|cx| waiting.shared.look(|_, front| front.waiters.poll(tag, cx))).await;
        match outcome.into_result() {
            Ok(ack) => Ok(ack),
            Err(super::NotDelivered::Rejected(ack)) => Err(SubscribeError::Rejected(ack)),
            Err(_) => Err(SubscribeError::Closed),
        }
    }
}

/// A stream of the messages of one Topic Filter. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    stream: usize,
}

impl Subscription {
    /// Waits for the broker's answer; its reason is the granted QoS. Cancel-safe.
    ///
    /// # Errors
    /// [`SubscribeError::Rejected`] if the broker refused.
    pub async fn granted(&self) -> Result<Ack, SubscribeError> {
        let _waits = self.shared.awaiting();
        poll_fn(|cx| {
            self.shared.look(|_, front| match front.streams.answer(self.stream) {
                Some(answer) => Poll::Ready(answer.map_err(SubscribeError::Rejected)),
                None if front.is_closed() => Poll::Ready(Err(SubscribeError::Closed)),
                None => {
                    front.streams.register(self.stream, cx);
                    Poll::Pending
                }
            })
        })
        .await
    }

    /// The next message; `None` when the broker refused the subscription (also when it was to be
    /// restored), or the client was closed and no message is left. Cancel-safe: no message is lost.
    pub async fn next(&mut self) -> Option<Message> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// The next message, if there is one now.
    pub fn try_next(&mut self) -> Option<Message> {
        let (next, stalled) = self
            .shared
            .look(|_, front| (front.streams.pop(self.stream), front.streams.is_stalled()));
        next.map(|next| self.settle(next, stalled))
    }

    /// Calls `handler` with each message until the stream ends; for applications that prefer a callback
    /// to a loop. A slow handler delays only what this stream gets, not the client. Cancel-safe: a
    /// message is either handled or still in the channel; dropping the future unsubscribes.
    pub async fn for_each(mut self, mut handler: impl FnMut(Message)) {
        while let Some(message) = self.next().await {
            handler(message);
        }
    }

    /// Messages lost so far to this stream's overflow policy.
    pub fn lost(&self) -> u64 {
        self.shared.look(|_, front| front.streams.lost(self.stream))
    }

    /// Unsubscribes and waits for the broker's answer; messages not yet taken are dropped.
    /// Cancel-safe: it is unsubscribed in any case. The broker's answer is `None` if the client was
    /// closed first, or another stream still needs the subscription.
    pub async fn unsubscribe(mut self) -> Option<Ack> {
        // Nothing is left to do when it is dropped.
        let stream = std::mem::replace(&mut self.stream, usize::MAX);
        let shared = self.shared.clone();
        let tag = leave(&shared, stream, true)?;
        let waiting = Leaving { shared: &shared, _waits: shared.awaiting(), tag };
        let outcome =
            poll_fn(|cx| waiting.shared.look(|_, front| front.waiters.poll(tag, cx))).await;
        match outcome.into_result() {
            Ok(ack) | Err(super::NotDelivered::Rejected(ack)) => Some(ack),
            Err(_) => None,
        }
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let (next, stalled) = self.shared.look(|_, front| {
            let next = match front.streams.poll_next(self.stream, cx) {
                Poll::Pending if front.is_closed() => Poll::Ready(None),
                other => other,
            };
            (next, front.streams.is_stalled())
        });
        next.map(|next| next.map(|next| self.settle(next, stalled)))
    }

    /// Room was made: what was held back may go on.
    fn settle(&self, (message, receipt): (Message, Option<Receipt>), stalled: bool) -> Message {
        if let Some(receipt) = receipt {
            // Stale if the connection was lost: the broker sends it again.
            let _ = self.shared.acknowledge(receipt);
        } else if stalled {
            self.shared.change(|_, _, _| ());
        }
        message
    }
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_message(cx)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        leave(&self.shared, self.stream, false);
    }
}

/// Removes a stream and, if it was the last on its filter, unsubscribes. Messages that were held
/// back are acknowledged: nobody is left to take them.
fn leave(shared: &Shared, stream: usize, wait: bool) -> Option<Tag> {
    shared.change(|engine, front, now| {
        let (filter, receipts) = front.streams.remove(stream)?;
        for receipt in receipts {
            let _ = engine.acknowledge(now, receipt);
        }
        let filter = TopicFilter::new(&filter).ok()?;
        let tag = if wait { front.waiters.add() } else { Tag::NONE };
        let refused = engine.unsubscribe(now, filter, tag, front).is_err();
        if refused && wait {
            front.waiters.release(tag);
        }
        (wait && !refused).then_some(tag)
    })
}

struct Leaving<'a> {
    shared: &'a Shared,
    _waits: Awaiting<'a>,
    tag: Tag,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.shared.look(|_, front| front.waiters.abandon(self.tag));
    }
}
