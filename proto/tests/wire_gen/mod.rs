//! Arbitrary packets that the specification allows. Text and bytes are leaked, so that packets,
//! which borrow, are plain values: a test's few megabytes do not matter.
#![allow(missing_docs, unreachable_pub, dead_code)]

use everlink_proto::wire::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

pub const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

pub fn leak<T: 'static>(list: Vec<T>) -> &'static [T] {
    Vec::leak(list)
}

pub fn text() -> impl Strategy<Value = &'static str> + Clone {
    prop_oneof![
        4 => "[a-zA-Z0-9 _-]{0,12}",
        2 => "[^\u{0}]{0,20}",
        1 => (120_usize..260).prop_map(|n| "é".repeat(n)),
    ]
    .prop_map(|s| &*s.leak())
}

pub fn bytes() -> impl Strategy<Value = &'static [u8]> + Clone {
    prop_oneof![4 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 100..300)].prop_map(leak)
}

pub fn topic() -> impl Strategy<Value = &'static str> + Clone {
    "[^\u{0}+#]{1,40}".prop_map(|s| &*s.leak())
}

pub fn filter() -> impl Strategy<Value = &'static str> + Clone {
    let level = prop_oneof![Just("+".to_owned()), "[^\u{0}+#/]{0,6}"];
    let plain = (vec(level, 1..5), any::<bool>()).prop_filter_map("empty", |(mut levels, hash)| {
        if hash {
            levels.push("#".into());
        }
        let filter = levels.join("/");
        (!filter.is_empty() && !filter.starts_with("$share/")).then_some(filter)
    });
    (plain, prop::option::weighted(0.2, "[a-z]{1,5}"))
        .prop_map(|(filter, group)| match group {
            Some(group) => format!("$share/{group}/{filter}"),
            None => filter,
        })
        .prop_map(|s| &*s.leak())
}

pub fn pid() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|id| PacketId::new(id).unwrap())
}

pub fn qos() -> impl Strategy<Value = QoS> {
    (0..3_u8).prop_map(|qos| QoS::try_from(qos).unwrap())
}

pub fn property() -> BoxedStrategy<Property<'static>> {
    use Property::*;
    let flag = any::<bool>();
    prop_oneof![
        flag.prop_map(PayloadFormatIndicator),
        any::<u32>().prop_map(MessageExpiryInterval),
        text().prop_map(ContentType),
        topic().prop_map(ResponseTopic),
        bytes().prop_map(CorrelationData),
        (1..268_435_456_u32).prop_map(SubscriptionIdentifier),
        any::<u32>().prop_map(SessionExpiryInterval),
        text().prop_map(AssignedClientIdentifier),
        any::<u16>().prop_map(ServerKeepAlive),
        text().prop_map(AuthenticationMethod),
        bytes().prop_map(AuthenticationData),
        flag.prop_map(RequestProblemInformation),
        any::<u32>().prop_map(WillDelayInterval),
        flag.prop_map(RequestResponseInformation),
        text().prop_map(ResponseInformation),
        text().prop_map(ServerReference),
        text().prop_map(ReasonString),
        (1..=u16::MAX).prop_map(ReceiveMaximum),
        any::<u16>().prop_map(TopicAliasMaximum),
        (1..=u16::MAX).prop_map(TopicAlias),
        select(vec![QoS::AtMostOnce, QoS::AtLeastOnce]).prop_map(MaximumQoS),
        flag.prop_map(RetainAvailable),
        (text(), text()).prop_map(|(name, value)| UserProperty(name, value)),
        (1..=u32::MAX).prop_map(MaximumPacketSize),
        flag.prop_map(WildcardSubscriptionAvailable),
        flag.prop_map(SubscriptionIdentifierAvailable),
        flag.prop_map(SharedSubscriptionAvailable),
    ]
    .boxed()
}

/// A list that a packet of this kind may have; empty for MQTT 3.1.1.
pub fn properties(
    version: Version,
    context: PropertyContext,
) -> BoxedStrategy<Properties<'static>> {
    if version == Version::V311 {
        return Just(Properties::EMPTY).boxed();
    }
    vec(property(), 0..40)
        .prop_map(move |mut list| {
            let mut seen = Vec::new();
            list.retain(|p| {
                let repeats = matches!(p, Property::UserProperty(..))
                    || matches!(p, Property::SubscriptionIdentifier(_))
                        && context == PropertyContext::Publish;
                let fresh = !seen.contains(&p.id());
                seen.push(p.id());
                p.allowed_in(context) && (fresh || repeats)
            });
            if !list.iter().any(|p| matches!(p, Property::AuthenticationMethod(_))) {
                list.retain(|p| !matches!(p, Property::AuthenticationData(_)));
            }
            Properties::from_list(leak(list))
        })
        .boxed()
}

fn reason(version: Version, allowed: &'static [u8]) -> BoxedStrategy<ReasonCode> {
    match version {
        Version::V311 => Just(ReasonCode::SUCCESS).boxed(),
        Version::V5 => select(allowed).prop_map(ReasonCode).boxed(),
    }
}

fn connect(version: Version) -> impl Strategy<Value = Packet<'static>> {
    use PropertyContext as C;
    let will = (topic(), bytes(), qos(), any::<bool>(), properties(version, C::Will)).prop_map(
        |(topic, payload, qos, retain, props)| Will { topic, payload, qos, retain, props },
    );
    let login = (prop::option::of(text()), prop::option::of(bytes()));
    let rest = (any::<bool>(), any::<u16>(), properties(version, C::Connect));
    (text(), login, prop::option::of(will), rest).prop_map(
        move |(client_id, (username, password), will, (clean_start, keep_alive, props))| {
            let password = password.filter(|_| username.is_some() || version == Version::V5);
            let connect =
                Connect { client_id, clean_start, keep_alive, username, password, will, props };
            connect.into()
        },
    )
}

