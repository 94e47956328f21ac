//! What the stories share: an engine with plain settings, packets as one reads them, times.

use everlink_proto::engine::{Cause, Event, Fault, Step};
use everlink_proto::session::{Config, FirstConnect, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::Duration;
use everlink_proto::wire::{
    Ack, AckKind, ConnAck, Packet, PacketId, Properties, Property, Publish, QoS, ReasonCode,
    Version,
};
use everlink_sim::host::{Fate, Host};
use everlink_sim::pair::Pair;
use everlink_sim::script::Script;

pub(crate) type Engine = Session<'static, RamStore>;

pub(crate) const Q0: QoS = QoS::AtMostOnce;
pub(crate) const Q1: QoS = QoS::AtLeastOnce;
pub(crate) const Q2: QoS = QoS::ExactlyOnce;
pub(crate) const OK: Fate = Fate::Delivered(ReasonCode::SUCCESS);
pub(crate) const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

/// The defaults, but for ever patient at the first connection and without Topic Aliases of ours.
pub(crate) fn config(version: Version) -> Config {
    Config {
        version,
        clean_start: false,
        first_connect: FirstConnect::Forever,
        topic_aliases: 0,
        ..Config::default()
    }
}

pub(crate) fn engine(cfg: Config) -> Engine {
    let memory = Memory::growing(&cfg);
    Session::new(cfg, RamStore::new(), memory)
}

/// The engine facing a peer played by hand; it is about to connect.
pub(crate) fn script(cfg: Config) -> Script<Engine> {
    Script::new(cfg.version, engine(cfg))
}

/// The engine connected to a new session of a peer played by hand.
pub(crate) fn connected(cfg: Config) -> Script<Engine> {
    let mut s = script(cfg);
    s.accept(false);
    s
}

/// The engine and a model broker, connected.
pub(crate) fn pair(cfg: Config) -> Pair<Engine> {
    let mut pair = Pair::new(1, engine(cfg));
    pair.open();
    pair.run_until_up(secs(1));
    pair
}

pub(crate) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) fn pid(n: u16) -> PacketId {
    PacketId::new(n).expect("not zero")
}

/// A PUBLISH to topic `t`; identifier 0 at QoS 0.
pub(crate) fn publish(qos: QoS, n: u16, payload: &str) -> Publish<'_> {
    let (props, payload) = (Properties::EMPTY, payload.as_bytes());
    Publish { dup: false, qos, retain: false, topic: "t", pid: PacketId::new(n), props, payload }
}

/// The same with DUP.
pub(crate) fn again(qos: QoS, n: u16, payload: &str) -> Publish<'_> {
    Publish { dup: true, ..publish(qos, n, payload) }
}

pub(crate) fn connack<'a>(session_present: bool, list: &'a [Property<'a>]) -> ConnAck<'a> {
    let (reason, props) = (ReasonCode::SUCCESS, Properties::from_list(list));
    ConnAck { session_present, reason, props }
}

pub(crate) fn puback(n: u16) -> Ack<'static> {
    Ack::new(AckKind::PubAck, pid(n))
}

pub(crate) fn pubrec(n: u16) -> Ack<'static> {
    Ack::new(AckKind::PubRec, pid(n))
}

pub(crate) fn pubrel(n: u16) -> Ack<'static> {
    Ack::new(AckKind::PubRel, pid(n))
}

pub(crate) fn pubcomp(n: u16) -> Ack<'static> {
    Ack::new(AckKind::PubComp, pid(n))
}

/// As `ack`, for an identifier that is not known; 3.1.1 has no words for it.
pub(crate) fn unknown(version: Version, ack: Ack<'static>) -> Ack<'static> {
    match version {
        Version::V311 => ack,
        Version::V5 => Ack { reason: ReasonCode::PACKET_IDENTIFIER_NOT_FOUND, ..ack },
    }
}

/// A packet as bytes.
pub(crate) fn bytes<'a>(version: Version, packet: impl Into<Packet<'a>>) -> Vec<u8> {
    let packet = packet.into();
    let mut bytes = vec![0; packet.encoded_len(version)];
    packet.encode(version, &mut bytes).expect("a legal packet");
    bytes
}

/// Every fault the engine told of, in order.
pub(crate) fn faults(host: &Host<Engine>) -> Vec<Fault> {
    let down = |event: &Event| match event {
        Event::Down(fault) => Some(*fault),
        _ => None,
    };
    host.events.iter().filter_map(|(_, event)| down(event)).collect()
}

/// The last fault must be this one of a connection that was up.
#[track_caller]
pub(crate) fn assert_lost(host: &Host<Engine>, cause: Cause) {
    assert_eq!(faults(host).last(), Some(&Fault::new(Step::Up, cause)), "{}", host.trace);
}

/// After `time` comes a ping, and the peer answers it.
pub(crate) fn ping_after(s: &mut Script<Engine>, time: Duration) {
    s.expect_after(time, Packet::PingReq);
    s.reply(Packet::PingResp);
}
