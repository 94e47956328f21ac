//! What belongs to one connection alone.

use std::collections::{BTreeMap, BTreeSet};

use everlink_proto::time::{Duration, Instant};
use everlink_proto::wire::{Ack, AckKind, Connect, Packet, Version};

use super::config::BrokerConfig;
use super::message::Message;

/// Bytes not yet taken by the network beyond which nothing is sent that can wait.
const CROWDED: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) version: Version,
    pub(super) phase: Phase,
    /// Client Identifier, once it is connected.
    pub(super) client: String,
    pub(super) input: Vec<u8>,
    pub(super) output: Vec<u8>,
    pub(super) closing: bool,
    pub(super) heard: Instant,
    pub(super) keep_alive: Duration,
    /// What its CONNACK offered.
    pub(super) offer: BrokerConfig,
    /// What the client takes.
    pub(super) receive_maximum: usize,
    pub(super) maximum_packet_size: usize,
    pub(super) alias_maximum: u16,
    pub(super) aliases_out: BTreeMap<String, u16>,
    pub(super) aliases_in: BTreeMap<u16, String>,
    /// QoS 1 and 2 PUBLISH packets of the client that were not finally acknowledged.
    pub(super) unacked: BTreeSet<u16>,
    pub(super) will: Option<(u32, Message)>,
}

/// How far the connection has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// CONNECT is awaited.
    Fresh,
    /// AUTH is awaited in answer to challenge `round`, before CONNACK or, `again`, after it.
    Authenticating {
        round: usize,
        connect: Vec<u8>,
        again: bool,
    },
    Up,
}

impl Conn {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            version: Version::V5,
            phase: Phase::Fresh,
            client: String::new(),
            input: Vec::new(),
            output: Vec::new(),
            closing: false,
            heard: now,
            keep_alive: Duration::ZERO,
            offer: BrokerConfig::default(),
            receive_maximum: usize::from(u16::MAX),
            maximum_packet_size: usize::MAX,
            alias_maximum: 0,
            aliases_out: BTreeMap::new(),
            aliases_in: BTreeMap::new(),
            unacked: BTreeSet::new(),
            will: None,
        }
    }

    /// Takes over what a CONNECT says.
    pub(super) fn accept(&mut self, client: &str, connect: &Connect<'_>, offer: &BrokerConfig) {
        let props = &connect.props;
        self.offer = offer.clone();
        self.phase = Phase::Up;
        self.client = client.to_owned();
        self.keep_alive = Duration::from_secs(u64::from(connect.keep_alive));
        self.receive_maximum = usize::from(props.receive_maximum().unwrap_or(u16::MAX));
        self.maximum_packet_size = props.maximum_packet_size().map_or(usize::MAX, |n| n as usize);
        self.alias_maximum = props.topic_alias_maximum().unwrap_or(0);
        self.will = connect
            .will
            .map(|will| (will.props.will_delay().unwrap_or(0), Message::of_will(&will)));
    }

    /// When the client is taken for dead [MQTT-3.1.2-22].
    pub(super) fn deadline(&self) -> Option<Instant> {
        (!self.keep_alive.is_zero() && !self.closing).then(|| self.heard + self.keep_alive * 3 / 2)
    }

    /// Whether it is connected; re-authentication goes on beside all else (4.12.1).
    pub(super) fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up | Phase::Authenticating { again: true, .. })
    }

    pub(super) fn is_crowded(&self) -> bool {
        self.output.len() > CROWDED
    }

    /// Puts a packet in the output; a final acknowledgement frees its Packet Identifier.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        if self.closing {
            return;
        }
        if let Ok(Packet::Ack(Ack { kind, pid, reason, .. })) = Packet::decode(self.version, bytes)
        {
            let last = matches!(kind, AckKind::PubAck | AckKind::PubComp);
            if last || kind == AckKind::PubRec && reason.is_error() {
                self.unacked.remove(&pid.get());
            }
        }
        self.output.extend(bytes);
    }
}
