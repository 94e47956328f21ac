//! What comes early, late or twice on a resumed connection harms nothing.

use everlink_proto::session::{Config, FirstConnect, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::Duration;
use everlink_proto::wire::{
    Ack, AckKind, ConnAck, Packet, PacketId, PacketType, Properties, Publish, QoS, ReasonCode,
    Version,
};
use everlink_sim::host::Fate;
use everlink_sim::script::Script;

const OK: Fate = Fate::Delivered(ReasonCode::SUCCESS);
const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn script(version: Version) -> Script<Session<'static, RamStore>> {
    let first_connect = FirstConnect::Forever;
    let cfg = Config { version, first_connect, clean_start: false, ..Config::default() };
    let memory = Memory::growing(&cfg);
    Script::new(version, Session::new(cfg, RamStore::new(), memory))
}

fn ack(kind: AckKind, pid: u16) -> Ack<'static> {
    Ack::new(kind, PacketId::new(pid).unwrap())
}

fn bytes<'a>(version: Version, packets: impl IntoIterator<Item = Packet<'a>>) -> Vec<u8> {
    let mut all = Vec::new();
    for packet in packets {
        let start = all.len();
        all.resize(start + packet.encoded_len(version), 0);
        packet.encode(version, &mut all[start..]).unwrap();
    }
    all
}

fn resumed() -> Packet<'static> {
    let (reason, props) = (ReasonCode::SUCCESS, Properties::EMPTY);
    Packet::ConnAck(ConnAck { session_present: true, reason, props })
}

/// PUBRECs that come together with CONNACK: each gets one PUBREL, behind those that were owed.
#[test]
fn pubrels_keep_the_order_of_the_pubrecs_and_go_once() {
    for version in VERSIONS {
        let mut s = script(version);
        s.accept(false);
        let tags = [1, 2, 3].map(|_| s.publish("t", b"x", QoS::ExactlyOnce));
        for _ in tags {
            s.expect_kind(PacketType::Publish);
        }
        s.reply(ack(AckKind::PubRec, 1));
        s.expect(ack(AckKind::PubRel, 1));
        s.reset();
        s.connect();
        let together = [resumed(), ack(AckKind::PubRec, 3).into(), ack(AckKind::PubRec, 2).into()];
        s.reply_raw(&bytes(version, together));
        for pid in [1, 3, 2] {
            s.expect(ack(AckKind::PubRel, pid));
        }
        s.silence(secs(1));
        for pid in [1, 3, 2] {
            s.reply(ack(AckKind::PubComp, pid));
        }
        for tag in tags {
            assert_eq!(s.fate(tag, secs(1)), OK);
        }
        assert_eq!(s.check.violations(), []);
    }
}

/// A broker may have got a message whole on the connection before and say so only now.
#[test]
fn an_acknowledgement_for_a_message_half_sent_again_is_no_offence() {
    for version in VERSIONS {
        for (qos, kind) in
            [(QoS::AtLeastOnce, AckKind::PubAck), (QoS::ExactlyOnce, AckKind::PubRec)]
        {
            let mut s = script(version);
            s.accept(false);
            let payload = vec![7; 300_000];
            let tag = s.publish("t", &payload, qos);
            s.expect_kind(PacketType::Publish);
            s.reset();
            s.connect();
            s.net.path(0).to_server.rate = Some(50_000);
            s.reply_raw(&bytes(version, [resumed()]));
            s.run_for(secs(2));
            s.reply(ack(kind, 1));
            let again = s.expect_kind(PacketType::Publish);
            let Ok(Packet::Publish(Publish { dup: true, payload: got, .. })) =
                Packet::decode(version, &again)
            else {
                panic!("{version:?}: not sent again")
            };
            assert_eq!(got, payload);
            s.reply(ack(kind, 1));
            if qos == QoS::ExactlyOnce {
                s.expect(ack(AckKind::PubRel, 1));
                s.reply(ack(AckKind::PubComp, 1));
            }
            assert_eq!(s.fate(tag, secs(1)), OK);
            assert_eq!(s.opens.len(), 2);
            assert_eq!(s.check.violations(), []);
        }
    }
}

#[test]
fn a_refusal_of_an_unknown_message_is_not_answered() {
    let mut s = script(Version::V5);
    s.accept(false);
    let reason = ReasonCode::QUOTA_EXCEEDED;
    s.reply(Ack { reason, ..ack(AckKind::PubRec, 9) });
    s.silence(secs(1));
}
