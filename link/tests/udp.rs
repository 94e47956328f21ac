//! UDP: a datagram for each message, and nothing else is let in.
#![cfg(feature = "tokio")]

use std::future::poll_fn;
use std::time::Duration;

use everlink_link::udp::UdpLink;
use everlink_link::{Endpoint, Link, Pipe, Progress};
use everlink_proto::engine::{Cause, Fault, Step};
use everlink_proto::sn::version::Version;
use tokio::net::UdpSocket;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);
const PING: [u8; 2] = [2, 0x16];
const PONG: [u8; 2] = [2, 0x17];

async fn gateway() -> (UdpSocket, UdpLink) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let link = UdpLink::new(Version::V12, [Endpoint::new("127.0.0.1", port).unwrap()]);
    (socket, link)
}

async fn write(pipe: &mut impl Pipe, bytes: &[u8]) -> Result<usize, Cause> {
    timeout(PATIENCE, poll_fn(|cx| pipe.poll_write(cx, bytes))).await.expect("in time")
}

async fn read(pipe: &mut impl Pipe, room: usize) -> Result<Vec<u8>, Cause> {
    let mut buf = vec![0; room];
    let n =
        timeout(PATIENCE, poll_fn(|cx| pipe.poll_read(cx, &mut buf))).await.expect("in time")?;
    buf.truncate(n);
    Ok(buf)
}

#[tokio::test]
async fn each_message_is_a_datagram() {
    let (gateway, mut link) = gateway().await;
    let mut pipe = link.open(0, &Progress::new()).await.unwrap();
    let two = [3, 0x01, 9, 2, 0x16];
    assert_eq!(write(&mut pipe, &two).await, Ok(3));
    assert_eq!(write(&mut pipe, &two[3..]).await, Ok(2));
    let mut got = [0; 100];
    assert_eq!(gateway.recv(&mut got).await.unwrap(), 3);
    assert_eq!(gateway.recv(&mut got).await.unwrap(), 2);
    assert_eq!(got[..2], PING);
}

#[tokio::test]
async fn what_is_no_message_is_dropped_and_counted() {
    let (gateway, mut link) = gateway().await;
    let mut pipe = link.open(0, &Progress::new()).await.unwrap();
    write(&mut pipe, &PING).await.unwrap();
    let (_, node) = gateway.recv_from(&mut [0; 100]).await.unwrap();
    // Empty, cut off, two at once, of no type, of a length that cannot be.
    for junk in [&[][..], &[9, 0x0C], &[2, 0x17, 2, 0x17], &[2, 0x99], &[0]] {
        gateway.send_to(junk, node).await.unwrap();
    }
    gateway.send_to(&PONG, node).await.unwrap();
    assert_eq!(read(&mut pipe, 100).await, Ok(PONG.to_vec()));
    assert_eq!(link.junk().count(), 5);
}

#[tokio::test]
async fn what_there_is_no_room_for_is_read_later() {
    let (gateway, mut link) = gateway().await;
    let mut pipe = link.open(0, &Progress::new()).await.unwrap();
    write(&mut pipe, &PING).await.unwrap();
    let (_, node) = gateway.recv_from(&mut [0; 100]).await.unwrap();
    let message = [5, 0x00, 7, 3, 0x84];
    gateway.send_to(&message, node).await.unwrap();
    gateway.send_to(&PONG, node).await.unwrap();
    assert_eq!(read(&mut pipe, 3).await, Ok(message[..3].to_vec()));
    assert_eq!(read(&mut pipe, 3).await, Ok(message[3..].to_vec()));
    assert_eq!(read(&mut pipe, 3).await, Ok(PONG.to_vec()));
}

#[tokio::test]
async fn other_bytes_than_messages_are_not_sent() {
    let (_gateway, mut link) = gateway().await;
    let mut pipe = link.open(0, &Progress::new()).await.unwrap();
    assert_eq!(write(&mut pipe, &[0x10, 0]).await, Err(Cause::WrongProtocol));
}

#[tokio::test]
async fn nobody_there_shows_when_something_is_sent_again() {
    let (gateway, mut link) = gateway().await;
    drop(gateway);
    let mut pipe = link.open(0, &Progress::new()).await.unwrap();
    assert_eq!(write(&mut pipe, &PING).await, Ok(2));
    // The system says so when it is next asked to send.
    let mut again = Ok(2);
    for _ in 0..1000 {
        again = write(&mut pipe, &PING).await;
        if again.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(again, Err(Cause::Refused));
}

#[tokio::test]
async fn a_name_is_looked_up() {
    let (gateway, _) = gateway().await;
    let port = gateway.local_addr().unwrap().port();
    let mut link = UdpLink::new(Version::V12, [Endpoint::new("localhost", port).unwrap()]);
    let mut opened = 0;
    // It may have two addresses; one of them is the gateway's.
    for _ in 0..2 {
        let mut pipe = link.open(0, &Progress::new()).await.unwrap();
        opened += usize::from(write(&mut pipe, &PING).await.is_ok());
    }
    assert_eq!(opened, 2);
    let (n, _) = timeout(PATIENCE, gateway.recv_from(&mut [0; 100])).await.unwrap().unwrap();
    assert_eq!(n, 2);
    let no_link = UdpLink::new(Version::V12, []).open(0, &Progress::new()).await;
    assert_eq!(no_link.err(), Some(Fault::new(Step::Resolve, Cause::UnknownHost)));
}
