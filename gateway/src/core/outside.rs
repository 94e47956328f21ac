//! What the core asks of the world around it.

use everlink_proto::wire::QoS;

use super::Limits;

/// A node in the gateway's table. An answer that comes after the node began anew, or its place was
/// given to another, has an older generation and is not taken for its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// Its place, from 0.
    pub slot: u32,
    /// How often the place was taken, or the session in it begun anew.
    pub generation: u32,
}

/// Names a message that arrived from the broker; chosen by the runner, given back in
/// [`Outside::acknowledge`]. 0: there is nothing to acknowledge.
pub type Receipt = u64;

/// A message for the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publication<'a> {
    /// Topic Name.
    pub topic: &'a str,
    /// The data.
    pub data: &'a [u8],
    /// Quality of service; a message of QoS -1 goes on at QoS 0.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
}

/// A message from the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival<'a> {
    /// Topic Name.
    pub topic: &'a str,
    /// The data.
    pub data: &'a [u8],
    /// Quality of service.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// The broker may have sent it before.
    pub dup: bool,
    /// To acknowledge it with.
    pub receipt: Receipt,
}

/// What became of an [`Arrival`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The gateway has it and acknowledges it when its fate is known.
    Taken,
    /// There is no room; offer it again after [`Outside::room`].
    Busy,
}

/// A node's will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Will topic.
    pub topic: &'a str,
    /// Will message.
    pub message: &'a [u8],
    /// Its quality of service.
    pub qos: QoS,
    /// Its RETAIN flag.
    pub retain: bool,
}

/// The MQTT session that a node needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open<'a> {
    /// Client identifier.
    pub client_id: &'a str,
    /// Begin without what the broker has of an earlier session.
    pub clean: bool,
    /// Seconds; 0 is off. It is between node and gateway, and a hint only for the broker's side.
    pub keep_alive: u16,
    /// The will.
    pub will: Option<Will<'a>>,
}

/// How a node's MQTT session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// The broker is to publish the will.
    pub will: bool,
    /// The broker is to forget the session; nobody comes back to it.
    pub forget: bool,
}

/// How a publication ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The broker has it, finally.
    Delivered,
    /// The broker refused it; `busy`: for the moment only.
    Rejected {
        /// It may be tried again later.
        busy: bool,
    },
}

/// There is no room for a further publication at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Why a message for a node was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The node's buffer was full, and its policy says so.
    Full,
    /// It fits into no datagram, or never into the buffer.
    TooLong,
    /// The node refused it, or its topic.
    Refused,
    /// The session ended and nobody comes back to it.
    Gone,
}

/// What happened, for whoever watches. `node` is the client identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say what they are")]
pub enum Event<'a> {
    /// A node is connected.
    Active { node: &'a str },
    /// It sleeps.
    Asleep { node: &'a str, seconds: u16 },
    /// It left politely.
    Disconnected { node: &'a str },
    /// It was not heard of for too long, or did not answer; its will is published.
    Lost { node: &'a str },
    /// It may not connect.
    NotAllowed { node: &'a str },
    /// It has another address than before.
    Moved { node: &'a str },
    /// A message for it was given up.
    Dropped { node: &'a str, topic: &'a str, qos: QoS, reason: Reason },
    /// A publication of its own was refused by the broker.
    Rejected { node: &'a str },
}

/// The world around the core: it is called while the core handles an input, and must not block.
pub trait Outside<A> {
    /// A datagram for a peer. It may be lost.
    fn send(&mut self, to: &A, datagram: &[u8]);

    /// A datagram for everybody within `radius` hops (0: all).
    fn broadcast(&mut self, radius: u8, datagram: &[u8]);

    /// Whether a client of this identifier may connect, and what it may use.
    fn admit(&mut self, client_id: &str) -> Option<Limits>;

    /// The node needs its MQTT session. `filters` are the subscriptions that it has already; a session
    /// that the broker still has knows them, a new one does not. Answered by
    /// [`Gateway::up`](super::Gateway::up) or [`Gateway::refused`](super::Gateway::refused).
    fn open(
        &mut self,
        node: NodeId,
        session: &Open<'_>,
        filters: &mut dyn Iterator<Item = (&str, QoS)>,
    );

    /// The node needs it no more, or for now.
    fn close(&mut self, node: NodeId, how: Close);

    /// The node's will changed.
    fn will(&mut self, node: NodeId, will: Option<Will<'_>>);

    /// At QoS 1 and 2 answered by [`Gateway::published`](super::Gateway::published) with `token`; at
    /// QoS 0 not at all.
    ///
    /// # Errors
    /// [`Busy`]: the node is told to try later.
    fn publish(&mut self, node: NodeId, token: u16, message: &Publication<'_>) -> Result<(), Busy>;

    /// A message of somebody who is not connected (QoS -1). Nobody is told how it ended.
    fn publish_unconnected(&mut self, message: &Publication<'_>);

    /// Answered by [`Gateway::subscribed`](super::Gateway::subscribed) with `token`.
    fn subscribe(&mut self, node: NodeId, token: u16, filter: &str, qos: QoS);

    /// Answered by [`Gateway::unsubscribed`](super::Gateway::unsubscribed) with `token`.
    fn unsubscribe(&mut self, node: NodeId, token: u16, filter: &str);

    /// The node has the message, or it was given up: the broker may forget it.
    fn acknowledge(&mut self, node: NodeId, receipt: Receipt);

    /// There may be room again for what was [`Verdict::Busy`].
    fn room(&mut self, node: NodeId);

    /// Something changed that is to survive a restart: see [`Gateway::record`](super::Gateway::record).
    /// Called once for an input, after everything else.
    fn changed(&mut self, _node: NodeId) {}

    /// Something happened.
    fn event(&mut self, event: Event<'_>);
}

/// The topics known beforehand.
pub trait Predefined {
    /// The Topic Name of `id` for the node `client_id` (empty: one that is not connected).
    fn topic(&self, client_id: &str, id: u16) -> Option<&str>;
}

/// A table for all nodes.
impl Predefined for &[(u16, &str)] {
    fn topic(&self, _client_id: &str, id: u16) -> Option<&str> {
        self.iter().find(|(known, _)| *known == id).map(|(_, topic)| *topic)
    }
}

impl core::fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Active { node } => write!(f, "{node}: connected"),
            Self::Asleep { node, seconds } => write!(f, "{node}: sleeps for {seconds} s"),
            Self::Disconnected { node } => write!(f, "{node}: left"),
            Self::Lost { node } => write!(f, "{node}: lost; its will is published"),
            Self::NotAllowed { node } => write!(f, "{node}: may not connect"),
            Self::Moved { node } => write!(f, "{node}: has another address"),
            Self::Dropped { node, topic, qos, reason } => {
                let why = match reason {
                    Reason::Full => "its buffer is full",
                    Reason::TooLong => "it is too long",
                    Reason::Refused => "the node refused it",
                    Reason::Gone => "its session ended",
                };
                write!(f, "{node}: a message to {topic} at QoS {} is dropped: {why}", *qos as u8)
            }
            Self::Rejected { node } => write!(f, "{node}: the broker refused its message"),
        }
    }
}
