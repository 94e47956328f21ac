//! Messages written octet by octet from the tables of the MQTT-SN 1.2 text.

use everlink_proto::sn::wire::*;

const V: Version = Version::V12;

/// These octets are this message, and the message is these octets.
fn both(wire: &[u8], message: Message<'_>) {
    assert_eq!(Message::decode(V, wire), Ok(message), "{wire:02x?}");
    let mut out = [0; 600];
    let n = message.encode(V, &mut out).expect("encodes");
    assert_eq!(&out[..n], wire, "{message:?}");
    assert_eq!(message.encoded_len(V), n);
}

fn bad(wire: &[u8], fault: WireError) {
    assert_eq!(Message::decode(V, wire), Err(fault), "{wire:02x?}");
}

fn unencodable(message: Message<'_>, fault: WireError) {
    assert_eq!(message.encode(V, &mut [0; 600]), Err(EncodeError::Invalid(fault)));
}

fn short(name: &str) -> ShortTopic {
    ShortTopic::new(name).expect("two octets")
}

#[test]
fn discovery() {
    both(&[5, 0x00, 7, 0x03, 0x84], Message::Advertise(Advertise { gateway: 7, duration: 900 }));
    both(&[3, 0x01, 1], Message::SearchGw(1));
    both(&[3, 0x02, 7], Message::GwInfo(GwInfo { gateway: 7, address: &[] }));
    both(
        &[6, 0x02, 7, 2, 0xAB, 0xCD],
        Message::GwInfo(GwInfo { gateway: 7, address: &[2, 0xAB, 0xCD] }),
    );
    bad(&[4, 0x00, 7, 3], WireError::Truncated);
    bad(&[6, 0x00, 7, 3, 0x84, 0], WireError::TrailingBytes);
    bad(&[2, 0x01], WireError::Truncated);
    bad(&[2, 0x02], WireError::Truncated);
}

#[test]
fn connect() {
    let plain = Connect { will: false, clean_session: false, duration: 60, client_id: "n1" };
    both(&[8, 0x04, 0x00, 1, 0, 60, b'n', b'1'], Message::Connect(plain));
    both(
        &[8, 0x04, 0x0C, 1, 0, 60, b'n', b'1'],
        Message::Connect(Connect { will: true, clean_session: true, ..plain }),
    );
    // Flags that CONNECT does not use are not looked at.
    assert_eq!(
        Message::decode(V, &[8, 0x04, 0xF3, 1, 0, 60, b'n', b'1']),
        Ok(Message::Connect(plain))
    );
    bad(&[8, 0x04, 0, 2, 0, 60, b'n', b'1'], WireError::UnsupportedVersion);
    bad(&[6, 0x04, 0, 1, 0, 60], WireError::BadClientId);
    bad(&[8, 0x04, 0, 1, 0, 60, 0xC3, b'1'], WireError::BadString);
    // 23 characters, not octets.
    let longest = "é".repeat(23);
    both(
        &[&[52, 0x04, 0, 1, 0, 60], longest.as_bytes()].concat(),
        Message::Connect(Connect { client_id: &longest, ..plain }),
    );
    let longer = "n".repeat(24);
    bad(&[&[30, 0x04, 0, 1, 0, 60], longer.as_bytes()].concat(), WireError::BadClientId);
    unencodable(Message::Connect(Connect { client_id: &longer, ..plain }), WireError::BadClientId);
    both(&[3, 0x05, 0], Message::ConnAck(ReturnCode::ACCEPTED));
    both(&[3, 0x05, 1], Message::ConnAck(ReturnCode::CONGESTION));
    both(&[3, 0x05, 3], Message::ConnAck(ReturnCode::NOT_SUPPORTED));
    both(&[3, 0x05, 0x77], Message::ConnAck(ReturnCode(0x77)));
}

