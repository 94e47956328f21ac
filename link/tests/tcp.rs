//! The TCP link against listeners and resolvers that misbehave. Loopback only.

use std::future::{pending, poll_fn};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use everlink_link::tcp::{Answer, Resolve, TcpOptions};
use everlink_link::{Endpoint, Link, Pipe, Progress, TcpLink, TcpPipe};
use everlink_proto::engine::{Cause, Depth, Fault, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(50);

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address that refuses, for as long as the socket lives: bound, but not listening.
fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(loopback()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// An address that never answers, for as long as the rest lives: the kernel drops what comes to a
/// full backlog.
async fn dead() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(loopback()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut fill = Vec::new();
    for _ in 0..16 {
        match timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            Ok(stream) => fill.push(stream.unwrap()),
            Err(_) => return (listener, fill, address),
        }
    }
    panic!("the backlog takes everything");
}

fn to_name() -> TcpLink {
    TcpLink::new([Endpoint::new("broker.test", 1883).unwrap()])
}

/// Gives these answers one after the other, the last one for ever.
fn answers(answers: Vec<Result<Vec<SocketAddr>, Cause>>) -> impl Resolve {
    let mut answers = answers.into_iter().peekable();
    let mut last = None;
    move |host: &str, _: u16| -> Answer {
        assert_eq!(host, "broker.test");
        last = answers.next().or(last.take());
        let answer = last.clone().unwrap();
        Box::pin(async move { answer })
    }
}

async fn open(link: &mut TcpLink) -> Result<TcpPipe, Fault> {
    timeout(SOON, link.open(0, &Progress::new())).await.expect("open takes too long")
}

fn peer(pipe: &TcpPipe) -> SocketAddr {
    pipe.stream().peer_addr().unwrap()
}

async fn read(pipe: &mut TcpPipe) -> Result<Vec<u8>, Cause> {
    let mut buf = [0; 64];
    let n = timeout(SOON, poll_fn(|cx| pipe.poll_read(cx, &mut buf)))
        .await
        .expect("nothing to read")?;
    Ok(buf[..n].to_vec())
}

async fn write_all(pipe: &mut TcpPipe, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let n = poll_fn(|cx| pipe.poll_write(cx, bytes)).await.unwrap();
        bytes = &bytes[n..];
    }
}

/// The peer says something, so that its address counts as good.
async fn hear(pipe: &mut TcpPipe, listener: &TcpListener) {
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    assert_eq!(read(pipe).await.unwrap(), b"hello");
}

// [MQTT-4.2.0-1]
#[tokio::test]
async fn bytes_go_both_ways_and_the_end_arrives() {
    let (listener, address) = listener().await;
    let mut link = TcpLink::new([Endpoint::new("127.0.0.1", address.port()).unwrap()]);
    let progress = Progress::new();
    let mut pipe = link.open(0, &progress).await.unwrap();
    assert_eq!(progress.get(), Step::Transport);
    assert!(pipe.stream().nodelay().unwrap());

    let (mut stream, _) = listener.accept().await.unwrap();
    write_all(&mut pipe, b"ping").await;
    let mut got = [0; 4];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"ping");
    stream.write_all(b"pong").await.unwrap();
    assert_eq!(read(&mut pipe).await.unwrap(), b"pong");
    drop(stream);
    assert_eq!(read(&mut pipe).await.unwrap(), b"");
}

/// A broker that still writes when the DISCONNECT comes must not be hit by a reset before it reads it.
#[tokio::test]
async fn a_close_lets_the_peer_finish() {
    let (listener, address) = listener().await;
    let mut link = to_name().resolver(answers(vec![Ok(vec![address])]));
    let mut pipe = open(&mut link).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(&[7; 100_000]).await.unwrap();
    write_all(&mut pipe, b"goodbye").await;
    let began = Instant::now();
    let client = async {
        poll_fn(|cx| pipe.poll_close(cx)).await;
        drop(pipe);
    };
    let server = async {
        stream.write_all(&[7; 100_000]).await.unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"goodbye");
        drop(stream);
    };
    timeout(SOON, async { tokio::join!(client, server) }).await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(900), "the peer closed at once");
}

