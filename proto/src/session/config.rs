//! What the application may choose. Every field has a default that suits a server or a board.

use super::abilities::speaks;
use crate::engine::WhenFull;
use crate::time::{Duration, Span};
use crate::wire::Version;

/// How a [`Session`](super::Session) behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Protocol version.
    pub version: Version,
    /// Keep Alive in seconds, 0 to 65535; 0 turns the broker's check off. The broker may lower it.
    pub keep_alive: u16,
    /// Longest pause between pings; used only if shorter than a quarter of the keep-alive
    /// (20 s if that is 0). [`Duration::ZERO`] means that quarter.
    pub ping_interval: Duration,
    /// Longest wait for any reply and for any progress of a write.
    pub response_time: Duration,
    /// Judge silence by measured round trips, between 1 s and `response_time`, instead of by
    /// `response_time` alone.
    pub adaptive: bool,
    /// Longest time to open a pipe: name, transport and TLS together.
    pub open_timeout: Duration,
    /// 3.1.1 only: how often an unacknowledged packet is sent again on a live connection before
    /// the connection is given up. MQTT 5 forbids it `[MQTT-4.4.0-1]`.
    pub max_repeats: u8,
    /// Start without an old session at power-up: until the first connection since the session
    /// was made is up.
    pub clean_start: bool,
    /// Start without the session at each reconnection as well, and when opened again.
    pub clean_reconnect: bool,
    /// MQTT 5: seconds the broker keeps the session after the connection is lost;
    /// `u32::MAX` means for ever.
    pub session_expiry: u32,
    /// Ask the broker to forget the session when closing with nothing held. MQTT 5 says so in
    /// DISCONNECT; 3.1.1 needs one more connection, with Clean Session.
    pub ephemeral: bool,
    /// MQTT 5: unacknowledged QoS 1 and 2 messages the broker may send at a time, 1 to 65535.
    pub receive_maximum: u16,
    /// Largest packet to receive, in bytes: the size of the driver's receive buffer. Advertised in MQTT 5.
    pub maximum_packet_size: u32,
    /// Largest packet, in bytes, that the application takes in pieces
    /// ([`Inbox::begin`](crate::engine::Inbox::begin)), if it takes larger ones than the receive buffer
    /// holds. Advertised in MQTT 5 in place of `maximum_packet_size`; 0 for none.
    pub largest_in_pieces: u32,
    /// Size in bytes of the driver's transmit buffer. All but payloads must fit into it.
    pub transmit_buffer: usize,
    /// Most unacknowledged QoS 1 and 2 messages under way to the broker, 1 to 65535. The broker's
    /// Receive Maximum may lower it.
    pub window: u16,
    /// Limits of the queue of messages not yet sent.
    pub queue: Queue,
    /// Pauses between attempts.
    pub backoff: Backoff,
    /// What to do when the very first connection cannot be made.
    pub first_connect: FirstConnect,
    /// Number of endpoints the driver knows, the first choice first. A lost connection is first made again
    /// where it was; then all are tried in their order.
    pub endpoints: u16,
    /// Which endpoints share a link, for the [`Ladder`]: bit `n` says that endpoint `n + 1` lies over the
    /// same link as endpoint `n`. By default all do. Those from 31 on always do.
    pub shared_links: u32,
    /// While connected elsewhere, how long until the first choice is tried out; [`Duration::ZERO`] for
    /// never. The present connection is left when the other one is open, not before; a link that cannot
    /// have both is never asked to. Returns that do not last so long double it, up to 32 times.
    pub return_after: Duration,
    /// When to cut deeper than the connection.
    pub ladder: Ladder,
    /// MQTT 5: Topic Aliases the broker may use; 0 for none.
    pub topic_alias_maximum: u16,
    /// MQTT 5: Topic Aliases to use towards the broker, if it allows; 0 for none.
    pub topic_aliases: u16,
    /// The first Packet Identifier to use; 0 counts as 1. With an old session to be resumed
    /// but without its memory, choose it at random: the broker may still hold exchanges under the
    /// identifiers used last, and would take a new message for an old one.
    pub first_packet_id: u16,
    /// Seed of the jitter. Devices of a fleet need different ones.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: Version::V5,
            keep_alive: 60,
            ping_interval: Duration::ZERO,
            response_time: Duration::from_secs(10),
            adaptive: false,
            open_timeout: Duration::from_secs(10),
            max_repeats: 4,
            clean_start: true,
            clean_reconnect: false,
            session_expiry: 24 * 3600,
            ephemeral: false,
            receive_maximum: 1024,
            maximum_packet_size: 64 * 1024,
            largest_in_pieces: 0,
            transmit_buffer: 64 * 1024,
            window: 100,
            queue: Queue::default(),
            backoff: Backoff::default(),
            first_connect: FirstConnect::Fail,
            endpoints: 1,
            shared_links: u32::MAX,
            return_after: Duration::from_secs(60),
            ladder: Ladder::default(),
            topic_alias_maximum: 16,
            topic_aliases: 32,
            first_packet_id: 1,
            seed: 0,
        }
    }
}

