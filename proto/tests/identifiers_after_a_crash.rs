//! A client that lost its memory but not its session begins with other Packet Identifiers: the
//! broker may still hold exchanges under the first ones, and would take a new message for an old.

use everlink_proto::session::{Config, FirstConnect, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::Duration;
use everlink_proto::wire::{PacketType, QoS, ReasonCode};
use everlink_sim::host::Fate;
use everlink_sim::pair::Pair;

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
