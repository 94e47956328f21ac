use super::*;

const V: [Version; 2] = [Version::V311, Version::V5];
const Q0: QoS = QoS::AtMostOnce;
const Q1: QoS = QoS::AtLeastOnce;
const Q2: QoS = QoS::ExactlyOnce;

fn texts(b: &Bench) -> Vec<(String, QoS, bool)> {
    b.broker.accepted().iter().map(|a| (a.topic.clone(), a.qos, a.dup)).collect()
}

#[test]
fn each_qos_has_its_answers() {
    for version in V {
        let mut b = Bench::new();
        b.client(1, version, "c");
        assert!(b.ask(1, message("t", Q0, 0)).is_empty());
        assert_eq!(b.ask(1, message("t", Q1, 1)), ["PUBACK #1"]);
        assert_eq!(b.ask(1, message("t", Q2, 2)), ["PUBREC #2"]);
        assert_eq!(b.ask(1, ack(AckKind::PubRel, 2)), ["PUBCOMP #2"]);
        assert_eq!(b.broker.accepted().len(), 3);
        assert!(b.rules().is_empty());
    }
}

#[test]
fn a_repeated_qos_2_message_is_taken_once() {
    for version in V {
        let mut b = Bench::new();
        b.client(1, version, "c");
        b.send(1, message("t", Q2, 5));
        b.drop(1);
        b.client(2, version, "c");
        let again = Publish { dup: true, ..message("t", Q2, 5) };
        assert_eq!(b.ask(2, again), ["PUBREC #5"]);
        assert_eq!(texts(&b), [("t".to_owned(), Q2, false)]);
        b.send(2, ack(AckKind::PubRel, 5));
        // A new message may use the identifier now.
        b.send(2, message("t", Q2, 5));
        assert_eq!(b.broker.accepted().len(), 2);
        assert!(b.rules().is_empty());
    }
}

#[test]
fn a_broker_may_take_a_qos_2_message_only_at_pubrel() {
    for version in V {
        let mut b = Bench::new();
        b.broker.cfg.take_at_release = true;
        b.client(1, version, "c");
        assert_eq!(b.ask(1, message("t", Q2, 5)), ["PUBREC #5"]);
        assert!(b.broker.accepted().is_empty());
        assert_eq!(b.broker.arrived().len(), 1);
        for _ in 0..2 {
            assert!(b.ask(1, ack(AckKind::PubRel, 5))[0].starts_with("PUBCOMP #5"));
            assert_eq!(b.broker.accepted().len(), 1);
        }
        // With the session it loses what it has not passed on.
        b.send(1, message("t", Q2, 6));
        b.broker.restart(false);
        b.client(2, version, "c");
        b.send(2, ack(AckKind::PubRel, 6));
        assert_eq!(b.broker.accepted().len(), 1);
    }
}

#[test]
fn an_unknown_pubrel_gets_pubcomp() {
    let mut b = Bench::new();
    b.client(1, Version::V5, "c");
    let answer = b.ask(1, ack(AckKind::PubRel, 7));
    assert_eq!(answer, ["PUBCOMP #7 0x92 Packet Identifier not found"]);
    b.send(1, message("t", Q2, 5));
    b.broker.forget_received("c");
    assert!(b.ask(1, ack(AckKind::PubRel, 5))[1].contains("0x92"));
}

#[test]
fn an_identifier_in_use_is_a_breach() {
    let mut b = Bench::new();
    b.client(1, Version::V5, "c");
    b.send(1, message("t", Q2, 5));
    b.send(1, message("u", Q2, 5));
    assert_eq!(b.rules(), ["MQTT-2.2.1-3"]);
    // One whose acknowledgement was swallowed is in use too.
    let mut b = Bench::new();
    b.client(1, Version::V311, "c");
    b.broker.faults.swallow(PacketType::PubAck, 1);
    assert!(b.ask(1, message("t", Q1, 5)).is_empty());
    b.send(1, Publish { dup: true, ..message("t", Q1, 5) });
    assert!(b.rules().is_empty());
    b.broker.faults.swallow(PacketType::PubAck, 1);
    b.send(1, message("t", Q1, 6));
    b.send(1, message("t", Q1, 6));
    assert_eq!(b.rules(), ["MQTT-2.2.1-3"]);
}

#[test]
fn receive_maximum_is_counted_until_the_last_acknowledgement() {
    let mut b = Bench::new();
    b.broker.cfg.receive_maximum = 2;
    b.client(1, Version::V5, "c");
    b.send(1, message("t", Q2, 1));
    b.send(1, message("t", Q2, 2));
    b.send(1, ack(AckKind::PubRel, 1));
    b.send(1, message("t", Q2, 3));
    assert!(b.rules().is_empty());
    b.take(1);
    b.send(1, message("t", Q1, 4));
    assert_eq!(b.rules(), ["MQTT-3.3.4-7"]);
    assert!(b.take(1)[0].contains("0x93"));
}

