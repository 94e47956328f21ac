//! What is on a link: it sees everything and changes nothing, or breaks it as planned.
#![cfg(feature = "tokio")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use everlink_link::tap::{
    BadPlan, Direction, FaultLink, Plan, Secrets, Seen, Tap, TapLink, TokioAlarm, Trace,
};
use everlink_link::{Link, Pipe, Progress};
use everlink_proto::engine::{Cause, Depth, Fault, Step};
use everlink_proto::wire::{Connect, Version};

/// What the far end has to say, what it heard, and what it does.
#[derive(Debug, Default)]
struct Peer {
    says: VecDeque<u8>,
    heard: Vec<u8>,
    refuses: bool,
    hangs: bool,
    /// Bytes that move at a time.
    mouthful: usize,
    cycled: Option<Depth>,
    dropped: u32,
}

#[derive(Clone, Debug, Default)]
struct Shared(Rc<RefCell<Peer>>);

impl Drop for PeerPipe {
    fn drop(&mut self) {
        self.0.0.borrow_mut().dropped += 1;
    }
}

#[derive(Debug)]
struct PeerPipe(Shared);

impl Pipe for PeerPipe {
    fn poll_read(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>> {
        let mut peer = self.0.0.borrow_mut();
        let n = buf.len().min(peer.mouthful).min(peer.says.len());
        if n == 0 {
            return Poll::Ready(Err(Cause::Reset));
        }
        buf.iter_mut().zip(peer.says.drain(..n)).for_each(|(to, from)| *to = from);
        Poll::Ready(Ok(n))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>> {
        let mut peer = self.0.0.borrow_mut();
        let n = buf.len().min(peer.mouthful);
        peer.heard.extend_from_slice(&buf[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Link for Shared {
    type Pipe = PeerPipe;

    async fn open(&mut self, _: u16, _: &Progress) -> Result<PeerPipe, Fault> {
        if self.0.borrow().hangs {
            std::future::pending::<()>().await;
        }
        match self.0.borrow().refuses {
            true => Err(Fault::new(Step::Transport, Cause::Refused)),
            false => Ok(PeerPipe(self.clone())),
        }
    }

    async fn cycle(&mut self, depth: Depth) {
        self.0.borrow_mut().cycled = Some(depth);
    }
}

fn peer(says: &[u8], mouthful: usize) -> Shared {
    let peer = Peer { says: says.iter().copied().collect(), mouthful, ..Peer::default() };
    Shared(Rc::new(RefCell::new(peer)))
}

async fn open<L: Link>(link: &mut L) -> Result<L::Pipe, Fault> {
    link.open(0, &Progress::new()).await
}

async fn write<P: Pipe>(pipe: &mut P, bytes: &[u8]) -> Result<usize, Cause> {
    poll_fn(|cx| pipe.poll_write(cx, bytes)).await
}

async fn read<P: Pipe>(pipe: &mut P, most: usize) -> Result<Vec<u8>, Cause> {
    let mut buf = vec![0; most];
    let n = poll_fn(|cx| pipe.poll_read(cx, &mut buf)).await?;
    buf.truncate(n);
    Ok(buf)
}

async fn write_all<P: Pipe>(pipe: &mut P, mut bytes: &[u8]) -> Result<usize, Cause> {
    let all = bytes.len();
    while !bytes.is_empty() {
        let n = write(pipe, bytes).await?;
        bytes = &bytes[n..];
    }
    Ok(all)
}

#[derive(Debug, Default)]
struct Log(Vec<String>);

impl Tap for Log {
    fn see(&mut self, what: &Seen<'_>) {
        self.0.push(format!("{what:?}"));
    }
}

#[tokio::test]
async fn a_tap_sees_everything_and_changes_nothing() {
    let log = RefCell::new(Log::default());
    let peer = peer(b"hello", 3);
    let mut link = TapLink::new(peer.clone(), &log);
    let mut pipe = open(&mut link).await.unwrap();
    assert_eq!(write(&mut pipe, b"abcdef").await, Ok(3));
    assert_eq!(read(&mut pipe, 10).await.unwrap(), b"hel");
    assert_eq!(read(&mut pipe, 10).await.unwrap(), b"lo");
    assert_eq!(read(&mut pipe, 10).await, Err(Cause::Reset));
    drop(pipe);
    peer.0.borrow_mut().refuses = true;
    let fault = open(&mut link).await.unwrap_err();
    link.cycle(Depth::Link).await;
    assert_eq!(peer.0.borrow().cycled, Some(Depth::Link));
    let bytes = |direction, bytes: &[u8]| format!("{:?}", Seen::Bytes(direction, bytes));
    let expected = [
        format!("{:?}", Seen::Opening { endpoint: 0 }),
        "Opened".into(),
        bytes(Direction::Out, b"abc"),
        bytes(Direction::In, b"hel"),
        bytes(Direction::In, b"lo"),
        format!("{:?}", Seen::Ended(Some(Cause::Reset))),
        format!("{:?}", Seen::Opening { endpoint: 0 }),
        format!("{:?}", Seen::Failed(Some(fault))),
        format!("{:?}", Seen::Cycle(Depth::Link)),
    ];
    assert_eq!(log.borrow().0, expected);
}

#[test]
fn an_attempt_that_is_given_up_is_told() {
    let log = RefCell::new(Log::default());
    let peer = peer(b"", 1);
    peer.0.borrow_mut().hangs = true;
    let mut link = TapLink::new(peer, &log);
    {
        let progress = Progress::new();
        let mut opening = pin!(link.open(0, &progress));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(opening.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!(log.borrow().0.last().map(String::as_str), Some("Failed(None)"));
}

/// With memory of a fixed size, as on a board.
#[tokio::test]
async fn a_trace_has_a_line_for_each_packet_however_it_was_cut() {
    let connect = Connect {
        client_id: "shed",
        username: Some("anna"),
        password: Some(b"hunter2"),
        ..Connect::default()
    };
    let mut bytes = [0; 64];
    let n = connect.encode(Version::V311, &mut bytes).unwrap();
    // CONNACK, PUBACK, and a message larger than the buffer.
    let mut says = b"\x20\x02\x00\x00\x40\x02\x00\x09\x30\x4a\x00\x03a/b".to_vec();
    says.extend_from_slice(&[b'x'; 69]);
    let mut times = 0;
    let clock = || {
        times += 1;
        Duration::from_millis(times)
    };
    let (mut outbound, mut inbound) = ([0; 64], [0; 32]);
    let trace = Trace::new(clock, String::new(), &mut outbound[..], &mut inbound[..]);
    let trace = RefCell::new(trace.secrets(Secrets::Masked));
    let mut link = TapLink::new(peer(&says, 7), &trace);
    let mut pipe = open(&mut link).await.unwrap();
    write_all(&mut pipe, &bytes[..n]).await.unwrap();
    while read(&mut pipe, 100).await.is_ok() {}
    drop((pipe, link));
    let text = trace.into_inner();
    let lines: Vec<&str> =
        text.get_ref().lines().map(|line| line.trim_start().split_once(' ').unwrap().1).collect();
    assert_eq!(lines[..2], ["-- opening road 0", "-- open"]);
    assert_eq!(lines[2], r#"-> CONNECT "shed", keep alive 0 s, user "anna", password ***"#);
    assert_eq!(lines[3..5], ["<- CONNACK Success", "<- PUBACK #9"]);
    assert!(lines[5].starts_with(r#"<- PUBLISH "a/b" QoS 0, "#), "{}", lines[5]);
    assert!(lines[5].ends_with(" ... of 76 bytes in all, in parts"), "{}", lines[5]);
    assert!(lines[6].starts_with("<- ... "), "{}", lines[6]);
    assert_eq!(lines.last(), Some(&"-- over: connection reset"));
    assert!(!text.get_ref().contains("hunter2"));
}

#[tokio::test]
async fn a_cut_comes_after_just_so_many_bytes() {
    let plan: Plan = "seed=1,cut=10".parse().unwrap();
    let peer = peer(b"0123456789", 4);
    let mut link = FaultLink::<_, TokioAlarm>::new(peer.clone(), plan);
    let mut pipe = open(&mut link).await.unwrap();
    assert_eq!(write_all(&mut pipe, b"abcdef").await, Ok(6));
    assert_eq!(read(&mut pipe, 10).await.unwrap(), b"0123");
    assert_eq!(peer.0.borrow().dropped, 0);
    assert_eq!(read(&mut pipe, 10).await, Err(Cause::Reset));
    assert_eq!(write(&mut pipe, b"x").await, Err(Cause::Reset));
    assert_eq!(peer.0.borrow().dropped, 1, "the connection below is gone");
}

#[tokio::test]
async fn a_stalled_connection_says_nothing_and_holds_up_no_end() {
    let plan: Plan = "stall=5".parse().unwrap();
    let peer = peer(b"0123456789", 9);
    let mut link = FaultLink::<_, TokioAlarm>::new(peer.clone(), plan);
    let mut pipe = open(&mut link).await.unwrap();
    assert_eq!(write(&mut pipe, b"abcdefgh").await, Ok(5));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pipe.poll_write(&mut cx, b"f").is_pending());
    assert!(pipe.poll_read(&mut cx, &mut [0; 4]).is_pending());
    // The peer's own would never come to an end.
    assert!(pipe.poll_close(&mut cx).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_delay_holds_up_each_write() {
    let plan: Plan = "delay=40".parse().unwrap();
    let mut link = FaultLink::<_, TokioAlarm>::new(peer(b"", 9), plan);
    let mut pipe = open(&mut link).await.unwrap();
    let start = tokio::time::Instant::now();
    write(&mut pipe, b"a").await.unwrap();
    assert_eq!(start.elapsed().as_millis(), 40);
    write(&mut pipe, b"b").await.unwrap();
    assert_eq!(start.elapsed().as_millis(), 80);
}

/// Which of 200 attempts were refused.
async fn refusals(plan: &str) -> Vec<usize> {
    let mut link = FaultLink::<_, TokioAlarm>::new(peer(b"", 1), plan.parse().unwrap());
    let mut refused = Vec::new();
    for attempt in 0..200 {
        if open(&mut link).await.is_err() {
            refused.push(attempt);
        }
    }
    refused
}

#[tokio::test]
async fn the_seed_decides_and_the_rest_is_left_alone() {
    let once = refusals("seed=7,refuse=20%").await;
    assert!((20..60).contains(&once.len()), "{}", once.len());
    assert_eq!(once, refusals("seed=7,refuse=20%").await);
    assert_ne!(once, refusals("seed=8,refuse=20%").await);
    assert_eq!(refusals("refuse=100,first=3").await, [0, 1, 2]);
    // What else is drawn does not depend on what else is planned.
    assert_eq!(refusals("seed=7,cut=1..9").await, []);
}

#[test]
fn what_is_no_plan_is_refused() {
    for (text, error) in [
        ("", BadPlan::Unknown),
        ("cut", BadPlan::Unknown),
        ("cat=5", BadPlan::Unknown),
        ("cut=", BadPlan::Value),
        ("cut=9..1", BadPlan::Value),
        ("cut=1..b", BadPlan::Value),
        ("refuse=101%", BadPlan::Value),
        ("refuse=10..20", BadPlan::Value),
        ("seed=-1", BadPlan::Value),
    ] {
        assert_eq!(text.parse::<Plan>(), Err(error), "{text:?}");
    }
}