#[test]
fn will() {
    both(&[2, 0x06], Message::WillTopicReq);
    both(&[2, 0x08], Message::WillMsgReq);
    bad(&[3, 0x06, 0], WireError::TrailingBytes);
    let topic = WillTopic { qos: QoS::AtLeastOnce, retain: true, topic: "a/b" };
    both(&[6, 0x07, 0x30, b'a', b'/', b'b'], Message::WillTopic(Some(topic)));
    both(&[2, 0x07], Message::WillTopic(None));
    both(
        &[6, 0x1A, 0x40, b'a', b'/', b'b'],
        Message::WillTopicUpd(Some(WillTopic { qos: QoS::ExactlyOnce, retain: false, ..topic })),
    );
    both(&[2, 0x1A], Message::WillTopicUpd(None));
    // Flags without a topic are neither form.
    bad(&[3, 0x07, 0x30], WireError::BadTopicName);
    bad(&[4, 0x07, 0x60, b'a'], WireError::BadQoS);
    bad(&[4, 0x07, 0x00, b'#'], WireError::BadTopicName);
    both(&[4, 0x09, 0, 0xFF], Message::WillMsg(&[0, 0xFF]));
    both(&[2, 0x09], Message::WillMsg(&[]));
    both(&[3, 0x1C, b'x'], Message::WillMsgUpd(b"x"));
    both(&[3, 0x1B, 0], Message::WillTopicResp(ReturnCode::ACCEPTED));
    both(&[3, 0x1D, 3], Message::WillMsgResp(ReturnCode::NOT_SUPPORTED));
    bad(&[2, 0x1D], WireError::Truncated);
}

#[test]
fn register() {
    both(
        &[9, 0x0A, 0, 0, 0x12, 0x34, b'a', b'/', b'b'],
        Message::Register(Register { topic_id: 0, msg_id: 0x1234, topic: "a/b" }),
    );
    both(
        &[7, 0x0B, 0, 5, 0x12, 0x34, 0],
        Message::RegAck(RegAck { topic_id: 5, msg_id: 0x1234, code: ReturnCode::ACCEPTED }),
    );
    bad(&[6, 0x0A, 0, 0, 0, 1], WireError::BadTopicName);
    // "A REGISTER message never contains a topic name with wildcard characters" (6.10).
    bad(&[7, 0x0A, 0, 0, 0, 1, b'+'], WireError::BadTopicName);
    bad(&[6, 0x0B, 0, 5, 0, 1], WireError::Truncated);
}

#[test]
fn publish() {
    let template = Publish {
        dup: false,
        qos: PublishQoS::AtMostOnce,
        retain: false,
        topic: Topic::Id(0x0102),
        msg_id: 0,
        data: b"hi",
    };
    both(&[9, 0x0C, 0x00, 1, 2, 0, 0, b'h', b'i'], Message::Publish(template));
    both(
        &[9, 0x0C, 0xB1, 1, 2, 0, 9, b'h', b'i'],
        Message::Publish(Publish {
            dup: true,
            qos: PublishQoS::AtLeastOnce,
            retain: true,
            topic: Topic::Predefined(0x0102),
            msg_id: 9,
            ..template
        }),
    );
    both(
        &[9, 0x0C, 0x42, b'a', b'b', 0, 9, b'h', b'i'],
        Message::Publish(Publish {
            qos: PublishQoS::ExactlyOnce,
            topic: Topic::Short(short("ab")),
            msg_id: 9,
            ..template
        }),
    );
    both(
        &[9, 0x0C, 0x62, b'a', b'b', 0, 0, b'h', b'i'],
        Message::Publish(Publish {
            qos: PublishQoS::MinusOne,
            topic: Topic::Short(short("ab")),
            ..template
        }),
    );
    both(&[7, 0x0C, 0, 1, 2, 0, 0], Message::Publish(Publish { data: &[], ..template }));
    // QoS -1 with a normal topic id (6.8), a reserved TopicIdType, MsgId 0 at QoS 1, DUP at QoS 0.
    bad(&[7, 0x0C, 0x60, 1, 2, 0, 0], WireError::BadTopicIdType);
    bad(&[7, 0x0C, 0x03, 1, 2, 0, 0], WireError::BadTopicIdType);
    bad(&[7, 0x0C, 0x20, 1, 2, 0, 0], WireError::BadPacketId);
    bad(&[7, 0x0C, 0x80, 1, 2, 0, 0], WireError::DupAtQoS0);
    bad(&[7, 0x0C, 0x02, 0xFF, 0xFE, 0, 0], WireError::BadString);
    bad(&[7, 0x0C, 0x02, b'+', b'/', 0, 0], WireError::BadTopicName);
    bad(&[6, 0x0C, 0, 1, 2, 0], WireError::Truncated);
    unencodable(
        Message::Publish(Publish { qos: PublishQoS::MinusOne, ..template }),
        WireError::BadTopicIdType,
    );
}

