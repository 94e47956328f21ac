//! Each rule, broken once.

use everlink_proto::wire::{
    Auth, Filters, Properties, Property, Publish, QoS, ReasonCode, SubscribeOptions,
};

use super::*;
use crate::clock::Clock;

const Q1: QoS = QoS::AtLeastOnce;
const Q2: QoS = QoS::ExactlyOnce;

/// A checker watching an imagined client.
struct Bench {
    check: Checker,
    version: Version,
    now: Instant,
}

impl Bench {
    /// Connected, without a session.
    fn new(version: Version) -> Self {
        let mut b = Self { check: Checker::new(), version, now: Clock::START };
        b.connect(false, &[]);
        b
    }

    fn connect(&mut self, session_present: bool, limits: &[Property<'_>]) {
        self.check.opened(self.now);
        self.sent(Connect { client_id: "c", keep_alive: 60, ..Connect::default() });
        let (reason, props) = (ReasonCode::SUCCESS, Properties::from_list(limits));
        self.got(ConnAck { session_present, reason, props });
    }

    fn reconnect(&mut self, session_present: bool) {
        self.check.closed(self.now);
        self.connect(session_present, &[]);
    }

    fn bytes<'a>(&self, packet: impl Into<Packet<'a>>) -> Vec<u8> {
        let packet = packet.into();
        let mut bytes = vec![0; packet.encoded_len(self.version)];
        let n = packet.encode(self.version, &mut bytes).unwrap();
        bytes.truncate(n);
        bytes
    }

    fn sent<'a>(&mut self, packet: impl Into<Packet<'a>>) {
        let bytes = self.bytes(packet);
        self.check.sent(self.now, &bytes, |_, _| {});
    }

    fn got<'a>(&mut self, packet: impl Into<Packet<'a>>) {
        let bytes = self.bytes(packet);
        self.check.received(self.now, &bytes);
    }

    #[track_caller]
    fn clean(&self) {
        assert_eq!(self.check.violations(), []);
    }

    #[track_caller]
    fn broke(&self, rule: &str) {
        let rules: Vec<_> = self.check.violations().iter().map(|v| v.rule).collect();
        assert!(rules.len() == 1 && rules[0].contains(rule), "{rules:?} instead of {rule:?}");
    }
}

fn pid(n: u16) -> PacketId {
    PacketId::new(n).unwrap()
}

fn ack(kind: AckKind, n: u16) -> Ack<'static> {
    Ack::new(kind, pid(n))
}

fn message(qos: QoS, n: u16) -> Publish<'static> {
    let (props, payload) = (Properties::EMPTY, b"m".as_slice());
    Publish { dup: false, qos, retain: false, topic: "t", pid: PacketId::new(n), props, payload }
}

fn again(qos: QoS, n: u16) -> Publish<'static> {
    Publish { dup: true, ..message(qos, n) }
}

#[test]
fn a_good_life_breaks_nothing() {
    for version in [Version::V311, Version::V5] {
        let mut b = Bench::new(version);
        b.sent(message(Q1, 1));
        b.sent(message(Q2, 2));
        b.sent(message(Q2, 3));
        b.got(ack(AckKind::PubRec, 2));
        b.sent(ack(AckKind::PubRel, 2));
        assert_eq!(b.check.in_flight(), 3);
        b.reconnect(true);
        b.sent(ack(AckKind::PubRel, 2));
        b.sent(again(Q1, 1));
        b.sent(again(Q2, 3));
        b.sent(message(Q1, 4));
        b.got(ack(AckKind::PubAck, 1));
        b.got(ack(AckKind::PubComp, 2));
        b.sent(message(Q1, 1));
        b.reconnect(false);
        b.sent(message(Q1, 3));
        b.sent(Packet::PingReq);
        b.sent(Disconnect::default());
        b.clean();
    }
}

#[test]
fn packets_out_of_place() {
    let mut b = Bench::new(Version::V5);
    b.check.closed(b.now);
    b.check.opened(b.now);
    b.sent(Packet::PingReq);
    b.broke("MQTT-3.1.0-1");

    let mut b = Bench::new(Version::V5);
    b.check.closed(b.now);
    b.check.opened(b.now);
    b.sent(Connect::default());
    b.sent(message(Q1, 1));
    b.broke("before CONNACK");

    let mut b = Bench::new(Version::V5);
    b.sent(Disconnect::default());
    b.sent(Packet::PingReq);
    b.broke("MQTT-3.14.4-1");

    let mut b = Bench::new(Version::V5);
    b.sent(Packet::PingResp);
    b.broke("not for a client");

    let mut b = Bench::new(Version::V5);
    b.sent(Auth::default());
    b.broke("not for a client");
}

