//! The broker refuses a publication: that message's outcome, nobody else's.

use everlink_proto::wire::{Ack, Properties, Property, ReasonCode, Version};
use everlink_sim::host::Fate;

use crate::support::*;

const REASONS: [ReasonCode; 6] = [
    ReasonCode::UNSPECIFIED_ERROR,
    ReasonCode::NOT_AUTHORIZED,
    ReasonCode::TOPIC_NAME_INVALID,
    ReasonCode::PACKET_IDENTIFIER_IN_USE,
    ReasonCode::QUOTA_EXCEEDED,
    ReasonCode::PAYLOAD_FORMAT_INVALID,
];

// [MQTT-4.3.3-4] [MQTT-4.4.0-2]
#[test]
fn with_its_reason_and_the_brokers_words() {
    for reason in REASONS {
        for qos in [Q1, Q2] {
            let mut s = connected(config(Version::V5));
            let tag = s.publish("t", b"a", qos);
            s.expect(publish(qos, 1, "a"));
            let list = [Property::ReasonString("no, thank you")];
            let ack = if qos == Q1 { puback(1) } else { pubrec(1) };
            s.reply(Ack { reason, props: Properties::from_list(&list), ..ack });
            assert_eq!(s.inbox.fate(tag), Some(Fate::Rejected(reason)));
            assert_eq!(s.inbox.reasons[&tag.0], "no, thank you");
            // No PUBREL follows, and the connection stays.
            s.silence(secs(10));
            let next = s.publish("t", b"b", Q1);
            s.expect(publish(Q1, 2, "b"));
            s.reply(puback(2));
            assert_eq!(s.inbox.fate(next), Some(OK));
        }
    }
}

/// RabbitMQ 3.10 does so. MQTT 5 brokers say in CONNACK that they do not take QoS 2.
#[test]
fn puback_for_qos_2_is_the_end_of_it_in_3_1_1() {
    let mut s = connected(config(Version::V311));
    let tag = s.publish("t", b"a", Q2);
    s.expect(publish(Q2, 1, "a"));
    s.reply(puback(1));
    assert_eq!(s.inbox.fate(tag), Some(OK));
    s.reset();
    s.accept(true);
    let next = s.publish("t", b"b", Q2);
    s.expect(publish(Q2, 2, "b"));
    // Not once PUBREC came: that would be a late one for something else.
    s.reply(pubrec(2));
    s.expect(pubrel(2));
    s.reply(puback(2));
    assert_eq!(s.inbox.fate(next), None);
    s.reply(pubcomp(2));
    assert_eq!(s.inbox.fate(next), Some(OK));
}

#[test]
fn no_matching_subscribers_is_no_refusal() {
    for qos in [Q1, Q2] {
        let mut s = connected(config(Version::V5));
        let tag = s.publish("t", b"a", qos);
        let reason = ReasonCode::NO_MATCHING_SUBSCRIBERS;
        s.settle();
        s.reply(Ack { reason, ..if qos == Q1 { puback(1) } else { pubrec(1) } });
        if qos == Q2 {
            s.reply(pubcomp(1));
        }
        assert!(matches!(s.inbox.fate(tag), Some(Fate::Delivered(_))));
    }
}

#[test]
fn a_pubcomp_for_an_unknown_identifier_ends_the_exchange_well() {
    let mut s = connected(config(Version::V5));
    let tag = s.publish("t", b"a", Q2);
    s.settle();
    s.reply(pubrec(1));
    s.reply(unknown(Version::V5, pubcomp(1)));
    assert_eq!(s.inbox.fate(tag), Some(OK));
}

#[test]
fn among_many_each_has_its_own_outcome() {
    let mut pair = pair(config(Version::V5));
    let refused = ReasonCode::NOT_AUTHORIZED;
    pair.broker().faults.refuse_publish.push(("no/#".to_owned(), refused));
    for n in 0..60 {
        let topic = if n % 3 == 0 { "no/way" } else { "yes" };
        let tag = pair.publish(topic, b"x", [Q1, Q2][n % 2]);
        let expected = if n % 3 == 0 { Fate::Rejected(refused) } else { OK };
        assert_eq!(pair.fate(tag, secs(5)), expected);
    }
    assert_eq!((pair.accepted().len(), pair.broker().refused().len()), (40, 20));
    pair.assert_conforms();
}
