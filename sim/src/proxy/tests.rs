//! The proxy between plain sockets.

use std::io;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::*;

const PUBACK: [u8; 4] = [0x40, 2, 0, 7];
const PINGREQ: [u8; 2] = [0xc0, 0];
/// Long enough that only a hang reaches it.
const LIMIT: Duration = Duration::from_secs(10);
/// Long enough for loopback to deliver what is going to be delivered.
const MOMENT: Duration = Duration::from_millis(60);

struct Path {
    broker: TcpListener,
    proxy: Proxy,
}

impl Path {
    async fn new() -> Self {
        let broker = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start_seeded(broker.local_addr().unwrap(), 7).await.unwrap();
        Self { broker, proxy }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.proxy.addr()).await.unwrap()
    }

    /// A client and the broker's end of its connection.
    async fn pair(&self) -> (TcpStream, TcpStream) {
        let before = self.proxy.counters().joined;
        let client = self.connect().await;
        let (broker, _) = soon(self.broker.accept()).await.unwrap();
        let joined = async {
            while self.proxy.counters().joined == before {
                tokio::task::yield_now().await;
            }
        };
        soon(joined).await;
        (client, broker)
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.expect("hangs")
}

async fn read(socket: &mut TcpStream, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    soon(socket.read_exact(&mut bytes)).await.unwrap();
    bytes
}

/// What arrives until the connection ends, and how it ended.
async fn read_out(socket: &mut TcpStream) -> (Vec<u8>, Option<io::ErrorKind>) {
    let mut bytes = Vec::new();
    let end = soon(socket.read_to_end(&mut bytes)).await;
    (bytes, end.err().map(|e| e.kind()))
}

async fn is_quiet(socket: &mut TcpStream) -> bool {
    timeout(MOMENT, socket.read(&mut [0; 16])).await.is_err()
}

#[tokio::test]
async fn bytes_pass_both_ways_and_are_counted() {
    let path = Path::new().await;
    let (mut client, mut broker) = path.pair().await;
    client.write_all(&PINGREQ).await.unwrap();
    broker.write_all(&PUBACK).await.unwrap();
    assert_eq!(read(&mut broker, 2).await, PINGREQ);
    assert_eq!(read(&mut client, 4).await, PUBACK);
    let acked = path.proxy.wait_for(0, LIMIT, |r| r.packet == PacketType::Puback).await.unwrap();
    assert_eq!((acked.connection, acked.id, acked.fate), (1, Some(7), Fate::Passed));
    let counters = path.proxy.counters();
    assert_eq!((counters.accepted, counters.open), (1, 1));
    assert_eq!((counters.to_broker, counters.to_client), (2, 4));
}

#[tokio::test]
async fn a_fin_is_passed_on_and_the_other_way_stays_open() {
    let path = Path::new().await;
    let (mut client, mut broker) = path.pair().await;
    client.write_all(&[0x30, 9, 1]).await.unwrap(); // a packet that is never finished
    client.shutdown().await.unwrap();
    assert_eq!(read_out(&mut broker).await, (vec![0x30, 9, 1], None));
    broker.write_all(&PUBACK).await.unwrap();
    drop(broker);
    assert_eq!(read_out(&mut client).await, (PUBACK.to_vec(), None));
}

#[tokio::test]
async fn reset_and_close_differ_for_the_client() {
    let path = Path::new().await;
    let (mut client, mut broker) = path.pair().await;
    path.proxy.reset().await;
    assert_eq!(read_out(&mut client).await.1, Some(io::ErrorKind::ConnectionReset));
    assert_eq!(read_out(&mut broker).await.1, Some(io::ErrorKind::ConnectionReset));

    let (mut client, mut broker) = path.pair().await;
    path.proxy.close().await;
    assert_eq!(read_out(&mut client).await, (vec![], None));
    assert_eq!(read_out(&mut broker).await, (vec![], None));
    assert_eq!((path.proxy.counters().killed, path.proxy.counters().open), (2, 0));
}

