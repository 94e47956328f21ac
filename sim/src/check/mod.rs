//! The rules of the standard, checked at the client's end of the wire.
//!
//! Only there can it be told what the client knew when it sent something. A [`Checker`] is shown
//! every byte the client sends and every packet it takes, over all its connections, and notes each
//! [`Violation`]. It does not judge the server.

mod inbound;
mod limits;
mod outbound;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use everlink_proto::time::{Duration, Instant};
use everlink_proto::wire::{
    Ack, AckKind, ConnAck, Connect, Disconnect, Packet, PacketId, PacketType, Publish, QoS,
    Subscribe, Unsubscribe, Version, frame_len,
};

use inbound::Inbound;
use limits::Limits;
use outbound::Outbound;

/// A breach of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at: Instant,
    /// Client Identifier, as far as it is known.
    pub client: String,
    /// The rule: the number of the statement, or what it says.
    pub rule: &'static str,
    /// What broke it.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, client, rule, what } = self;
        write!(f, "{} {client:?} [{rule}] {what}", crate::trace::stamp(*at))
    }
}

/// A PUBLISH of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentPublish {
    /// When its first byte left the engine.
    pub at: Instant,
    /// DUP flag.
    pub dup: bool,
    /// The first bytes of the payload, filled up with zeroes.
    pub head: [u8; 8],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Closed,
    /// The connection is open; CONNECT must come first.
    Open,
    /// CONNECT was sent.
    Connecting,
    Up,
    /// DISCONNECT was sent.
    Left,
}

/// Watches one client. See the [module](self).
#[derive(Debug)]
pub struct Checker {
    now: Instant,
    client: String,
    version: Version,
    phase: Phase,
    /// Sent bytes that are not yet a whole packet, and since when.
    partial: Vec<u8>,
    began: Instant,
    /// Every PUBLISH sent, if that is wanted: it grows without bound.
    publishes: Option<Vec<SentPublish>>,
    /// When the client last sent something.
    spoke: Instant,
    /// CONNECT named an Authentication Method.
    has_method: bool,
    session_expiry: u32,
    limits: Limits,
    out: Outbound,
    inbound: Inbound,
    /// Packet Identifiers of SUBSCRIBE and UNSUBSCRIBE that are not acknowledged.
    operations: BTreeSet<u16>,
    /// Topic Names behind the aliases the client has set.
    aliases: BTreeMap<u16, String>,
    violations: Vec<Violation>,
}

impl Default for Checker {
    fn default() -> Self {
        Self::new()
    }
}

