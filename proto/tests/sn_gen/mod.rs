//! Arbitrary MQTT-SN messages that the text allows, leaked so that they are plain values.
#![allow(missing_docs, unreachable_pub, dead_code)]

use everlink_proto::sn::wire::*;
use proptest::collection::vec;
use proptest::prelude::*;

pub const V: Version = Version::V12;

fn leak<T: 'static>(list: Vec<T>) -> &'static [T] {
    Vec::leak(list)
}

pub fn encode(message: &Message<'_>) -> Vec<u8> {
    let mut out = vec![0; message.encoded_len(V)];
    let n = message.encode(V, &mut out).unwrap();
    assert_eq!(n, out.len(), "encoded_len of {message:?}");
    out
}

fn data() -> impl Strategy<Value = &'static [u8]> {
    // Around the length from which the Length has three octets.
    prop_oneof![4 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 240..260)].prop_map(leak)
}

fn topic() -> impl Strategy<Value = &'static str> {
    "[^\u{0}+#]{1,40}".prop_map(|s| &*s.leak())
}

fn client_id() -> impl Strategy<Value = &'static str> {
    "[^\u{0}]{1,23}".prop_map(|s| &*s.leak())
}

fn short() -> impl Strategy<Value = ShortTopic> {
    prop_oneof!["[a-zA-Z0-9/]{2}", Just("é".to_owned())].prop_map(|s| ShortTopic::new(&s).unwrap())
}

fn qos() -> impl Strategy<Value = QoS> {
    (0..3_u8).prop_map(|qos| QoS::try_from(qos).unwrap())
}

fn code() -> impl Strategy<Value = ReturnCode> {
    any::<u8>().prop_map(ReturnCode)
}

fn filter() -> impl Strategy<Value = Filter<'static>> {
    prop_oneof![
        topic().prop_map(Filter::Name),
        "[a-z]{1,3}/[+]/[a-z]{1,3}/#".prop_map(|s| Filter::Name(s.leak())),
        any::<u16>().prop_map(Filter::Predefined),
        short().prop_map(Filter::Short),
    ]
}

fn publish() -> impl Strategy<Value = Publish<'static>> {
    let to = prop_oneof![
        any::<u16>().prop_map(Topic::Id),
        any::<u16>().prop_map(Topic::Predefined),
        short().prop_map(Topic::Short),
    ];
    let flags = (any::<bool>(), any::<bool>(), 0..4_u8);
    (flags, to, any::<u16>(), data()).prop_filter_map("not at QoS -1", |x| {
        let ((dup, retain, qos), topic, msg_id, data) = x;
        let qos = match QoS::try_from(qos) {
            Ok(qos) => qos.into(),
            Err(_) => PublishQoS::MinusOne,
        };
        if qos == PublishQoS::MinusOne && matches!(topic, Topic::Id(_)) {
            return None;
        }
        let acknowledged = qos.is_acknowledged();
        let msg_id = if acknowledged { msg_id.max(1) } else { 0 };
        Some(Publish { dup: dup && acknowledged, qos, retain, topic, msg_id, data })
    })
}

fn will_topic() -> impl Strategy<Value = Option<WillTopic<'static>>> {
    proptest::option::of(
        (qos(), any::<bool>(), topic()).prop_map(|(qos, retain, topic)| WillTopic {
            qos,
            retain,
            topic,
        }),
    )
}

fn topics() -> impl Strategy<Value = Message<'static>> {
    let id = any::<u16>;
    prop_oneof![
        (id(), id(), topic()).prop_map(|(topic_id, msg_id, topic)| Message::Register(Register {
            topic_id,
            msg_id,
            topic
        })),
        (id(), id(), code()).prop_map(|(topic_id, msg_id, code)| Message::RegAck(RegAck {
            topic_id,
            msg_id,
            code
        })),
        (any::<bool>(), qos(), id(), filter()).prop_map(|(dup, qos, msg_id, filter)| {
            Message::Subscribe(Subscribe { dup, qos, msg_id, filter })
        }),
        (qos(), id(), id(), code()).prop_map(|(qos, topic_id, msg_id, code)| {
            Message::SubAck(SubAck { qos, topic_id, msg_id, code })
        }),
        (id(), filter())
            .prop_map(|(msg_id, filter)| Message::Unsubscribe(Unsubscribe { msg_id, filter })),
        id().prop_map(Message::UnsubAck),
        publish().prop_map(Message::Publish),
        (id(), id(), code()).prop_map(|(topic_id, msg_id, code)| Message::PubAck(PubAck {
            topic_id,
            msg_id,
            code
        })),
        id().prop_map(Message::PubRec),
        id().prop_map(Message::PubRel),
        id().prop_map(Message::PubComp),
    ]
}

fn connection() -> impl Strategy<Value = Message<'static>> {
    prop_oneof![
        (any::<u8>(), any::<u16>())
            .prop_map(|(gateway, duration)| Message::Advertise(Advertise { gateway, duration })),
        any::<u8>().prop_map(Message::SearchGw),
        (any::<u8>(), data())
            .prop_map(|(gateway, address)| Message::GwInfo(GwInfo { gateway, address })),
        (any::<bool>(), any::<bool>(), any::<u16>(), client_id()).prop_map(
            |(will, clean_session, duration, client_id)| Message::Connect(Connect {
                will,
                clean_session,
                duration,
                client_id
            })
        ),
        code().prop_map(Message::ConnAck),
        Just(Message::WillTopicReq),
        will_topic().prop_map(Message::WillTopic),
        Just(Message::WillMsgReq),
        data().prop_map(Message::WillMsg),
        proptest::option::of(client_id()).prop_map(Message::PingReq),
        Just(Message::PingResp),
        any::<Option<u16>>().prop_map(Message::Disconnect),
        will_topic().prop_map(Message::WillTopicUpd),
        data().prop_map(Message::WillMsgUpd),
        code().prop_map(Message::WillTopicResp),
        code().prop_map(Message::WillMsgResp),
    ]
}

/// Any message but an encapsulated one.
pub fn bare() -> impl Strategy<Value = Message<'static>> {
    prop_oneof![topics(), connection()]
}

/// Any message.
pub fn message() -> impl Strategy<Value = Message<'static>> {
    let forward = (0..4_u8, vec(any::<u8>(), 0..=252), bare()).prop_map(|(radius, node, inner)| {
        let message = leak(encode(&inner));
        Message::Forward(Forward { radius, node: leak(node), message })
    });
    prop_oneof![8 => bare(), 1 => forward]
}
