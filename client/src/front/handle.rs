//! The client handle and its driver.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use everlink_link::{Elastic, Link, RoadLink};
use everlink_proto::engine::{Engine, Fault, Refused, Step, WhenFull};
use everlink_proto::session::{Limits, Stats};
use everlink_proto::wire::{Disconnect, Properties, Property, QoS, ReasonCode, Version};
use tokio::sync::watch;

use super::builder::Builder;
use super::clock::TokioClock;
use super::connect::{Credentials, Will, seconds};
#[cfg(feature = "store")]
use super::keep::StoreStatus;
use super::publish::Publish;
use super::shared::{BrokerInfo, DriverShare, Shared};
use super::state::{Latency, State};
use super::subscribe::Subscribe;
use super::waiters::Ack;
use super::wakes::Place;
use crate::driver::Finished;

/// A handle to an MQTT client. Cheap to clone; all clones are the same client.
///
/// Every method returns at once or is a future that can be dropped at any await: what was accepted
/// stays accepted, what was not is as if never asked.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) when_full: WhenFull,
    pub(crate) version: Version,
}

impl Client {
    /// Starts building a client for the broker at `url`: `mqtt://[user[:password]@]host[:port]`,
    /// `mqtts://` for TLS, or another road that [`Road`](crate::Road) names.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url.into())
    }

    pub(crate) fn new(shared: Arc<Shared>, when_full: WhenFull, version: Version) -> Self {
        Self { shared, when_full, version }
    }

    /// A message to publish. Choose its properties, then [`send`](Publish::send) it, or await it
    /// to be told of its delivery.
    pub fn publish<'a, P: AsRef<[u8]>>(&'a self, topic: &'a str, payload: P) -> Publish<'a, P> {
        Publish::new(self, topic, payload)
    }

    /// A subscription to make: await it to get a stream of messages once the broker granted it.
    /// It is restored after every outage until the stream is dropped.
    pub fn subscribe<'a>(&'a self, filter: &'a str, qos: QoS) -> Subscribe<'a> {
        Subscribe::new(self, filter, qos)
    }

    /// The present state. Cheap; changes nothing.
    pub fn state(&self) -> State {
        self.shared.state()
    }

    /// A fault in words: the step, and what is known of the cause. For the last fault of the link
    /// that may be more than the fault itself can hold, such as the names in a certificate.
    pub fn explain(&self, fault: &Fault) -> String {
        self.shared.look(|_, front| front.explain(fault))
    }

    /// What TLS came to on the present connection, or the last one: version, cipher, the broker's
    /// certificates. `None` without TLS, and before the first handshake is done.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<std::sync::Arc<crate::TlsFacts>> {
        self.shared.look(|_, front| front.words.as_ref().and_then(|words| words.tls()))
    }

    /// The state as a watch: no change can be missed, the latest is always there. Holding on to a
    /// `borrow` of it holds up the driver.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.shared.watch()
    }

    /// Waits until the session is connected; `false` if it will not be, because the driver has
    /// stopped or was dropped. Cancel-safe.
    pub async fn up(&self) -> bool {
        let mut watch = self.watch();
        loop {
            let State { step, stopped, .. } = self.state();
            if stopped || step == Step::Up {
                return !stopped;
            }
            // The sender lives as long as this handle.
            let _ = watch.changed().await;
        }
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        self.shared.look(|engine, _| *engine.stats())
    }

    /// Round-trip times of acknowledgements so far.
    pub fn latency(&self) -> Latency {
        self.shared.look(|_, front| front.latency.clone())
    }

    /// Accepted messages whose fate is not yet known.
    pub fn held(&self) -> usize {
        self.shared.look(|engine, front| front.held(engine))
    }

    /// Received messages lost: to the overflow policies of the present subscriptions, and for want
    /// of a subscription in this process.
    pub fn lost(&self) -> u64 {
        self.shared.look(|_, front| front.streams.lost_by_all() + front.streams.unrouted)
    }

    /// The answer to the message that was last rejected.
    pub fn last_rejection(&self) -> Option<Ack> {
        self.shared.look(|_, front| front.rejection.clone())
    }

    /// How the store is doing; `None` without one.
    #[cfg(feature = "store")]
    pub fn store(&self) -> Option<StoreStatus> {
        self.shared.look(|_, front| front.keep.as_ref().map(|keep| keep.status()))
    }

    /// Replaces the application's mark in the store; see [`Publish::mark`]. Without a store it does nothing.
    #[cfg(feature = "store")]
    pub fn set_mark(&self, mark: &[u8]) {
        self.shared.look(|_, front| {
            if let Some(keep) = &mut front.keep {
                keep.mark(Some(mark));
            }
        });
    }

    /// Waits until all that was accepted, and all that came since, is in the store; not if the store fails.
    /// The driver waits so before it ends. `false`: not all is in the store. Cancel-safe.
    #[cfg(feature = "store")]
    pub async fn saved(&self) -> bool {
        self.shared.saved().await
    }

    /// What the broker of the present or last connection offers.
    pub fn limits(&self) -> Limits {
        self.shared.look(|engine, _| engine.limits())
    }

    /// What the broker said last in CONNACK or DISCONNECT.
    pub fn broker_info(&self) -> Option<BrokerInfo> {
        self.shared.look(|_, front| front.info.clone())
    }

    /// The Client Identifier, also if the broker assigned it.
    pub fn client_id(&self) -> String {
        self.shared.look(|_, front| front.options.client_id.clone())
    }

    /// Credentials for the next connections.
    pub fn set_credentials(&self, credentials: Credentials) {
        self.shared.look(|_, front| front.options.credentials = credentials);
    }

    /// The will of the next connections. An MQTT-SN gateway is told at once.
    pub fn set_will(&self, will: Option<Will>) {
        self.shared.change(|engine, front, _| {
            front.options.will = will;
            engine.will_changed(front);
        });
    }

    /// MQTT-SN: sleeps for up to `seconds` at a time, from as soon as nothing is left to say; asks the
    /// gateway every `check` for the messages it kept meanwhile. What is published goes out at once, and
    /// then it sleeps again.
    ///
    /// # Errors
    /// [`Refused::Unsupported`] with MQTT.
    pub fn sleep(&self, seconds: u16, check: Duration) -> Result<(), Refused> {
        self.shared.change(|engine, _, now| engine.sleep(now, Some((seconds, check))))
    }

    /// MQTT-SN: sleeps no more.
    ///
    /// # Errors
    /// [`Refused::Unsupported`] with MQTT.
    pub fn wake(&self) -> Result<(), Refused> {
        self.shared.change(|engine, _, now| engine.sleep(now, None))
    }

    /// Waits until every accepted message has come to its end. Cancel-safe. Ends as well when the
    /// client is closed.
    pub async fn flush(&self) {
        let mut place = Place::new(&self.shared, |front| &mut front.idle);
        let _waits = self.shared.awaiting();
        poll_fn(|cx| {
            self.shared.look(|engine, front| {
                if front.held(engine) == 0 || front.is_closed() {
                    return Poll::Ready(());
                }
                place.wait(front, cx);
                Poll::Pending
            })
        })
        .await;
    }

    /// Asks the broker for a sign of life and tells how long the answer took. Cancel-safe.
    /// `None` if it did not come within `deadline`, or the client is not connected by then or will
    /// not be.
    pub async fn ping(&self, deadline: Duration) -> Option<Duration> {
        let answer = async {
            if !self.up().await {
                return None;
            }
            let mut place = Place::new(&self.shared, |front| &mut front.pinging);
            let start = tokio::time::Instant::now();
            let seen = self.shared.change(|engine, front, _| {
                engine.ping();
                front.pongs
            });
            let _waits = self.shared.awaiting();
            poll_fn(|cx| {
                self.shared.look(|_, front| {
                    if front.pongs != seen || front.is_closed() {
                        return Poll::Ready((front.pongs != seen).then(|| start.elapsed()));
                    }
                    place.wait(front, cx);
                    Poll::Pending
                })
            })
            .await
        };
        tokio::time::timeout(deadline, answer).await.ok().flatten()
    }

    /// Drops the connection and makes a new one at once; also ends a pause between attempts.
    pub fn reconnect(&self) {
        self.shared.change(|engine, _, now| engine.reconnect(now));
    }

    /// MQTT 5: authenticates anew on the present connection.
    ///
    /// # Errors
    /// [`Refused::Unsupported`] when not connected, with 3.1.1, or without an authenticator.
    pub fn reauthenticate(&self) -> Result<(), Refused> {
        self.shared.change(|engine, front, _| {
            let authenticator = front.authenticator.as_mut().ok_or(Refused::Unsupported)?;
            front.auth_reply = authenticator.start();
            engine.reauthenticate()
        })
    }

    /// Leaves politely: DISCONNECT, which suppresses the will, then the end of the connection. The
    /// driver's `run` returns. Messages not yet delivered stay held, and go out if the driver runs
    /// again. Returns at once; the future of the driver says when it is done.
    pub fn close(&self) {
        self.leave(ReasonCode::SUCCESS);
    }

    /// As [`close`](Self::close), and changes how long the broker keeps the session, in whole
    /// seconds (MQTT 5; with 3.1.1 as `close`). A session that was to end with the connection
    /// cannot be prolonged; then this is as `close`.
    pub fn close_expiring(&self, session_expiry: Duration) {
        let list = [Property::SessionExpiryInterval(seconds(session_expiry))];
        self.shared.change(|engine, front, now| {
            // Zero in CONNECT, anything else in DISCONNECT is an error (3.14.2.2.2).
            let ends = engine.limits().session_expiry == 0;
            let props = if ends { Properties::EMPTY } else { Properties::from_list(&list) };
            if !front.is_closed() {
                engine.close(now, Disconnect { reason: ReasonCode::SUCCESS, props });
            }
        });
    }

    /// As [`close`](Self::close), but the broker publishes the will (MQTT 5; with 3.1.1 as `close`).
    pub fn close_with_will(&self) {
        self.leave(ReasonCode::DISCONNECT_WITH_WILL_MESSAGE);
    }

    fn leave(&self, reason: ReasonCode) {
        let packet = Disconnect { reason, props: Properties::EMPTY };
        self.shared.change(|engine, front, now| {
            // Closed already: it must not close what is opened later.
            if !front.is_closed() {
                engine.close(now, packet);
            }
        });
    }

    /// Waits until all messages came to their end, at most `time`, then closes. Tells how many are
    /// still held. Cancel-safe: the client stays open then.
    pub async fn drain(&self, time: Duration) -> usize {
        let _ = tokio::time::timeout(time, self.flush()).await;
        let held = self.held();
        self.close();
        held
    }
}

