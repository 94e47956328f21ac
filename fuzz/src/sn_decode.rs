//! Bytes as an MQTT-SN message, of either side.

use everlink_proto::sn::wire::{Message, Version, frame_len};

/// No bytes make decoding panic; what decodes can be encoded again and is the same then, and ends where
/// the framer says.
pub fn run(data: &[u8]) {
    let version = Version::V12;
    let framed = frame_len(version, data);
    let Ok(message) = Message::decode(version, data) else { return };
    assert_eq!(framed.map(|f| f.map(|f| f.total_len)), Ok(Some(data.len())));
    let _ = format!("{message:?} {:?}", message.kind());
    let mut again = vec![0; message.encoded_len(version)];
    let n = message.encode(version, &mut again).expect("what was decoded can be encoded");
    assert_eq!(n, again.len(), "encoded_len of {message:?}");
    assert_eq!(Message::decode(version, &again), Ok(message));
    // One octet short is no room.
    assert!(message.encode(version, &mut again[1..]).is_err());
    if let Message::Forward(forward) = message {
        run(forward.message);
    }
}
