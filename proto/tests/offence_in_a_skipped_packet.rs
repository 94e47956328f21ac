//! A packet that is too large and wrong as well ends the connection, and leaves nothing for the next.

use everlink_proto::session::{Config, FirstConnect, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::Duration;
use everlink_proto::wire::{
    Ack, AckKind, PacketId, PacketType, Properties, Property, Publish, QoS, Version,
};
use everlink_sim::script::Script;

#[test]
fn nothing_is_acknowledged_on_the_next_connection() {
    let cfg = Config {
        first_connect: FirstConnect::Forever,
        maximum_packet_size: 256,
        ..Config::default()
    };
    let memory = Memory::growing(&cfg);
    let mut s = Script::new(Version::V5, Session::new(cfg, RamStore::new(), memory));
    s.accept(false);
    let pid = PacketId::new(7);
    let publish = Publish {
        dup: false,
        qos: QoS::ExactlyOnce,
        retain: false,
        topic: "t",
        pid,
        props: Properties::EMPTY,
        payload: b"x",
    };
    s.reply(publish);
    s.expect(Ack::new(AckKind::PubRec, PacketId::new(7).unwrap()));
    let alias = [Property::TopicAlias(99)];
    let payload = vec![0; 100_000];
    s.reply(Publish {
        topic: "",
        props: Properties::from_list(&alias),
        payload: &payload,
        dup: true,
        ..publish
    });
    s.expect_kind(PacketType::Disconnect);
    s.accept(true);
    s.silence(Duration::from_secs(5));
    assert_eq!(s.check.violations(), []);
}
