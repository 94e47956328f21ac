//! The contract between a protocol engine and the driver that pumps it.
//!
//! Drive rule: after any call that changes the engine, call [`Engine::poll`] until it answers
//! [`Output::Wait`]; carry out each output before the next call. Time is an argument, the next
//! deadline is a result. The MQTT session and the MQTT-SN node are engines behind this one trait.

pub use crate::fault::{Cause, Fault, Step};
pub use crate::refused::Refused;
use crate::time::{Duration, Instant};
use crate::topic::{TopicFilter, TopicName};
use crate::wire::{
    Auth, ConnAck, Connect, Disconnect, Properties, QoS, ReasonCode, SubscribeOptions, WireError,
    frame_len,
};

/// Whom to tell when an operation ends; chosen by the caller, given back in [`Inbox::done`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u32);

impl Tag {
    /// Nobody waits.
    pub const NONE: Self = Self(0);
}

/// What happened outside.
#[derive(Debug)]
pub enum Input<'a> {
    /// Opening the pipe has come to this step; for [`Status`] only.
    Opening(Step),
    /// The pipe asked for by [`Output::Open`] is open.
    Opened,
    /// Bytes arrived, whether or not they complete a packet: any byte is life.
    Alive,
    /// One whole packet arrived.
    Packet(&'a [u8]),
    /// A packet larger than the receive buffer was skipped; `head` is how it began.
    Skipped {
        /// The first bytes, as many as the buffer held.
        head: &'a [u8],
        /// Length of the whole packet in bytes.
        total: usize,
    },
    /// Further bytes of the packet that [`Input::Skipped`] began.
    Rest {
        /// As many as came.
        bytes: &'a [u8],
        /// How many are still to come after these.
        left: usize,
    },
    /// What arrived cannot be a packet; the stream makes no sense from here on.
    Malformed(WireError),
    /// The pipe took bytes; `pending` bytes of earlier [`Output::Send`]s still wait.
    Wrote {
        /// Bytes not yet taken by the pipe.
        pending: usize,
    },
    /// Opening failed, or the pipe is gone.
    Closed(Fault),
    /// How [`Output::Try`] ended: whether a pipe to that endpoint could be opened.
    Tried {
        /// Whether it could.
        open: bool,
    },
    /// Addresses or routes of this machine changed: what failed may work now, what worked may be gone.
    /// Not to be told at every trifle: each ends a pause, and costs a connected session a ping.
    NetworkChanged,
    /// Time passed, or the application made room in its inbox.
    Tick,
}

/// Whether [`Engine::handle`] took its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Handled {
    /// Taken.
    Done,
    /// Not taken: the inbox or the list of owed acknowledgements is full. Keep the packet, read no
    /// further, and offer it again after an output was carried out or the inbox has room.
    Busy,
}

/// What the driver is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Open a pipe to this endpoint (an index into the driver's list, modulo its length), then
    /// report [`Input::Opened`] or [`Input::Closed`].
    Open {
        /// Which of the configured endpoints.
        endpoint: u16,
    },
    /// Call [`Engine::connect`] with the present credentials and will.
    Connect,
    /// Write the first so many bytes of the buffer given to [`Engine::poll`].
    Send(usize),
    /// Close; the engine already counts the pipe as gone and wants no [`Input::Closed`] for it.
    Close(Depth),
    /// Find out whether a pipe to this endpoint can be opened, while the present one stays open; then
    /// report [`Input::Tried`]. One that was begun before and is not over is to be dropped. If the session
    /// moves, [`Output::Open`] for this endpoint follows soon: the pipe may be kept for it.
    Try {
        /// Which of the configured endpoints.
        endpoint: u16,
    },
    /// Something the application may want to know.
    Event(Event),
    /// Nothing to do until the next input or this instant.
    Wait(Option<Instant>),
}

/// How deep to cut: the rungs of the recovery ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// The connection only.
    Pipe,
    /// The link below it: WiFi association, PPP, an interface.
    Link,
    /// The device that makes the link: a modem's or a radio's reset pin.
    Device,
}

/// Something the application may want to know. Small and `Copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The session is connected.
    Up {
        /// Whether the broker still had the session.
        resumed: bool,
    },
    /// The connection is lost, or an attempt failed.
    Down(Fault),
    /// The first-connect policy allows no further attempt; closed until it is opened again.
    GaveUp(Fault),
    /// Closed as asked.
    Closed,
}

/// The engine's state at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Present step.
    pub step: Step,
    /// Since when.
    pub since: Instant,
    /// Which endpoint is in use, or is tried next.
    pub endpoint: u16,
    /// The last fault since the session was last up.
    pub fault: Option<Fault>,
    /// Failed attempts in a row.
    pub attempts: u32,
    /// When the next attempt starts.
    pub next_attempt: Option<Instant>,
    /// Whether the present or last session was resumed.
    pub resumed: bool,
}

