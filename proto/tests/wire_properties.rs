//! Properties: which packet may have which, what may repeat, and the range of each value.

use PropertyContext as C;
use everlink_proto::wire::*;

const CONTEXTS: [C; 14] = [
    C::Will,
    C::Connect,
    C::ConnAck,
    C::Publish,
    C::PubAck,
    C::PubRec,
    C::PubRel,
    C::PubComp,
    C::Subscribe,
    C::SubAck,
    C::Unsubscribe,
    C::UnsubAck,
    C::Disconnect,
    C::Auth,
];

/// Table 2-4 of the specification: identifier, an encoded example, the packets that may have it.
#[rustfmt::skip]
const TABLE: [(u8, &[u8], &[C]); 27] = [
    (0x01, &[1], &[C::Publish, C::Will]),
    (0x02, &[0, 0, 0, 0], &[C::Publish, C::Will]),
    (0x03, &[0, 1, b'x'], &[C::Publish, C::Will]),
    (0x08, &[0, 1, b'x'], &[C::Publish, C::Will]),
    (0x09, &[0, 1, 0], &[C::Publish, C::Will]),
    (0x0B, &[0x80, 1], &[C::Publish, C::Subscribe]),
    (0x11, &[0, 0, 0, 0], &[C::Connect, C::ConnAck, C::Disconnect]),
    (0x12, &[0, 0], &[C::ConnAck]),
    (0x13, &[0, 0], &[C::ConnAck]),
    (0x15, &[0, 1, b'x'], &[C::Connect, C::ConnAck, C::Auth]),
    (0x16, &[0, 1, 0], &[C::Connect, C::ConnAck, C::Auth]),
    (0x17, &[0], &[C::Connect]),
    (0x18, &[0, 0, 0, 0], &[C::Will]),
    (0x19, &[0], &[C::Connect]),
    (0x1A, &[0, 0], &[C::ConnAck]),
    (0x1C, &[0, 0], &[C::ConnAck, C::Disconnect]),
    (0x1F, &[0, 0], &[C::ConnAck, C::PubAck, C::PubRec, C::PubRel, C::PubComp, C::SubAck, C::UnsubAck,
        C::Disconnect, C::Auth]),
    (0x21, &[0, 1], &[C::Connect, C::ConnAck]),
    (0x22, &[0, 0], &[C::Connect, C::ConnAck]),
    (0x23, &[0, 1], &[C::Publish]),
    (0x24, &[0], &[C::ConnAck]),
    (0x25, &[0], &[C::ConnAck]),
    (0x26, &[0, 1, b'k', 0, 0], &CONTEXTS),
    (0x27, &[0, 0, 0, 1], &[C::Connect, C::ConnAck]),
    (0x28, &[0], &[C::ConnAck]),
    (0x29, &[0], &[C::ConnAck]),
    (0x2A, &[0], &[C::ConnAck]),
];

/// A packet of MQTT 5 with these encoded properties.
fn packet(context: C, properties: &[u8]) -> Vec<u8> {
    let (first, before, after): (u8, &[u8], &[u8]) = match context {
        C::Will => (0x10, b"\0\x04MQTT\x05\x06\0\0\0\0\0", b"\0\x01w\0\0"),
        C::Connect => (0x10, b"\0\x04MQTT\x05\x02\0\0", b"\0\0"),
        C::ConnAck => (0x20, b"\0\0", b""),
        C::Publish => (0x30, b"\0\x01t", b""),
        C::PubAck => (0x40, b"\0\x01\0", b""),
        C::PubRec => (0x50, b"\0\x01\0", b""),
        C::PubRel => (0x62, b"\0\x01\0", b""),
        C::PubComp => (0x70, b"\0\x01\0", b""),
        C::Subscribe => (0x82, b"\0\x01", b"\0\x01f\0"),
        C::SubAck => (0x90, b"\0\x01", b"\0"),
        C::Unsubscribe => (0xA2, b"\0\x01", b"\0\x01f"),
        C::UnsubAck => (0xB0, b"\0\x01", b"\0"),
        C::Disconnect => (0xE0, b"\0", b""),
        C::Auth => (0xF0, b"\0", b""),
    };
    let length = [u8::try_from(properties.len()).unwrap()];
    let body = [before, &length, properties, after].concat();
    [&[first, u8::try_from(body.len()).unwrap()], &body[..]].concat()
}

fn decode(context: C, properties: &[u8]) -> Result<(), WireError> {
    let wire = packet(context, properties);
    let packet = Packet::decode(Version::V5, &wire)?;
    let mut out = [0; 256];
    let len = packet.encode(Version::V5, &mut out).unwrap();
    assert_eq!(Packet::decode(Version::V5, &out[..len]), Ok(packet));
    Ok(())
}

fn encoded(id: u8, value: &[u8]) -> Vec<u8> {
    [&[id], value].concat()
}

