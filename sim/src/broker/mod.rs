//! A small, honest broker for MQTT 3.1.1 and 5, without sockets and without a clock.
//!
//! It serves any number of connections, keeps sessions, and records every message it
//! [accepted](Broker::accepted) and every breach of the protocol it [saw](Broker::violations). What
//! it does wrong it does on request: see [`Faults`]. What only the client's end of the wire can
//! tell, as the order of acknowledgements, is for [`check`](crate::check).

mod auth;
mod config;
mod conn;
mod connect;
mod deliver;
mod ends;
mod faults;
mod inbound;
mod message;
mod retained;
mod session;
mod subscribe;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use everlink_proto::time::Instant;
use everlink_proto::topic::TopicName;
use everlink_proto::wire::{Packet, PacketType, QoS, ReasonCode, WireError, frame_len};

pub use config::{AuthPlan, BrokerConfig, Refusal};
pub use faults::{Act, Faults};
pub use message::{Accepted, RefusedPublish};

use crate::check::Violation;
use crate::netem::PipeId;
use crate::pair::Server;
use conn::{Conn, Phase};
use message::Message;
use session::Session;

/// A model broker. See the [module](self).
#[derive(Debug)]
pub struct Broker {
    /// What it offers.
    pub cfg: BrokerConfig,
    /// What it does wrong.
    pub faults: Faults,
    now: Instant,
    conns: BTreeMap<PipeId, Conn>,
    sessions: BTreeMap<String, Session>,
    retained: BTreeMap<String, Message>,
    /// Wills to be published later, by Client Identifier.
    wills: BTreeMap<String, (Instant, Message)>,
    /// Packets to be sent later.
    delayed: Vec<(Instant, PipeId, Vec<u8>)>,
    accepted: Vec<Accepted>,
    /// What came first when, if messages may be taken later than they come.
    arrived: Vec<Accepted>,
    refused: Vec<RefusedPublish>,
    violations: Vec<Violation>,
    connects: Vec<Connected>,
    subscribes: Vec<(Instant, String)>,
    /// Whose turn it is among the members of Shared Subscriptions.
    turn: usize,
    assigned: u32,
}

/// A connection that the broker accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// When.
    pub at: Instant,
    /// Client Identifier.
    pub client: String,
    /// Clean Start, or Clean Session.
    pub clean_start: bool,
    /// What CONNACK said.
    pub session_present: bool,
    /// User Name.
    pub username: Option<String>,
}

