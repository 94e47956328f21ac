//! The broker that the tests of the board use comes back with what it had. Spoken to in raw bytes:
//! the tests of the client on the board rely on it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use board_tests::Broker;

const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x00\x00\x3c\x00\x01b";
const SUBSCRIBE: &[u8] = b"\x82\x06\x00\x01\x00\x01t\x01";
const PUBLISH: &[u8] = b"\x32\x06\x00\x01t\x00\x02x";

fn connect(broker: &Broker, session_present: u8) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", broker.port())).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("not zero");
    exchange(&mut stream, CONNECT, &[0x20, 2, session_present, 0]);
    stream
}

fn exchange(stream: &mut TcpStream, sent: &[u8], wanted: &[u8]) {
    stream.write_all(sent).expect("written");
    let mut answer = vec![0; wanted.len()];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer, wanted);
}

#[test]
fn a_killed_broker_of_the_board_keeps_sessions_and_messages() {
    let mut broker = Broker::start();
    let mut subscriber = connect(&broker, 0);
    exchange(&mut subscriber, SUBSCRIBE, &[0x90, 3, 0, 1, 1]);
    // The broker's own copy comes first or second, and is not acknowledged.
    subscriber.write_all(PUBLISH).expect("written");
    let mut both = [0; 12];
    subscriber.read_exact(&mut both).expect("acknowledgement and message");
    broker.save();
    broker.kill();
    assert!(TcpStream::connect(("127.0.0.1", broker.port())).is_err());
    broker.restart();
    let mut subscriber = connect(&broker, 1);
    let mut again = [0; 8];
    subscriber.read_exact(&mut again).expect("the message once more");
    assert_eq!((again[0] & 0xf6, &again[1..5], again[7]), (0x32, &b"\x06\x00\x01t"[..], b'x'));
}

#[test]
fn a_frozen_broker_of_the_board_is_silent_until_it_thaws() {
    let broker = Broker::start();
    let mut stream = connect(&broker, 0);
    broker.freeze();
    stream.write_all(&[0xc0, 0]).expect("written");
    stream.set_read_timeout(Some(Duration::from_millis(300))).expect("not zero");
    let mut answer = [0; 2];
    let silent = stream.read(&mut answer).expect_err("nobody answers");
    assert!(matches!(silent.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    broker.thaw();
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("not zero");
    stream.read_exact(&mut answer).expect("late");
    assert_eq!(answer, [0xd0, 0]);
}