#[test]
fn each_packet_has_the_properties_it_may_have_and_no_other() {
    for context in CONTEXTS {
        assert_eq!(decode(context, &[]), Ok(()), "{context:?}");
        for (id, value, allowed) in TABLE {
            let raw = encoded(id, value);
            let expected = if !allowed.contains(&context) {
                Err(WireError::PropertyNotAllowed)
            } else if id == 0x16 {
                Err(WireError::NoAuthenticationMethod)
            } else {
                Ok(())
            };
            assert_eq!(decode(context, &raw), expected, "{id:#x} in {context:?}");
            // The same table serves what is about to be sent.
            let property = Properties::from_raw(&raw).unwrap().iter().next().unwrap();
            assert_eq!(property.id(), id);
            assert_eq!(property.encoded_len(), raw.len());
            assert_eq!(property.allowed_in(context), allowed.contains(&context));
            let invalid = expected.map_err(EncodeError::Invalid);
            let list = [property];
            assert_eq!(Properties::from_list(&list).validate(context), invalid);
            assert_eq!(Properties::from_trusted_raw(&raw).validate(context), invalid);
        }
    }
}

#[test]
fn identifiers_that_do_not_exist_are_refused() {
    for id in 0..=0xFF {
        if TABLE.iter().any(|row| row.0 == id) {
            continue;
        }
        for context in CONTEXTS {
            let raw = [id, 0, 0, 0, 0];
            assert_eq!(decode(context, &raw), Err(WireError::UnknownProperty), "{id:#x}");
        }
    }
}

#[test]
fn only_user_properties_and_subscription_identifiers_of_publish_repeat() {
    for (id, value, allowed) in TABLE {
        for context in allowed {
            let method: &[u8] = if id == 0x16 { &[0x15, 0, 0] } else { &[] };
            let twice = [method, &encoded(id, value), &encoded(id, value)].concat();
            let repeats = id == 0x26 || id == 0x0B && *context == C::Publish;
            let expected = if repeats { Ok(()) } else { Err(WireError::DuplicateProperty) };
            assert_eq!(decode(*context, &twice), expected, "{id:#x} in {context:?}");
            // Once encoded and once in the list is twice, too.
            let raw = [method, &encoded(id, value)].concat();
            let half = Properties::from_raw(&raw).unwrap();
            let list: Vec<_> = half.iter().filter(|p| p.id() == id).collect();
            assert_eq!(
                half.with_list(&list).validate(*context),
                expected.map_err(EncodeError::Invalid)
            );
        }
    }
}

// [MQTT-1.5.7-1] [MQTT-3.3.2-8] [MQTT-3.3.2-13] [MQTT-3.3.2-14] [MQTT-3.3.2-19]
#[test]
fn values_out_of_range_are_refused() {
    let faults: [(C, &[u8], WireError); 21] = [
        (C::Publish, &[0x01, 2], WireError::BadPropertyValue),
        (C::Publish, &[0x0B, 0], WireError::BadPropertyValue),
        (C::Publish, &[0x0B, 0x80, 0], WireError::BadVariableByteInteger),
        (C::Publish, &[0x0B, 0x80, 0x80, 0x80, 0x80, 1], WireError::BadVariableByteInteger),
        (C::Publish, &[0x23, 0, 0], WireError::BadTopicAlias),
        (C::Publish, &[0x08, 0, 0], WireError::BadTopicName),
        (C::Publish, &[0x08, 0, 1, b'#'], WireError::BadTopicName),
        (C::Publish, &[0x08, 0, 1, 0xFF], WireError::BadString),
        (C::Publish, &[0x03, 0, 1, 0], WireError::BadString),
        (C::Publish, &[0x03, 0, 1, 0xFF], WireError::BadString),
        (C::Publish, &[0x26, 0, 0, 0, 1, 0xFF], WireError::BadString),
        (C::Publish, &[0x26, 0, 0], WireError::Truncated),
        (C::Publish, &[0x02, 0, 0, 0], WireError::Truncated),
        (C::Connect, &[0x17, 2], WireError::BadPropertyValue),
        (C::Connect, &[0x19, 0xFF], WireError::BadPropertyValue),
        (C::Connect, &[0x21, 0, 0], WireError::BadPropertyValue),
        (C::Connect, &[0x27, 0, 0, 0, 0], WireError::BadPropertyValue),
        (C::ConnAck, &[0x24, 2], WireError::BadPropertyValue),
        (C::ConnAck, &[0x25, 2], WireError::BadPropertyValue),
        (C::ConnAck, &[0x28, 2], WireError::BadPropertyValue),
        (C::ConnAck, &[0x2A, 2], WireError::BadPropertyValue),
    ];
    for (context, raw, fault) in faults {
        assert_eq!(decode(context, raw), Err(fault), "{raw:02x?}");
    }
    let faults = [
        (C::Publish, Property::SubscriptionIdentifier(0), WireError::BadPropertyValue),
        (C::Publish, Property::SubscriptionIdentifier(1 << 28), WireError::BadPropertyValue),
        (C::Publish, Property::TopicAlias(0), WireError::BadTopicAlias),
        (C::Publish, Property::ResponseTopic("a/+"), WireError::BadTopicName),
        (C::Publish, Property::ContentType("a\0"), WireError::BadString),
        (C::Publish, Property::UserProperty("", "\0"), WireError::BadString),
        (C::ConnAck, Property::MaximumQoS(QoS::ExactlyOnce), WireError::BadPropertyValue),
        (C::Connect, Property::ReceiveMaximum(0), WireError::BadPropertyValue),
        (C::Connect, Property::MaximumPacketSize(0), WireError::BadPropertyValue),
    ];
    for (context, property, fault) in faults {
        let list = [property];
        let invalid = Err(EncodeError::Invalid(fault));
        assert_eq!(Properties::from_list(&list).validate(context), invalid, "{property:?}");
    }
}

