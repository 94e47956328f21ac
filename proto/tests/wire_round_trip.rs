//! What is encoded decodes to the same, in both versions, for every packet.

mod wire_gen;

use everlink_proto::wire::*;
use proptest::prelude::*;
use wire_gen::*;

proptest! {
    #[test]
    fn decoding_gives_back_what_was_encoded((version, packet) in versioned_packet()) {
        let wire = encode(&packet, version);
        prop_assert_eq!(Packet::decode(version, &wire), Ok(packet));
        let frame = frame_len(&wire).unwrap().unwrap();
        prop_assert_eq!(frame.total_len, wire.len());
        // Decoded packets hold raw bytes instead of lists, and encode to the same bytes.
        let again = encode(&Packet::decode(version, &wire).unwrap(), version);
        prop_assert_eq!(again, wire);
    }

    #[test]
    fn a_buffer_one_byte_too_small_is_refused((version, packet) in versioned_packet()) {
        let needed = packet.encoded_len(version);
        let mut out = vec![0; needed];
        for len in [0, 1, needed - 1] {
            prop_assert_eq!(
                packet.encode(version, &mut out[..len]),
                Err(EncodeError::NoSpace { needed })
            );
        }
    }

    #[test]
    fn version_5_packets_lose_only_what_3_1_1_lacks(packet in packet(Version::V5)) {
        let mut out = vec![0; packet.encoded_len(Version::V5) + 16];
        match packet.encode(Version::V311, &mut out) {
            Ok(len) => {
                prop_assert_eq!(len, packet.encoded_len(Version::V311));
                prop_assert!(len <= packet.encoded_len(Version::V5));
                prop_assert!(Packet::decode(Version::V311, &out[..len]).is_ok());
            }
            Err(EncodeError::Invalid(fault)) => {
                let expected = match packet {
                    Packet::Auth(_) => WireError::BadPacketType,
                    Packet::Publish(Publish { topic: "", .. }) => WireError::NoTopic,
                    Packet::Connect(Connect { username: None, .. }) => {
                        WireError::PasswordWithoutUserName
                    }
                    Packet::ConnAck(_) => WireError::BadReasonCode,
                    _ => return Err(TestCaseError::fail(format!("{fault}"))),
                };
                prop_assert_eq!(fault, expected);
            }
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn a_head_and_a_streamed_payload_make_a_publish((version, packet) in versioned_packet()) {
        let Packet::Publish(publish) = packet else { return Ok(()) };
        let whole = encode(&packet, version);
        let len = publish.payload.len();
        prop_assert_eq!(publish.encoded_len_with(version, len), whole.len());
        let head_len = whole.len() - len;
        let mut head = vec![0; head_len];
        let without = Publish { payload: b"", ..publish };
        prop_assert_eq!(without.encode_head(version, len, &mut head), Ok(head_len));
        prop_assert_eq!(&head[..], &whole[..head_len]);
        prop_assert_eq!(
            without.encode_head(version, len, &mut head[1..]),
            Err(EncodeError::NoSpace { needed: head_len })
        );
    }

    #[test]
    fn stored_properties_come_back(props in properties(Version::V5, PropertyContext::Publish)) {
        let mut raw = vec![0; props.encoded_len()];
        prop_assert_eq!(props.encode_raw(&mut raw), Some(raw.len()));
        prop_assert_eq!(Properties::from_raw(&raw), Ok(props));
        prop_assert_eq!(Properties::from_trusted_raw(&raw), props);
        if let Some(short) = raw.len().checked_sub(1) {
            prop_assert_eq!(props.encode_raw(&mut vec![0; short]), None);
        }
        // Raw ones and a list together.
        let list = [Property::UserProperty("added", "later")];
        let both = Properties::from_trusted_raw(&raw).with_list(&list);
        prop_assert!(both.iter().eq(props.iter().chain(list)));
        let mut out = vec![0; both.encoded_len()];
        prop_assert_eq!(both.encode_raw(&mut out), Some(out.len()));
        prop_assert_eq!(Properties::from_raw(&out), Ok(both));
    }
}

#[test]
fn the_longest_packet_is_allowed_and_one_byte_more_is_not() {
    let publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "t",
        pid: None,
        props: Properties::EMPTY,
        payload: b"",
    };
    let mut out = [0; 16];
    let longest = 268_435_455 - 3;
    assert_eq!(publish.encode_head(Version::V311, longest, &mut out), Ok(8));
    assert_eq!(out[..8], [0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, b't']);
    let frame = FrameHeader { header_len: 5, total_len: 268_435_460 };
    assert_eq!(frame_len(&out[..5]), Ok(Some(frame)));
    for too_long in [longest + 1, usize::MAX] {
        assert_eq!(
            publish.encode_head(Version::V311, too_long, &mut out),
            Err(EncodeError::TooLong)
        );
    }
}

#[test]
fn a_string_of_65_536_bytes_is_refused() {
    let long = "x".repeat(65_536);
    let mut out = vec![0; 200_000];
    let publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: &long,
        pid: None,
        props: Properties::EMPTY,
        payload: b"",
    };
    let list = [Property::ReasonString(&long)];
    let props = Properties::from_list(&list);
    let filters = [long.as_str()];
    let pid = PacketId::new(1).unwrap();
    let packets: [Packet<'_>; 5] = [
        publish.into(),
        Connect { client_id: &long, ..Default::default() }.into(),
        Connect { password: Some(long.as_bytes()), ..Default::default() }.into(),
        Disconnect { reason: ReasonCode::SUCCESS, props }.into(),
        Unsubscribe {
            pid,
            props: Properties::EMPTY,
            filters: UnsubscribeFilters::from_list(&filters),
        }
        .into(),
    ];
    for packet in packets {
        assert_eq!(packet.encode(Version::V5, &mut out), Err(EncodeError::TooLong));
    }
    assert_eq!(props.encode_raw(&mut out), None);
    let longest = &long[1..];
    assert!(Publish { topic: longest, ..publish }.encode(Version::V5, &mut out).is_ok());
}