#[test]
fn limits_are_enforced() {
    let flaw = |set: fn(&mut BrokerConfig), publish: Publish<'_>| {
        let mut b = Bench::new();
        set(&mut b.broker.cfg);
        b.client(1, Version::V5, "c");
        b.send(1, publish);
        b.rules()
    };
    let retained = Publish { retain: true, ..message("t", Q0, 0) };
    let alias = [Property::TopicAlias(3)];
    let aliased = Publish { props: Properties::from_list(&alias), ..message("t", Q0, 0) };
    assert_eq!(flaw(|c| c.maximum_qos = Q1, message("t", Q2, 1)), ["MQTT-3.2.2-11"]);
    assert_eq!(flaw(|c| c.retain_available = false, retained), ["MQTT-3.2.2-14"]);
    assert_eq!(flaw(|c| c.maximum_packet_size = Some(6), message("t", Q1, 1)), ["MQTT-3.2.2-15"]);
    assert_eq!(flaw(|c| c.topic_alias_maximum = 2, aliased), ["MQTT-3.3.2-9"]);
    assert!(flaw(|c| c.topic_alias_maximum = 3, aliased).is_empty());
}

#[test]
fn aliases_are_resolved() {
    let mut b = Bench::new();
    b.broker.cfg.topic_alias_maximum = 2;
    b.client(1, Version::V5, "c");
    let alias = [Property::TopicAlias(2)];
    let props = Properties::from_list(&alias);
    b.send(1, Publish { props, ..message("long", Q0, 0) });
    b.send(1, Publish { props, ..message("", Q0, 0) });
    assert_eq!(b.broker.accepted()[1].topic, "long");
    b.drop(1);
    b.client(2, Version::V5, "c");
    b.send(2, Publish { props, ..message("", Q0, 0) });
    assert_eq!(b.rules(), ["MQTT-3.3.2-9"]);
}

#[test]
fn a_refused_publication_is_not_taken() {
    let refuse = |version, qos| {
        let mut b = Bench::new();
        let rule = ("secret/#".to_owned(), ReasonCode::NOT_AUTHORIZED);
        b.broker.faults.refuse_publish.push(rule);
        b.client(1, version, "c");
        let answer = b.ask(1, message("secret/x", qos, 1));
        assert!(b.broker.accepted().is_empty());
        assert_eq!(b.broker.refused().len(), 1);
        answer.join(" ")
    };
    assert_eq!(refuse(Version::V5, Q1), "PUBACK #1 0x87 Not authorized");
    assert_eq!(refuse(Version::V5, Q2), "PUBREC #1 0x87 Not authorized");
    assert_eq!(refuse(Version::V311, Q1), "PUBACK #1");
    assert_eq!(refuse(Version::V311, Q2), "PUBREC #1");
}

#[test]
fn acknowledgements_get_lost_doubled_and_late() {
    let mut b = Bench::new();
    b.client(1, Version::V5, "c");
    b.broker.faults.swallow(PacketType::PubAck, 1);
    b.broker.faults.duplicate(PacketType::PubAck, 1);
    b.broker.faults.delay(PacketType::PubAck, Duration::from_secs(5), 1);
    assert!(b.ask(1, message("t", Q1, 1)).is_empty());
    assert_eq!(b.ask(1, message("t", Q1, 2)), ["PUBACK #2", "PUBACK #2"]);
    assert!(b.ask(1, message("t", Q1, 3)).is_empty());
    assert_eq!(b.ask(1, message("t", Q1, 4)), ["PUBACK #4"]);
    b.pass(5);
    assert_eq!(b.take(1), ["PUBACK #3"]);
    b.broker.faults.ignore(PacketType::Publish, 1);
    assert!(b.ask(1, message("t", Q1, 5)).is_empty());
    assert_eq!(b.broker.accepted().len(), 4);
    b.broker.faults.hang_up(PacketType::PubAck, 1);
    assert_eq!(b.ask(1, message("t", Q1, 6)), ["PUBACK #6"]);
    assert_eq!(b.ask(1, message("t", Q1, 7)), ["closed"]);
}

#[test]
fn anything_can_be_injected() {
    let mut b = Bench::new();
    b.client(1, Version::V5, "c");
    b.broker.inject("c", ack(AckKind::PubRel, 99));
    b.broker.inject_raw("c", &[0xd0, 0]);
    assert_eq!(b.take(1), ["PUBREL #99", "PingResp"]);
}
