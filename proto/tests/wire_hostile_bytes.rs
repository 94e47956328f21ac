//! No bytes make decoding panic, and what decodes can be encoded again.

mod wire_gen;

use everlink_proto::wire::*;
use proptest::collection::vec;
use proptest::prelude::*;
use wire_gen::*;

/// Decodes, and looks at everything that was decoded.
fn chew(version: Version, bytes: &[u8]) -> Result<(), WireError> {
    let _ = frame_len(bytes);
    let _ = Packet::decode_connect(bytes).map(|(_, connect)| format!("{connect:?}"));
    let decoded = Packet::decode(version, bytes);
    check_from_server(version, bytes, decoded);
    let packet = decoded?;
    let _ = format!("{packet:?}");
    let again = encode(&packet, version);
    assert_eq!(Packet::decode(version, &again), Ok(packet), "of {bytes:02x?}");
    Ok(())
}

/// Clients decode the same, but for what a server never sends.
fn check_from_server(version: Version, bytes: &[u8], decoded: Result<Packet<'_>, WireError>) {
    let from_server = Packet::decode_from_server(version, bytes);
    if matches!(bytes.first(), Some(0x10 | 0x82 | 0xA2 | 0xC0)) {
        assert!(from_server.is_err(), "{from_server:?}");
    } else {
        assert_eq!(from_server, decoded);
    }
}

/// A packet of this first byte whose Remaining Length is right.
fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut len = body.len();
    while len > 0x7F {
        bytes.push(len as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
    bytes.extend_from_slice(body);
    bytes
}

proptest! {
    #[test]
    fn truncation_at_every_byte_is_an_error((version, packet) in versioned_packet()) {
        let wire = encode(&packet, version);
        for len in 0..wire.len() {
            prop_assert!(chew(version, &wire[..len]).is_err());
            match frame_len(&wire[..len.min(5)]).unwrap() {
                Some(frame) => prop_assert_eq!(frame.total_len, wire.len()),
                None => prop_assert!(len < 5),
            }
        }
        let mut longer = wire;
        longer.push(0);
        prop_assert_eq!(chew(version, &longer), Err(WireError::BadLength));
    }

    #[test]
    fn a_truncated_body_with_the_right_length_never_panics(
        (version, packet) in versioned_packet()
    ) {
        let wire = encode(&packet, version);
        let body = &wire[frame_len(&wire).unwrap().unwrap().header_len..];
        for len in 0..body.len() {
            let _ = chew(version, &framed(wire[0], &body[..len]));
        }
    }

    #[test]
    fn a_changed_byte_never_panics((version, packet) in versioned_packet(), bits in any::<u8>()) {
        let wire = encode(&packet, version);
        for at in 0..wire.len() {
            for change in [1 << (bits & 7), bits, 0xFF] {
                let mut wire = wire.clone();
                wire[at] ^= change;
                let _ = chew(version, &wire);
            }
        }
    }

    #[test]
    fn a_removed_inserted_or_copied_piece_never_panics(
        (version, packet) in versioned_packet(),
        cuts in vec((any::<prop::sample::Index>(), 0..9_usize, vec(any::<u8>(), 0..5)), 1..8),
    ) {
        let wire = encode(&packet, version);
        let mut body = wire[frame_len(&wire).unwrap().unwrap().header_len..].to_vec();
        for (at, remove, insert) in cuts {
            let at = at.index(body.len() + 1);
            let end = (at + remove).min(body.len());
            body.splice(at..end, insert);
            let _ = chew(version, &framed(wire[0], &body));
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        for version in VERSIONS {
            let _ = chew(version, &bytes);
        }
        let _ = Properties::from_raw(&bytes);
        let props = Properties::from_trusted_raw(&bytes);
        let _ = (props.iter().count(), props.topic_alias(), props.reason_string());
        let _ = props.validate(PropertyContext::Publish);
        let _ = Filters::from_raw(&bytes).map(|filters| filters.iter().count());
        let _ = UnsubscribeFilters::from_raw(&bytes).map(|filters| filters.iter().count());
    }

    #[test]
    fn random_bodies_never_panic(first in any::<u8>(), body in vec(any::<u8>(), 0..200)) {
        for version in VERSIONS {
            let _ = chew(version, &framed(first, &body));
        }
    }

    #[test]
    fn random_properties_never_panic(first in any::<u8>(), body in vec(any::<u8>(), 0..60)) {
        let length = u8::try_from(body.len()).unwrap();
        for start in [&[0, 1][..], &[0, 1, b't'], &[0, 1, b't', 0, 7], &[0, 7, 0x80]] {
            let body = [start, &[length], &body].concat();
            let _ = chew(Version::V5, &framed(first, &body));
        }
    }
}

#[test]
fn all_short_bodies_of_every_first_byte() {
    const INTERESTING: [u8; 10] = [0, 1, 2, 3, 4, 0x1F, 0x26, 0x7F, 0x80, 0xFF];
    for first in 0..=0xFF_u8 {
        for version in VERSIONS {
            let _ = chew(version, &framed(first, &[]));
            for a in INTERESTING {
                let _ = chew(version, &framed(first, &[a]));
                for b in INTERESTING {
                    let _ = chew(version, &framed(first, &[a, b]));
                    for c in INTERESTING {
                        let _ = chew(version, &framed(first, &[a, b, c]));
                        for d in INTERESTING {
                            let _ = chew(version, &framed(first, &[a, b, c, d]));
                        }
                    }
                }
            }
        }
    }
}
