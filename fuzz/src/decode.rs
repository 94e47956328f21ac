//! Bytes as a packet: of a client or of a server, of either version.

use everlink_proto::wire::{Packet, PacketType, Version, frame_len};

/// No bytes make decoding panic; what decodes can be encoded again and is the same then. The first
/// byte of the input chooses the version.
pub fn run(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    let version = if choice & 1 == 0 { Version::V311 } else { Version::V5 };
    let framed = frame_len(bytes);
    if let Ok((version, connect)) = Packet::decode_connect(bytes) {
        let mut again = vec![0; connect.encoded_len(version)];
        let n = connect.encode(version, &mut again).expect("what was decoded can be encoded");
        assert_eq!(Packet::decode_connect(&again[..n]), Ok((version, connect)));
    }
    let decoded = Packet::decode(version, bytes);
    check_from_server(version, bytes);
    let Ok(packet) = decoded else { return };
    assert_eq!(framed.map(|f| f.map(|f| f.total_len)), Ok(Some(bytes.len())));
    let _ = format!("{packet:?}");
    let mut again = vec![0; packet.encoded_len(version)];
    let n = packet.encode(version, &mut again).expect("what was decoded can be encoded");
    assert_eq!(n, again.len(), "encoded_len of {packet:?}");
    assert_eq!(Packet::decode(version, &again), Ok(packet));
    // One byte short is no room.
    assert!(packet.encode(version, &mut again[1..]).is_err());
}

/// A client decodes the same, but for what a server never sends.
fn check_from_server(version: Version, bytes: &[u8]) {
    let from_server = Packet::decode_from_server(version, bytes);
    let kind = bytes.first().and_then(|first| PacketType::from_first_byte(*first).ok());
    let for_servers =
        [PacketType::Connect, PacketType::Subscribe, PacketType::Unsubscribe, PacketType::PingReq];
    if kind.is_some_and(|kind| for_servers.contains(&kind)) {
        assert!(from_server.is_err(), "{from_server:?}");
    } else {
        assert_eq!(from_server, Packet::decode(version, bytes));
    }
}
