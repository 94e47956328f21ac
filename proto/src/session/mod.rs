//! The MQTT session: everything a client decides, for MQTT 3.1.1 and 5 alike.
//!
//! [`Session`] outlives connections. Its parts, each a file: `recovery` (when to try again), `failover` (where),
//! `handshake` (CONNECT to CONNACK), `liveness` (keep-alive, silence), `outbox` (accepting messages), `queue` (its
//! limits, policies, expiry), `sending` and `publishing` (what goes out next), `acks` (what the broker acknowledged),
//! `inbound` and `received` (received messages), `keep` and `records` (what survives a loss of power), `subs` and `subscribing`, `alias`, `flights` (Packet
//! Identifiers).

mod abilities;
mod acks;
mod alias;
#[cfg(feature = "alloc")]
mod backlog;
pub(crate) mod config;
mod digest;
pub(crate) mod failover;
mod flights;
mod handshake;
mod inbound;
mod keep;
mod liveness;
mod memory;
mod outbox;
mod phase;
mod publishing;
pub(crate) mod queue;
mod received;
mod records;
pub(crate) mod recovery;
mod round_trip;
mod sending;
mod stats;
pub(crate) mod subs;
mod subscribing;

pub use alias::OutboundAlias;
pub use config::{Backoff, Config, FirstConnect, Ladder, Queue};
pub use flights::Slot as FlightSlot;
pub use handshake::Limits;
pub use keep::{KeptSlot, Record, Unreadable};
pub use memory::Memory;
pub use received::{Ended as EndedSlot, Entry as ReceivedSlot};
#[cfg(feature = "alloc")]
pub use records::under_way;
pub use stats::Stats;
pub use subs::Sub as SubscriptionSlot;

use crate::engine::*;
use crate::mem::Ring;
use crate::store::{Stage, Store};
use crate::time::{Duration, Instant, Span};
use crate::topic::TopicFilter;
use crate::wire::{Ack, AckKind, Connect, Disconnect, Packet, ReasonCode, Version};

use abilities::{AUTHENTICATION, QOS_1, QOS_2};
use alias::{InboundAliases, OutboundAliases};
use config::Settings;
use flights::Flights;
use handshake::Dance;
use inbound::Begun;
use keep::Kept;
use liveness::Liveness;
use phase::{Cut, Phase};
use queue::Waiting;
use received::Received;
use recovery::Recovery;
use sending::Sending;
use subs::Subs;

/// An MQTT client session. See the [module](self).
#[derive(Debug)]
pub struct Session<'m, S> {
    cfg: Settings,
    store: S,
    phase: Phase,
    since: Instant,
    cut: Option<Cut>,
    events: [Option<Event>; 2],
    closed: bool,
    resumed: bool,
    /// What the last CONNECT said.
    clean_start: bool,
    /// CONNECT was sent and neither accepted nor refused yet.
    unanswered: bool,
    /// A CONNECT was not answered of late. The broker may have begun a new session for it, so that
    /// "Session Present" need not mean ours.
    doubt: bool,
    /// Number of the connection; acknowledgements of received messages are bound to it.
    connection: u32,
    recovery: Recovery,
    dance: Dance,
    limits: Limits,
    live: Liveness,
    flights: Flights<'m>,
    sending: Sending,
    owed: Ring<'m, Owed>,
    received: Received<'m>,
    /// The message that comes in pieces.
    begun: Option<Begun>,
    subs: Subs<'m>,
    kept: Kept<'m>,
    inbound_aliases: InboundAliases<'m>,
    outbound_aliases: OutboundAliases<'m>,
    /// AUTH to be sent.
    auth: Option<ReasonCode>,
    /// Since when the answer to an AUTH of a re-authentication is awaited.
    auth_awaited: Option<Instant>,
    waiting: Waiting,
    seen: Instant,
    stats: Stats,
}

/// An acknowledgement to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Owed {
    kind: AckKind,
    pid: u16,
    reason: ReasonCode,
}

impl Default for Owed {
    fn default() -> Self {
        Self { kind: AckKind::PubAck, pid: 0, reason: ReasonCode::SUCCESS }
    }
}

