//! What is not to be sent is not encoded, and the words for it.

use everlink_proto::topic::TopicName;
use everlink_proto::wire::{
    Connect, Disconnect, EncodeError, Filters, Packet, PacketId, Properties, Property, Publish,
    QoS, ReasonCode, SubAck, UnsubAck, Version, Will, WireError,
};

fn encoded<'a>(packet: impl Into<Packet<'a>>) -> Result<usize, EncodeError> {
    packet.into().encode(Version::V5, &mut [0; 200])
}

#[test]
fn packets_that_no_peer_would_take() {
    let (pid, props) = (PacketId::new(1).unwrap(), Properties::EMPTY);
    assert_eq!(encoded(SubAck { pid, props, codes: &[0, 1, 2, 0x80] }), Ok(9));
    assert!(encoded(SubAck { pid, props, codes: &[3] }).is_err());
    assert!(encoded(SubAck { pid, props, codes: &[] }).is_err());
    assert_eq!(encoded(UnsubAck { pid, props, codes: &[0, 0x11] }), Ok(7));
    assert!(encoded(UnsubAck { pid, props, codes: &[1] }).is_err());
    let disconnect = Disconnect { reason: ReasonCode::NORMAL_DISCONNECTION, props };
    assert!(encoded(disconnect).is_ok());
    assert!(encoded(Disconnect { reason: ReasonCode(0x01), ..disconnect }).is_err());
    // A property that belongs elsewhere.
    let list = [Property::TopicAlias(1)];
    let props = Properties::from_list(&list);
    assert!(encoded(Disconnect { props, ..disconnect }).is_err());
    let (topic, payload) = ("t", &b""[..]);
    let list = [Property::ServerKeepAlive(1)];
    let (qos, wrong) = (QoS::AtMostOnce, Properties::from_list(&list));
    let publish = Publish { dup: false, qos, retain: false, topic, pid: None, props, payload };
    assert!(encoded(publish).is_ok());
    assert!(encoded(Publish { props: wrong, ..publish }).is_err());
}

#[test]
fn a_will_to_nowhere() {
    let long = "x".repeat(65_536);
    assert!(TopicName::new(&long).is_err());
    for (topic, right) in
        [(&*long, EncodeError::TooLong), ("a/+", EncodeError::Invalid(WireError::BadTopicName))]
    {
        let will = Will {
            topic,
            payload: b"",
            qos: QoS::AtMostOnce,
            retain: false,
            props: Properties::EMPTY,
        };
        let connect = Connect { will: Some(will), ..Connect::default() };
        let got = Packet::from(connect).encode(Version::V5, &mut vec![0; 70_000]);
        assert_eq!(got, Err(right));
    }
}

#[test]
fn filters_from_bytes_are_looked_at() {
    assert_eq!(Filters::from_raw(b"\0\x01a\x01").unwrap().iter().count(), 1);
    for bad in [&b""[..], b"\0\x01a", b"\0\x01a\x03", b"\0\x00\x01", b"\0\x02a"] {
        assert!(Filters::from_raw(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn properties_are_equal_if_they_say_the_same() {
    let (one, two) = ([Property::TopicAlias(1)], [Property::TopicAlias(2)]);
    let [a, b] = [Properties::from_list(&one), Properties::from_list(&two)];
    assert!(a == a && a != b && a != Properties::EMPTY);
}

#[test]
fn words() {
    let pid = PacketId::new(7).unwrap();
    assert_eq!((pid.to_string(), format!("{pid:?}")), ("7".into(), "PacketId(7)".into()));
    assert_eq!(Property::TopicAlias(1).name(), "topic-alias");
    let [a, b] = [WireError::BadPacketType, WireError::Truncated].map(|error| error.to_string());
    assert!(a != b && a.len() > 5, "{a} {b}");
}