/// How an accepted operation ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// The broker's final acknowledgement came; for QoS 0, the message was handed to the pipe.
    /// For a subscription the reason is the granted QoS.
    Delivered(ReasonCode, Properties<'a>),
    /// The broker refused it, or its stated limits rule it out.
    Rejected(ReasonCode, Properties<'a>),
    /// It was of no use any more before it could be delivered.
    Expired,
    /// The queue's policy dropped it.
    Dropped(WhenFull),
    /// The operation was overtaken by a later one on the same Topic Filter.
    Superseded,
}

/// What a full queue does with a new message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// The caller waits for room (or is told at once that there is none).
    #[default]
    Wait,
    /// The caller is told at once.
    Reject,
    /// The oldest message not yet sent makes room.
    DropOldest,
    /// The new message is dropped.
    DropNewest,
    /// The oldest unsent message on the same topic makes room; without one, the oldest of all.
    Latest,
}

/// A message to publish.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Where to.
    pub topic: TopicName<'a>,
    /// The application message.
    pub payload: &'a [u8],
    /// Quality of service.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// MQTT 5 properties of PUBLISH; ignored with 3.1.1. Topic Alias and Message Expiry Interval
    /// are the engine's own business and are left out.
    pub props: Properties<'a>,
    /// Of no use after this time; enforced locally in both versions.
    pub expiry: Option<Duration>,
    /// Whom to tell.
    pub tag: Tag,
}

/// A Topic Filter to subscribe to.
#[derive(Clone, Copy, Debug)]
pub struct Subscription<'a> {
    /// What to receive.
    pub filter: TopicFilter<'a>,
    /// Maximum QoS and the MQTT 5 options.
    pub options: SubscribeOptions,
    /// MQTT 5 Subscription Identifier, 0 for none; left out where the broker does not offer it.
    pub id: u32,
    /// MQTT 5 user properties of SUBSCRIBE.
    pub props: Properties<'a>,
    /// Whom to tell.
    pub tag: Tag,
}

/// A received message, borrowed from the receive buffer.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The Topic Name, aliases resolved.
    pub topic: &'a str,
    /// The application message.
    pub payload: &'a [u8],
    /// Quality of service it was sent with.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// DUP flag.
    pub dup: bool,
    /// MQTT 5 properties.
    pub props: Properties<'a>,
    /// For [`Engine::acknowledge`] when the verdict is [`Verdict::Later`].
    pub receipt: Receipt,
}

/// Names a received message for a later acknowledgement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    pub(crate) pid: u16,
    pub(crate) qos2: bool,
    /// Number of the connection that brought it.
    pub(crate) epoch: u32,
}

impl Receipt {
    /// Packet Identifier of the message, 0 at QoS 0.
    pub fn packet_identifier(&self) -> u16 {
        self.pid
    }

    /// As a number, to be written down; [`from_bits`](Self::from_bits) makes the same of it again.
    pub fn to_bits(self) -> u64 {
        u64::from(self.epoch) << 17 | u64::from(self.qos2) << 16 | u64::from(self.pid)
    }

    /// What [`to_bits`](Self::to_bits) was about.
    pub fn from_bits(bits: u64) -> Self {
        Self { pid: bits as u16, qos2: bits >> 16 & 1 == 1, epoch: (bits >> 17) as u32 }
    }
}

/// What the inbox did with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Holds it (or chose to drop it): acknowledge now.
    Taken,
    /// Holds it; the application acknowledges with [`Engine::acknowledge`].
    Later,
    /// No room: offer it again.
    Busy,
}