#[tokio::test]
async fn a_close_does_not_wait_for_ever() {
    let (_listener, address) = listener().await;
    let mut link = to_name().resolver(answers(vec![Ok(vec![address])]));
    let mut pipe = open(&mut link).await.unwrap();
    timeout(SOON, poll_fn(|cx| pipe.poll_close(cx))).await.expect("the peer never closes");
}

#[tokio::test]
async fn a_reset_is_told() {
    let (listener, address) = listener().await;
    let mut link = to_name().resolver(answers(vec![Ok(vec![address])]));
    let mut pipe = open(&mut link).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    stream.set_zero_linger().unwrap();
    drop(stream);
    assert_eq!(read(&mut pipe).await, Err(Cause::Reset));
}

#[tokio::test]
async fn dropping_a_stalled_pipe_resets_it() {
    let (listener, address) = listener().await;
    let mut link = to_name().resolver(answers(vec![Ok(vec![address])]));
    let mut pipe = open(&mut link).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let full = async {
        loop {
            poll_fn(|cx| pipe.poll_write(cx, &[0; 65536])).await.unwrap();
        }
    };
    // Until nothing more goes in.
    timeout(Duration::from_millis(300), full).await.unwrap_err();
    drop(pipe);
    let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn refused() {
    let (_socket, address) = refusing();
    let mut link = TcpLink::new([Endpoint::new("127.0.0.1", address.port()).unwrap()]);
    assert_eq!(open(&mut link).await.unwrap_err(), Fault::new(Step::Transport, Cause::Refused));
}

#[tokio::test]
async fn an_unknown_host_and_an_empty_answer() {
    let mut link = to_name().resolver(answers(vec![Err(Cause::UnknownHost), Ok(vec![])]));
    let unknown = Fault::new(Step::Resolve, Cause::UnknownHost);
    assert_eq!(open(&mut link).await.unwrap_err(), unknown);
    assert_eq!(open(&mut link).await.unwrap_err(), unknown);
    assert_eq!(open(&mut TcpLink::new([])).await.unwrap_err(), unknown);
}

#[tokio::test]
async fn the_system_resolver_knows_localhost() {
    let (listener, address) = listener().await;
    let mut link = TcpLink::new([Endpoint::new("localhost", address.port()).unwrap()]);
    let pipe = open(&mut link).await.unwrap();
    let (_, from) = listener.accept().await.unwrap();
    assert_eq!(pipe.stream().local_addr().unwrap(), from);
}

#[tokio::test]
async fn the_last_good_address_comes_first() {
    let (listener_a, a) = listener().await;
    let (listener_b, b) = listener().await;
    let mut link = to_name().resolver(answers(vec![Ok(vec![b]), Ok(vec![a, b])]));
    let mut pipe = open(&mut link).await.unwrap();
    hear(&mut pipe, &listener_b).await;
    assert_eq!(peer(&open(&mut link).await.unwrap()), b);
    // That one said nothing.
    let mut pipe = open(&mut link).await.unwrap();
    assert_eq!(peer(&pipe), a);
    hear(&mut pipe, &listener_a).await;
    assert_eq!(peer(&open(&mut link).await.unwrap()), a);
}

#[tokio::test]
async fn a_dead_first_address_costs_no_more_than_the_stagger() {
    let (_listener, _fill, dead) = dead().await;
    let (_live, live) = listener().await;
    let mut link = to_name().resolver(answers(vec![Ok(vec![dead, live])]));
    let began = Instant::now();
    assert_eq!(peer(&open(&mut link).await.unwrap()), live);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(250), "{took:?}: the first address was not tried");
    assert!(took < Duration::from_millis(900), "{took:?}");
}

#[tokio::test]
async fn a_refusing_first_address_costs_nothing() {
    let (_socket, refusing) = refusing();
    let (_live, live) = listener().await;
    let mut options = TcpOptions::default();
    options.stagger = SOON * 2;
    let mut link = to_name().options(options).resolver(answers(vec![Ok(vec![refusing, live])]));
    assert_eq!(peer(&open(&mut link).await.unwrap()), live);
}