#[test]
fn acknowledgements() {
    both(
        &[7, 0x0D, 1, 2, 0, 9, 2],
        Message::PubAck(PubAck { topic_id: 0x0102, msg_id: 9, code: ReturnCode::INVALID_TOPIC_ID }),
    );
    both(&[4, 0x0E, 0, 9], Message::PubComp(9));
    both(&[4, 0x0F, 0, 9], Message::PubRec(9));
    both(&[4, 0x10, 0, 9], Message::PubRel(9));
    bad(&[3, 0x10, 0], WireError::Truncated);
    bad(&[5, 0x0F, 0, 9, 0], WireError::TrailingBytes);
}

#[test]
fn subscribe() {
    let template =
        Subscribe { dup: false, qos: QoS::AtMostOnce, msg_id: 0x0809, filter: Filter::Name("a/#") };
    both(&[8, 0x12, 0x00, 8, 9, b'a', b'/', b'#'], Message::Subscribe(template));
    both(
        &[7, 0x12, 0xA1, 8, 9, 0, 5],
        Message::Subscribe(Subscribe {
            dup: true,
            qos: QoS::AtLeastOnce,
            filter: Filter::Predefined(5),
            ..template
        }),
    );
    both(
        &[7, 0x12, 0x42, 8, 9, b'a', b'b'],
        Message::Subscribe(Subscribe {
            qos: QoS::ExactlyOnce,
            filter: Filter::Short(short("ab")),
            ..template
        }),
    );
    bad(&[7, 0x12, 0x62, 8, 9, b'a', b'b'], WireError::BadQoS);
    bad(&[7, 0x12, 0x03, 8, 9, b'a', b'b'], WireError::BadTopicIdType);
    bad(&[5, 0x12, 0x00, 8, 9], WireError::BadTopicFilter);
    bad(&[7, 0x12, 0x00, 8, 9, b'a', b'#'], WireError::BadTopicFilter);
    bad(&[8, 0x12, 0x01, 8, 9, 0, 5, 5], WireError::TrailingBytes);
    bad(&[6, 0x12, 0x02, 8, 9, b'a'], WireError::Truncated);
    both(
        &[8, 0x13, 0x40, 0, 5, 8, 9, 0],
        Message::SubAck(SubAck {
            qos: QoS::ExactlyOnce,
            topic_id: 5,
            msg_id: 0x0809,
            code: ReturnCode::ACCEPTED,
        }),
    );
    bad(&[8, 0x13, 0x60, 0, 5, 8, 9, 0], WireError::BadQoS);
    both(
        &[6, 0x14, 0x00, 8, 9, b'a'],
        Message::Unsubscribe(Unsubscribe { msg_id: 0x0809, filter: Filter::Name("a") }),
    );
    both(
        &[7, 0x14, 0x01, 8, 9, 0, 5],
        Message::Unsubscribe(Unsubscribe { msg_id: 0x0809, filter: Filter::Predefined(5) }),
    );
    both(&[4, 0x15, 8, 9], Message::UnsubAck(0x0809));
}

#[test]
fn keep_alive_and_sleep() {
    both(&[2, 0x16], Message::PingReq(None));
    both(&[4, 0x16, b'n', b'1'], Message::PingReq(Some("n1")));
    both(&[2, 0x17], Message::PingResp);
    both(&[2, 0x18], Message::Disconnect(None));
    both(&[4, 0x18, 0x0E, 0x10], Message::Disconnect(Some(3600)));
    bad(&[3, 0x18, 0], WireError::Truncated);
    bad(&[5, 0x18, 0, 0, 0], WireError::TrailingBytes);
}

#[test]
fn the_length_has_three_octets_from_256_on() {
    let data = [0x55; 300];
    let publish = |n: usize| {
        Message::Publish(Publish {
            dup: false,
            qos: PublishQoS::AtMostOnce,
            retain: false,
            topic: Topic::Id(1),
            msg_id: 0,
            data: &data[..n],
        })
    };
    both(&[&[255, 0x0C, 0, 0, 1, 0, 0], &data[..248]].concat(), publish(248));
    // 249 octets of data: 256 in all with a short Length, which cannot say so.
    both(&[&[1, 0x01, 0x02, 0x0C, 0, 0, 1, 0, 0], &data[..249]].concat(), publish(249));
    let long = vec![0; 65_535];
    let most = |n: usize| Message::WillMsg(&long[..n]);
    assert_eq!(most(65_531).encode(V, &mut vec![0; 65_535]), Ok(65_535));
    assert_eq!(most(65_532).encode(V, &mut vec![0; 70_000]), Err(EncodeError::TooLong));
}