impl Broker {
    /// A broker without faults; the randomness of its faults comes from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            cfg: BrokerConfig::default(),
            faults: Faults::new(seed),
            now: Instant::ZERO,
            conns: BTreeMap::new(),
            sessions: BTreeMap::new(),
            retained: BTreeMap::new(),
            wills: BTreeMap::new(),
            delayed: Vec::new(),
            accepted: Vec::new(),
            arrived: Vec::new(),
            refused: Vec::new(),
            violations: Vec::new(),
            connects: Vec::new(),
            subscribes: Vec::new(),
            turn: 0,
            assigned: 0,
        }
    }

    /// Every message accepted from clients, in order. A QoS 2 message is in here once.
    pub fn accepted(&self) -> &[Accepted] {
        &self.accepted
    }

    /// Every message in the order in which each came first: as [`accepted`](Self::accepted), unless
    /// the broker takes messages [at PUBREL](BrokerConfig::take_at_release).
    pub fn arrived(&self) -> &[Accepted] {
        if self.arrived.is_empty() { &self.accepted } else { &self.arrived }
    }

    /// Every publication refused by [`Faults::refuse_publish`].
    pub fn refused(&self) -> &[RefusedPublish] {
        &self.refused
    }

    /// Breaches of the protocol as the broker sees them.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Every connection accepted, in order.
    pub fn connects(&self) -> &[Connected] {
        &self.connects
    }

    /// Every Topic Filter asked for in a SUBSCRIBE, in order.
    pub fn subscribes(&self) -> &[(Instant, String)] {
        &self.subscribes
    }

    /// The Topic Filters a client is subscribed to.
    pub fn subscriptions(&self, client: &str) -> Vec<String> {
        self.sessions.get(client).map_or(Vec::new(), |s| s.subs.keys().cloned().collect())
    }

    /// Whether the broker has a session for this client.
    pub fn has_session(&self, client: &str) -> bool {
        self.sessions.contains_key(client)
    }

    /// Whether the client is connected.
    pub fn is_connected(&self, client: &str) -> bool {
        self.connection(client).is_some()
    }

    /// Messages for the client that are queued or not finally acknowledged.
    pub fn backlog(&self, client: &str) -> usize {
        self.sessions.get(client).map_or(0, |s| s.queue.len() + s.flights.len())
    }

    /// Publishes as if a further client did.
    ///
    /// # Panics
    /// If `topic` is no Topic Name.
    pub fn publish(&mut self, now: Instant, topic: &str, payload: &[u8], qos: QoS, retain: bool) {
        assert!(TopicName::new(topic).is_ok(), "{topic:?} is no Topic Name");
        self.now = now;
        self.route(None, Message::new(topic, payload, qos, retain));
    }

    /// Sends any packet to a connected client, whatever sense it makes.
    pub fn inject<'a>(&mut self, client: &str, packet: impl Into<Packet<'a>>) {
        if let Some(id) = self.connection(client) {
            self.send(id, packet);
        }
    }

    /// Sends any bytes to a connected client.
    pub fn inject_raw(&mut self, client: &str, bytes: &[u8]) {
        if let Some(conn) = self.connection(client).and_then(|id| self.conns.get_mut(&id)) {
            conn.output.extend(bytes);
        }
    }

    /// Forgets what it only keeps for the test to look at, but for the messages.
    pub(crate) fn forget_history(&mut self) {
        self.connects.clear();
        self.subscribes.clear();
    }

    /// Forgets which QoS 2 messages of the client await their PUBREL.
    pub fn forget_received(&mut self, client: &str) {
        if let Some(session) = self.sessions.get_mut(client) {
            session.received.clear();
        }
    }

    fn connection(&self, client: &str) -> Option<PipeId> {
        self.sessions.get(client).and_then(|s| s.conn)
    }

    fn violation(&mut self, id: PipeId, rule: &'static str, what: impl Into<String>) {
        let client = self.conns.get(&id).map_or(String::new(), |c| c.client.clone());
        let (at, what) = (self.now, what.into());
        self.violations.push(Violation { at, client, rule, what });
    }

    /// Records a breach and ends the connection for it.
    fn offend(&mut self, id: PipeId, rule: &'static str, what: String, reason: ReasonCode) {
        self.violation(id, rule, what);
        self.end(id, Some(reason), true);
    }

    fn send<'a>(&mut self, id: PipeId, packet: impl Into<Packet<'a>>) {
        let packet = packet.into();
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let mut bytes = vec![0; packet.encoded_len(conn.version)];
        // What 3.1.1 has no words for is not said: the connection is closed without it.
        let Ok(n) = packet.encode(conn.version, &mut bytes) else { return };
        bytes.truncate(n);
        let kind = PacketType::from_first_byte(bytes[0]).ok();
        match kind.and_then(|kind| self.faults.decide(kind, false)) {
            None => conn.put(&bytes),
            Some(Act::Swallow) => {}
            Some(Act::Duplicate) => {
                conn.put(&bytes);
                conn.put(&bytes);
            }
            Some(Act::Delay(by)) => self.delayed.push((self.now + by, id, bytes)),
            Some(Act::Hangup) => self.end(id, None, true),
        }
    }

    /// The next whole packet of a connection.
    fn next_packet(&mut self, id: PipeId) -> Option<Result<Vec<u8>, WireError>> {
        let conn = self.conns.get_mut(&id).filter(|c| !c.closing)?;
        let total = match frame_len(&conn.input) {
            Err(fault) => return Some(Err(fault)),
            Ok(length) => length?.total_len,
        };
        (conn.input.len() >= total).then(|| Ok(conn.input.drain(..total).collect()))
    }

    fn packet(&mut self, id: PipeId, bytes: &[u8]) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.heard = self.now;
        let (version, fresh) = (conn.version, conn.phase == Phase::Fresh);
        let kind = PacketType::from_first_byte(bytes[0]).ok();
        let act = kind.and_then(|kind| self.faults.decide(kind, true));
        if act == Some(Act::Swallow) {
            return;
        }
        let most = conn.offer.maximum_packet_size;
        if most.is_some_and(|most| bytes.len() > most as usize) && !fresh {
            let what = format!("{} bytes", bytes.len());
            return self.offend(id, "MQTT-3.2.2-15", what, ReasonCode::PACKET_TOO_LARGE);
        }
        if fresh {
            return self.on_connect(id, bytes);
        }
        match Packet::decode(version, bytes) {
            Err(fault) => self.malformed(id, fault),
            Ok(packet) => self.dispatch(id, &packet),
        }
    }

    fn malformed(&mut self, id: PipeId, fault: WireError) {
        self.offend(id, "malformed packet", fault.to_string(), fault.reason());
    }

    fn dispatch(&mut self, id: PipeId, packet: &Packet<'_>) {
        let up = self.conns.get(&id).is_some_and(Conn::is_up);
        match packet {
            Packet::Auth(auth) => self.on_auth(id, auth),
            Packet::Disconnect(disconnect) => self.on_disconnect(id, disconnect),
            Packet::Publish(publish) if up => self.on_publish(id, publish),
            Packet::Ack(ack) if up => self.on_ack(id, ack),
            Packet::Subscribe(subscribe) if up => self.on_subscribe(id, subscribe),
            Packet::Unsubscribe(unsubscribe) if up => self.on_unsubscribe(id, unsubscribe),
            Packet::PingReq if up => self.send(id, Packet::PingResp),
            _ => {
                let what = crate::trace::describe_packet(packet);
                self.offend(id, "unexpected packet", what, ReasonCode::PROTOCOL_ERROR);
            }
        }
    }
}

