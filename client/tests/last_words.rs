//! What the broker said before the connection was reset counts, although nothing can be written any
//! more.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use everlink::{Client, FirstConnect, QoS};

/// Reads until the peer pauses.
fn hear(peer: &mut TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let n = peer.read(&mut bytes).expect("bytes from the client");
    bytes.truncate(n);
    bytes
}

#[tokio::test]
async fn an_acknowledgement_before_a_reset_counts() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let broker = format!("mqtt://{}", listener.local_addr().expect("an address"));
    let builder = Client::builder(broker).client_id("c").first_connect(FirstConnect::Forever);
    let (client, driver) = builder.build().expect("the options are valid");
    let driver = tokio::spawn(driver.run());
    let first = client.publish("t", "1").qos(QoS::AtLeastOnce).send().expect("room");

    let accept = tokio::task::spawn_blocking(move || {
        let (mut peer, _) = listener.accept().expect("the client");
        hear(&mut peer);
        peer.write_all(b"\x20\x03\0\0\0").expect("CONNACK");
        let publish = hear(&mut peer);
        assert_eq!(publish[0], 0x32, "PUBLISH at QoS 1");
        // The port stays closed: there is only this connection.
        drop(listener);
        peer
    });
    let mut peer = accept.await.expect("the peer");

    // From here to the next await the client does not run. When it does, it has something to write,
    // to a peer that has answered and is gone.
    let _second = client.publish("t", "2").qos(QoS::AtLeastOnce).send().expect("room");
    peer.write_all(b"\x40\x02\0\x01").expect("PUBACK");
    close_with_reset(peer);

    let fate = tokio::time::timeout(Duration::from_secs(10), first).await;
    assert!(fate.expect("known without a further connection").is_delivered());
    driver.abort();
}

/// Closes so that the other side gets a reset.
fn close_with_reset(peer: TcpStream) {
    let socket = tokio::net::TcpSocket::from_std_stream(peer);
    socket.set_zero_linger().expect("a reset at close");
}
