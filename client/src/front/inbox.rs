//! What the engine tells, put where the application finds it.

use std::sync::Weak;
use std::time::Duration;

use everlink_link::Words;
use everlink_proto::engine::{
    Engine, Fault, Inbox, Incoming, Outcome as EngineOutcome, Outgoing, Refused, Tag, Verdict,
};
use everlink_proto::time::Instant;
use everlink_proto::wire::{Auth, ConnAck, Properties, Property, ReasonCode};

use super::auth::Authenticator;
use super::connect::{ConnectOptions, push};
use super::engine::Engine_;
#[cfg(feature = "store")]
use super::keep::Keep;
use super::links::Links;
use super::shared::{BrokerInfo, Shared};
use super::state::Latency;
use super::streams::{Streams, filter_of};
use super::waiters::{Ack, Waiters};
use super::wakes::{Waiting, Wakes};

#[derive(Debug, Default)]
pub(crate) struct Front {
    pub(crate) streams: Streams,
    pub(crate) waiters: Waiters,
    pub(crate) options: ConnectOptions,
    pub(crate) authenticator: Option<Box<dyn Authenticator>>,
    pub(crate) auth_reply: Vec<u8>,
    pub(crate) info: Option<BrokerInfo>,
    pub(crate) latency: Latency,
    /// The last message the broker would not take.
    pub(crate) rejection: Option<Ack>,
    pub(crate) redirect: Option<(String, bool)>,
    pub(crate) follow_redirects: bool,
    pub(crate) pongs: u64,
    /// To be woken when the queue has room, when all is delivered, when a ping is answered.
    pub(crate) room: Waiting,
    pub(crate) idle: Waiting,
    pub(crate) pinging: Waiting,
    /// To be woken when all is in the store.
    #[cfg(feature = "store")]
    pub(crate) saved: Waiting,
    /// What goes to the store.
    #[cfg(feature = "store")]
    pub(crate) keep: Option<Box<Keep>>,
    /// Operations whose fate somebody awaits.
    pub(crate) awaited: usize,
    /// Collected while the lock is held, woken after.
    pub(crate) wakes: Wakes,
    pub(crate) shared: Weak<Shared>,
    pub(crate) closed: bool,
    pub(crate) requests: u64,
    /// What the link has to say about its faults.
    pub(crate) words: Option<Words>,
    pub(crate) links: Links,
}

impl Front {
    /// Whether the driver has stopped.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Nothing is accepted that nobody would send.
    pub(crate) fn check_open(&self) -> Result<(), Refused> {
        if self.closed { Err(Refused::Closed) } else { Ok(()) }
    }

    /// Messages whose fate is not known: in memory, and in the store only.
    pub(crate) fn held(&self, engine: &Engine_) -> usize {
        #[cfg(feature = "store")]
        let behind = self.keep.as_ref().map_or(0, |keep| keep.behind());
        #[cfg(not(feature = "store"))]
        let behind = 0;
        engine.held() + behind
    }

    /// Accepts a message; gives its number if it went to the store only.
    #[inline]
    pub(crate) fn accept(
        &mut self,
        engine: &mut Engine_,
        now: Instant,
        message: &Outgoing<'_>,
        mark: Option<&[u8]>,
    ) -> Result<Option<u64>, Refused> {
        #[cfg(feature = "store")]
        if let Some(session) = engine.session_mut()
            && let Some(mut keep) = self.keep.take()
        {
            let accepted = keep.accept(session, self, now, message, mark);
            self.keep = Some(keep);
            return accepted;
        }
        let _ = mark;
        engine.publish(now, message, self).map(|()| None)
    }

    /// Nobody wants to know the fate of this message any more.
    pub(crate) fn abandon(&mut self, tag: Tag, number: Option<u64>) {
        #[cfg(feature = "store")]
        if let (Some(number), Some(keep)) = (number, &mut self.keep)
            && keep.abandon(number, tag)
        {
            return self.waiters.release(tag);
        }
        let _ = number;
        self.waiters.abandon(tag);
    }

    /// Whether there is no room only because a publisher is faster than the medium.
    pub(crate) fn is_busy(&self) -> bool {
        #[cfg(feature = "store")]
        return self.keep.as_ref().is_some_and(|keep| keep.is_busy());
        #[cfg(not(feature = "store"))]
        false
    }

    /// The driver runs again.
    pub(crate) fn reopen(&mut self) {
        self.closed = false;
    }

    /// A fault as a person is to read it.
    pub(crate) fn explain(&self, fault: &Fault) -> String {
        match self.words.as_ref().and_then(|words| words.about(fault.cause)) {
            Some(words) => format!("{}: {words}", fault.step.name()),
            None => fault.to_string(),
        }
    }

