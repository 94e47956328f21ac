//! A client that lost its memory but not its session begins with other Packet Identifiers: the
//! broker may still hold exchanges under the first ones, and would take a new message for an old.

use std::collections::BTreeMap;

use everlink_proto::mem::Table;
use everlink_proto::session::{Config, FirstConnect, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::Duration;
use everlink_proto::wire::{
    Ack, AckKind, PacketId, PacketType, Properties, Publish, QoS, ReasonCode, Version,
};
use everlink_sim::host::Fate;
use everlink_sim::pair::Pair;
use everlink_sim::script::Script;

const PID: PacketId = PacketId::new(1).unwrap();

fn session(first_packet_id: u16) -> Session<'static, RamStore> {
    let first_connect = FirstConnect::Forever;
    let cfg = Config { first_connect, clean_start: false, first_packet_id, ..Config::default() };
    let memory = Memory::growing(&cfg);
    Session::new(cfg, RamStore::new(), memory)
}

#[test]
fn a_new_message_is_not_taken_for_an_old_one() {
    let mut pair = Pair::new(1, session(1));
    pair.open();
    pair.run_until_up(Duration::from_secs(1));
    pair.broker().faults.swallow(PacketType::PubRec, 1);
    pair.publish("t", b"before the crash", QoS::ExactlyOnce);
    pair.run_for(Duration::from_secs(1));
    pair.hosts[0].reboot(session(40_000));
    pair.kill_broker();
    pair.restart_broker(true);
    pair.open();
    let tag = pair.publish("t", b"after it", QoS::ExactlyOnce);
    let ok = Fate::Delivered(ReasonCode::SUCCESS);
    assert_eq!(pair.fate(tag, Duration::from_secs(10)), ok);
    assert_eq!(pair.accepted(), ["before the crash", "after it"]);
}

#[test]
fn any_number_is_a_valid_beginning() {
    for first in [0, 1, 65_535] {
        let mut pair = Pair::new(1, session(first));
        pair.open();
        for _ in 0..3 {
            let tag = pair.publish("t", b"x", QoS::AtLeastOnce);
            let ok = Fate::Delivered(ReasonCode::SUCCESS);
            assert_eq!(pair.fate(tag, Duration::from_secs(1)), ok);
        }
        pair.assert_conforms();
    }
}

/// Writes what is due to the medium.
fn save(s: &mut Script<Session<'static, RamStore>>, medium: &mut BTreeMap<u16, Vec<u8>>) {
    let mut out = [0; 64];
    while let Some(record) = s.engine.unsaved(s.now(), &mut out) {
        medium.insert(record.key, out[..record.len].to_vec());
        let host = &mut s.hosts[0];
        host.engine.saved(record, &mut host.inbox);
    }
    s.touch();
}

/// The exhaustive search found the new message lost: the broker had lost its session and begun
/// another, and before that could be noted the power went.
#[test]
fn the_session_may_not_be_the_one_on_the_medium() {
    let received = |dup, payload: &'static [u8]| Publish {
        dup,
        qos: QoS::ExactlyOnce,
        retain: false,
        topic: "t",
        pid: Some(PID),
        props: Properties::EMPTY,
        payload,
    };
    for version in [Version::V311, Version::V5] {
        // What comes on the second connection, and whether it is delivered.
        for (publish, new) in [(received(false, b"new"), true), (received(true, b"old"), false)] {
            let mut medium = BTreeMap::new();
            for boot in 0..2 {
                let cfg = Config { version, clean_start: false, ..Config::default() };
                let memory = Memory::growing(&cfg);
                let mut engine = Session::new(cfg, RamStore::new(), memory);
                engine.keep_records(64, Table::growing(4));
                engine.restored(medium.get(&0).map_or(&[][..], Vec::as_slice)).unwrap();
                let mut s = Script::new(version, engine);
                s.accept(boot > 0);
                s.reply(if boot == 0 { received(false, b"old") } else { publish });
                save(&mut s, &mut medium);
                s.expect(Ack::new(AckKind::PubRec, PID));
                let delivered = boot == 0 || new;
                assert_eq!(s.inbox.messages.len(), usize::from(delivered), "{version:?}, {new}");
            }
        }
    }
}