#[test]
fn lengths_that_cannot_be() {
    bad(&[], WireError::Truncated);
    bad(&[0], WireError::BadLength);
    bad(&[0, 0x17], WireError::BadLength);
    bad(&[1], WireError::Truncated);
    bad(&[1, 0x17], WireError::Truncated);
    bad(&[1, 0, 3, 0x17], WireError::BadLength);
    bad(&[2], WireError::Truncated);
    bad(&[3, 0x17], WireError::BadLength);
    bad(&[2, 0x17, 0], WireError::BadLength);
    // Reserved types.
    for kind in (0x1E..=0xFD).chain([0x03, 0x11, 0x19, 0xFF]) {
        bad(&[2, kind], WireError::BadPacketType);
    }
}

#[test]
fn frames() {
    let len = |bytes: &[u8]| frame_len(V, bytes).map(|f| f.map(|f| (f.header_len, f.total_len)));
    assert_eq!(len(&[]), Ok(None));
    assert_eq!(len(&[9]), Ok(None));
    assert_eq!(len(&[9, 0x0C]), Ok(Some((2, 9))));
    assert_eq!(len(&[1, 0x01]), Ok(None));
    assert_eq!(len(&[1, 0x01, 0x02]), Ok(None));
    assert_eq!(len(&[1, 0x01, 0x02, 0x0C]), Ok(Some((4, 0x0102))));
    assert_eq!(len(&[4, 0xFE, 0, 9, 2]), Ok(None));
    assert_eq!(len(&[4, 0xFE, 0, 9, 2, 0x17]), Ok(Some((4, 6))));
    assert_eq!(len(&[1]), Ok(None));
    assert_eq!(len(&[0]), Err(WireError::BadLength));
}

#[test]
fn forwarder() {
    both(
        &[5, 0xFE, 0x02, 0xAA, 0xBB, 2, 0x17],
        Message::Forward(Forward { radius: 2, node: &[0xAA, 0xBB], message: &[2, 0x17] }),
    );
    both(
        &[3, 0xFE, 0x00, 4, 0x0F, 0, 9],
        Message::Forward(Forward { radius: 0, node: &[], message: &[4, 0x0F, 0, 9] }),
    );
    bad(&[4, 0xFE, 0x04, 9, 2, 0x17], WireError::BadFlags);
    bad(&[2, 0xFE, 2, 0x17], WireError::BadLength);
    bad(&[1, 0, 6, 0xFE, 2, 0x17], WireError::BadLength);
    bad(&[4, 0xFE, 0x00, 9], WireError::Truncated);
    bad(&[4, 0xFE, 0x00, 9, 3, 0x17], WireError::BadLength);
    bad(&[4, 0xFE, 0x00, 9, 2, 0x17, 0], WireError::BadLength);
    bad(&[9, 0xFE, 0x00, 9, 2, 0x17], WireError::Truncated);
    // A capsule in a capsule.
    bad(&[4, 0xFE, 0x00, 9, 3, 0xFE, 0, 2, 0x17], WireError::BadPacketType);
    let node = [7; 253];
    let forward =
        |n: usize| Message::Forward(Forward { radius: 0, node: &node[..n], message: &[2, 0x17] });
    assert_eq!(forward(252).encode(V, &mut [0; 300]), Ok(257));
    assert_eq!(forward(253).encode(V, &mut [0; 300]), Err(EncodeError::TooLong));
}

#[test]
fn short_names() {
    assert_eq!(short("ab").as_str(), "ab");
    assert_eq!(short("ab").to_u16(), 0x6162);
    assert_eq!(short("é").as_str(), "é");
    for none in ["", "a", "abc", "a#", "a\0", "++"] {
        assert_eq!(ShortTopic::new(none), None, "{none:?}");
    }
    assert!(short("+/").as_str() == "+/" && !short("+/").is_name());
}
