//! The client handle.

use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;

use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_time::{Instant, with_timeout};
use everlink_proto::engine::{Engine, Receipt, Refused, WhenFull};
use everlink_proto::session::{Limits, Stats};
use everlink_proto::store::{FixedStore, Store};
use everlink_proto::wire::{Disconnect, Properties, QoS, ReasonCode};

use super::clock;
use super::connect::Connect;
use super::hub::{Core, Hub};
use super::publish::Publish;
use super::state::State;
use super::subscribe::Subscribe;
use super::tasks::want;

/// A handle to an MQTT client: copy it wherever it is needed. Made by [`Hub::client`].
///
/// Every method returns at once or is a future that can be dropped at any await: what was accepted
/// stays accepted, what was not is as if never asked.
pub struct Client<'m, M: RawMutex, S = FixedStore<'m>> {
    hub: &'m Hub<'m, M, S>,
}

impl<M: RawMutex, S> Clone for Client<'_, M, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: RawMutex, S> Copy for Client<'_, M, S> {}

impl<M: RawMutex, S> core::fmt::Debug for Client<'_, M, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl<'m, M: RawMutex, S: Store> Client<'m, M, S> {
    pub(super) fn new(hub: &'m Hub<'m, M, S>) -> Self {
        Self { hub }
    }

    /// Looks at the client.
    pub(super) fn look<R>(&self, f: impl FnOnce(&mut Core<'m, S>) -> R) -> Option<R> {
        self.hub.with(|core, _| f(core))
    }

    /// Changes the engine and lets the driver know.
    pub(super) fn change<R>(
        &self,
        f: impl FnOnce(&mut Core<'m, S>, everlink_proto::time::Instant) -> R,
    ) -> Option<R> {
        self.hub.with(|core, now| {
            core.kick = true;
            f(core, now)
        })
    }

    /// A message to publish. Choose its properties, then [`send`](Publish::send) it, or await it
    /// to be told of its delivery.
    pub fn publish<'a>(
        &self,
        topic: &'a str,
        payload: &'a (impl AsRef<[u8]> + ?Sized),
    ) -> Publish<'a, 'm, M, S> {
        Publish::new(*self, topic, payload.as_ref())
    }

    /// A subscription to make: await it to get its messages once the broker granted it. It is
    /// restored after every outage until it is dropped.
    pub fn subscribe<'a>(&self, filter: &'a str, qos: QoS) -> Subscribe<'a, 'm, M, S> {
        Subscribe::new(*self, filter, qos)
    }

    /// Acknowledges a message of a subscription made with
    /// [`manual_ack`](super::Subscribe::manual_ack), or one for which the handler said
    /// [`Verdict::Later`](super::Verdict::Later): the broker may forget it. Does nothing for others.
    ///
    /// Acknowledgements reach the broker in the order the messages came `[MQTT-4.6.0-2]`, whatever
    /// the order of these calls.
    ///
    /// # Errors
    /// [`Refused::Stale`] if the connection was lost since (at QoS 2: the session); the broker
    /// sends the message again then.
    pub fn ack(&self, receipt: Receipt) -> Result<(), Refused> {
        if receipt == Receipt::default() {
            return Ok(());
        }
        let result = self.change(|core, now| core.engine.acknowledge(now, receipt));
        result.unwrap_or(Err(Refused::Stale))
    }

    /// The present state. Cheap; changes nothing.
    pub fn state(&self) -> State {
        self.look(|core| State::from(core.engine.status())).unwrap_or(State::IDLE)
    }

    /// Waits until the state is another than `seen`, and gives it. No change that lasts is missed.
    /// Cancel-safe.
    pub async fn changed(&self, seen: &State) -> State {
        poll_fn(|cx| {
            let poll = self.look(|core| {
                let state = State::from(core.engine.status());
                if state != *seen {
                    return Poll::Ready(state);
                }
                core.front.tasks.wait(want::STATE, cx.waker());
                Poll::Pending
            });
            poll.unwrap_or(Poll::Ready(State::IDLE))
        })
        .await
    }

    /// Waits until the session is connected. Cancel-safe.
    pub async fn up(&self) {
        let mut state = self.state();
        while !state.is_up() {
            state = self.changed(&state).await;
        }
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        self.look(|core| *core.engine.stats()).unwrap_or_default()
    }

    /// Accepted messages whose fate is not yet known.
    pub fn held(&self) -> usize {
        self.look(|core| core.engine.held()).unwrap_or(0)
    }

    /// Received messages lost: to the overflow policies of the present subscriptions, because they
    /// were larger than the mailbox, and for want of a subscription.
    pub fn lost(&self) -> u32 {
        let lost = self.look(|core| core.front.routes.lost().saturating_add(core.front.unrouted));
        lost.unwrap_or(0)
    }

    /// What the broker of the present or last connection offers.
    pub fn limits(&self) -> Limits {
        self.look(|core| *core.engine.limits()).unwrap_or_default()
    }

    /// The smoothed round trip to the broker; zero before the first measurement.
    pub fn round_trip(&self) -> Duration {
        self.look(|core| core.engine.round_trip()).unwrap_or_default()
    }

    /// Reason Code of the last CONNACK or DISCONNECT.
    pub fn last_reason(&self) -> Option<ReasonCode> {
        self.look(|core| core.front.said).flatten()
    }

    /// Credentials, will and the rest for the next connections.
    pub fn set_connect(&self, connect: Connect<'m>) {
        self.look(|core| core.front.connect = connect);
    }

    /// What a full queue does.
    pub(super) fn when_full(&self) -> WhenFull {
        self.look(|core| core.engine.when_full()).unwrap_or_default()
    }

    /// Waits until every accepted message has come to its end. Cancel-safe. Ends as well when the
    /// client is closed.
    pub async fn flush(&self) {
        poll_fn(|cx| {
            let done = self.look(|core| {
                let done = core.engine.held() == 0 || core.front.closed;
                if !done {
                    core.front.tasks.wait(want::IDLE, cx.waker());
                }
                done
            });
            if done == Some(false) { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Asks the broker for a sign of life and tells how long the answer took. Cancel-safe.
    /// `None` if it did not come within `deadline`, or the client is not connected by then.
    pub async fn ping(&self, deadline: Duration) -> Option<Duration> {
        let answer = async {
            self.up().await;
            let start = Instant::now();
            let seen = self.change(|core, _| {
                core.engine.ping();
                core.front.pongs
            });
            poll_fn(|cx| {
                let answered = self.look(|core| {
                    core.front.tasks.wait(want::PONG, cx.waker());
                    core.front.pongs
                });
                if answered == seen { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            Duration::from_micros(start.elapsed().as_micros())
        };
        with_timeout(clock::duration(deadline), answer).await.ok()
    }

    /// Drops the connection and makes a new one at once; also ends a pause between attempts.
    pub fn reconnect(&self) {
        self.change(|core, now| core.engine.reconnect(now));
    }

    /// Leaves politely: DISCONNECT, which suppresses the will, then the end of the connection. The
    /// driver's `run` returns. Messages not yet delivered stay held, and go out if the driver runs
    /// again. Returns at once; the future of the driver says when it is done.
    pub fn close(&self) {
        self.leave(ReasonCode::SUCCESS);
    }

    /// As [`close`](Self::close), but the broker publishes the will (MQTT 5; with 3.1.1 as `close`).
    pub fn close_with_will(&self) {
        self.leave(ReasonCode::DISCONNECT_WITH_WILL_MESSAGE);
    }

    fn leave(&self, reason: ReasonCode) {
        let packet = Disconnect { reason, props: Properties::EMPTY };
        self.change(|core, now| {
            // Closed already: it must not close what is opened later.
            if !core.front.closed {
                core.engine.close(now, packet);
            }
        });
    }

    /// Waits until all messages came to their end, at most `time`, then closes. Tells how many are
    /// still held. Cancel-safe: the client stays open then.
    pub async fn drain(&self, time: Duration) -> usize {
        let _ = with_timeout(clock::duration(time), self.flush()).await;
        let held = self.held();
        self.close();
        held
    }
}
