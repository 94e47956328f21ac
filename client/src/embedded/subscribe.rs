//! Subscribing.

use core::future::{Future, IntoFuture};
use core::pin::Pin;
use core::task::{Context, Poll};

use embassy_sync::blocking_mutex::raw::RawMutex;
use everlink_proto::engine::{Engine, Refused, Subscription as Wanted};
use everlink_proto::store::{FixedStore, Store};
use everlink_proto::topic::TopicFilter;
use everlink_proto::wire::{Properties, QoS, RetainHandling, SubscribeOptions};

use super::client::Client;
use super::error::SubscribeError;
use super::route::{How, Overflow};
use super::subscription::Subscription;

/// A subscription about to be made. Made by [`Client::subscribe`]; await it to get its messages.
///
/// Dropping that future before it is ready withdraws the subscription.
#[must_use = "nothing is subscribed until it is awaited or opened"]
pub struct Subscribe<'a, 'm, M: RawMutex, S = FixedStore<'m>> {
    client: Client<'m, M, S>,
    filter: &'a str,
    options: SubscribeOptions,
    how: How,
}

impl<M: RawMutex, S> core::fmt::Debug for Subscribe<'_, '_, M, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Subscribe").field("filter", &self.filter).finish_non_exhaustive()
    }
}

impl<'a, 'm, M: RawMutex, S: Store> Subscribe<'a, 'm, M, S> {
    pub(super) fn new(client: Client<'m, M, S>, filter: &'a str, qos: QoS) -> Self {
        let options = SubscribeOptions { qos, ..SubscribeOptions::default() };
        Self { client, filter, options, how: How::DEFAULT }
    }

    /// What happens to a further message when there is no room; the default is to hold back the
    /// broker.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.how.overflow = overflow;
        self
    }

    /// How many messages of the mailbox the subscription may take, at least 1, unless it holds back
    /// the broker; the default is all.
    pub fn capacity(mut self, messages: u16) -> Self {
        self.how.capacity = messages.max(1);
        self
    }

    /// The application acknowledges each message itself, with [`Client::ack`].
    pub fn manual_ack(mut self) -> Self {
        self.how.manual = true;
        self
    }

    /// The messages go to the hub's [`handler`](super::Hub::handler) in place of the mailbox.
    pub fn to_handler(mut self) -> Self {
        self.how.to_handler = true;
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

    /// Registers the subscription at once and does not wait for the broker; it is made as soon as
    /// there is a connection. [`Subscription::granted`] tells the broker's answer.
    ///
    /// # Errors
    /// An invalid filter, or a reason why it was not accepted.
    pub fn open(self) -> Result<Subscription<'m, M, S>, SubscribeError> {
        let filter = TopicFilter::new(self.filter).map_err(SubscribeError::Filter)?;
        let result = self.client.change(|core, now| {
            core.front.check_open()?;
            let added = core.front.routes.add(filter, self.options, self.how);
            let added = added.ok_or(Refused::TooManySubscriptions)?;
            let wanted = Wanted {
                filter,
                options: added.options,
                id: added.id,
                props: Properties::EMPTY,
                tag: added.tag,
            };
            if let Err(refused) = core.engine.subscribe(now, &wanted, &mut core.front) {
                core.front.routes.remove(added.at, |_| ());
                return Err(refused);
            }
            core.front.adopt(added.at);
            Ok(added.at)
        });
        let at = result.ok_or(SubscribeError::InHandler)??;
        Ok(Subscription::new(self.client, at))
    }
}

impl<'a, 'm, M: RawMutex, S: Store> IntoFuture for Subscribe<'a, 'm, M, S> {
    type Output = Result<Subscription<'m, M, S>, SubscribeError>;
    type IntoFuture = Subscribing<'a, 'm, M, S>;

    fn into_future(self) -> Subscribing<'a, 'm, M, S> {
        Subscribing { wanted: Some(self), made: None }
    }
}

/// Awaits the broker's answer to a [`Subscribe`].
#[derive(Debug)]
pub struct Subscribing<'a, 'm, M: RawMutex, S: Store = FixedStore<'m>> {
    wanted: Option<Subscribe<'a, 'm, M, S>>,
    made: Option<Subscription<'m, M, S>>,
}

impl<'m, M: RawMutex, S: Store> Future for Subscribing<'_, 'm, M, S> {
    type Output = Result<Subscription<'m, M, S>, SubscribeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(wanted) = self.wanted.take() {
            self.made = Some(wanted.open()?);
        }
        let Some(made) = &self.made else { return Poll::Ready(Err(SubscribeError::Closed)) };
        match core::task::ready!(made.poll_granted(cx)) {
            Ok(_) => Poll::Ready(self.made.take().ok_or(SubscribeError::Closed)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}