/// Moves everything: runs until the client is closed. Spawn it, or await it beside the application.
#[derive(Debug)]
#[must_use = "nothing moves unless the driver runs"]
pub struct Driver<L = RoadLink> {
    inner: crate::driver::Driver<L, DriverShare, TokioClock, Elastic>,
    guard: Guard,
}

/// Tells everybody who waits when the driver is dropped.
#[derive(Debug)]
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abandoned();
    }
}

/// What is left when the driver stops.
#[derive(Debug)]
pub struct Stopped<L = RoadLink> {
    /// To run again.
    pub driver: Driver<L>,
    /// Why it gave up; `None` if the application closed the client.
    pub fault: Option<Fault>,
}

impl<L: Link> Driver<L> {
    pub(crate) fn new(link: L, shared: Arc<Shared>, receive: usize, transmit: usize) -> Self {
        let clock = TokioClock::starting_at(shared.start());
        let share = DriverShare(shared.clone());
        let inner = crate::driver::Driver::new(
            link,
            share,
            clock,
            Elastic::new(receive),
            Elastic::new(transmit),
        );
        Self { inner, guard: Guard(shared) }
    }

    /// Connects, and runs until the client is closed or, if the first-connect policy says so,
    /// gives up. Dropping the future drops the connection at once, without DISCONNECT.
    ///
    /// The client counts as open from this call on, before the future is first polled.
    pub fn run(mut self) -> impl Future<Output = Stopped<L>> {
        self.guard.0.look(|_, front| front.reopen());
        self.inner.open();
        async move {
            let _watching = super::links::watch(&self.guard.0);
            let fault = match self.inner.pump().await {
                Finished::Closed => None,
                Finished::GaveUp(fault) => Some(fault),
            };
            #[cfg(feature = "store")]
            self.guard.0.saved().await;
            Stopped { driver: self, fault }
        }
    }
}
