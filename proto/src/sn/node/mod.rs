//! The MQTT-SN node: everything a client decides, as an [`Engine`] for the same driver, stores and handle
//! as the MQTT session.
//!
//! [`Node`] outlives connections. Its parts, each a file: `course` (which step, what `poll` says),
//! `talk` (CONNECT, the will, and what else the driver has to fill in), `request` (what awaits an
//! answer, Tretry and Nretry), `topics` (topic ids), `outgoing` (accepting and publishing), `answers`
//! (what the gateway says to that), `incoming` (received messages), `owed`, `sleep`, `discovery`. Recovery,
//! subscriptions and the queue's policies are the session's.
//!
//! Where the text leaves the choice:
//! - A CONNACK does not say whether the gateway still has the session. So after each connection the node
//!   subscribes again and registers its topics again, unless a tether [reports](Node::gateway_epoch) that
//!   the gateway has not restarted. Messages under way keep their MsgId and get DUP.
//! - Messages of QoS 1 and 2 go one at a time, in order (6.6).
//! - MQTT 5 properties, user name and password have no place in MQTT-SN 1.2 and are left out.

mod answers;
mod config;
mod course;
mod discovery;
mod incoming;
mod outgoing;
mod owed;
mod request;
mod sleep;
mod talk;
mod topics;

pub use config::{Config, Memory, Predefined};
pub use discovery::GatewaySlot;
pub use incoming::{EndedSlot, InboundSlot};
pub use owed::OwedSlot;
pub use topics::TopicSlot;

use crate::engine::*;
use crate::mem::Ring;
use crate::session::Stats;
use crate::session::queue::Waiting;
use crate::session::recovery::Recovery;
use crate::session::subs::Subs;
use crate::sn::wire::{Message, Version, WireError};
use crate::store::{Key, Stage, Store};
use crate::time::{Duration, Instant, Span};
use crate::topic::TopicFilter;
use crate::wire::{Connect, Disconnect, Properties, ReasonCode};

use config::Settings;
use course::Phase;
use discovery::Discovery;
use incoming::Inbound;
use owed::Owed;
use request::{Ask, Request};
use sleep::Nap;
use topics::Topics;

/// An MQTT-SN client. See the [module](self).
#[derive(Debug)]
pub struct Node<'m, S> {
    cfg: Settings,
    store: S,
    phase: Phase,
    since: Instant,
    /// The pipe is to be closed, so deep.
    cut: Option<Depth>,
    events: [Option<Event>; 2],
    closed: bool,
    resumed: bool,
    /// What the last CONNECT said.
    clean: bool,
    /// The gateway may hold a will of ours.
    has_will: bool,
    /// What was last said to it was that there is one.
    told_will: bool,
    /// A new will is to be told, and whom to tell how that went.
    new_will: Option<Tag>,
    /// It could not be said, for this reason.
    will_refused: Option<ReasonCode>,
    connection: u32,
    recovery: Recovery,
    discovery: Discovery<'m>,
    request: Option<Request>,
    /// The gateway is congested: nothing is asked of it before.
    hold: Option<Instant>,
    /// How often the gateway did not know a topic id that it had given for the message under way.
    unknown: u8,
    topics: Topics<'m>,
    waiting: Waiting,
    subs: Subs<'m>,
    inbound: Inbound<'m>,
    owed: Ring<'m, OwedSlot>,
    nap: Nap,
    /// How often the gateway has restarted, as far as the link can tell.
    epoch: Option<u32>,
    last_msg_id: u16,
    /// Last message from the gateway, last message to it.
    heard: Instant,
    spoke: Instant,
    /// Octets the pipe has not yet taken, and when it last took some.
    pending: usize,
    progress: Instant,
    /// The inbox is full, so that we do not read.
    held: bool,
    starved: bool,
    ping_wanted: bool,
    /// The latest time it was told.
    seen: Instant,
    random: u32,
    stats: Stats,
}

