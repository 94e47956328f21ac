//! What the application may choose, and the memory a node works in.

use super::incoming::{EndedSlot, InboundSlot};
use super::owed::OwedSlot;
use super::topics::TopicSlot;
use crate::mem::Table;
use crate::session::config::{Pauses, Plan, Rungs};
use crate::session::{Backoff, FirstConnect, Ladder, Queue, SubscriptionSlot};
use crate::sn::version::Version;
use crate::time::{Duration, Span};

/// How a [`Node`](super::Node) behaves. The times of section 7.2 of the text are the defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// Version of the protocol.
    pub version: Version,
    /// Keep-alive in seconds, 0 to 65535; 0 for none. Half of it without a word from the gateway, or
    /// without one to it, makes the node ping.
    pub keep_alive: u16,
    /// Tretry: how long an answer is awaited before the message is sent again.
    pub retry: Duration,
    /// Nretry: how often it is sent again, until the gateway is given up.
    pub retries: u8,
    /// Twait: how long nothing is asked of a gateway that said "congestion".
    pub wait: Duration,
    /// Longest time to open a pipe.
    pub open_timeout: Duration,
    /// Largest message that the link carries, in octets: at least 32. Larger ones are refused when they
    /// are to be accepted. The transmit buffer must have room for one.
    pub frame: usize,
    /// Tell the gateway to forget an earlier session at power-up.
    pub clean_start: bool,
    /// And at each reconnection.
    pub clean_reconnect: bool,
    /// Never connect, and publish at QoS -1 (6.8). Only QoS 0 messages to pre-defined topics and
    /// short topic names are accepted, and no subscription.
    pub connectionless: bool,
    /// Look for a gateway before connecting (6.1): the broadcast radius of SEARCHGW, 0 for the whole
    /// network. `None` where the link has one gateway only.
    pub search: Option<u8>,
    /// TSEARCHGW: the first SEARCHGW comes at random within so much time, and further ones after
    /// twice as long each time.
    pub search_within: Duration,
    /// TGWINFO: for so long, at random, a gateway may answer the search of another node before this
    /// node does. [`Duration::ZERO`]: this node does not answer.
    pub info_within: Duration,
    /// NADV: a gateway is gone if so many of its ADVERTISEs in a row do not come.
    pub missed_advertisements: u8,
    /// Limits of the queue of messages not yet sent.
    pub queue: Queue,
    /// Pauses between attempts.
    pub backoff: Backoff,
    /// What to do when the very first connection cannot be made.
    pub first_connect: FirstConnect,
    /// Number of gateways the driver knows; after a failure the next one is tried first (6.13).
    pub endpoints: u16,
    /// When to cut deeper than the connection.
    pub ladder: Ladder,
    /// The first MsgId to use; 0 counts as 1. With an old session but without its memory, choose
    /// it at random.
    pub first_msg_id: u16,
    /// Seed of jitter and random delays. Nodes need different ones.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: Version::V12,
            keep_alive: 60,
            retry: Duration::from_secs(10),
            retries: 4,
            wait: Duration::from_secs(300),
            open_timeout: Duration::from_secs(10),
            frame: 1024,
            clean_start: true,
            clean_reconnect: false,
            connectionless: false,
            search: None,
            search_within: Duration::from_secs(5),
            info_within: Duration::from_secs(5),
            missed_advertisements: 3,
            queue: Queue::default(),
            backoff: Backoff::default(),
            first_connect: FirstConnect::Fail,
            endpoints: 1,
            ladder: Ladder::default(),
            first_msg_id: 1,
            seed: 0,
        }
    }
}

/// A [`Config`] in the form the node works with.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) plan: Plan,
    pub(super) version: Version,
    pub(super) keep_alive: u16,
    /// Half the keep-alive.
    pub(super) interval: Span,
    pub(super) retry: Span,
    pub(super) retries: u8,
    pub(super) wait: Span,
    pub(super) open_timeout: Span,
    pub(super) frame: usize,
    pub(super) clean_start: bool,
    pub(super) clean_reconnect: bool,
    pub(super) connectionless: bool,
    pub(super) search: Option<u8>,
    pub(super) search_within: Span,
    pub(super) info_within: Span,
    pub(super) missed_advertisements: u8,
}

impl Settings {
    pub(super) fn of(c: &Config) -> Self {
        Self {
            plan: Plan {
                backoff: Pauses::of(&c.backoff),
                rungs: Rungs::of(&c.ladder),
                first_connect: c.first_connect,
                endpoints: c.endpoints,
                shared_links: u32::MAX,
                return_after: Span::ZERO,
                // (6.13) "It should then try to connect to another gateway."
                elsewhere: true,
            },
            version: c.version,
            keep_alive: c.keep_alive,
            interval: match c.keep_alive {
                0 => Span::FOREVER,
                seconds => Span::from_millis(u32::from(seconds) * 500),
            },
            retry: Span::of(c.retry),
            retries: c.retries,
            wait: Span::of(c.wait),
            open_timeout: Span::of(c.open_timeout),
            frame: c.frame.max(32),
            clean_start: c.clean_start,
            clean_reconnect: c.clean_reconnect,
            connectionless: c.connectionless,
            search: c.search,
            search_within: Span::of(c.search_within),
            info_within: Span::of(c.info_within),
            missed_advertisements: c.missed_advertisements.max(1),
        }
    }
}

/// A topic id that node and gateway know beforehand, and its Topic Name.
pub type Predefined<'m> = (u16, &'m str);

/// Tables of a [`Node`](super::Node). On a board each borrows an array; with the `alloc` feature
/// `Memory::growing` makes all of them.
#[derive(Debug)]
pub struct Memory<'m> {
    /// Topic ids of the present session: at least 1, better one for each topic in use. When full, the
    /// one longest not used gives way, and is registered again when needed.
    pub topics: Table<'m, TopicSlot>,
    /// Octets of their names: at least those of the longest.
    pub names: Table<'m, u8>,
    /// Answers to be sent; at least 4.
    pub owed: Table<'m, OwedSlot>,
    /// Received QoS 1 and 2 messages in progress; at least 4.
    pub inbound: Table<'m, InboundSlot>,
    /// QoS 2 messages received last, to know late copies of their datagrams.
    pub ended: Table<'m, EndedSlot>,
    /// Subscriptions.
    pub subs: Table<'m, SubscriptionSlot>,
    /// Octets of their Topic Filters.
    pub filters: Table<'m, u8>,
    /// Gateways found by search.
    pub gateways: Table<'m, super::discovery::GatewaySlot>,
    /// Pre-defined topic ids.
    pub predefined: &'m [Predefined<'m>],
}

#[cfg(feature = "alloc")]
impl<'m> Memory<'m> {
    /// Tables that grow as needed: room for 1024 topics, 256 subscriptions, 64 messages in progress.
    pub fn growing(predefined: &'m [Predefined<'m>]) -> Self {
        Self {
            topics: Table::growing(1024),
            names: Table::growing(1 << 20),
            owed: Table::growing(64),
            inbound: Table::growing(64),
            ended: Table::growing(64),
            subs: Table::growing(256),
            filters: Table::growing(1 << 20),
            gateways: Table::growing(16),
            predefined,
        }
    }
}