#[test]
fn dup_and_identifiers() {
    let mut b = Bench::new(Version::V5);
    b.sent(again(Q1, 1));
    b.broke("DUP at the first sending");

    let mut b = Bench::new(Version::V5);
    b.sent(message(Q1, 1));
    b.reconnect(true);
    b.sent(message(Q1, 1));
    b.broke("without DUP");

    let mut b = Bench::new(Version::V5);
    b.sent(message(Q1, 1));
    b.reconnect(true);
    b.sent(Publish { payload: b"other", ..again(Q1, 1) });
    b.broke("another message");

    let mut b = Bench::new(Version::V5);
    b.sent(message(Q2, 1));
    b.got(ack(AckKind::PubRec, 1));
    b.reconnect(true);
    b.sent(again(Q2, 1));
    b.broke("PUBLISH after PUBREC");

    let list = [("t", SubscribeOptions::default())];
    let subscribe =
        Subscribe { pid: pid(1), props: Properties::EMPTY, filters: Filters::from_list(&list) };
    let mut b = Bench::new(Version::V5);
    b.sent(message(Q1, 1));
    b.sent(subscribe);
    b.broke("MQTT-2.2.1-3");

    let mut b = Bench::new(Version::V5);
    b.sent(subscribe);
    b.sent(message(Q1, 1));
    b.broke("MQTT-2.2.1-3");
}

#[test]
fn only_3_1_1_sends_again_on_a_live_connection() {
    let mut b = Bench::new(Version::V311);
    b.sent(message(Q1, 1));
    b.sent(again(Q1, 1));
    b.clean();
    let mut b = Bench::new(Version::V5);
    b.sent(message(Q1, 1));
    b.sent(again(Q1, 1));
    b.broke("MQTT-4.4.0-1");
    let mut b = Bench::new(Version::V5);
    b.sent(message(Q2, 1));
    b.got(ack(AckKind::PubRec, 1));
    b.sent(ack(AckKind::PubRel, 1));
    b.sent(ack(AckKind::PubRel, 1));
    b.broke("MQTT-4.4.0-1");
}

#[test]
fn order_of_resends() {
    let mut b = Bench::new(Version::V5);
    b.sent(message(Q1, 7));
    b.sent(message(Q2, 5));
    b.reconnect(true);
    b.sent(again(Q2, 5));
    b.sent(again(Q1, 7));
    b.broke("MQTT-4.6.0-1");

    let mut b = Bench::new(Version::V5);
    b.sent(message(Q1, 7));
    b.reconnect(true);
    b.sent(message(Q1, 8));
    b.broke("overtakes");

    for swap in [false, true] {
        let mut b = Bench::new(Version::V5);
        for n in [1, 2] {
            b.sent(message(Q2, n));
        }
        for n in [2, 1] {
            b.got(ack(AckKind::PubRec, n));
        }
        if swap {
            b.reconnect(true);
        }
        for n in [1, 2] {
            b.sent(ack(AckKind::PubRel, n));
        }
        b.broke("MQTT-4.6.0-4");
    }
}

#[test]
fn pubrel_needs_a_pubrec() {
    let mut b = Bench::new(Version::V5);
    b.sent(message(Q2, 1));
    b.sent(ack(AckKind::PubRel, 1));
    b.broke("PUBREL without PUBREC");
    // One for an unknown identifier may be answered.
    let mut b = Bench::new(Version::V5);
    b.got(ack(AckKind::PubRec, 9));
    b.sent(ack(AckKind::PubRel, 9));
    b.clean();
    b.sent(ack(AckKind::PubRel, 9));
    b.broke("PUBREL without PUBREC");
}