impl Checker {
    /// A checker for a client without a session.
    pub fn new() -> Self {
        Self {
            now: Instant::ZERO,
            client: String::new(),
            version: Version::V5,
            phase: Phase::Closed,
            partial: Vec::new(),
            began: Instant::ZERO,
            publishes: None,
            spoke: Instant::ZERO,
            has_method: false,
            session_expiry: 0,
            limits: Limits::default(),
            out: Outbound::default(),
            inbound: Inbound::default(),
            operations: BTreeSet::new(),
            aliases: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// What was found so far.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// From now on, remembers every PUBLISH sent.
    pub fn remember_publishes(&mut self) {
        self.publishes.get_or_insert_default();
    }

    /// Every whole PUBLISH sent since [`remember_publishes`](Self::remember_publishes), in order.
    pub fn publishes(&self) -> &[SentPublish] {
        self.publishes.as_deref().unwrap_or_default()
    }

    /// The version in the last CONNECT.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Acknowledgements that the client owes at this moment.
    pub fn owed(&self) -> usize {
        self.inbound.owed()
    }

    /// QoS 1 and 2 messages of the client that are not finally acknowledged.
    pub fn in_flight(&self) -> usize {
        self.out.len()
    }

    /// The host lost power: what it only heard and has not acted upon may be forgotten.
    pub fn power_cut(&mut self) {
        self.out.power_cut();
    }

    /// A connection is open.
    pub fn opened(&mut self, now: Instant) {
        (self.now, self.spoke, self.phase) = (now, now, Phase::Open);
        self.partial.clear();
        self.limits = Limits::default();
        self.operations.clear();
        self.aliases.clear();
        self.inbound.connected();
    }

    /// The connection is gone.
    pub fn closed(&mut self, now: Instant) {
        self.now = now;
        if self.phase == Phase::Closed {
            return;
        }
        if let Some((pid, qos)) = started_publish(&self.partial) {
            // A part of it left the client, which may or may not count that as sent.
            let len = frame_len(&self.partial).ok().flatten().map_or(0, |l| l.total_len);
            self.out.started(pid, qos, self.partial[0] & 1 != 0, len);
        }
        self.phase = Phase::Closed;
        self.out.disconnected();
    }

    /// The client sends these bytes: packets, or parts of them. `seen` is called for each whole one.
    pub fn sent(&mut self, now: Instant, bytes: &[u8], mut seen: impl FnMut(Version, &[u8])) {
        self.now = now;
        if self.partial.is_empty() {
            self.began = now;
        }
        self.partial.extend(bytes);
        loop {
            let total = match frame_len(&self.partial) {
                Ok(Some(length)) if self.partial.len() >= length.total_len => length.total_len,
                Ok(_) => return,
                Err(fault) => {
                    self.partial.clear();
                    return self.note("malformed packet", fault.to_string());
                }
            };
            let packet: Vec<u8> = self.partial.drain(..total).collect();
            self.sent_packet(&packet);
            seen(self.version, &packet);
            (self.spoke, self.began) = (now, now);
        }
    }

    fn sent_packet(&mut self, bytes: &[u8]) {
        self.check_keep_alive();
        match self.phase {
            Phase::Closed => return self.note("sent without a connection", show(bytes)),
            Phase::Left => return self.note("MQTT-3.14.4-1", show(bytes)),
            Phase::Open => match Packet::decode_connect(bytes) {
                Ok((version, connect)) => return self.sent_connect(version, &connect),
                // [MQTT-3.1.0-1]
                Err(fault) => return self.note("MQTT-3.1.0-1", fault.to_string()),
            },
            Phase::Connecting | Phase::Up => {}
        }
        if bytes.len() > self.limits.maximum_packet_size {
            self.note("MQTT-3.2.2-15", format!("{} bytes", bytes.len()));
        }
        match Packet::decode(self.version, bytes) {
            Err(fault) => self.note("malformed packet", fault.to_string()),
            Ok(packet) => self.sent_decoded(&packet, bytes),
        }
    }

    fn sent_decoded(&mut self, packet: &Packet<'_>, bytes: &[u8]) {
        match packet {
            Packet::Auth(_) if self.has_method => {}
            Packet::Disconnect(disconnect) => self.sent_disconnect(disconnect),
            // [MQTT-3.1.2-30]
            _ if self.phase == Phase::Connecting => self.note("packet before CONNACK", show(bytes)),
            Packet::Publish(publish) => self.sent_publish(publish),
            Packet::Ack(ack) => self.sent_ack(ack),
            Packet::Subscribe(subscribe) => self.sent_subscribe(subscribe),
            Packet::Unsubscribe(Unsubscribe { pid, .. }) => self.operation(*pid),
            Packet::PingReq => {}
            _ => self.note("not for a client to send", show(bytes)),
        }
    }

    fn sent_connect(&mut self, version: Version, connect: &Connect<'_>) {
        if version == Version::V311 && connect.client_id.is_empty() && !connect.clean_start {
            self.note("MQTT-3.1.3-7 of 3.1.1", "no Client Identifier for a kept session");
        }
        self.client = connect.client_id.to_owned();
        self.version = version;
        self.phase = Phase::Connecting;
        self.has_method = connect.props.authentication_method().is_some();
        self.session_expiry = connect.props.session_expiry().unwrap_or(0);
        self.limits.keep_alive = Duration::from_secs(u64::from(connect.keep_alive));
    }

    fn sent_disconnect(&mut self, disconnect: &Disconnect<'_>) {
        let expiry = disconnect.props.session_expiry().unwrap_or(0);
        if self.session_expiry == 0 && expiry > 0 {
            self.note("3.14.2.2.2", format!("Session Expiry Interval {expiry} after 0"));
        }
        self.phase = Phase::Left;
    }

    fn sent_ack(&mut self, ack: &Ack<'_>) {
        let fault = match ack.kind {
            AckKind::PubRel => self.out.sent_pubrel(self.version, ack.pid.get()),
            _ => self.inbound.sent(ack.kind, ack.pid.get(), ack.reason),
        };
        if let Err(rule) = fault {
            self.note(rule, crate::trace::describe_packet(&(*ack).into()));
        }
    }

    fn sent_subscribe(&mut self, subscribe: &Subscribe<'_>) {
        self.operation(subscribe.pid);
        let has_id = subscribe.props.subscription_ids().next().is_some();
        for (filter, _) in subscribe.filters {
            if let Err(rule) = self.limits.subscription(filter, has_id) {
                self.note(rule, format!("SUBSCRIBE {filter:?}"));
            }
        }
    }

    fn operation(&mut self, pid: PacketId) {
        if self.out.uses(pid.get()) || !self.operations.insert(pid.get()) {
            self.note("MQTT-2.2.1-3", format!("#{pid} of an operation is in use"));
        }
    }

    /// The network took bytes of the client: it is not silent.
    pub fn wrote(&mut self, now: Instant) {
        self.spoke = now;
    }

    /// A packet too large for the client, which begins like this, was skipped.
    pub fn skipped(&mut self, now: Instant, head: &[u8]) {
        self.now = now;
        if let Ok(publish) = Publish::decode_head(self.version, head) {
            self.inbound.publish(&publish);
        }
    }

    /// The client takes this packet.
    pub fn received(&mut self, now: Instant, bytes: &[u8]) {
        self.now = now;
        match Packet::decode(self.version, bytes) {
            Ok(Packet::ConnAck(ack)) if self.phase == Phase::Connecting => self.connected(&ack),
            // What comes between DISCONNECT and the end is known all the same.
            Ok(Packet::Ack(ack)) if self.phase == Phase::Left && ack.kind != AckKind::PubRel => {
                self.out.acknowledged(&ack);
            }
            Ok(_) if self.phase != Phase::Up => {}
            Ok(Packet::Publish(publish)) => self.inbound.publish(&publish),
            Ok(Packet::Ack(ack)) if ack.kind == AckKind::PubRel => {
                self.inbound.released(ack.pid.get());
            }
            // It is for an earlier sending; another will come.
            Ok(Packet::Ack(ack)) if self.is_sending_again(ack.pid.get()) => {}
            Ok(Packet::Ack(ack)) => self.out.acknowledged(&ack),
            Ok(Packet::SubAck(ack)) => drop(self.operations.remove(&ack.pid.get())),
            Ok(Packet::UnsubAck(ack)) => drop(self.operations.remove(&ack.pid.get())),
            _ => {}
        }
    }

    /// Whether the client is in the middle of sending this PUBLISH again.
    fn is_sending_again(&self, pid: u16) -> bool {
        const DUP: u8 = 0x08;
        let started = started_publish(&self.partial);
        started.is_some_and(|(p, _)| p == pid) && self.partial[0] & DUP != 0
    }

    fn connected(&mut self, ack: &ConnAck<'_>) {
        if ack.reason.is_error() {
            return;
        }
        self.phase = Phase::Up;
        // It did not know the broker's Keep Alive before.
        self.spoke = self.now;
        self.limits.connected(&ack.props);
        self.out.connected(&self.limits);
        if let Some(expiry) = ack.props.session_expiry() {
            self.session_expiry = expiry;
        }
        if let Some(id) = ack.props.assigned_client_id() {
            self.client = id.to_owned();
        }
        if !ack.session_present {
            self.out.forget();
            self.inbound.forget();
        }
    }

    /// [MQTT-3.1.2-20]: within the Keep Alive the client sends something.
    fn check_keep_alive(&mut self) {
        let (limit, gap) = (self.limits.keep_alive, self.now.since(self.spoke));
        if self.phase == Phase::Up && !limit.is_zero() && gap > limit {
            self.note("MQTT-3.1.2-20", format!("silent for {gap:?}, Keep Alive is {limit:?}"));
        }
    }

    fn note(&mut self, rule: &'static str, what: impl Into<String>) {
        let (at, client, what) = (self.now, self.client.clone(), what.into());
        self.violations.push(Violation { at, client, rule, what });
    }
}

fn show(bytes: &[u8]) -> String {
    let kind = bytes.first().and_then(|first| PacketType::from_first_byte(*first).ok());
    kind.map_or("no packet".to_owned(), |kind| format!("{kind:?}"))
}

/// Packet Identifier and QoS of a PUBLISH of which only the beginning is there.
fn started_publish(bytes: &[u8]) -> Option<(u16, QoS)> {
    let (first, length) = (*bytes.first()?, frame_len(bytes).ok()??);
    let qos = QoS::try_from(first >> 1 & 3).ok().filter(|qos| *qos > QoS::AtMostOnce)?;
    if first >> 4 != 3 {
        return None;
    }
    let rest = bytes.get(length.header_len..)?;
    let topic = u16::from_be_bytes(*rest.first_chunk()?);
    let pid = rest.get(2 + usize::from(topic)..)?.first_chunk()?;
    Some((u16::from_be_bytes(*pid), qos))
}
