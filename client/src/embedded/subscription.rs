//! The messages of one Topic Filter.

use core::future::poll_fn;
use core::task::{Context, Poll};

use embassy_sync::blocking_mutex::raw::RawMutex;
use everlink_proto::engine::{Engine, Incoming, Receipt, Tag};
use everlink_proto::store::{FixedStore, Store};
use everlink_proto::wire::{Properties, QoS, ReasonCode};

use super::client::Client;
use super::error::SubscribeError;
use super::hub::Core;
use super::route::bit;
use super::waiters::Outcome;

/// The messages of one Topic Filter, in the order they came. Dropping it unsubscribes;
/// `core::mem::forget` keeps the subscription for good.
pub struct Subscription<'m, M: RawMutex, S: Store = FixedStore<'m>> {
    client: Client<'m, M, S>,
    at: usize,
}

impl<M: RawMutex, S: Store> core::fmt::Debug for Subscription<'_, M, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Subscription").field(&self.at).finish()
    }
}

/// Why there is no message from [`Subscription::next_into`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMessage {
    /// The broker refused the subscription, or the client was closed and no message is left.
    Ended,
    /// The buffer is too short: the message, which is still there, needs so many bytes.
    TooShort(usize),
}

/// A message copied to a buffer, but for what lies there.
struct Copied {
    topic: usize,
    props: usize,
    payload: usize,
    qos: QoS,
    retain: bool,
    dup: bool,
    receipt: Receipt,
}

impl<'m, M: RawMutex, S: Store> Subscription<'m, M, S> {
    pub(super) fn new(client: Client<'m, M, S>, at: usize) -> Self {
        Self { client, at }
    }

    /// Waits for the broker's answer; its reason is the granted QoS. Cancel-safe.
    ///
    /// # Errors
    /// [`SubscribeError::Rejected`] if the broker refused.
    pub async fn granted(&self) -> Result<ReasonCode, SubscribeError> {
        poll_fn(|cx| self.poll_granted(cx)).await
    }

    pub(super) fn poll_granted(
        &self,
        cx: &Context<'_>,
    ) -> Poll<Result<ReasonCode, SubscribeError>> {
        let answer = self.client.look(|core| match core.front.routes.answer(self.at) {
            Some(answer) => Poll::Ready(answer.map_err(SubscribeError::Rejected)),
            None if core.front.closed => Poll::Ready(Err(SubscribeError::Closed)),
            None => {
                self.register(core, cx);
                Poll::Pending
            }
        });
        answer.unwrap_or(Poll::Ready(Err(SubscribeError::InHandler)))
    }