#[test]
fn acknowledgements_in_order_and_only_of_what_came() {
    for (qos, kind, rule) in
        [(Q1, AckKind::PubAck, "MQTT-4.6.0-2"), (Q2, AckKind::PubRec, "MQTT-4.6.0-3")]
    {
        let mut b = Bench::new(Version::V5);
        b.got(message(qos, 1));
        b.got(message(qos, 2));
        assert_eq!(b.check.owed(), 2);
        b.sent(ack(kind, 2));
        b.broke(rule);

        let mut b = Bench::new(Version::V5);
        b.got(message(qos, 1));
        b.reconnect(true);
        b.sent(ack(kind, 1));
        b.broke("nothing received");
    }
    let mut b = Bench::new(Version::V5);
    b.got(ack(AckKind::PubRel, 3));
    b.sent(ack(AckKind::PubComp, 3));
    b.clean();
    b.sent(ack(AckKind::PubComp, 3));
    b.broke("PUBCOMP without PUBREL");
}

#[test]
fn limits_of_connack() {
    let broke = |limit: Property<'static>, packet: Packet<'static>, rule| {
        let mut b = Bench::new(Version::V5);
        b.check.closed(b.now);
        b.connect(false, &[limit]);
        b.sent(packet);
        b.broke(rule);
    };
    let alias = const { &[Property::TopicAlias(2)] };
    let aliased = Publish { props: Properties::from_list(alias), ..message(Q1, 1) };
    let retained = Publish { retain: true, ..message(Q1, 1) };
    broke(Property::MaximumPacketSize(5), message(Q1, 1).into(), "MQTT-3.2.2-15");
    broke(Property::MaximumQoS(Q1), message(Q2, 1).into(), "MQTT-3.2.2-11");
    broke(Property::RetainAvailable(false), retained.into(), "MQTT-3.2.2-14");
    broke(Property::TopicAliasMaximum(1), aliased.into(), "above the Topic Alias Maximum");
    let unknown = Publish { topic: "", ..aliased };
    broke(Property::TopicAliasMaximum(2), unknown.into(), "an alias that was not set");

    let list = const { &[("$share/g/+", SubscribeOptions::new(QoS::AtMostOnce))] };
    let props = Properties::from_list(const { &[Property::SubscriptionIdentifier(1)] });
    let subscribe = Subscribe { pid: pid(1), props, filters: Filters::from_list(list) };
    broke(Property::WildcardSubscriptionAvailable(false), subscribe.into(), "no wildcard");
    broke(Property::SubscriptionIdentifierAvailable(false), subscribe.into(), "no subscription id");
    broke(Property::SharedSubscriptionAvailable(false), subscribe.into(), "no shared");
}

#[test]
fn receive_maximum_counts_what_the_client_knows() {
    let mut b = Bench::new(Version::V5);
    b.check.closed(b.now);
    b.connect(false, &[Property::ReceiveMaximum(2)]);
    b.sent(message(Q2, 1));
    b.sent(message(Q1, 2));
    b.got(ack(AckKind::PubAck, 2));
    b.sent(message(Q1, 3));
    b.got(ack(AckKind::PubRec, 1));
    b.clean();
    b.sent(ack(AckKind::PubRel, 1));
    b.sent(message(Q1, 4));
    b.broke("MQTT-3.3.4-7");
}

#[test]
fn silence_beyond_the_keep_alive() {
    let mut b = Bench::new(Version::V311);
    b.now = b.now + Duration::from_secs(60);
    b.sent(Packet::PingReq);
    b.clean();
    b.now = b.now + Duration::from_secs(61);
    b.sent(Packet::PingReq);
    b.broke("MQTT-3.1.2-20");
}

#[test]
fn a_publish_cut_short_may_count_as_sent_or_not() {
    for dup in [false, true] {
        let mut b = Bench::new(Version::V5);
        let bytes = b.bytes(message(Q1, 1));
        b.check.sent(b.now, &bytes[..bytes.len() - 1], |_, _| {});
        b.reconnect(true);
        b.sent(Publish { dup, ..message(Q1, 1) });
        b.clean();
    }
}

#[test]
fn packets_may_be_sent_in_pieces() {
    let mut b = Bench::new(Version::V5);
    let bytes = [b.bytes(message(Q1, 1)), b.bytes(message(Q1, 2))].concat();
    let mut seen = 0;
    for piece in bytes.chunks(3) {
        b.check.sent(b.now, piece, |_, _| seen += 1);
    }
    assert_eq!((seen, b.check.in_flight()), (2, 2));
    b.clean();
}