impl<'m, S: Store> Node<'m, S> {
    /// A node over `store`, closed until [`Engine::open`] is called.
    pub fn new(cfg: Config, store: S, memory: Memory<'m>) -> Self {
        Self {
            phase: Phase::Idle,
            since: Instant::ZERO,
            cut: None,
            events: [None; 2],
            closed: false,
            resumed: false,
            clean: false,
            has_will: false,
            told_will: false,
            new_will: None,
            will_refused: None,
            connection: 0,
            recovery: Recovery::new(cfg.seed),
            discovery: Discovery::new(memory.gateways),
            request: None,
            hold: None,
            unknown: 0,
            topics: Topics::new(memory.topics, memory.names, memory.predefined),
            waiting: Waiting::new(cfg.queue),
            subs: Subs::new(memory.subs, memory.filters),
            inbound: Inbound::new(memory.inbound, memory.ended),
            owed: Ring::new(memory.owed),
            nap: Nap::default(),
            epoch: None,
            last_msg_id: cfg.first_msg_id.wrapping_sub(1),
            heard: Instant::ZERO,
            spoke: Instant::ZERO,
            pending: 0,
            progress: Instant::ZERO,
            held: false,
            starved: false,
            ping_wanted: false,
            seen: Instant::ZERO,
            // xorshift must not start at zero; spread seeds that differ in few bits.
            random: (cfg.seed.wrapping_mul(0xd134_2543_de82_ef95) >> 32) as u32 | 1,
            stats: Stats::default(),
            cfg: Settings::of(&cfg),
            store,
        }
    }

    /// What a full queue does.
    pub fn when_full(&self) -> WhenFull {
        self.waiting.limits.when_full
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
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

    /// Asks the gateway for a sign of life: sends PINGREQ as soon as nothing else awaits an answer.
    pub fn ping(&mut self) {
        self.ping_wanted = true;
    }

    /// For links that know the gateway's epoch, a number that is another one after each of its starts:
    /// tell it before [`Input::Opened`], and whenever it changes. Ids are bound to it: in the same
    /// epoch topic ids and subscriptions need not be told again; a new one while connected makes the
    /// node connect again at once.
    pub fn gateway_epoch(&mut self, now: Instant, epoch: u32) {
        let before = self.epoch.replace(epoch);
        if before == Some(epoch) {
            return;
        }
        self.topics.clear();
        self.subs.session_lost();
        if before.is_some() && self.is_established() {
            self.break_off(now, Fault::new(self.step_now(), Cause::Reset));
        }
    }

    /// The will that [`Output::Connect`] brings is another one than before: tells the gateway (6.4), if
    /// connected; else the next CONNECT does. `tag` is told how that went.
    pub fn update_will(&mut self, tag: Tag, inbox: &mut impl Inbox) {
        if let Some(overtaken) = self.new_will.replace(tag).filter(|t| *t != Tag::NONE) {
            inbox.done(overtaken, Outcome::Superseded);
        }
        // What is under way says the old one.
        if self.request.is_some_and(|r| matches!(r.ask, Ask::WillTopicUpd | Ask::WillMsgUpd)) {
            self.request = None;
        }
    }

    fn event(&mut self, event: Event) {
        // The last word counts: with events still untold, the newest takes the last one's place.
        let at = self.events.iter().position(Option::is_none).unwrap_or(self.events.len() - 1);
        if let Some(slot) = self.events.get_mut(at) {
            *slot = Some(event);
        }
    }

    fn owe(&mut self, owed: Owed) {
        // Room was checked before the message was taken.
        let _ = self.owed.push(OwedSlot(owed));
    }

    /// A MsgId that no message under way has; never 0.
    fn next_msg_id(&mut self) -> u16 {
        loop {
            self.last_msg_id = self.last_msg_id.wrapping_add(1).max(1);
            let id = self.last_msg_id;
            if self.with_id(Stage::Sent, id).is_none()
                && self.with_id(Stage::Released, id).is_none()
            {
                return id;
            }
        }
    }

    /// The message under way with this MsgId.
    fn with_id(&self, stage: Stage, id: u16) -> Option<Key> {
        let mut keys = core::iter::successors(self.store.first(stage), |k| self.store.next(*k));
        keys.find(|k| self.store.meta(*k).is_some_and(|m| m.pid == id))
    }

    /// Uniform between zero and `upper`.
    fn draw(&mut self, upper: Span) -> Span {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        Span::from_millis(((u64::from(upper.millis()) * u64::from(self.random)) >> 32) as u32)
    }

    fn message(&mut self, now: Instant, bytes: &[u8], inbox: &mut impl Inbox) -> Handled {
        if !self.has_pipe() || self.cut.is_some() {
            return Handled::Done;
        }
        // A message owes at most one answer; without room it waits.
        if self.owed.room() == 0 {
            return Handled::Busy;
        }
        let handled = match Message::decode(self.cfg.version, bytes) {
            Ok(message) => self.dispatch(now, &message, inbox),
            Err(fault) => {
                self.junk(fault);
                Handled::Done
            }
        };
        if handled == Handled::Done {
            self.stats.bytes_in += bytes.len() as u64;
        }
        if self.held && handled == Handled::Done {
            // What is awaited may lie behind what held us up.
            self.heard = now;
            if let Some(request) = &mut self.request {
                request.restart(now);
            }
        }
        self.held = handled == Handled::Busy;
        handled
    }

    /// On a datagram link anybody may send anything: it is dropped and counted.
    fn junk(&mut self, _fault: WireError) {
        self.stats.junk += 1;
    }

    fn dispatch(&mut self, now: Instant, message: &Message<'_>, inbox: &mut impl Inbox) -> Handled {
        if self.heed_discovery(now, message) {
            return Handled::Done;
        }
        self.heard = now;
        match (self.phase, message) {
            (Phase::Handshake, _) => self.on_handshake(now, message, inbox),
            (Phase::Leaving, Message::Disconnect(_)) => self.left(now),
            (Phase::Up | Phase::Asleep { .. } | Phase::Awake, _) => {
                return self.on_message(now, message, inbox);
            }
            _ => {}
        }
        Handled::Done
    }

    /// In a connection.
    fn on_message(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        inbox: &mut impl Inbox,
    ) -> Handled {
        self.heard_while_awake(now, message);
        match message {
            Message::Publish(publish) => return self.on_publish(now, publish, inbox),
            Message::PubRel(id) => self.on_pubrel(*id),
            Message::PubAck(ack) => self.on_puback(now, ack, inbox),
            Message::PubRec(id) => self.on_pubrec(now, *id, inbox),
            Message::PubComp(id) => self.on_pubcomp(now, *id, inbox),
            Message::Register(register) => self.on_register(register),
            Message::RegAck(ack) => self.on_regack(now, ack, inbox),
            Message::SubAck(ack) => self.on_suback(now, ack, inbox),
            Message::UnsubAck(id) => self.on_unsuback(*id, inbox),
            Message::PingReq(_) => self.owe(Owed::PingResp),
            Message::PingResp => self.on_pingresp(now, inbox),
            Message::WillTopicResp(code) => self.on_will_topic_resp(now, *code, inbox),
            Message::WillMsgResp(code) => self.on_will_msg_resp(now, *code, inbox),
            Message::Disconnect(_) => self.on_disconnect(now, inbox),
            // CONNACK of a CONNECT that was sent twice, or what only a client says.
            _ => self.stats.strays += 1,
        }
        Handled::Done
    }
}

impl<S: Store> Engine for Node<'_, S> {
    type Framing = Version;