#[tokio::test]
async fn a_dropped_attempt_leaves_nothing_and_the_next_works() {
    let (_listener, _fill, dead) = dead().await;
    let (_live, live) = listener().await;
    let mut link = to_name().resolver(answers(vec![Ok(vec![dead]), Ok(vec![live])]));
    let progress = Progress::new();
    timeout(SHORT, link.open(0, &progress)).await.expect_err("nobody answers");
    assert_eq!(progress.get(), Step::Transport);
    assert_eq!(peer(&open(&mut link).await.unwrap()), live);
}

#[tokio::test]
async fn a_broker_that_moves_is_found() {
    let (listener_a, a) = listener().await;
    let (_listener_b, b) = listener().await;
    let mut link = to_name().resolver(answers(vec![Ok(vec![a]), Ok(vec![b])]));
    let mut pipe = open(&mut link).await.unwrap();
    hear(&mut pipe, &listener_a).await;
    assert_eq!(
        peer(&open(&mut link).await.unwrap()),
        b,
        "the old address still answers, but is not asked"
    );
}

#[tokio::test]
async fn without_an_answer_the_last_addresses_serve() {
    let (_live, live) = listener().await;
    let (_socket, refusing) = refusing();
    let script = vec![Ok(vec![refusing, live]), Err(Cause::ResolverFailed)];
    let mut link = to_name().resolver(answers(script));
    assert_eq!(peer(&open(&mut link).await.unwrap()), live);
    assert_eq!(peer(&open(&mut link).await.unwrap()), live);

    let script = vec![Ok(vec![refusing]), Err(Cause::ResolverFailed)];
    let mut link = to_name().resolver(answers(script));
    assert_eq!(open(&mut link).await.unwrap_err(), Fault::new(Step::Transport, Cause::Refused));
    // The name is what to look at first.
    assert_eq!(
        open(&mut link).await.unwrap_err(),
        Fault::new(Step::Resolve, Cause::ResolverFailed)
    );
}

type Question = (String, oneshot::Sender<Vec<SocketAddr>>);

/// A resolver whose answers the test gives by hand.
#[derive(Clone, Default)]
struct Held {
    asked: Arc<AtomicUsize>,
    waiting: Arc<Mutex<Vec<Question>>>,
}

impl Held {
    fn resolver(&self) -> impl Resolve + use<> {
        let held = self.clone();
        move |host: &str, _: u16| -> Answer {
            held.asked.fetch_add(1, SeqCst);
            let (sender, receiver) = oneshot::channel();
            held.waiting.lock().unwrap().push((host.to_string(), sender));
            Box::pin(async move {
                match receiver.await {
                    Ok(addresses) => Ok(addresses),
                    Err(_) => pending().await,
                }
            })
        }
    }