/// Who gets what the engine has to tell. All methods must be quick: they run inside the engine.
pub trait Inbox {
    /// A message arrived.
    fn message(&mut self, message: &Incoming<'_>) -> Verdict;

    /// An operation with a tag other than [`Tag::NONE`] ended. A subscription is answered again
    /// each time it is restored, until a later operation on its Topic Filter.
    fn done(&mut self, tag: Tag, outcome: Outcome<'_>) {
        let _ = (tag, outcome);
    }

    /// A message with a tag other than [`Tag::NONE`] is on the durable medium.
    fn stored(&mut self, tag: Tag) {
        let _ = tag;
    }

    /// The queue may have room again.
    fn room(&mut self) {}

    /// An acknowledgement came so long after its packet was sent.
    fn round_trip(&mut self, time: Duration) {
        let _ = time;
    }

    /// The broker answered a ping.
    fn pong(&mut self) {}

    /// The broker accepted the connection. Return `false` to refuse it in turn, because it did
    /// not prove who it is.
    fn connected(&mut self, ack: &ConnAck<'_>) -> bool {
        let _ = ack;
        true
    }

    /// The broker refused the connection or ended it with DISCONNECT.
    fn refused(&mut self, reason: ReasonCode, props: Properties<'_>) {
        let _ = (reason, props);
    }

    /// The broker says to use another server, for this once or for good. Return whether the
    /// next [`Output::Open`] will go there.
    fn redirect(&mut self, server: &str, permanent: bool) -> bool {
        let _ = (server, permanent);
        false
    }

    /// Enhanced authentication: the broker's challenge. Return `false` to refuse it.
    fn challenge(&mut self, auth: &Auth<'_>) -> bool {
        let _ = auth;
        false
    }

    /// Enhanced authentication: write the encoded properties of the next AUTH packet,
    /// Authentication Method and Authentication Data above all. `None`, if they do not fit or there
    /// are none, ends the connection.
    fn authenticate(&mut self, out: &mut [u8]) -> Option<usize> {
        let _ = out;
        None
    }

    /// A message larger than the receive buffer begins: its payload has `payload` bytes, and begins
    /// with `message.payload`. Return `true` to have the rest in [pieces](Self::piece), `false` to have it
    /// skipped. The message before, if its last piece did not come, is void: the connection broke,
    /// and it comes again from its beginning.
    fn begin(&mut self, message: &Incoming<'_>, payload: usize) -> bool {
        let _ = (message, payload);
        false
    }

    /// The next bytes of the payload of the message that was begun; `left` are still to come. With the
    /// last piece the message is taken, and acknowledged. `false`: there is no room now, offer the
    /// piece again.
    fn piece(&mut self, bytes: &[u8], left: usize) -> bool {
        let _ = (bytes, left);
        true
    }

    /// A packet too large for the receive buffer was skipped. `topic` is empty if it was not a
    /// PUBLISH, or its Topic Name did not fit either.
    fn skipped(&mut self, topic: &str, total: usize) {
        let _ = (topic, total);
    }
}

/// Where a packet ends in a stream of bytes: what a driver must know of a protocol.
pub trait Framing: Copy + Default + core::fmt::Debug {
    /// Length in bytes of the packet that starts with `bytes`; `None` as long as more bytes are needed
    /// to tell.
    ///
    /// # Errors
    /// What no packet starts with.
    fn packet_len(self, bytes: &[u8]) -> Result<Option<usize>, WireError>;
}

/// MQTT's own: the Remaining Length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MqttFraming;

impl Framing for MqttFraming {
    #[inline]
    fn packet_len(self, bytes: &[u8]) -> Result<Option<usize>, WireError> {
        Ok(frame_len(bytes)?.map(|header| header.total_len))
    }
}

/// A protocol engine. See the [module's](self) drive rule.
pub trait Engine {
    /// Where a packet of this protocol ends.
    type Framing: Framing;

    /// Where a packet that this engine reads ends.
    fn framing(&self) -> Self::Framing {
        Self::Framing::default()
    }

    /// Starts connecting, or starts again after a close. Does nothing when already open.
    fn open(&mut self, now: Instant);

    /// Leaves: what is in hand is sent, then DISCONNECT, then the pipe is closed. Messages not
    /// yet acknowledged stay in the store. Does nothing, and tells nothing, when not open.
    fn close(&mut self, now: Instant, disconnect: Disconnect<'_>);

    /// Drops the connection at once and makes a new one, without waiting.
    fn reconnect(&mut self, now: Instant);

    /// Takes what happened outside.
    fn handle(&mut self, now: Instant, input: Input<'_>, inbox: &mut impl Inbox) -> Handled;

    /// Says what to do next; packets are written to the front of `tx`. `tx` may be shorter than the
    /// transmit buffer while earlier bytes wait in it.
    fn poll(&mut self, now: Instant, tx: &mut [u8], inbox: &mut impl Inbox) -> Output;

    /// Writes CONNECT, in answer to [`Output::Connect`]. Clean Start and keep-alive are the
    /// engine's; the rest is the caller's. Fails if it does not fit into `tx`.
    fn connect(
        &mut self,
        now: Instant,
        with: &Connect<'_>,
        tx: &mut [u8],
    ) -> Result<usize, Refused>;

    /// Accepts a message. Never waits.
    fn publish(
        &mut self,
        now: Instant,
        message: &Outgoing<'_>,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused>;

    /// Subscribes, now or as soon as there is a connection, and again whenever a session is lost.
    fn subscribe(
        &mut self,
        now: Instant,
        subscription: &Subscription<'_>,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused>;

    /// Ends a subscription.
    fn unsubscribe(
        &mut self,
        now: Instant,
        filter: TopicFilter<'_>,
        tag: Tag,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused>;

    /// Acknowledges a message whose verdict was [`Verdict::Later`].
    fn acknowledge(&mut self, now: Instant, receipt: Receipt) -> Result<(), Refused>;

    /// The state at a glance.
    fn status(&self) -> Status;

    /// Whether [`poll`](Self::poll) may have had more to send than `tx` had room for when last
    /// called: a driver whose buffer can grow then grows it and polls again.
    fn is_starved(&self) -> bool {
        false
    }
}