    fn framing(&self) -> Version {
        self.cfg.version
    }

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
        self.start_leaving(now, disconnect.reason);
    }

    fn reconnect(&mut self, now: Instant) {
        match self.phase {
            Phase::Waiting { .. } => self.enter(now, Phase::Waiting { until: now }),
            Phase::Idle | Phase::Leaving => {}
            _ => self.break_off(now, Fault::new(self.step_now(), Cause::Requested)),
        }
    }

    fn handle(&mut self, now: Instant, input: Input<'_>, inbox: &mut impl Inbox) -> Handled {
        match input {
            Input::Packet(bytes) => return self.message(now, bytes, inbox),
            // Others may be heard on the same radio: only messages are life.
            Input::Alive
            | Input::Tried { .. }
            | Input::NetworkChanged
            | Input::Tick
            | Input::Rest { .. } => {}
            Input::Malformed(error) => self.violation(now, error.reason()),
            Input::Wrote { pending } => self.wrote(now, pending),
            Input::Opening(step) => self.opening(step),
            Input::Opened => self.opened(now),
            Input::Skipped { total, .. } => {
                self.stats.skipped += 1;
                inbox.skipped("", total);
            }
            Input::Closed(fault) => self.lost(now, fault),
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
        self.speak(now, with, tx)
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

    fn acknowledge(&mut self, _now: Instant, receipt: Receipt) -> Result<(), Refused> {
        self.acknowledge_later(receipt)
    }

    fn status(&self) -> Status {
        self.status_now()
    }

    fn is_starved(&self) -> bool {
        self.starved
    }
}

/// Accepted, without more to say.
const DELIVERED: Outcome<'static> = Outcome::Delivered(ReasonCode::SUCCESS, Properties::EMPTY);