impl Config {
    /// What suits a device that nobody attends: it never gives up, not even on the first
    /// connection. The seeds of devices must differ. At power-up it starts without the session of
    /// before: a device that forgot its side of the session would use its Packet Identifiers again.
    pub fn unattended(seed: u64) -> Self {
        Self { first_connect: FirstConnect::Forever, seed, ..Self::default() }
    }
}

/// Limits of the queue of messages accepted but not yet sent. Messages under way are bounded by
/// [`Config::window`] instead.
#[derive(Clone, Copy, Debug)]
pub struct Queue {
    /// Most messages.
    pub messages: usize,
    /// Most bytes of topics, properties and payloads.
    pub bytes: usize,
    /// What a full queue does.
    pub when_full: WhenFull,
}

impl Default for Queue {
    fn default() -> Self {
        Self { messages: 1000, bytes: 16 << 20, when_full: WhenFull::Wait }
    }
}

/// Pauses between attempts: exponential with full jitter.
///
/// The n-th pause is drawn between [`Backoff::FLOOR`] and an upper bound that starts at `min`,
/// doubles with every failure, and never exceeds `max` nor the greater of 2 s and a tenth of the
/// outage so far. So a short outage is left quickly and a long one does not burden the network.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// First upper bound.
    pub min: Duration,
    /// Last upper bound.
    pub max: Duration,
    /// Least pause after the broker refused for a reason that only a person can mend.
    pub refused: Duration,
    /// A connection that was up for so long counts as good: the next failure is a first one.
    pub stable: Duration,
}

impl Backoff {
    /// No pause is shorter, whatever happens, so that attempts a second are bounded.
    pub const FLOOR: Duration = Duration::from_millis(50);
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            min: Duration::from_millis(250),
            max: Duration::from_secs(30),
            refused: Duration::from_secs(5),
            stable: Duration::from_secs(1),
        }
    }
}

/// What to do when the first connection since opening cannot be made. Later outages are always
/// ridden for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstConnect {
    /// Give up at the first failure; of several endpoints, when none can be reached.
    Fail,
    /// Give up after so many further attempts; with several endpoints, at each of them.
    Retry(u32),
    /// Never give up.
    Forever,
}

/// The recovery ladder: after how many failed attempts in a row to cut deeper than the
/// connection, and how long to stay down there so that every hop notices.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ladder {
    /// Least time between losing a connection and opening the next.
    pub pipe_hold: Duration,
    /// Cycle the link after every so many failures in a row; 0 for never.
    pub link_after: u32,
    /// Least time the link stays down.
    pub link_hold: Duration,
    /// Reset the device after every so many failures in a row; 0 for never.
    pub device_after: u32,
    /// Least time after a device reset.
    pub device_hold: Duration,
    /// Leave the link alone when the far end answered, if only to refuse: it carries, so cutting it would
    /// help nobody, and may disturb others who use it.
    pub spare_working: bool,
}