#[test]
fn getters_find_encoded_and_listed_ones() {
    let list = [
        Property::PayloadFormatIndicator(true),
        Property::MessageExpiryInterval(9),
        Property::ContentType("json"),
        Property::ResponseTopic("answers"),
        Property::CorrelationData(b"id"),
        Property::SubscriptionIdentifier(5),
        Property::UserProperty("a", "1"),
        Property::SubscriptionIdentifier(300_000),
        Property::UserProperty("a", "2"),
        Property::TopicAlias(7),
    ];
    let listed = Properties::from_list(&list);
    let mut raw = [0; 128];
    let len = listed.encode_raw(&mut raw).unwrap();
    for props in [
        listed,
        Properties::from_raw(&raw[..len]).unwrap(),
        // The first four encoded (25 bytes), the others listed.
        Properties::from_raw(&raw[..24]).unwrap().with_list(&list[4..]),
    ] {
        assert_eq!(props, listed);
        assert_eq!(props.payload_format(), Some(true));
        assert_eq!(props.message_expiry(), Some(9));
        assert_eq!(props.content_type(), Some("json"));
        assert_eq!(props.response_topic(), Some("answers"));
        assert_eq!(props.correlation_data(), Some(&b"id"[..]));
        assert_eq!(props.topic_alias(), Some(7));
        assert!(props.subscription_ids().eq([5, 300_000]));
        assert!(props.user_properties().eq([("a", "1"), ("a", "2")]));
        assert_eq!(props.reason_string(), None);
        assert_eq!(props.encoded_len(), len);
    }
    let connack = [
        Property::SessionExpiryInterval(1),
        Property::AssignedClientIdentifier("me"),
        Property::ServerKeepAlive(2),
        Property::AuthenticationMethod("m"),
        Property::AuthenticationData(b"d"),
        Property::ResponseInformation("ri"),
        Property::ServerReference("sr"),
        Property::ReasonString("rs"),
        Property::ReceiveMaximum(3),
        Property::TopicAliasMaximum(4),
        Property::MaximumQoS(QoS::AtLeastOnce),
        Property::RetainAvailable(false),
        Property::MaximumPacketSize(5),
        Property::WildcardSubscriptionAvailable(false),
        Property::SubscriptionIdentifierAvailable(false),
        Property::SharedSubscriptionAvailable(false),
    ];
    let len = Properties::from_list(&connack).encode_raw(&mut raw).unwrap();
    let props = Properties::from_raw(&raw[..len]).unwrap();
    assert_eq!(props.session_expiry(), Some(1));
    assert_eq!(props.assigned_client_id(), Some("me"));
    assert_eq!(props.server_keep_alive(), Some(2));
    assert_eq!(props.authentication_method(), Some("m"));
    assert_eq!(props.authentication_data(), Some(&b"d"[..]));
    assert_eq!(props.response_information(), Some("ri"));
    assert_eq!(props.server_reference(), Some("sr"));
    assert_eq!(props.reason_string(), Some("rs"));
    assert_eq!(props.receive_maximum(), Some(3));
    assert_eq!(props.topic_alias_maximum(), Some(4));
    assert_eq!(props.maximum_qos(), Some(QoS::AtLeastOnce));
    assert_eq!(props.retain_available(), Some(false));
    assert_eq!(props.maximum_packet_size(), Some(5));
    assert_eq!(props.wildcard_subscription_available(), Some(false));
    assert_eq!(props.subscription_identifier_available(), Some(false));
    assert_eq!(props.shared_subscription_available(), Some(false));
    let connect = [
        Property::RequestProblemInformation(false),
        Property::RequestResponseInformation(true),
        Property::WillDelayInterval(6),
    ];
    let props = Properties::from_list(&connect);
    assert_eq!(props.request_problem_information(), Some(false));
    assert_eq!(props.request_response_information(), Some(true));
    assert_eq!(props.will_delay(), Some(6));
    assert_eq!(Properties::EMPTY.will_delay(), None);
}
