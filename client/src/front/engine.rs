//! The engine behind a handle: an MQTT session, or an MQTT-SN node.

use everlink_proto::engine::*;
use everlink_proto::session::{Config, Limits, Memory, Session, Stats};
use everlink_proto::sn::node::Node;
use everlink_proto::sn::version::Version as SnVersion;
use everlink_proto::store::RamStore;
use everlink_proto::time::{Duration, Instant};
use everlink_proto::topic::TopicFilter;
use everlink_proto::wire::{Connect, Disconnect, WireError};

use super::node::node;
use super::taped::{Tape, Taped};

#[cfg(feature = "store")]
pub(crate) type Session_ = Session<'static, RamStore>;
pub(crate) type Node_ = Node<'static, RamStore>;

/// One of the two. A branch for each call, always the same way, is all it costs.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the usual one stays where it always was")]
pub(crate) enum Engine_ {
    Session(Taped),
    Node(Box<Node_>),
}

macro_rules! each {
    ($engine:expr, $inner:ident => $what:expr) => {
        match $engine {
            Engine_::Session($inner) => $what,
            Engine_::Node($inner) => $what,
        }
    };
}

impl Engine_ {
    /// A session; or a node, if its messages are to have at most so many octets.
    pub(crate) fn new(config: Config, sn: Option<usize>, tape: Option<Tape>) -> Self {
        let store = match config.queue.when_full {
            WhenFull::Latest => RamStore::indexed(),
            _ => RamStore::new(),
        };
        match sn {
            Some(frame) => Self::Node(node(&config, frame, store)),
            None => {
                let memory = Memory::growing(&config);
                Self::Session(Taped::new(Session::new(config, store, memory), tape))
            }
        }
    }

    /// The session, which alone can use a store on disk.
    #[cfg(feature = "store")]
    pub(crate) fn session(&self) -> Option<&Session_> {
        match self {
            Self::Session(session) => Some(session),
            Self::Node(_) => None,
        }
    }

    /// As [`session`](Self::session).
    #[cfg(feature = "store")]
    pub(crate) fn session_mut(&mut self) -> Option<&mut Session_> {
        match self {
            Self::Session(session) => Some(session),
            Self::Node(_) => None,
        }
    }

    #[inline]
    pub(crate) fn stats(&self) -> &Stats {
        each!(self, engine => engine.stats())
    }

    /// Of a node, what MQTT-SN has no limits for.
    pub(crate) fn limits(&self) -> Limits {
        match self {
            Self::Session(session) => *session.limits(),
            Self::Node(_) => Limits::default(),
        }
    }

    #[inline]
    pub(crate) fn held(&self) -> usize {
        each!(self, engine => engine.held())
    }

    #[inline]
    pub(crate) fn is_expiring(&self) -> bool {
        each!(self, engine => engine.is_expiring())
    }

    #[inline]
    pub(crate) fn seen(&self) -> Instant {
        each!(self, engine => engine.seen())
    }

    pub(crate) fn ping(&mut self) {
        each!(self, engine => engine.ping())
    }

    pub(crate) fn reauthenticate(&mut self) -> Result<(), Refused> {
        match self {
            Self::Session(session) => session.reauthenticate(),
            Self::Node(_) => Err(Refused::Unsupported),
        }
    }

    /// The will is another one. Only a gateway can be told before the next connection.
    pub(crate) fn will_changed(&mut self, inbox: &mut impl Inbox) {
        if let Self::Node(node) = self {
            node.update_will(Tag::NONE, inbox);
        }
    }

    /// Lets a node sleep, or ends its sleep.
    pub(crate) fn sleep(
        &mut self,
        now: Instant,
        sleep: Option<(u16, Duration)>,
    ) -> Result<(), Refused> {
        let Self::Node(node) = self else { return Err(Refused::Unsupported) };
        match sleep {
            Some((duration, check)) => node.sleep(duration, check),
            None => node.wake(now),
        }
        Ok(())
    }
}

/// Where a packet ends, of either protocol.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Framing_ {
    #[default]
    Mqtt,
    Sn(SnVersion),
}

impl Framing for Framing_ {
    #[inline]
    fn packet_len(self, bytes: &[u8]) -> Result<Option<usize>, WireError> {
        match self {
            Self::Mqtt => MqttFraming.packet_len(bytes),
            Self::Sn(version) => version.packet_len(bytes),
        }
    }
}

impl Engine for Engine_ {
    type Framing = Framing_;

    fn framing(&self) -> Framing_ {
        match self {
            Self::Session(_) => Framing_::Mqtt,
            Self::Node(node) => Framing_::Sn(node.framing()),
        }
    }

    fn open(&mut self, now: Instant) {
        each!(self, engine => engine.open(now))
    }

    fn close(&mut self, now: Instant, disconnect: Disconnect<'_>) {
        each!(self, engine => engine.close(now, disconnect))
    }

    fn reconnect(&mut self, now: Instant) {
        each!(self, engine => engine.reconnect(now))
    }

    #[inline]
    fn handle(&mut self, now: Instant, input: Input<'_>, inbox: &mut impl Inbox) -> Handled {
        each!(self, engine => engine.handle(now, input, inbox))
    }

    #[inline]
    fn poll(&mut self, now: Instant, tx: &mut [u8], inbox: &mut impl Inbox) -> Output {
        each!(self, engine => engine.poll(now, tx, inbox))
    }

    fn connect(
        &mut self,
        now: Instant,
        with: &Connect<'_>,
        tx: &mut [u8],
    ) -> Result<usize, Refused> {
        each!(self, engine => engine.connect(now, with, tx))
    }

    #[inline]
    fn publish(
        &mut self,
        now: Instant,
        message: &Outgoing<'_>,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused> {
        each!(self, engine => engine.publish(now, message, inbox))
    }

    fn subscribe(
        &mut self,
        now: Instant,
        subscription: &Subscription<'_>,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused> {
        each!(self, engine => engine.subscribe(now, subscription, inbox))
    }

    fn unsubscribe(
        &mut self,
        now: Instant,
        filter: TopicFilter<'_>,
        tag: Tag,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused> {
        each!(self, engine => engine.unsubscribe(now, filter, tag, inbox))
    }

    fn acknowledge(&mut self, now: Instant, receipt: Receipt) -> Result<(), Refused> {
        each!(self, engine => engine.acknowledge(now, receipt))
    }

    fn status(&self) -> Status {
        each!(self, engine => engine.status())
    }

    fn is_starved(&self) -> bool {
        each!(self, engine => engine.is_starved())
    }
}
