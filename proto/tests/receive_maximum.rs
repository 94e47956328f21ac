//! Brokers that count what is under way differently than we do are not left for it.

use everlink_proto::mem::Table;
use everlink_proto::session::{Config, FirstConnect, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::Duration;
use everlink_proto::wire::{
    Ack, AckKind, Packet, PacketId, PacketType, Properties, Publish, QoS, ReasonCode, Version,
};
use everlink_sim::script::Script;

fn config() -> Config {
    let first_connect = FirstConnect::Forever;
    Config { receive_maximum: 2, first_connect, clean_start: false, ..Config::default() }
}

fn publish(pid: u16) -> Publish<'static> {
    Publish {
        dup: false,
        qos: QoS::ExactlyOnce,
        retain: false,
        topic: "t",
        pid: PacketId::new(pid),
        props: Properties::EMPTY,
        payload: b"x",
    }
}

fn ack(kind: AckKind, pid: u16) -> Ack<'static> {
    Ack::new(kind, PacketId::new(pid).unwrap())
}

/// mosquitto 2.0 takes PUBREC for the end of an exchange.
#[test]
fn more_than_was_announced() {
    let cfg = config();
    let memory = Memory::growing(&cfg);
    let mut s = Script::new(Version::V5, Session::new(cfg, RamStore::new(), memory));
    s.accept(false);
    for pid in 1..=5 {
        s.reply(publish(pid));
        s.expect(ack(AckKind::PubRec, pid));
    }
    for pid in 1..=5 {
        s.reply(ack(AckKind::PubRel, pid));
        s.expect(ack(AckKind::PubComp, pid));
    }
    s.silence(Duration::from_secs(1));
}

/// The broker counts from nought on a new connection; exchanges that go on do not count.
#[test]
fn exchanges_of_the_last_connection() {
    let cfg = config();
    let mut received = [Default::default(); 4];
    let memory = Memory { received: Table::fixed(&mut received), ..Memory::growing(&cfg) };
    let mut s = Script::new(Version::V5, Session::new(cfg, RamStore::new(), memory));
    s.accept(false);
    for pid in [1, 2] {
        s.reply(publish(pid));
        s.expect(ack(AckKind::PubRec, pid));
    }
    s.reset();
    s.accept(true);
    for pid in [3, 4] {
        s.reply(publish(pid));
        s.expect(ack(AckKind::PubRec, pid));
    }
    for pid in 1..=4 {
        s.reply(ack(AckKind::PubRel, pid));
        s.expect(ack(AckKind::PubComp, pid));
    }
    s.silence(Duration::from_secs(1));
}

/// Where memory is fixed, less is announced while exchanges go on.
#[test]
fn a_full_table_is_announced() {
    let cfg = config();
    let mut received = [Default::default(); 3];
    let memory = Memory { received: Table::fixed(&mut received), ..Memory::growing(&cfg) };
    let mut s = Script::new(Version::V5, Session::new(cfg, RamStore::new(), memory));
    s.accept(false);
    for pid in [1, 2] {
        s.reply(publish(pid));
        s.expect(ack(AckKind::PubRec, pid));
    }
    s.reset();
    let connect = s.accept(true);
    assert_eq!(receive_maximum(&connect), Some(1));
    // What is more than can be kept is left, and ends the connection when all else is done.
    for pid in [3, 4] {
        s.reply(publish(pid));
    }
    s.expect(ack(AckKind::PubRec, 3));
    for pid in 1..=3 {
        s.silence(Duration::from_millis(10));
        s.reply(ack(AckKind::PubRel, pid));
        s.expect(ack(AckKind::PubComp, pid));
    }
    let disconnect = s.expect_kind(PacketType::Disconnect);
    assert_eq!(disconnect[2], ReasonCode::RECEIVE_MAXIMUM_EXCEEDED.0);
}

/// mosquitto 2.0 sends a backlog of any size to a session that was resumed. Each connection takes what
/// there is room for; the rest comes again on the next one, in its order.
// [MQTT-4.8.0-2] of 3.1.1
#[test]
fn a_backlog_larger_than_the_table() {
    const BACKLOG: u16 = 10;
    for version in [Version::V311, Version::V5] {
        let cfg = Config { version, receive_maximum: 100, ..config() };
        let mut received = [Default::default(); 3];
        let memory = Memory { received: Table::fixed(&mut received), ..Memory::growing(&cfg) };
        let mut s = Script::new(version, Session::new(cfg, RamStore::new(), memory));
        let mut first = 1;
        while first <= BACKLOG {
            s.accept(first > 1);
            let taken = first..=BACKLOG.min(first + 2);
            for pid in first..=BACKLOG {
                s.reply(publish(pid));
                if taken.contains(&pid) {
                    s.expect(ack(AckKind::PubRec, pid));
                }
            }
            // It came after what was left.
            s.reply(Publish { qos: QoS::AtLeastOnce, ..publish(BACKLOG + 1) });
            if taken.contains(&BACKLOG) {
                s.expect(ack(AckKind::PubAck, BACKLOG + 1));
            }
            s.silence(Duration::from_millis(10));
            for pid in taken.clone() {
                s.reply(ack(AckKind::PubRel, pid));
                s.expect(ack(AckKind::PubComp, pid));
            }
            if version == Version::V5 && !taken.contains(&BACKLOG) {
                s.expect_kind(PacketType::Disconnect);
            }
            first = taken.end() + 1;
        }
        assert_eq!(s.servers[0].connections, 4);
        s.silence(Duration::from_secs(1));
    }
}

/// With the table full of exchanges of the last connection, the PUBRELs that end them may lie behind
/// a message for which there is no room.
#[test]
fn room_is_made_behind_a_message_that_finds_none() {
    let cfg = config();
    let mut received = [Default::default(); 3];
    let memory = Memory { received: Table::fixed(&mut received), ..Memory::growing(&cfg) };
    let mut s = Script::new(Version::V5, Session::new(cfg, RamStore::new(), memory));
    s.accept(false);
    for pid in 2..=4 {
        s.reply(publish(pid));
        s.expect(ack(AckKind::PubRec, pid));
    }
    s.reset();
    let early = Publish { qos: QoS::AtLeastOnce, dup: true, ..publish(1) };
    s.accept(true);
    s.reply(early);
    for pid in 2..=4 {
        s.reply(ack(AckKind::PubRel, pid));
        s.expect(ack(AckKind::PubComp, pid));
    }
    s.expect_kind(PacketType::Disconnect);
    s.accept(true);
    s.reply(early);
    s.expect(ack(AckKind::PubAck, 1));
    s.silence(Duration::from_secs(1));
}

fn receive_maximum(connect: &[u8]) -> Option<u16> {
    let (_, connect) = Packet::decode_connect(connect).unwrap();
    connect.props.receive_maximum()
}