impl<'m, S: Store> Session<'m, S> {
    /// A session over `store`, closed until [`Engine::open`] is called.
    pub fn new(cfg: Config, store: S, memory: Memory<'m>) -> Self {
        let settings = Settings::of(&cfg);
        Self {
            phase: Phase::Idle,
            since: Instant::ZERO,
            cut: None,
            events: [None; 2],
            closed: false,
            resumed: false,
            clean_start: false,
            unanswered: false,
            doubt: false,
            connection: 0,
            recovery: Recovery::new(cfg.seed),
            dance: Dance::None,
            limits: Limits::default(),
            live: Liveness::new(&settings),
            flights: Flights::new(memory.flights, cfg.first_packet_id),
            sending: Sending::default(),
            owed: Ring::new(memory.owed),
            received: Received::new(memory.received, memory.ended),
            begun: None,
            subs: Subs::new(memory.subs, memory.filters),
            kept: Kept::none(),
            inbound_aliases: InboundAliases::new(memory.inbound_aliases, memory.inbound_topics),
            outbound_aliases: OutboundAliases::new(memory.outbound_aliases, memory.outbound_topics),
            auth: None,
            auth_awaited: None,
            waiting: Waiting::new(cfg.queue),
            seen: Instant::ZERO,
            stats: Stats::default(),
            cfg: settings,
            store,
        }
    }

    /// What a full queue does.
    pub fn when_full(&self) -> WhenFull {
        self.waiting.limits.when_full
    }

    /// Sizes in bytes of the driver's buffers, if they are not those of the configuration. They
    /// count from the next connection on.
    pub fn set_buffers(&mut self, receive: usize, transmit: usize) {
        self.cfg.maximum_packet_size = receive.min(u32::MAX as usize) as u32;
        self.cfg.transmit_buffer = transmit;
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// What the broker of the present or last connection offers.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Messages accepted whose fate is not yet known.
    pub fn held(&self) -> usize {
        self.store.len(Stage::Queued)
            + self.store.len(Stage::Sent)
            + self.store.len(Stage::Released)
    }

    /// Whether a message in the queue has an expiry.
    pub fn is_expiring(&self) -> bool {
        self.waiting.is_expiring()
    }

    /// The latest time it was told: near enough to accept a message where nothing expires.
    pub fn seen(&self) -> Instant {
        self.seen
    }

    /// The smoothed round trip to the broker; zero before the first measurement.
    pub fn round_trip(&self) -> Duration {
        self.live.round_trip()
    }

    /// MQTT 5: starts re-authentication with the method of the connection `[MQTT-4.12.1-1]`; the
    /// inbox is asked for the data. Refused when not connected or with 3.1.1.
    pub fn reauthenticate(&mut self) -> Result<(), Refused> {
        if !AUTHENTICATION || self.cfg.version() != Version::V5 || !matches!(self.phase, Phase::Up)
        {
            return Err(Refused::Unsupported);
        }
        self.auth = Some(ReasonCode::RE_AUTHENTICATE);
        Ok(())
    }

    /// Asks the broker for a sign of life: sends PINGREQ at the next poll unless one is under way.
    pub fn ping(&mut self) {
        self.sending.ping_wanted = true;
    }

    fn event(&mut self, event: Event) {
        // The last word counts: with events still untold, the newest takes the last one's place.
        let at = self.events.iter().position(Option::is_none).unwrap_or(self.events.len() - 1);
        if let Some(slot) = self.events.get_mut(at) {
            *slot = Some(event);
        }
    }

    fn owe(&mut self, kind: AckKind, pid: u16, reason: ReasonCode) {
        // Room was checked before the packet was taken.
        let _ = self.owed.push(Owed { kind, pid, reason });
    }

    fn packet(&mut self, now: Instant, bytes: &[u8], inbox: &mut impl Inbox) -> Handled {
        let talking = match self.phase {
            Phase::Handshake | Phase::Up => true,
            // A connection that only served to look for an old session must not touch it.
            Phase::Leaving { .. } => self.dance == Dance::None,
            _ => false,
        };
        if !talking || self.cut.is_some() {
            return Handled::Done;
        }
        // One packet owes at most one acknowledgement; without room it waits.
        if self.owed.room() == 0 {
            return Handled::Busy;
        }
        let handled = match Packet::decode_from_server(self.cfg.version(), bytes) {
            Ok(packet) => self.dispatch(now, &packet, inbox),
            Err(e) => {
                self.violation(now, e.reason());
                Handled::Done
            }
        };
        if handled == Handled::Done {
            self.stats.bytes_in += bytes.len() as u64;
        }
        self.hold(now, handled == Handled::Busy);
        handled
    }

    /// While we do not read, nothing can be overdue; afterwards the wait begins anew, because the
    /// reply may lie behind what held us up.
    fn hold(&mut self, now: Instant, held: bool) {
        if self.live.held && !held {
            self.restart_clocks(now);
            self.live.listening(now);
        }
        self.live.held = held;
    }

    fn dispatch(&mut self, now: Instant, packet: &Packet<'_>, inbox: &mut impl Inbox) -> Handled {
        match (self.phase, packet) {
            (Phase::Handshake, Packet::ConnAck(ack)) => self.on_connack(now, ack, inbox),
            (_, Packet::Auth(auth)) => self.on_auth(now, auth, inbox),
            (_, Packet::Disconnect(d)) => self.on_disconnect(now, d, inbox),
            (Phase::Handshake, _) => self.violation(now, ReasonCode::PROTOCOL_ERROR),
            // It could not be acknowledged any more; the broker keeps it.
            (Phase::Leaving { .. }, Packet::Publish(_)) => {}
            (_, Packet::Publish(publish)) => return self.on_publish(now, publish, inbox),
            (_, Packet::Ack(ack)) => self.on_ack(now, ack, inbox),
            (_, Packet::SubAck(ack)) => self.on_suback(now, ack, inbox),
            (_, Packet::UnsubAck(ack)) => self.on_unsuback(now, ack, inbox),
            (_, Packet::PingResp) => {
                self.live.ponged(now);
                inbox.pong();
            }
            _ => self.violation(now, ReasonCode::PROTOCOL_ERROR),
        }
        Handled::Done
    }

    fn on_ack(&mut self, now: Instant, ack: &Ack<'_>, inbox: &mut impl Inbox) {
        let pid = ack.pid.get();
        match ack.kind {
            AckKind::PubAck if !QOS_1 => self.violation(now, ReasonCode::PROTOCOL_ERROR),
            AckKind::PubAck => self.on_puback(now, pid, ack, inbox),
            _ if !QOS_2 => self.violation(now, ReasonCode::PROTOCOL_ERROR),
            AckKind::PubRec => self.on_pubrec(now, pid, ack, inbox),
            AckKind::PubRel => self.on_pubrel(now, pid),
            AckKind::PubComp => self.on_pubcomp(now, pid, ack, inbox),
        }
    }
}

impl<S: Store> Engine for Session<'_, S> {
    type Framing = MqttFraming;

