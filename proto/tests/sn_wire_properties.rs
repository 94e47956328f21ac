//! What is written is read back; no octets make the codec panic.

mod sn_gen;

use everlink_proto::sn::wire::*;
use proptest::collection::vec;
use proptest::prelude::*;
use sn_gen::*;

/// Decodes, and looks at everything that was decoded.
fn chew(bytes: &[u8]) -> Result<(), WireError> {
    let framed = frame_len(V, bytes);
    let message = Message::decode(V, bytes)?;
    assert_eq!(framed.map(|f| f.map(|f| f.total_len)), Ok(Some(bytes.len())), "{bytes:02x?}");
    let _ = format!("{message:?} {:?}", message.kind());
    assert_eq!(Message::decode(V, &encode(&message)), Ok(message), "of {bytes:02x?}");
    Ok(())
}

/// Body and MsgType with the right Length, in both its forms.
fn framed(kind: u8, body: &[u8]) -> [Vec<u8>; 2] {
    let long = (body.len() + 4) as u16;
    let mut three = vec![1, long.to_be_bytes()[0], long.to_be_bytes()[1], kind];
    three.extend_from_slice(body);
    let mut one = vec![(body.len() + 2) as u8, kind];
    one.extend_from_slice(body);
    [one, three]
}

proptest! {
    #[test]
    fn a_message_comes_back(message in message()) {
        let wire = encode(&message);
        prop_assert_eq!(Message::decode(V, &wire), Ok(message));
        prop_assert!(chew(&wire).is_ok());
    }

    #[test]
    fn too_small_a_buffer_is_told_how_much_is_needed(message in message()) {
        let mut out = encode(&message);
        let needed = out.len();
        for len in 0..needed {
            prop_assert_eq!(
                message.encode(V, &mut out[..len]),
                Err(EncodeError::NoSpace { needed })
            );
        }
    }

    #[test]
    fn the_long_form_of_a_short_length_is_the_same_message(message in bare()) {
        let wire = encode(&message);
        if wire.len() < 256 {
            let [_, long] = framed(wire[1], &wire[2..]);
            prop_assert_eq!(Message::decode(V, &long), Ok(message));
            prop_assert_eq!(frame_len(V, &long).unwrap().unwrap().header_len, 4);
        }
    }

    #[test]
    fn a_cut_at_every_octet_is_an_error(message in message()) {
        let wire = encode(&message);
        for len in 0..wire.len() {
            prop_assert!(chew(&wire[..len]).is_err());
            match frame_len(V, &wire[..len]).unwrap() {
                Some(frame) => prop_assert_eq!(frame.total_len, wire.len()),
                // A capsule must be there before what is in it can be measured.
                None => prop_assert!(len < 4 || wire[1] == 0xFE),
            }
        }
        let mut longer = wire;
        longer.push(0);
        prop_assert_eq!(chew(&longer), Err(WireError::BadLength));
    }

    #[test]
    fn a_cut_body_with_the_right_length_never_panics(message in bare()) {
        let wire = encode(&message);
        let frame = frame_len(V, &wire).unwrap().unwrap();
        let (kind, body) = (wire[frame.header_len - 1], &wire[frame.header_len..]);
        for len in 0..body.len() {
            for wire in framed(kind, &body[..len]) {
                let _ = chew(&wire);
            }
        }
    }

    #[test]
    fn a_changed_octet_never_panics(message in message(), bits in any::<u8>()) {
        let wire = encode(&message);
        for at in 0..wire.len() {
            for change in [1 << (bits & 7), bits, 0xFF] {
                let mut wire = wire.clone();
                wire[at] ^= change;
                let _ = chew(&wire);
            }
        }
    }

    #[test]
    fn random_octets_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = chew(&bytes);
    }

    #[test]
    fn random_bodies_never_panic(kind in any::<u8>(), body in vec(any::<u8>(), 0..253)) {
        for wire in framed(kind, &body) {
            let _ = chew(&wire);
        }
    }
}
