//! Packets written out by hand from the two specifications, byte by byte, both ways.

use everlink_proto::wire::*;

use Version::{V5, V311};

fn pid(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

fn is(version: Version, packet: impl Into<Packet<'static>>, wire: &[u8]) {
    let packet = packet.into();
    let mut out = [0xEE; 256];
    let len = packet.encode(version, &mut out).unwrap();
    assert_eq!(&out[..len], wire, "encoding {packet:?} for {version:?}");
    assert_eq!(packet.encoded_len(version), wire.len());
    assert_eq!(Packet::decode(version, wire), Ok(packet), "decoding for {version:?}");
}

fn is_in_both(packet: impl Into<Packet<'static>>, wire: &[u8]) {
    let packet = packet.into();
    is(V311, packet, wire);
    is(V5, packet, wire);
}

/// Decodes to this though it would be encoded otherwise.
fn reads(version: Version, wire: &'static [u8], packet: impl Into<Packet<'static>>) {
    assert_eq!(Packet::decode(version, wire), Ok(packet.into()));
}

#[track_caller]
fn refused(version: Version, wire: &[u8], fault: WireError) {
    assert_eq!(Packet::decode(version, wire), Err(fault), "{version:?} {wire:02x?}");
}

#[track_caller]
fn refused_by_both(wire: &[u8], fault: WireError) {
    refused(V311, wire, fault);
    refused(V5, wire, fault);
}

#[track_caller]
fn unencodable(version: Version, packet: impl Into<Packet<'static>>, fault: WireError) {
    let packet = packet.into();
    assert_eq!(packet.encode(version, &mut [0; 256]), Err(EncodeError::Invalid(fault)));
}

fn props(list: &[Property<'static>]) -> Properties<'static> {
    Properties::from_list(list.to_vec().leak())
}

fn filters(list: &[(&'static str, SubscribeOptions)]) -> Filters<'static> {
    Filters::from_list(list.to_vec().leak())
}

// [MQTT-3.1.2-1] [MQTT-3.1.2-9] [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19]
// [MQTT-3.1.3-1] [MQTT-3.1.3-3]
#[test]
fn connect_of_3_1_1() {
    let plain = Connect { client_id: "a", clean_start: true, keep_alive: 60, ..Default::default() };
    is(V311, plain, b"\x10\x0D\0\x04MQTT\x04\x02\0\x3C\0\x01a");
    let full = Connect {
        client_id: "a",
        clean_start: true,
        keep_alive: 10,
        username: Some("user"),
        password: Some(b"pw"),
        will: Some(Will {
            topic: "w",
            payload: b"bye",
            qos: QoS::AtLeastOnce,
            retain: true,
            props: Properties::EMPTY,
        }),
        props: Properties::EMPTY,
    };
    // Flags as in figure 3.5 of the specification, with Will Retain: 0xEE.
    is(V311, full, b"\x10\x1F\0\x04MQTT\x04\xEE\0\x0A\0\x01a\0\x01w\0\x03bye\0\x04user\0\x02pw");
}

// [MQTT-3.1.2-1] [MQTT-3.1.2-9] [MQTT-3.1.2-16] [MQTT-3.1.2-19] [MQTT-3.1.3-1] [MQTT-3.1.3-3]
#[test]
fn connect_of_5() {
    let connect = Connect {
        client_id: "",
        clean_start: false,
        keep_alive: 0x1234,
        username: None,
        password: Some(&[0xFF, 0]),
        will: Some(Will {
            topic: "w",
            payload: b"",
            qos: QoS::ExactlyOnce,
            retain: false,
            props: props(&[Property::WillDelayInterval(5)]),
        }),
        // The example of figure 3-6: a Session Expiry Interval of 10.
        props: props(&[Property::SessionExpiryInterval(10)]),
    };
    let wire = b"\x10\x21\0\x04MQTT\x05\x54\x12\x34\x05\x11\0\0\0\x0A\0\0\
        \x05\x18\0\0\0\x05\0\x01w\0\0\0\x02\xFF\0";
    is(V5, connect, wire);
    assert_eq!(Packet::decode_connect(wire), Ok((V5, connect)));
    unencodable(V311, connect, WireError::PasswordWithoutUserName);
}

// [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13] [MQTT-3.1.3-11]
#[test]
fn connect_refused() {
    let connect = |level: u8, flags: u8| {
        let mut wire = b"\x10\x0C\0\x04MQTT\x04\x02\0\x3C\0\0".to_vec();
        (wire[8], wire[9]) = (level, flags);
        wire
    };
    let decode = |wire: &[u8]| Packet::decode_connect(wire).map(|(version, _)| version);
    assert_eq!(decode(&connect(4, 2)), Ok(V311));
    assert_eq!(decode(&connect(3, 2)), Err(WireError::UnsupportedVersion));
    assert_eq!(decode(&connect(6, 2)), Err(WireError::UnsupportedVersion));
    assert_eq!(decode(&connect(0x84, 2)), Err(WireError::UnsupportedVersion));
    assert_eq!(decode(&connect(4, 3)), Err(WireError::BadFlags));
    // Will QoS or Will Retain without a will; Will QoS 3.
    assert_eq!(decode(&connect(4, 0x0A)), Err(WireError::BadFlags));
    assert_eq!(decode(&connect(4, 0x22)), Err(WireError::BadFlags));
    assert_eq!(
        decode(b"\x10\x12\0\x04MQTT\x04\x1E\0\x3C\0\x01a\0\x01w\0\0"),
        Err(WireError::BadQoS)
    );
    assert_eq!(decode(&connect(4, 0x42)), Err(WireError::PasswordWithoutUserName));
    assert_eq!(decode(&connect(4, 0x82)), Err(WireError::Truncated));
    assert_eq!(decode(b"\x10\x0D\0\x04MQTT\x04\x02\0\x3C\0\0\0"), Err(WireError::TrailingBytes));
    assert_eq!(decode(b"\x10\x0C\0\x06MQIsdp\x03\x02\0\x3C"), Err(WireError::UnsupportedVersion));
    assert_eq!(decode(b"\xC0\0"), Err(WireError::BadPacketType));
    // A will's topic is a Topic Name.
    assert_eq!(
        decode(b"\x10\x11\0\x04MQTT\x04\x06\0\x3C\0\0\0\x01#\0\0"),
        Err(WireError::BadTopicName)
    );
    assert_eq!(
        decode(b"\x10\x10\0\x04MQTT\x04\x06\0\x3C\0\0\0\0\0\0"),
        Err(WireError::BadTopicName)
    );
    // The version is fixed once the connection is.
    refused(V5, &connect(4, 2), WireError::UnsupportedVersion);
}

#[test]
fn connect_hides_its_secrets() {
    let connect = Connect {
        username: Some("user"),
        password: Some(b"hunter2"),
        props: props(&[
            Property::AuthenticationMethod("SCRAM"),
            Property::AuthenticationData(b"hunter2"),
        ]),
        ..Default::default()
    };
    let shown = format!("{:?} {:#?}", Packet::from(connect), connect.props);
    assert!(shown.contains("SCRAM") && shown.contains("user"), "{shown}");
    assert!(!shown.contains("hunter2") && !shown.contains("104, 117"), "{shown}");
}

#[test]
fn connack() {
    let accepted =
        ConnAck { session_present: true, reason: ReasonCode::SUCCESS, props: Properties::EMPTY };
    is(V311, accepted, b"\x20\x02\x01\x00");
    is(V5, accepted, b"\x20\x03\x01\x00\x00");
    let limits = props(&[
        Property::ReceiveMaximum(20),
        Property::ServerKeepAlive(30),
        Property::MaximumQoS(QoS::AtLeastOnce),
    ]);
    let wire = b"\x20\x0B\x00\x00\x08\x21\0\x14\x13\0\x1E\x24\x01";
    is(V5, ConnAck { session_present: false, reason: ReasonCode::SUCCESS, props: limits }, wire);

    let refusal = |reason| ConnAck { session_present: false, reason, props: Properties::EMPTY };
    let codes = [
        (1, ReasonCode::UNSUPPORTED_PROTOCOL_VERSION),
        (2, ReasonCode::CLIENT_IDENTIFIER_NOT_VALID),
        (3, ReasonCode::SERVER_UNAVAILABLE),
        (4, ReasonCode::BAD_USER_NAME_OR_PASSWORD),
        (5, ReasonCode::NOT_AUTHORIZED),
    ];
    for (code, reason) in codes {
        is(V311, refusal(reason), &[0x20, 2, 0, code]);
        is(V5, refusal(reason), &[0x20, 3, 0, reason.0, 0]);
        refused(V5, &[0x20, 3, 0, code, 0], WireError::BadReasonCode);
    }
    let near = |reason| {
        let mut out = [0; 4];
        refusal(reason).encode(V311, &mut out).map(|_| out[3])
    };
    assert_eq!(near(ReasonCode::SERVER_BUSY), Ok(3));
    assert_eq!(near(ReasonCode::BANNED), Ok(5));
    unencodable(V311, refusal(ReasonCode::MALFORMED_PACKET), WireError::BadReasonCode);

    refused(V311, b"\x20\x02\x00\x06", WireError::BadReasonCode);
    refused(V311, b"\x20\x02\x00\x84", WireError::BadReasonCode);
    refused_by_both(b"\x20\x03\x02\x00\x00", WireError::BadFlags);
    refused(V311, b"\x20\x03\x00\x00\x00", WireError::TrailingBytes);
    refused(V5, b"\x20\x02\x00\x00", WireError::Truncated);
    // A session present with a refusal: the refusal counts.
    reads(V311, b"\x20\x02\x01\x05", refusal(ReasonCode::NOT_AUTHORIZED));
    let both = ConnAck { session_present: true, ..refusal(ReasonCode::BANNED) };
    unencodable(V5, both, WireError::BadFlags);
}

fn hello() -> Publish<'static> {
    Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "a/b",
        pid: Some(pid(10)),
        props: Properties::EMPTY,
        payload: b"hi",
    }
}

// [MQTT-2.2.2-1] [MQTT-3.3.2-1]
#[test]
fn publish() {
    // Topic Name and Packet Identifier of figure 3.11.
    is(V311, hello(), b"\x32\x09\0\x03a/b\0\x0Ahi");
    is(V5, hello(), b"\x32\x0A\0\x03a/b\0\x0A\0hi");
    let all = Publish { dup: true, qos: QoS::ExactlyOnce, retain: true, ..hello() };
    is(V311, all, b"\x3D\x09\0\x03a/b\0\x0Ahi");
    let least = Publish { qos: QoS::AtMostOnce, pid: None, payload: b"", ..hello() };
    is(V311, least, b"\x30\x05\0\x03a/b");
    is(V5, least, b"\x30\x06\0\x03a/b\0");
    let aliased = Publish {
        topic: "",
        props: props(&[Property::TopicAlias(3), Property::UserProperty("k", "v")]),
        ..hello()
    };
    is(V5, aliased, b"\x32\x11\0\0\0\x0A\x0A\x23\0\x03\x26\0\x01k\0\x01vhi");
    unencodable(V311, aliased, WireError::NoTopic);
    let payload = vec![7; 200].leak();
    let mut wire = b"\x32\xCF\x01\0\x03a/b\0\x0A".to_vec();
    wire.extend_from_slice(payload);
    is(V311, Publish { payload, ..hello() }, &wire);
}

// [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-2.2.1-2] [MQTT-3.3.1-2] [MQTT-3.3.1-4] [MQTT-3.3.2-2]
#[test]
fn publish_refused() {
    refused_by_both(b"\x36\x09\0\x03a/b\0\x0Ahi", WireError::BadQoS);
    refused_by_both(b"\x38\x06\0\x03a/b\0", WireError::DupAtQoS0);
    refused_by_both(b"\x32\x09\0\x03a/b\0\0hi", WireError::BadPacketId);
    refused_by_both(b"\x30\x06\0\x03a/+\0", WireError::BadTopicName);
    refused_by_both(b"\x30\x06\0\x03#/b\0", WireError::BadTopicName);
    refused_by_both(b"\x30\x06\0\x03a\0b\0", WireError::BadString);
    refused_by_both(b"\x30\x06\0\x03a\xC3b\0", WireError::BadString);
    refused_by_both(b"\x30\x06\0\x03\xED\xA0\x80\0", WireError::BadString); // U+D800
    refused_by_both(b"\x32\x03\0\0\x01", WireError::Truncated);
    refused_by_both(b"\x30\x03\0\0\0", WireError::NoTopic);
    refused_by_both(b"\x30\x03\0\x04a", WireError::Truncated);
    refused_by_both(b"\x30\0", WireError::Truncated);
    refused(V5, b"\x30\x05\0\x03a/b", WireError::Truncated);
    // The length of the properties runs past the end, then into the middle of one.
    refused(V5, b"\x30\x07\0\x03a/b\x04\x01", WireError::Truncated);
    refused(V5, b"\x30\x09\0\x03a/b\x02\x02\0\0", WireError::Truncated);
    refused(V5, b"\x30\x09\0\x03a/b\x03\x23\0\0", WireError::BadTopicAlias);
    assert_eq!(WireError::BadTopicAlias.reason(), ReasonCode::TOPIC_ALIAS_INVALID);

    let encode = |publish: Publish<'static>, fault| {
        unencodable(V5, publish, fault);
        unencodable(V311, publish, fault);
        let head = publish.encode_head(V5, 0, &mut [0; 64]);
        assert_eq!(head, Err(EncodeError::Invalid(fault)));
    };
    encode(Publish { pid: None, ..hello() }, WireError::BadPacketId);
    encode(Publish { qos: QoS::AtMostOnce, ..hello() }, WireError::BadPacketId);
    encode(Publish { qos: QoS::AtMostOnce, pid: None, dup: true, ..hello() }, WireError::DupAtQoS0);
    encode(Publish { topic: "", ..hello() }, WireError::NoTopic);
}

// [MQTT-2.2.1-5] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.1-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
#[test]
fn acknowledgements() {
    let kinds = [
        (AckKind::PubAck, 0x40),
        (AckKind::PubRec, 0x50),
        (AckKind::PubRel, 0x62),
        (AckKind::PubComp, 0x70),
    ];
    for (kind, first) in kinds {
        let short = Ack::new(kind, pid(0x1234));
        is_in_both(short, &[first, 2, 0x12, 0x34]);
        let failed = Ack { reason: ReasonCode(0x92), ..short };
        is(V5, failed, &[first, 3, 0x12, 0x34, 0x92]);
        let explained = Ack { props: props(&[Property::ReasonString("no")]), ..failed };
        is(V5, explained, &[first, 9, 0x12, 0x34, 0x92, 5, 0x1F, 0, 2, b'n', b'o']);
        let well = Ack { reason: ReasonCode::SUCCESS, ..explained };
        is(V5, well, &[first, 9, 0x12, 0x34, 0, 5, 0x1F, 0, 2, b'n', b'o']);
        // Longer than need be, but right.
        let wires: [&'static [u8]; 2] =
            [vec![first, 3, 0x12, 0x34, 0].leak(), vec![first, 4, 0x12, 0x34, 0, 0].leak()];
        for wire in wires {
            reads(V5, wire, short);
        }
        // Brokers that mix up the versions do send this; what follows the identifier says nothing.
        let mixed: [&'static [u8]; 2] =
            [vec![first, 3, 0x12, 0x34, 0x92].leak(), vec![first, 4, 0x12, 0x34, 0x92, 0].leak()];
        for wire in wires.iter().chain(&mixed) {
            reads(V311, wire, short);
        }
        // 3.1.1 has no room for more than the Packet Identifier.
        let mut out = [0; 16];
        assert_eq!(Packet::from(explained).encode(V311, &mut out), Ok(4));
        assert_eq!(out[..4], [first, 2, 0x12, 0x34]);

        refused_by_both(&[first, 2, 0, 0], WireError::BadPacketId);
        refused_by_both(&[first, 1, 1], WireError::Truncated);
        refused_by_both(&[first ^ 2, 2, 0, 1], WireError::BadFlags);
        refused_by_both(&[first | 8, 2, 0, 1], WireError::BadFlags);
        refused(V5, &[first, 5, 0, 1, 0, 0, 0], WireError::TrailingBytes);
        refused(V5, &[first, 3, 0, 1, 1], WireError::BadReasonCode);
        unencodable(V5, Ack { reason: ReasonCode(1), ..short }, WireError::BadReasonCode);
    }
    // No matching subscribers is a success of the first answer only.
    reads(
        V5,
        &[0x40, 3, 0, 1, 0x10],
        Ack { reason: ReasonCode::NO_MATCHING_SUBSCRIBERS, ..Ack::new(AckKind::PubAck, pid(1)) },
    );
    refused(V5, &[0x70, 3, 0, 1, 0x10], WireError::BadReasonCode);
}

// [MQTT-3.8.1-1] [MQTT-3.8.3-1] [MQTT-3.8.3-2] [MQTT-3.8.3-4]
#[test]
fn subscribe() {
    // Figure 3.23 of 3.1.1: a/b at QoS 1, c/d at QoS 2.
    let plain = Subscribe {
        pid: pid(10),
        props: Properties::EMPTY,
        filters: filters(&[
            ("a/b", SubscribeOptions::new(QoS::AtLeastOnce)),
            ("c/d", SubscribeOptions::new(QoS::ExactlyOnce)),
        ]),
    };
    is(V311, plain, b"\x82\x0E\0\x0A\0\x03a/b\x01\0\x03c/d\x02");
    is(V5, plain, b"\x82\x0F\0\x0A\0\0\x03a/b\x01\0\x03c/d\x02");
    let rich = Subscribe {
        pid: pid(10),
        props: props(&[Property::SubscriptionIdentifier(321)]),
        filters: filters(&[(
            "$share/g/+/#",
            SubscribeOptions {
                qos: QoS::AtMostOnce,
                no_local: false,
                retain_as_published: true,
                retain_handling: RetainHandling::Never,
            },
        )]),
    };
    is(V5, rich, b"\x82\x15\0\x0A\x03\x0B\xC1\x02\0\x0C$share/g/+/#\x28");
    // In 3.1.1 the QoS remains.
    let mut out = [0; 64];
    let len = Packet::from(rich).encode(V311, &mut out).unwrap();
    assert_eq!(&out[..len], b"\x82\x11\0\x0A\0\x0C$share/g/+/#\0");

    refused_by_both(b"\x80\x08\0\x0A\0\0\x01a\0\0", WireError::BadFlags);
    refused(V311, b"\x82\x02\0\x0A", WireError::NoTopicFilter);
    refused(V5, b"\x82\x03\0\x0A\0", WireError::NoTopicFilter);
    refused(V311, b"\x82\x06\0\x0A\0\x01a\x03", WireError::BadQoS);
    refused(V311, b"\x82\x06\0\x0A\0\x01a\x04", WireError::BadFlags);
    refused(V5, b"\x82\x07\0\x0A\0\0\x01a\x30", WireError::BadFlags);
    refused(V5, b"\x82\x07\0\x0A\0\0\x01a\x41", WireError::BadFlags);
    refused(V5, b"\x82\x07\0\x0A\0\0\x01a\x03", WireError::BadQoS);
    refused(V311, b"\x82\x07\0\x0A\0\x02a#\x01", WireError::BadTopicFilter);
    refused(V311, b"\x82\x05\0\x0A\0\0\x01", WireError::BadTopicFilter);
    refused(V311, b"\x82\x05\0\x0A\0\x01a", WireError::Truncated);
    refused(V5, b"\x82\x10\0\x0A\0\0\x0A$share/g/a\x04", WireError::NoLocalOnShared);

    let empty = Subscribe { filters: filters(&[]), ..plain };
    unencodable(V5, empty, WireError::NoTopicFilter);
    let bad = filters(&[("a/#/b", SubscribeOptions::new(QoS::AtMostOnce))]);
    unencodable(V5, Subscribe { filters: bad, ..plain }, WireError::BadTopicFilter);
    let no_local = SubscribeOptions { no_local: true, ..Default::default() };
    let bad = filters(&[("$share/g/a", no_local)]);
    unencodable(V5, Subscribe { filters: bad, ..plain }, WireError::NoLocalOnShared);
}

// [MQTT-3.10.1-1] [MQTT-3.10.3-1] [MQTT-3.10.3-2]
#[test]
fn unsubscribe() {
    // Figure 3.30 of 3.1.1.
    let packet = Unsubscribe {
        pid: pid(10),
        props: Properties::EMPTY,
        filters: UnsubscribeFilters::from_list(&["a/b", "c/d"]),
    };
    is(V311, packet, b"\xA2\x0C\0\x0A\0\x03a/b\0\x03c/d");
    is(V5, packet, b"\xA2\x0D\0\x0A\0\0\x03a/b\0\x03c/d");
    refused_by_both(b"\xA0\x0C\0\x0A\0\x03a/b\0\x03c/d", WireError::BadFlags);
    refused(V311, b"\xA2\x02\0\x0A", WireError::NoTopicFilter);
    refused(V5, b"\xA2\x03\0\x0A\0", WireError::NoTopicFilter);
    refused(V311, b"\xA2\x06\0\x0A\0\x02++", WireError::BadTopicFilter);
    let empty = Unsubscribe { filters: UnsubscribeFilters::from_list(&[]), ..packet };
    unencodable(V311, empty, WireError::NoTopicFilter);
}

#[test]
fn suback_and_unsuback() {
    let suback = SubAck { pid: pid(10), props: Properties::EMPTY, codes: &[0, 2, 0x80] };
    is(V311, suback, b"\x90\x05\0\x0A\0\x02\x80");
    is(V5, suback, b"\x90\x06\0\x0A\0\0\x02\x80");
    let reasons = [ReasonCode::GRANTED_QOS_0, ReasonCode::GRANTED_QOS_2, ReasonCode(0x80)];
    assert!(suback.reasons().eq(reasons));
    let refusal = SubAck { codes: &[0x87], ..suback };
    is(V5, refusal, b"\x90\x04\0\x0A\0\x87");
    let mut out = [0; 8];
    assert_eq!(refusal.encode(V311, &mut out), Ok(5));
    assert_eq!(out[..5], *b"\x90\x03\0\x0A\x80");
    refused(V311, b"\x90\x03\0\x0A\x03", WireError::BadReasonCode);
    refused(V311, b"\x90\x03\0\x0A\x87", WireError::BadReasonCode);
    refused(V5, b"\x90\x04\0\x0A\0\x03", WireError::BadReasonCode);
    refused(V311, b"\x90\x02\0\x0A", WireError::BadReasonCode);
    refused(V5, b"\x90\x03\0\x0A\0", WireError::BadReasonCode);

    let unsuback = UnsubAck { pid: pid(10), props: Properties::EMPTY, codes: &[0, 0x11] };
    is(V5, unsuback, b"\xB0\x05\0\x0A\0\0\x11");
    is(V311, UnsubAck { codes: &[], ..unsuback }, b"\xB0\x02\0\x0A");
    assert_eq!(unsuback.encode(V311, &mut out), Ok(4));
    assert_eq!(unsuback.reasons().last(), Some(ReasonCode::NO_SUBSCRIPTION_EXISTED));
    refused(V311, b"\xB0\x03\0\x0A\0", WireError::TrailingBytes);
    refused(V5, b"\xB0\x03\0\x0A\0", WireError::BadReasonCode);
    refused(V5, b"\xB0\x04\0\x0A\0\x10", WireError::BadReasonCode);
}

#[test]
fn pings() {
    is_in_both(Packet::PingReq, b"\xC0\0");
    is_in_both(Packet::PingResp, b"\xD0\0");
    refused_by_both(b"\xC0\x01\0", WireError::TrailingBytes);
    refused_by_both(b"\xD0\x01\0", WireError::TrailingBytes);
    refused_by_both(b"\xC1\0", WireError::BadFlags);
}

// [MQTT-3.14.1-1] [MQTT-3.14.2-1]
#[test]
fn disconnect() {
    is_in_both(Disconnect::default(), b"\xE0\0");
    let with_will =
        Disconnect { reason: ReasonCode::DISCONNECT_WITH_WILL_MESSAGE, props: Properties::EMPTY };
    is(V5, with_will, b"\xE0\x01\x04");
    // Figure 3-25 of 5: a Session Expiry Interval of 0.
    let expiry =
        Disconnect { props: props(&[Property::SessionExpiryInterval(0)]), ..Default::default() };
    is(V5, expiry, b"\xE0\x07\0\x05\x11\0\0\0\0");
    let moved = Disconnect {
        reason: ReasonCode::SERVER_MOVED,
        props: props(&[Property::ServerReference("b")]),
    };
    is(V5, moved, b"\xE0\x06\x9D\x04\x1C\0\x01b");
    reads(V5, b"\xE0\x01\0", Disconnect::default());
    reads(V5, b"\xE0\x02\0\0", Disconnect::default());
    refused(V311, b"\xE0\x01\0", WireError::TrailingBytes);
    refused(V5, b"\xE0\x01\x05", WireError::BadReasonCode);
    refused_by_both(b"\xE2\0", WireError::BadFlags);
}

// [MQTT-3.15.1-1] [MQTT-3.15.2-1]
#[test]
fn auth() {
    is(V5, Auth::default(), b"\xF0\0");
    let step = Auth {
        reason: ReasonCode::CONTINUE_AUTHENTICATION,
        props: props(&[Property::AuthenticationMethod("M"), Property::AuthenticationData(&[1, 2])]),
    };
    is(V5, step, b"\xF0\x0B\x18\x09\x15\0\x01M\x16\0\x02\x01\x02");
    refused(V311, b"\xF0\0", WireError::BadPacketType);
    unencodable(V311, step, WireError::BadPacketType);
    refused(V5, b"\xF1\0", WireError::BadFlags);
    refused(V5, b"\xF0\x02\x87\0", WireError::BadReasonCode);
    refused(V5, b"\xF0\x06\x18\x04\x16\0\x01M", WireError::NoAuthenticationMethod);
}

// [MQTT-1.5.5-1] [MQTT-2.1.3-1]
#[test]
fn fixed_headers() {
    let len = |bytes: &[u8]| {
        frame_len(bytes).map(|frame| frame.map(|frame| (frame.header_len, frame.total_len)))
    };
    // The borders of table 2.4.
    assert_eq!(len(b"\x30\x00"), Ok(Some((2, 2))));
    assert_eq!(len(b"\x30\x7F"), Ok(Some((2, 2 + 127))));
    assert_eq!(len(b"\x30\x80\x01"), Ok(Some((3, 3 + 128))));
    assert_eq!(len(b"\x30\xFF\x7F"), Ok(Some((3, 3 + 16_383))));
    assert_eq!(len(b"\x30\x80\x80\x01"), Ok(Some((4, 4 + 16_384))));
    assert_eq!(len(b"\x30\xFF\xFF\x7F"), Ok(Some((4, 4 + 2_097_151))));
    assert_eq!(len(b"\x30\x80\x80\x80\x01"), Ok(Some((5, 5 + 2_097_152))));
    assert_eq!(len(b"\x30\xFF\xFF\xFF\x7F"), Ok(Some((5, 5 + 268_435_455))));
    // Bytes after the fixed header do not matter.
    assert_eq!(len(b"\x30\x02\xFF\xFF\xFF\xFF\xFF"), Ok(Some((2, 4))));
    for short in [&b""[..], b"\x30", b"\x30\x80", b"\x30\x80\x80", b"\x30\x80\x80\x80"] {
        assert_eq!(len(short), Ok(None));
    }
    let bad = Err(WireError::BadVariableByteInteger);
    assert_eq!(len(b"\x30\x80\x80\x80\x80"), bad);
    assert_eq!(len(b"\x30\xFF\xFF\xFF\xFF\x01"), bad);
    assert_eq!(len(b"\x30\x80\x00"), bad);
    assert_eq!(len(b"\x30\x81\x80\x00"), bad);
    assert_eq!(len(b"\x00"), Err(WireError::BadPacketType));
    assert_eq!(len(b"\x41"), Err(WireError::BadFlags));
    // What a web server would say.
    assert_eq!(len(b"HTTP/"), Err(WireError::BadFlags));

    refused_by_both(b"", WireError::Truncated);
    refused_by_both(b"\x30", WireError::Truncated);
    refused_by_both(b"\x0F\0", WireError::BadPacketType);
    refused_by_both(b"\xC0\0\0", WireError::BadLength);
    refused_by_both(b"\xC0\x01", WireError::BadLength);
}

#[test]
fn words_for_people() {
    assert_eq!(ReasonCode::QUOTA_EXCEEDED.to_string(), "Quota exceeded");
    assert_eq!(format!("{:?}", ReasonCode::QUOTA_EXCEEDED), "0x97 Quota exceeded");
    assert_eq!(format!("{:?}", ReasonCode(0xF0)), "0xf0 Unknown reason");
    assert!(ReasonCode::UNSPECIFIED_ERROR.is_error());
    assert!(!ReasonCode(0x7F).is_error());
    assert_eq!(EncodeError::NoSpace { needed: 9 }.to_string(), "buffer too small, 9 bytes needed");
    assert_eq!(WireError::DuplicateProperty.reason(), ReasonCode::PROTOCOL_ERROR);
    assert_eq!(WireError::Truncated.reason(), ReasonCode::MALFORMED_PACKET);
    assert_eq!(WireError::UnsupportedVersion.reason().0, 0x84);
}

// [MQTT-1.5.4-3]
#[test]
fn a_byte_order_mark_is_a_character_like_any_other() {
    let marked = Publish { topic: "\u{FEFF}a", qos: QoS::AtMostOnce, pid: None, ..hello() };
    is(V311, marked, b"\x30\x08\0\x04\xEF\xBB\xBFahi");
    is(V5, marked, b"\x30\x09\0\x04\xEF\xBB\xBFa\0hi");
    let named = Publish { props: props(&[Property::ContentType("\u{FEFF}")]), ..marked };
    is(V5, named, b"\x30\x0F\0\x04\xEF\xBB\xBFa\x06\x03\0\x03\xEF\xBB\xBFhi");
}

// [MQTT-1.5.4-2] [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12]
#[test]
fn connect_does_not_go_out_with_texts_that_are_none() {
    let will = Will {
        topic: "w\0",
        payload: b"",
        qos: QoS::AtMostOnce,
        retain: false,
        props: Properties::EMPTY,
    };
    for (connect, fault) in [
        (Connect { client_id: "a\0b", ..Default::default() }, WireError::BadString),
        (Connect { username: Some("\0"), ..Default::default() }, WireError::BadString),
        (Connect { will: Some(will), ..Default::default() }, WireError::BadTopicName),
    ] {
        unencodable(V311, connect, fault);
        unencodable(V5, connect, fault);
    }
    // And who receives one takes it for malformed.
    for wire in [
        &b"\x10\x0D\0\x04MQTT\x04\x02\0\x3C\0\x01\0"[..],
        b"\x10\x0D\0\x04MQTT\x04\x02\0\x3C\0\x01\xFF",
        b"\x10\x0F\0\x04MQTT\x04\x82\0\x3C\0\0\0\x01\0",
    ] {
        assert_eq!(Packet::decode_connect(wire), Err(WireError::BadString), "{wire:02x?}");
    }
}