    /// Waits for so many questions in all.
    async fn is_asked(&self, times: usize) {
        for _ in 0..1000 {
            if self.asked.load(SeqCst) >= times {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("not asked {times} times");
    }

    fn answer(&self, host: &str, addresses: Vec<SocketAddr>) {
        let (asked, sender) = self.waiting.lock().unwrap().remove(0);
        assert_eq!(asked, host);
        sender.send(addresses).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_resolver_is_waited_for_within_bounds_and_asked_once() {
    let held = Held::default();
    let mut link = to_name().resolver(held.resolver());
    let began = tokio::time::Instant::now();
    for attempt in 1..=3 {
        let progress = Progress::new();
        let fault = link.open(0, &progress).await.unwrap_err();
        assert_eq!(fault, Fault::new(Step::Resolve, Cause::ResolverFailed));
        assert_eq!(progress.get(), Step::Resolve);
        assert_eq!(began.elapsed().as_secs(), 5 * attempt);
    }
    // Dropped in the middle, it is still the same look-up.
    timeout(SHORT, link.open(0, &Progress::new())).await.unwrap_err();
    assert_eq!(held.asked.load(SeqCst), 1);
}

#[tokio::test]
async fn a_late_answer_is_used_by_the_next_attempt() {
    let (_live, live) = listener().await;
    let held = Held::default();
    let mut link = to_name().resolver(held.resolver());
    timeout(SHORT, link.open(0, &Progress::new())).await.expect_err("no answer yet");
    held.answer("broker.test", vec![live]);
    assert_eq!(peer(&open(&mut link).await.unwrap()), live);
    assert_eq!(held.asked.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_is_asked_for_again() {
    let (_live, live) = listener().await;
    let (_socket, refusing) = refusing();
    let held = Held::default();
    let mut link = to_name().resolver(held.resolver());
    link.open(0, &Progress::new()).await.unwrap_err();
    held.answer("broker.test", vec![refusing]);
    tokio::time::advance(Duration::from_secs(3600)).await;
    let progress = Progress::new();
    let again = link.open(0, &progress);
    let answer = async {
        held.is_asked(2).await;
        held.answer("broker.test", vec![live]);
    };
    let (pipe, ()) = tokio::join!(again, answer);
    assert_eq!(peer(&pipe.unwrap()), live);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_resolver_delays_a_known_broker_once() {
    let (_live, live) = listener().await;
    let held = Held::default();
    let mut link = to_name().resolver(held.resolver());
    {
        let progress = Progress::new();
        let first = link.open(0, &progress);
        let answer = async {
            held.is_asked(1).await;
            held.answer("broker.test", vec![live]);
        };
        tokio::join!(first, answer).0.unwrap();
    }
    for (attempt, seconds) in [(1, 5), (2, 0), (3, 0)] {
        let began = tokio::time::Instant::now();
        let pipe = link.open(0, &Progress::new()).await.unwrap();
        assert_eq!(peer(&pipe), live);
        assert_eq!(began.elapsed().as_secs(), seconds, "attempt {attempt}");
    }
    assert_eq!(held.asked.load(SeqCst), 2);
}

#[tokio::test]
async fn endpoints_share_one_lookup() {
    let (_live, live) = listener().await;
    let held = Held::default();
    let names = ["a.test", "b.test"].map(|name| Endpoint::new(name, 1).unwrap());
    let mut link = TcpLink::new(names).resolver(held.resolver());
    timeout(SHORT, link.open(0, &Progress::new())).await.unwrap_err();
    timeout(SHORT, link.open(1, &Progress::new())).await.unwrap_err();
    assert_eq!(held.asked.load(SeqCst), 1, "the second waits for the first to be over");
    held.answer("a.test", vec![]);
    timeout(SHORT, link.open(1, &Progress::new())).await.unwrap_err();
    held.answer("b.test", vec![live]);
    // Counted around: 3 is the second of two.
    let pipe = timeout(SOON, link.open(3, &Progress::new())).await.unwrap().unwrap();
    assert_eq!(peer(&pipe), live);
}

#[tokio::test]
async fn a_redirect_serves_once_or_for_good() {
    let (_live, live) = listener().await;
    let (_other, other) = listener().await;
    let mut link = to_name().resolver(answers(vec![Ok(vec![live])]));
    assert!(link.redirect(&format!("what?:x  {other} [::1]:1"), false));
    assert_eq!(peer(&open(&mut link).await.unwrap()), other);
    assert_eq!(peer(&open(&mut link).await.unwrap()), live);

    assert!(!link.redirect("", true));
    assert!(!link.redirect("no:such:thing :1 host:0", true));
    assert_eq!(peer(&open(&mut link).await.unwrap()), live);

    assert!(link.redirect(&format!("{other} broker2 [::1]:7"), true));
    let endpoints: Vec<String> = link.endpoints().map(Endpoint::to_string).collect();
    assert_eq!(endpoints, [other.to_string(), "broker2:1883".into(), "[::1]:7".into()]);
    assert_eq!(peer(&open(&mut link).await.unwrap()), other);
    assert_eq!(peer(&open(&mut link).await.unwrap()), other);
}

#[tokio::test]
async fn connects_from_the_local_address() {
    let (_live, live) = listener().await;
    let mut options = TcpOptions::default();
    options.local_address = Some([127, 0, 0, 2].into());
    let v6 = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], live.port()));
    let mut link =
        to_name().options(options).resolver(answers(vec![Ok(vec![v6, live]), Ok(vec![v6])]));
    let pipe = open(&mut link).await.unwrap();
    assert_eq!(pipe.stream().local_addr().unwrap().ip().to_string(), "127.0.0.2");
    assert_eq!(open(&mut link).await.unwrap_err(), Fault::new(Step::Transport, Cause::Unreachable));
}

#[test]
fn futures_can_be_spawned() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let (mut link, progress) = (send(to_name()), Progress::new());
    drop(send(link.open(0, &progress)));
    drop(send(link.cycle(Depth::Link)));
}