impl Server for Broker {
    fn opened(&mut self, now: Instant, id: PipeId) {
        self.now = now;
        self.conns.insert(id, Conn::new(now));
    }

    fn received(&mut self, now: Instant, id: PipeId, bytes: &[u8]) {
        self.now = now;
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.input.extend(bytes);
        }
        while let Some(packet) = self.next_packet(id) {
            match packet {
                Ok(bytes) => self.packet(id, &bytes),
                Err(fault) => self.malformed(id, fault),
            }
        }
    }

    fn closed(&mut self, now: Instant, id: PipeId) {
        self.now = now;
        self.end(id, None, true);
        self.conns.remove(&id);
    }

    fn transmit(&self, id: PipeId) -> &[u8] {
        self.conns.get(&id).map_or(&[], |c| &c.output)
    }

    fn transmitted(&mut self, now: Instant, id: PipeId, n: usize) {
        self.now = now;
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.output.drain(..n);
        let client = conn.client.clone();
        self.pump(&client);
    }

    fn is_closing(&self, id: PipeId) -> bool {
        self.conns.get(&id).is_none_or(|c| c.closing)
    }

    fn advance(&mut self, now: Instant) {
        self.now = now;
        self.send_delayed();
        self.check_keep_alives();
        self.publish_due_wills();
        self.expire_sessions();
    }

    fn next_event(&self) -> Option<Instant> {
        let delayed = self.delayed.iter().map(|(at, ..)| *at);
        let dead = self.conns.values().filter_map(Conn::deadline);
        let wills = self.wills.values().map(|(at, _)| *at);
        let expiries = self.sessions.values().filter_map(|s| s.expires_at);
        delayed.chain(dead).chain(wills).chain(expiries).min()
    }
}
