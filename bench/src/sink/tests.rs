use super::{Connection, Source, encode_publish, frame};

/// Feeds whole packets; the answers.
fn answers(connection: &mut Connection, packet: &[u8]) -> Vec<u8> {
    let (header, length) = frame(packet).expect("a whole packet");
    connection.answer(packet[0], &packet[header..], length).expect("a packet for a sink");
    std::mem::take(&mut connection.out)
}

#[test]
fn a_publish_is_acknowledged_and_counted() {
    let mut connection = Connection::new(100, 10);
    assert_eq!(answers(&mut connection, b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0"), [0x20, 2, 0, 0]);
    let mut packet = Vec::new();
    encode_publish(&mut packet, (4, 1), "t", 0x0102, 256);
    assert_eq!(packet.len(), 3 + 3 + 2 + 256);
    assert_eq!(answers(&mut connection, &packet), [0x40, 2, 1, 2]);
    assert_eq!((connection.counts.publishes, connection.counts.publish_bytes), (1, 264));
}

#[test]
fn a_v5_client_is_told_the_window() {
    let mut connection = Connection::new(100, 10);
    let connack = answers(&mut connection, b"\x10\x0d\0\x04MQTT\x05\x02\0\x3c\0\0\0");
    assert_eq!(connack, [0x20, 9, 0, 0, 6, 0x21, 0, 100, 0x22, 0, 10]);
}

#[test]
fn a_frame_is_whole_or_nothing() {
    let mut packet = Vec::new();
    encode_publish(&mut packet, (5, 1), "topic", 1, 256);
    for cut in 0..packet.len() {
        assert_eq!(frame(&packet[..cut]), None, "{cut}");
    }
    assert_eq!(frame(&packet), Some((3, packet.len())));
    assert_eq!(frame(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1]), None);
}

#[test]
fn a_source_keeps_its_window_and_ends() {
    let mut source = Source::parse("source/5/10", 4, 1, 2).unwrap();
    let packet = source.packet;
    assert_eq!(source.take().len(), 2 * packet);
    assert_eq!(source.take().len(), 0);
    source.credit += 1;
    assert_eq!(source.take().len(), packet);
    source.credit += 2;
    assert_eq!(source.take().len(), 2 * packet);
    source.credit += 2;
    assert_eq!(source.take().len(), 0);
}

#[test]
fn an_exchange_at_qos_2_has_two_rounds_either_way() {
    let mut connection = Connection::new(100, 10);
    assert_eq!(answers(&mut connection, b"\x34\x06\0\x01t\0\x07!"), [0x50, 2, 0, 7]);
    assert_eq!(answers(&mut connection, b"\x62\x02\0\x07"), [0x70, 2, 0, 7]);
    assert_eq!(answers(&mut connection, b"\x50\x02\0\x08"), [0x62, 2, 0, 8]);
    assert_eq!(answers(&mut connection, b"\x70\x02\0\x08"), [0u8; 0]);
    assert_eq!((connection.counts.publishes, connection.counts.acks), (1, 1));
}

#[test]
fn a_source_at_qos_0_needs_no_acknowledgement() {
    let mut source = Source::parse("source/5/10", 4, 0, 2).unwrap();
    let taken: Vec<usize> = (0..4).map(|_| source.take().len() / source.packet).collect();
    assert_eq!(taken, [2, 2, 1, 0]);
}