    /// Correlation Data that no other request of this client has.
    pub(crate) fn next_correlation(&mut self, now: Instant) -> [u8; 16] {
        self.requests += 1;
        let mut data = [0; 16];
        data[..8].copy_from_slice(&self.requests.to_be_bytes());
        data[8..].copy_from_slice(&now.as_micros().to_be_bytes());
        data
    }

    /// The client is closed: nobody is left waiting.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.streams.wake_all(&mut self.wakes);
        self.waiters.close(&mut self.wakes);
        for waiting in [&mut self.room, &mut self.idle, &mut self.pinging] {
            waiting.wake(&mut self.wakes);
        }
        #[cfg(feature = "store")]
        self.saved.wake(&mut self.wakes);
    }

    /// Encoded properties of CONNECT.
    pub(crate) fn connect_properties(&mut self) -> Vec<u8> {
        let mut props = self.options.props.clone();
        if let Some(authenticator) = &mut self.authenticator {
            let data = authenticator.start();
            push(&mut props, Property::AuthenticationMethod(authenticator.method()));
            if !data.is_empty() {
                push(&mut props, Property::AuthenticationData(&data));
            }
        }
        props
    }
}

impl Inbox for Front {
    fn message(&mut self, message: &Incoming<'_>) -> Verdict {
        self.streams.accept(message, self.awaited > 0, &self.shared, &mut self.wakes)
    }

    fn done(&mut self, tag: Tag, outcome: EngineOutcome<'_>) {
        match filter_of(tag) {
            Some(filter) => self.streams.answered(filter, outcome, &mut self.wakes),
            None => {
                if let EngineOutcome::Rejected(reason, props) = outcome {
                    self.rejection = Some(Ack::new(reason, props));
                }
                self.wakes.extend(self.waiters.done(tag, outcome));
            }
        }
    }

    fn stored(&mut self, tag: Tag) {
        self.wakes.extend(self.waiters.stored(tag));
    }

    fn room(&mut self) {
        self.room.wake(&mut self.wakes);
    }

    fn round_trip(&mut self, time: Duration) {
        self.latency.record(time);
    }

    fn pong(&mut self) {
        self.pongs += 1;
        self.pinging.wake(&mut self.wakes);
    }

    fn connected(&mut self, ack: &ConnAck<'_>) -> bool {
        // [MQTT-3.1.3-2] The session is found again under it.
        if let Some(id) = ack.props.assigned_client_id() {
            id.clone_into(&mut self.options.client_id);
        }
        if let Some(authenticator) = &mut self.authenticator {
            // Without data as well: the broker may owe a proof of who it is.
            let data = ack.props.authentication_data().unwrap_or(&[]);
            if !is_method_of(authenticator.as_ref(), &ack.props) || !authenticator.finish(data) {
                return false;
            }
        }
        self.info = Some(BrokerInfo::new(ack.reason, &ack.props));
        true
    }

    fn refused(&mut self, reason: ReasonCode, props: Properties<'_>) {
        self.info = Some(BrokerInfo::new(reason, &props));
    }

    fn redirect(&mut self, server: &str, permanent: bool) -> bool {
        if self.follow_redirects {
            self.redirect = Some((server.to_owned(), permanent));
        }
        self.follow_redirects
    }

    fn challenge(&mut self, auth: &Auth<'_>) -> bool {
        let Some(authenticator) = &mut self.authenticator else { return false };
        if !is_method_of(authenticator.as_ref(), &auth.props) {
            return false;
        }
        let data = auth.props.authentication_data().unwrap_or(&[]);
        if auth.reason == ReasonCode::SUCCESS {
            return authenticator.finish(data);
        }
        let reply = authenticator.challenge(data);
        let accepted = reply.is_some();
        self.auth_reply = reply.unwrap_or_default();
        accepted
    }

    fn authenticate(&mut self, out: &mut [u8]) -> Option<usize> {
        let authenticator = self.authenticator.as_ref()?;
        // [MQTT-4.12.0-5], [MQTT-4.12.1-1]
        let list = [
            Property::AuthenticationMethod(authenticator.method()),
            Property::AuthenticationData(&self.auth_reply),
        ];
        Properties::from_list(&list).encode_raw(out)
    }

    fn skipped(&mut self, topic: &str, total: usize) {
        tracing::warn!(topic, bytes = total, "a packet larger than the receive buffer was skipped");
    }
}

/// [MQTT-4.12.0-5] the method is that of CONNECT throughout; brokers that leave it out are many.
fn is_method_of(authenticator: &dyn Authenticator, props: &Properties<'_>) -> bool {
    props.authentication_method().is_none_or(|method| method == authenticator.method())
}