#[tokio::test]
async fn a_refused_port_refuses_and_comes_back() {
    let path = Path::new().await;
    let (mut client, _broker) = path.pair().await;
    for _ in 0..3 {
        path.proxy.refuse(true).await.unwrap();
        let error = TcpStream::connect(path.proxy.addr()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        path.proxy.refuse(false).await.unwrap();
        path.proxy.refuse(false).await.unwrap(); // no change is no error
        path.pair().await;
    }
    assert_eq!(read_out(&mut client).await.1, Some(io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_black_hole_holds_one_direction_until_it_heals() {
    let path = Path::new().await;
    let (mut client, mut broker) = path.pair().await;
    path.proxy.black_hole(Direction::ToBroker);
    client.write_all(&PINGREQ).await.unwrap();
    broker.write_all(&PUBACK).await.unwrap();
    assert_eq!(read(&mut client, 4).await, PUBACK);
    assert!(is_quiet(&mut broker).await);
    path.proxy.heal(Heal::Forward).await;
    assert_eq!(read(&mut broker, 2).await, PINGREQ);
}

#[tokio::test]
async fn a_black_hole_that_drops_forwards_nothing() {
    let path = Path::new().await;
    let (mut client, mut broker) = path.pair().await;
    path.proxy.black_hole(Direction::Both);
    client.write_all(&PINGREQ).await.unwrap();
    assert!(is_quiet(&mut broker).await);
    path.proxy.heal(Heal::Drop).await;
    assert_eq!(read_out(&mut broker).await, (vec![], Some(io::ErrorKind::ConnectionReset)));
    let (mut client, mut broker) = path.pair().await;
    client.write_all(&PINGREQ).await.unwrap();
    assert_eq!(read(&mut broker, 2).await, PINGREQ);
}

#[tokio::test]
async fn a_connect_given_up_in_a_black_hole_never_reaches_the_broker() {
    let path = Path::new().await;
    path.proxy.black_hole(Direction::Both);
    let mut given_up = path.connect().await;
    given_up.write_all(&[0x10, 0]).await.unwrap();
    drop(given_up);
    let mut patient = path.connect().await;
    patient.write_all(&PINGREQ).await.unwrap();
    assert!(timeout(MOMENT, path.broker.accept()).await.is_err());
    path.proxy.heal(Heal::Forward).await;
    let (mut broker, _) = soon(path.broker.accept()).await.unwrap();
    assert_eq!(read(&mut broker, 2).await, PINGREQ);
    assert!(timeout(MOMENT, path.broker.accept()).await.is_err());
}

#[tokio::test]
async fn a_silent_door_accepts_and_never_answers() {
    let path = Path::new().await;
    path.proxy.accept_silently(true);
    let mut client = path.connect().await;
    client.write_all(&[0x10, 0]).await.unwrap();
    assert!(is_quiet(&mut client).await);
    path.proxy.accept_silently(false);
    let (mut late, mut broker) = path.pair().await;
    late.write_all(&PINGREQ).await.unwrap();
    assert_eq!(read(&mut broker, 2).await, PINGREQ);
    assert!(is_quiet(&mut client).await);
}

#[tokio::test]
async fn a_cut_lets_exactly_n_bytes_pass_then_resets() {
    for n in [0, 1, 5, 9] {
        let path = Path::new().await;
        let (mut client, mut broker) = path.pair().await;
        path.proxy.cut_after(Direction::ToBroker, n);
        client.write_all(&[&PUBACK[..], &PUBACK, &PUBACK].concat()).await.unwrap();
        let (bytes, end) = read_out(&mut broker).await;
        assert_eq!((bytes.len() as u64, end), (n, Some(io::ErrorKind::ConnectionReset)));
        assert_eq!(read_out(&mut client).await.1, Some(io::ErrorKind::ConnectionReset));
        assert_eq!(path.proxy.since(0).len() as u64, n / 4);
        let (mut client, mut broker) = path.pair().await;
        client.write_all(&PINGREQ).await.unwrap();
        assert_eq!(read(&mut broker, 2).await, PINGREQ);
    }
}

#[tokio::test]
async fn a_cut_rule_ends_the_connection_inside_that_packet() {
    let path = Path::new().await;
    let (mut client, mut broker) = path.pair().await;
    path.proxy
        .rule(Rule::new(Direction::ToClient, PacketType::Puback, Action::Cut(3)).skip(1).times(1));
    broker.write_all(&[&PUBACK[..], &PUBACK, &PUBACK].concat()).await.unwrap();
    let (bytes, end) = read_out(&mut client).await;
    assert_eq!((bytes.len(), end), (7, Some(io::ErrorKind::ConnectionReset)));
    assert_eq!(read_out(&mut broker).await.1, Some(io::ErrorKind::ConnectionReset));
    assert!(client.write_all(&PINGREQ).await.is_err());
}

#[tokio::test]
async fn swallowed_packets_do_not_arrive_and_doubled_ones_arrive_twice() {
    let path = Path::new().await;
    let (mut client, mut broker) = path.pair().await;
    let swallow = path.proxy.swallow(Direction::ToClient, PacketType::Puback, Some(1));
    let double = path.proxy.double(Direction::ToClient, PacketType::Pingresp, None);
    for bytes in [&PUBACK[..], &[0xd0, 0], &PUBACK] {
        broker.write_all(bytes).await.unwrap();
    }
    assert_eq!(read(&mut client, 8).await, [0xd0, 0, 0xd0, 0, 0x40, 2, 0, 7]);
    let fates: Vec<_> = path.proxy.since(0).iter().map(|r| r.fate).collect();
    assert!(fates.contains(&Fate::Swallowed(swallow)) && fates.contains(&Fate::Doubled(double)));
    assert_eq!((path.proxy.hits(swallow), path.proxy.hits(double)), (1, 1));
    path.proxy.lift(double);
    broker.write_all(&[0xd0, 0, 0xc0, 0]).await.unwrap();
    assert_eq!(read(&mut client, 4).await, [0xd0, 0, 0xc0, 0]);
}

#[tokio::test]
async fn a_late_packet_is_overtaken() {
    let path = Path::new().await;
    let (mut client, mut broker) = path.pair().await;
    let late = Action::Late(Duration::from_millis(30));
    path.proxy.rule(Rule::new(Direction::ToClient, PacketType::Puback, late));
    broker.write_all(&[&PUBACK[..], &[0xd0, 0]].concat()).await.unwrap();
    assert_eq!(read(&mut client, 6).await, [0xd0, 0, 0x40, 2, 0, 7]);
}

#[tokio::test]
async fn injected_bytes_go_between_packets() {
    let path = Path::new().await;
    let (mut client, mut broker) = path.pair().await;
    client.write_all(&PUBACK[..3]).await.unwrap(); // half a packet is held back
    assert!(is_quiet(&mut broker).await);
    assert_eq!(path.proxy.inject(Direction::ToBroker, &PINGREQ), 1);
    assert_eq!(read(&mut broker, 2).await, PINGREQ);
    client.write_all(&PUBACK[3..]).await.unwrap();
    assert_eq!(read(&mut broker, 4).await, PUBACK);
    assert_eq!(path.proxy.since(0)[0].fate, Fate::Injected);
}

#[tokio::test]
async fn delay_keeps_the_order_and_throttle_keeps_the_rate() {
    let path = Path::new().await;
    let (mut client, mut broker) = path.pair().await;
    path.proxy.delay(Direction::ToBroker, Duration::from_millis(20), Duration::from_millis(30));
    let began = Instant::now();
    let sent: Vec<u8> = (0..40).flat_map(|i| [0x40, 2, 0, i]).collect();
    for packet in sent.chunks(4) {
        client.write_all(packet).await.unwrap();
    }
    assert_eq!(read(&mut broker, sent.len()).await, sent);
    assert!(began.elapsed() >= Duration::from_millis(20));

    path.proxy.clear().await.unwrap();
    path.proxy.throttle(Direction::ToBroker, NonZeroU32::new(1000));
    let began = Instant::now();
    client.write_all(&sent).await.unwrap();
    assert_eq!(read(&mut broker, sent.len()).await, sent);
    // the last piece (20 bytes) is not waited for
    assert!(began.elapsed() >= Duration::from_millis(135), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_seed_decides_which_bits_flip() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let path = Path::new().await;
        let (mut client, mut broker) = path.pair().await;
        path.proxy.corrupt(Direction::ToBroker, NonZeroU32::new(50));
        let mut sent = vec![0x30, 0xe8, 0x07];
        sent.resize(1003, 0);
        client.write_all(&sent).await.unwrap();
        let got = read(&mut broker, sent.len()).await;
        let flipped: u32 = sent.iter().zip(&got).map(|(a, b)| (a ^ b).count_ones()).sum();
        assert!((5..60).contains(&flipped), "{flipped}");
        runs.push(got);
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn an_unreachable_broker_is_a_reset() {
    let path = Path::new().await;
    drop(path.broker);
    let mut client = TcpStream::connect(path.proxy.addr()).await.unwrap();
    assert_eq!(read_out(&mut client).await.1, Some(io::ErrorKind::ConnectionReset));
    assert_eq!(path.proxy.counters().unreachable, 1);
}

#[tokio::test]
async fn the_last_handle_takes_everything_down() {
    let path = Path::new().await;
    let (mut client, _broker) = path.pair().await;
    let (addr, second) = (path.proxy.addr(), path.proxy.clone());
    drop(path.proxy);
    client.write_all(&PINGREQ).await.unwrap();
    assert!(is_quiet(&mut client).await);
    drop(second);
    assert_eq!(read_out(&mut client).await.1, Some(io::ErrorKind::ConnectionReset));
    assert!(soon(TcpStream::connect(addr)).await.is_err());
}

#[tokio::test]
async fn much_data_passes_unchanged_through_a_slow_reader() {
    let path = Path::new().await;
    let (mut client, mut broker) = path.pair().await;
    let mut rng = fastrand::Rng::with_seed(3);
    let sent: Vec<u8> = (0..4000)
        .flat_map(|_| {
            let len = rng.usize(2..127);
            let body: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(len).collect();
            [vec![0x30, body.len() as u8], body].concat()
        })
        .collect();
    let copy = sent.clone();
    let writer = tokio::spawn(async move { client.write_all(&copy).await.map(|()| client) });
    tokio::time::sleep(MOMENT).await; // the buffers fill
    assert_eq!(read(&mut broker, sent.len()).await, sent);
    soon(writer).await.unwrap().unwrap();
    assert_eq!(path.proxy.since(0).len(), 4000);
}