    /// Shows the next message to `f` and gives what `f` makes of it; `None` when the broker refused
    /// the subscription (also when it was to be restored), or the client was closed and no message
    /// is left. `f` must be quick, and must not call the client. Cancel-safe: no message is lost.
    pub async fn next<R>(&mut self, f: impl FnOnce(&Incoming<'_>) -> R) -> Option<R> {
        let mut f = Some(f);
        poll_fn(|cx| self.poll_read(cx, &mut |message| (f.take().map(|f| f(message)), true)))
            .await
            .flatten()
    }

    /// As [`next`](Self::next), if there is a message now.
    pub fn try_next<R>(&mut self, f: impl FnOnce(&Incoming<'_>) -> R) -> Option<R> {
        self.client.look(|core| read(core, self.at, |message| (f(message), true))).flatten()
    }

    /// Copies the next message to `buffer`: Topic Name, properties and payload, which must fit.
    /// Cancel-safe: no message is lost.
    ///
    /// # Errors
    /// See [`NoMessage`].
    pub async fn next_into<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Incoming<'b>, NoMessage> {
        let copy = poll_fn(|cx| {
            self.poll_read(cx, &mut |message| {
                let copied = copy(message, buffer);
                let taken = copied.is_ok();
                (copied, taken)
            })
        });
        copy.await.unwrap_or(Err(NoMessage::Ended))?.message(buffer).ok_or(NoMessage::Ended)
    }

    /// Messages lost so far to this subscription's overflow policy.
    pub fn lost(&self) -> u32 {
        self.client.look(|core| core.front.routes.get(self.at).map_or(0, |s| s.lost)).unwrap_or(0)
    }

    /// Unsubscribes and waits for the broker's answer; messages not yet taken are dropped.
    /// Cancel-safe: it is unsubscribed in any case. The broker's answer is `None` if the client was
    /// closed first, another subscription is on the same filter, or there was no memory to wait.
    pub async fn unsubscribe(mut self) -> Option<ReasonCode> {
        // Nothing is left to do when it is dropped.
        let at = core::mem::replace(&mut self.at, usize::MAX);
        let client = self.client;
        let tag = client.change(|core, now| {
            let tag = core.front.waiters.add()?;
            let asked = leave(core, now, at, tag);
            if !asked {
                core.front.waiters.release(tag);
            }
            asked.then_some(tag)
        });
        let waiting = Leaving { client, tag: tag.flatten()? };
        let answer = poll_fn(|cx| {
            let answer = client.look(|core| core.front.waiters.poll(waiting.tag, cx));
            answer.unwrap_or(Poll::Ready(Outcome::Held))
        });
        match answer.await {
            Outcome::Delivered(reason) | Outcome::Rejected(reason) => Some(reason),
            _ => None,
        }
    }

    fn register(&self, core: &mut Core<'m, S>, cx: &Context<'_>) {
        if let Some(slot) = core.front.routes.get_mut(self.at) {
            slot.waker.register(cx.waker());
        }
    }

    fn poll_read<R>(
        &self,
        cx: &Context<'_>,
        f: &mut dyn FnMut(&Incoming<'_>) -> (R, bool),
    ) -> Poll<Option<R>> {
        let poll = self.client.look(|core| {
            if let Some(result) = read(core, self.at, f) {
                return Poll::Ready(Some(result));
            }
            let refused = matches!(core.front.routes.answer(self.at), Some(Err(_)));
            if refused || core.front.closed {
                return Poll::Ready(None);
            }
            self.register(core, cx);
            Poll::Pending
        });
        poll.unwrap_or(Poll::Ready(None))
    }
}

impl<M: RawMutex, S: Store> Drop for Subscription<'_, M, S> {
    fn drop(&mut self) {
        if self.at != usize::MAX {
            self.client.change(|core, now| leave(core, now, self.at, Tag::NONE));
        }
    }
}

fn read<S, R>(
    core: &mut Core<'_, S>,
    at: usize,
    f: impl FnOnce(&Incoming<'_>) -> (R, bool),
) -> Option<R> {
    let read = core.front.mailbox.read(bit(at), f);
    // Room was made: what was held back may go on.
    core.kick |= read.is_some() && core.front.busy_since.is_some();
    read
}

/// Removes a subscription and, if it was the last on its filter, unsubscribes: whether it does.
/// Messages that were held back are acknowledged: nobody is left to take them.
fn leave<S: Store>(
    core: &mut Core<'_, S>,
    now: everlink_proto::time::Instant,
    at: usize,
    tag: Tag,
) -> bool {
    core.front.abandon(at);
    let Core { engine, front, .. } = core;
    let mut asked = false;
    let mut quiet = Quiet;
    front.routes.remove(at, |filter| {
        asked = engine.unsubscribe(now, filter, tag, &mut quiet).is_ok();
    });
    asked
}

/// An operation overtaken by leaving was this subscription's own: nobody waits for it any more.
struct Quiet;

impl everlink_proto::engine::Inbox for Quiet {
    fn message(&mut self, _message: &Incoming<'_>) -> everlink_proto::engine::Verdict {
        everlink_proto::engine::Verdict::Busy
    }
}

struct Leaving<'m, M: RawMutex, S: Store> {
    client: Client<'m, M, S>,
    tag: Tag,
}

impl<M: RawMutex, S: Store> Drop for Leaving<'_, M, S> {
    fn drop(&mut self) {
        self.client.look(|core| core.front.waiters.release(self.tag));
    }
}

fn copy(message: &Incoming<'_>, buffer: &mut [u8]) -> Result<Copied, NoMessage> {
    let parts = [message.topic.as_bytes(), message.props.raw(), message.payload];
    let mut room = &mut *buffer;
    for part in parts {
        let Some((head, tail)) = room.split_at_mut_checked(part.len()) else {
            return Err(NoMessage::TooShort(super::mailbox::size(message)));
        };
        head.copy_from_slice(part);
        room = tail;
    }
    let [topic, props, payload] = parts.map(<[u8]>::len);
    let Incoming { qos, retain, dup, receipt, .. } = *message;
    Ok(Copied { topic, props, payload, qos, retain, dup, receipt })
}

impl Copied {
    fn message(self, buffer: &[u8]) -> Option<Incoming<'_>> {
        let (topic, rest) = buffer.split_at_checked(self.topic)?;
        let (props, rest) = rest.split_at_checked(self.props)?;
        Some(Incoming {
            topic: core::str::from_utf8(topic).ok()?,
            payload: rest.get(..self.payload)?,
            qos: self.qos,
            retain: self.retain,
            dup: self.dup,
            props: Properties::from_trusted_raw(props),
            receipt: self.receipt,
        })
    }
}
