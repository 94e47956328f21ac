//! What the gateway knows of a node, in memory of the caller.

use everlink_proto::mem::Table;
use everlink_proto::time::Instant;

use super::Limits;
use super::buffer::{Buffer, Held};
use super::names::{Names, Subscribed, Topic};
use super::peer::Peer;

/// Publications of a node under way at a time. The text allows one (6.6).
pub(crate) const INCOMING: usize = 4;
/// SUBSCRIBE and UNSUBSCRIBE under way. The text allows one (6.9).
pub(crate) const ASKS: usize = 4;
/// Longest client identifier: 23 characters (5.3.1).
const CLIENT_ID: usize = 4 * 23;

/// Memory of a [`Node`]; what a table cannot hold is refused with "congestion".
#[derive(Debug)]
pub struct NodeMemory<'m> {
    /// Registered topics.
    pub topics: Table<'m, Topic>,
    /// Subscriptions.
    pub subscriptions: Table<'m, Subscribed>,
    /// Octets of topic names, filters and the will.
    pub names: Table<'m, u8>,
    /// Messages for the node.
    pub buffer: Table<'m, Held>,
    /// Octets of those messages and their topics.
    pub data: Table<'m, u8>,
}

/// The gateway's half of a node.
#[derive(Debug)]
pub struct Node<'m, A> {
    pub(crate) generation: u32,
    pub(crate) client_id: ClientId,
    pub(crate) peer: Option<Peer<A>>,
    pub(crate) phase: Phase,
    pub(crate) clean: bool,
    /// Its MQTT session was asked for.
    pub(crate) open: bool,
    /// Its MQTT session is connected.
    pub(crate) up: bool,
    pub(crate) keep_alive: u16,
    pub(crate) sleep: u16,
    /// It said that it sleeps, then something that only an active node says.
    pub(crate) roused: bool,
    pub(crate) limits: Limits,
    /// It is lost, or gives up connecting, at this time.
    pub(crate) silent: Option<Instant>,
    pub(crate) names: Names<'m>,
    pub(crate) buffer: Buffer<'m>,
    /// What is recorded changed since it was last told.
    pub(crate) changed: bool,
    /// Somebody waits for room in the buffer.
    pub(crate) wanted: bool,
    pub(crate) flight: Option<Flight>,
    /// Messages that are still sent before the node sleeps again.
    pub(crate) awake: usize,
    pub(crate) incoming: [Incoming; INCOMING],
    /// The last publications that were ended, for those that come again: MsgId and what it was.
    pub(crate) ended: [(u16, u32); INCOMING],
    pub(crate) asks: [Ask; ASKS],
    pub(crate) next_msg_id: u16,
}

/// What a node is doing (6.14).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody is here.
    #[default]
    Free,
    /// WILLTOPICREQ was sent.
    WillTopic,
    /// WILLMSGREQ was sent.
    WillMessage,
    /// Waits for the broker.
    Opening,
    Active,
    Asleep,
    Awake,
    /// Also when lost.
    Disconnected,
}

impl Phase {
    /// Whether it has a session that it may use now.
    pub(crate) const fn is_connected(self) -> bool {
        matches!(self, Self::Active | Self::Asleep | Self::Awake)
    }
}

/// What was sent to the node and is not answered. It is about the first message of the buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub(crate) stage: Stage,
    pub(crate) msg_id: u16,
    pub(crate) tries: u8,
    pub(crate) due: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// REGISTER of this topic id; the answer is REGACK.
    Register(u16),
    /// PUBLISH, with this in its TopicId field; the answer is PUBACK or PUBREC.
    Publish,
    /// PUBREL; the answer is PUBCOMP.
    Release,
    /// The node said "congestion".
    Pause,
}

/// A publication of the node.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Incoming {
    /// 0: none.
    pub(crate) msg_id: u16,
    pub(crate) topic_id: u16,
    pub(crate) twice: bool,
    /// PUBREC was sent.
    pub(crate) received: bool,
    pub(crate) hash: u32,
}

/// A SUBSCRIBE or UNSUBSCRIBE that the broker has not answered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ask {
    /// 0: none. (A MsgId of 0 is answered as any other; see `token`.)
    pub(crate) token: u16,
    pub(crate) msg_id: u16,
    pub(crate) topic_id: u16,
    pub(crate) leave: bool,
}

/// A client identifier.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientId {
    octets: [u8; CLIENT_ID],
    len: u8,
}

impl ClientId {
    pub(crate) const EMPTY: Self = Self { octets: [0; CLIENT_ID], len: 0 };

    pub(crate) fn new(id: &str) -> Option<Self> {
        let mut octets = [0; CLIENT_ID];
        octets.get_mut(..id.len())?.copy_from_slice(id.as_bytes());
        Some(Self { octets, len: id.len() as u8 })
    }

    pub(crate) fn as_str(&self) -> &str {
        let octets = self.octets.get(..usize::from(self.len)).unwrap_or_default();
        // It was text when it was made.
        core::str::from_utf8(octets).unwrap_or_default()
    }
}

impl core::fmt::Debug for ClientId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_str().fmt(f)
    }
}

impl<'m, A: Copy> Node<'m, A> {
    /// Nobody yet.
    pub fn new(memory: NodeMemory<'m>) -> Self {
        Self {
            generation: 0,
            client_id: ClientId::EMPTY,
            peer: None,
            phase: Phase::Free,
            clean: true,
            open: false,
            up: false,
            keep_alive: 0,
            sleep: 0,
            roused: false,
            limits: Limits::default(),
            silent: None,
            names: Names::new(memory.topics, memory.subscriptions, memory.names),
            buffer: Buffer::new(memory.buffer, memory.data),
            changed: false,
            wanted: false,
            flight: None,
            awake: 0,
            incoming: [Incoming::default(); INCOMING],
            ended: [(0, 0); INCOMING],
            asks: [Ask::default(); ASKS],
            next_msg_id: 0,
        }
    }

    /// Forgets everything but who it is.
    pub(crate) fn clear(&mut self) {
        self.names.clear();
        self.buffer.clear();
        (self.flight, self.awake, self.wanted) = (None, 0, false);
        self.incoming = [Incoming::default(); INCOMING];
        self.ended = [(0, 0); INCOMING];
        self.asks = [Ask::default(); ASKS];
    }

    /// The next MsgId of the gateway's own: never 0.
    pub(crate) fn new_msg_id(&mut self) -> u16 {
        self.next_msg_id = self.next_msg_id.checked_add(1).unwrap_or(1);
        self.next_msg_id
    }
}

impl<A> Node<'_, A> {
    /// The next time at which something is to be done.
    pub(crate) fn due(&self) -> Option<Instant> {
        let flight = self.flight.map(|flight| flight.due);
        [flight, self.silent].into_iter().flatten().min()
    }
}