/// A [`Config`] in the form the session works with: times that a small processor can count with, and
/// without what is of use at the start only.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) ping_interval: Span,
    pub(super) response_time: Span,
    pub(super) open_timeout: Span,
    pub(super) plan: Plan,
    pub(super) transmit_buffer: usize,
    pub(super) session_expiry: u32,
    pub(super) maximum_packet_size: u32,
    pub(super) largest_in_pieces: u32,
    pub(super) keep_alive: u16,
    pub(super) receive_maximum: u16,
    pub(super) window: u16,
    version: Version,
    pub(super) max_repeats: u8,
    pub(super) adaptive: bool,
    pub(super) clean_start: bool,
    pub(super) clean_reconnect: bool,
    pub(super) ephemeral: bool,
}

/// How an engine gets back from a fault to a connection.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) backoff: Pauses,
    pub(crate) rungs: Rungs,
    pub(crate) first_connect: FirstConnect,
    pub(crate) endpoints: u16,
    pub(crate) shared_links: u32,
    pub(crate) return_after: Span,
    /// A lost connection, too, and not only a failed attempt, is followed by one to the next endpoint.
    pub(crate) elsewhere: bool,
}

/// [`Backoff`], likewise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pauses {
    pub(crate) min: Span,
    pub(crate) max: Span,
    pub(crate) refused: Span,
    pub(crate) stable: Span,
}

/// [`Ladder`], likewise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rungs {
    pub(crate) pipe_hold: Span,
    pub(crate) link_after: u32,
    pub(crate) link_hold: Span,
    pub(crate) device_after: u32,
    pub(crate) device_hold: Span,
    pub(crate) spare_working: bool,
}

impl Plan {
    /// Whether the endpoint after this one lies over the same link.
    pub(crate) const fn shares_link(&self, endpoint: u16) -> bool {
        endpoint > 30 || self.shared_links >> endpoint & 1 == 1
    }
}

impl Pauses {
    pub(crate) fn of(b: &Backoff) -> Self {
        Self {
            min: Span::of(b.min),
            max: Span::of(b.max),
            refused: Span::of(b.refused),
            stable: Span::of(b.stable),
        }
    }
}

impl Rungs {
    pub(crate) fn of(l: &Ladder) -> Self {
        Self {
            pipe_hold: Span::of(l.pipe_hold),
            link_after: l.link_after,
            link_hold: Span::of(l.link_hold),
            device_after: l.device_after,
            device_hold: Span::of(l.device_hold),
            spare_working: l.spare_working,
        }
    }
}

impl Settings {
    /// The protocol version in use.
    #[inline]
    pub(super) const fn version(&self) -> Version {
        speaks(self.version)
    }

    pub(super) fn of(c: &Config) -> Self {
        Self {
            ping_interval: Span::of(c.ping_interval),
            response_time: Span::of(c.response_time),
            open_timeout: Span::of(c.open_timeout),
            plan: Plan {
                backoff: Pauses::of(&c.backoff),
                rungs: Rungs::of(&c.ladder),
                first_connect: c.first_connect,
                endpoints: c.endpoints,
                shared_links: c.shared_links,
                return_after: Span::of(c.return_after),
                elsewhere: false,
            },
            transmit_buffer: c.transmit_buffer,
            session_expiry: c.session_expiry,
            maximum_packet_size: c.maximum_packet_size,
            largest_in_pieces: c.largest_in_pieces,
            keep_alive: c.keep_alive,
            receive_maximum: c.receive_maximum,
            window: c.window,
            version: c.version,
            max_repeats: c.max_repeats,
            adaptive: c.adaptive,
            clean_start: c.clean_start,
            clean_reconnect: c.clean_reconnect,
            ephemeral: c.ephemeral,
        }
    }
}