    fn open(&mut self, now: Instant) {
        self.closed = false;
        if matches!(self.phase, Phase::Idle) {
            // What an earlier driver was not told any more is of no use now.
            self.events = [None; 2];
            self.recovery.opened(now);
            self.enter(now, Phase::Waiting { until: now });
        }
    }

    fn close(&mut self, now: Instant, disconnect: Disconnect<'_>) {
        self.closed = true;
        self.start_leaving(now, disconnect);
    }

    fn reconnect(&mut self, now: Instant) {
        self.force_reconnect(now);
    }

    fn handle(&mut self, now: Instant, input: Input<'_>, inbox: &mut impl Inbox) -> Handled {
        match input {
            Input::Packet(bytes) => return self.packet(now, bytes, inbox),
            Input::Alive => self.live.heard(now),
            Input::Malformed(error) => self.violation(now, error.reason()),
            Input::Wrote { pending } => self.wrote(now, pending),
            Input::Opening(step) => self.opening(step),
            Input::Opened => self.opened(now),
            Input::Skipped { head, total } => return self.on_skipped(now, head, total, inbox),
            Input::Rest { bytes, left } => {
                let handled = self.on_rest(now, bytes, left, inbox);
                self.hold(now, handled == Handled::Busy);
                return handled;
            }
            Input::Closed(fault) => self.lost(now, fault),
            Input::Tried { open } => self.recovery.failover.tried(now, open),
            Input::NetworkChanged => self.network_changed(now),
            Input::Tick => {}
        }
        Handled::Done
    }

    fn poll(&mut self, now: Instant, tx: &mut [u8], inbox: &mut impl Inbox) -> Output {
        self.seen = now;
        self.step(now, tx, inbox)
    }

    fn connect(
        &mut self,
        now: Instant,
        with: &Connect<'_>,
        tx: &mut [u8],
    ) -> Result<usize, Refused> {
        self.write_connect(now, with, tx)
    }

    fn publish(
        &mut self,
        now: Instant,
        message: &Outgoing<'_>,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused> {
        self.accept(now, message, inbox)
    }

    fn subscribe(
        &mut self,
        _now: Instant,
        s: &Subscription<'_>,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused> {
        self.want_subscription(s, inbox)
    }

    fn unsubscribe(
        &mut self,
        _now: Instant,
        filter: TopicFilter<'_>,
        tag: Tag,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused> {
        self.unwant_subscription(filter, tag, inbox)
    }

    fn acknowledge(&mut self, now: Instant, receipt: Receipt) -> Result<(), Refused> {
        self.acknowledge_later(now, receipt)
    }

    fn status(&self) -> Status {
        self.status_now()
    }

    fn is_starved(&self) -> bool {
        self.sending.starved
    }
}