fn connack(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let codes: &[u8] = match version {
        Version::V311 => &[0, 0x84, 0x85, 0x88, 0x86, 0x87],
        Version::V5 => &[0, 0x80, 0x81, 0x87, 0x9C, 0xA2],
    };
    (any::<bool>(), select(codes), properties(version, PropertyContext::ConnAck)).prop_map(
        |(present, code, props)| {
            let reason = ReasonCode(code);
            ConnAck { session_present: present && !reason.is_error(), reason, props }.into()
        },
    )
}

fn publish(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let flags = (any::<bool>(), qos(), any::<bool>(), any::<bool>());
    let props = properties(version, PropertyContext::Publish);
    (flags, topic(), pid(), props, bytes()).prop_map(
        |((dup, qos, retain, by_alias), topic, pid, props, payload)| {
            let reliable = qos > QoS::AtMostOnce;
            let topic = if by_alias && props.topic_alias().is_some() { "" } else { topic };
            let (dup, pid) = (dup && reliable, reliable.then_some(pid));
            Publish { dup, qos, retain, topic, pid, props, payload }.into()
        },
    )
}

fn ack(version: Version) -> impl Strategy<Value = Packet<'static>> {
    use PropertyContext as C;
    let first = &[0, 0x10, 0x80, 0x87, 0x97];
    let second = &[0, 0x92];
    let kinds = [
        (AckKind::PubAck, C::PubAck, reason(version, first)),
        (AckKind::PubRec, C::PubRec, reason(version, first)),
        (AckKind::PubRel, C::PubRel, reason(version, second)),
        (AckKind::PubComp, C::PubComp, reason(version, second)),
    ];
    let kinds = kinds.map(|(kind, context, reason)| {
        (pid(), reason, properties(version, context))
            .prop_map(move |(pid, reason, props)| Ack { kind, pid, reason, props }.into())
            .boxed()
    });
    proptest::strategy::Union::new(kinds)
}

fn options(version: Version) -> BoxedStrategy<SubscribeOptions> {
    if version == Version::V311 {
        return qos().prop_map(SubscribeOptions::new).boxed();
    }
    let handling =
        select(vec![RetainHandling::AtSubscribe, RetainHandling::IfNew, RetainHandling::Never]);
    (qos(), any::<bool>(), any::<bool>(), handling)
        .prop_map(|(qos, no_local, retain_as_published, retain_handling)| SubscribeOptions {
            qos,
            no_local,
            retain_as_published,
            retain_handling,
        })
        .boxed()
}

fn subscribe(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let filters = vec((filter(), options(version)), 1..5).prop_map(|mut list| {
        for (filter, options) in &mut list {
            options.no_local &= !filter.starts_with("$share/");
        }
        leak(list)
    });
    (pid(), properties(version, PropertyContext::Subscribe), filters).prop_map(
        |(pid, props, filters)| {
            Subscribe { pid, props, filters: Filters::from_list(filters) }.into()
        },
    )
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let props = properties(version, PropertyContext::Unsubscribe);
    (pid(), props, vec(filter(), 1..5).prop_map(leak)).prop_map(|(pid, props, filters)| {
        Unsubscribe { pid, props, filters: UnsubscribeFilters::from_list(filters) }.into()
    })
}

fn suback(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let codes: &[u8] = match version {
        Version::V311 => &[0, 1, 2, 0x80],
        Version::V5 => &[0, 1, 2, 0x80, 0x87, 0xA2],
    };
    let props = properties(version, PropertyContext::SubAck);
    (pid(), props, vec(select(codes), 1..6).prop_map(leak))
        .prop_map(|(pid, props, codes)| SubAck { pid, props, codes }.into())
}

fn unsuback(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let count = if version == Version::V311 { 0..1 } else { 1..6 };
    let codes: &[u8] = &[0, 0x11, 0x80, 0x87];
    let props = properties(version, PropertyContext::UnsubAck);
    (pid(), props, vec(select(codes), count).prop_map(leak))
        .prop_map(|(pid, props, codes)| UnsubAck { pid, props, codes }.into())
}

fn disconnect(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let reason = reason(version, &[0, 4, 0x80, 0x8E, 0x9D]);
    (reason, properties(version, PropertyContext::Disconnect))
        .prop_map(|(reason, props)| Disconnect { reason, props }.into())
}

fn auth() -> impl Strategy<Value = Packet<'static>> {
    let reason = reason(Version::V5, &[0, 0x18, 0x19]);
    (reason, properties(Version::V5, PropertyContext::Auth))
        .prop_map(|(reason, props)| Auth { reason, props }.into())
}

pub fn packet(version: Version) -> BoxedStrategy<Packet<'static>> {
    let common = prop_oneof![
        1 => connect(version),
        1 => connack(version),
        3 => publish(version),
        3 => ack(version),
        1 => subscribe(version),
        1 => unsubscribe(version),
        1 => suback(version),
        1 => unsuback(version),
        1 => disconnect(version),
        1 => Just(Packet::PingReq),
        1 => Just(Packet::PingResp),
    ];
    match version {
        Version::V311 => common.boxed(),
        Version::V5 => prop_oneof![12 => common, 1 => auth()].boxed(),
    }
}

pub fn versioned_packet() -> BoxedStrategy<(Version, Packet<'static>)> {
    select(&VERSIONS[..])
        .prop_flat_map(|version| packet(version).prop_map(move |packet| (version, packet)))
        .boxed()
}

pub fn encode(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = vec![0; packet.encoded_len(version)];
    let len = packet.encode(version, &mut out).expect("a valid packet");
    assert_eq!(len, out.len(), "encoded_len and encode differ for {packet:?}");
    out
}
