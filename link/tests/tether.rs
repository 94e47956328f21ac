//! MQTT-SN messages between two ends of a line.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use everlink_link::tether::{Settings, TetherLink, TetherPipe};
use everlink_link::{Link, Pipe, Progress};
use everlink_proto::engine::{Cause, Fault, Step};
use everlink_proto::sn::version::Version;
use everlink_proto::sn::wire::{Message, ReturnCode};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A line as a pipe.
struct Line(DuplexStream);

impl Pipe for Line {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>> {
        let mut buf = ReadBuf::new(buf);
        let read = Pin::new(&mut self.0).poll_read(cx, &mut buf);
        read.map(|r| r.map(|()| buf.filled().len()).map_err(|_| Cause::Io(0)))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>> {
        Pin::new(&mut self.0).poll_write(cx, buf).map_err(|_| Cause::Io(0))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// Lines to be opened, one after the other.
struct Lines(Vec<DuplexStream>);

impl Link for Lines {
    type Pipe = Line;

    async fn open(&mut self, _: u16, _: &Progress) -> Result<Line, Fault> {
        Ok(Line(self.0.remove(0)))
    }
}

/// Carries bytes between two lines; of a thousand octets, `garbled` are not what they were.
async fn relay(ends: [DuplexStream; 2], garbled: u32, seed: u64) {
    let [a, b] = ends;
    let ((mut from_a, mut to_a), (mut from_b, mut to_b)) =
        (tokio::io::split(a), tokio::io::split(b));
    let carry = async |from: &mut tokio::io::ReadHalf<DuplexStream>,
                       to: &mut tokio::io::WriteHalf<DuplexStream>,
                       seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes = [0; 64];
        while let Ok(n @ 1..) = from.read(&mut bytes).await {
            for byte in &mut bytes[..n] {
                if random.u32(0..1000) < garbled {
                    *byte = random.u8(..);
                }
            }
            if to.write_all(&bytes[..n]).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(carry(&mut from_a, &mut to_b, seed), carry(&mut from_b, &mut to_a, seed + 1));
}

fn line(garbled: u32) -> [DuplexStream; 2] {
    let ([a, near_a], [b, near_b]) = (duplex(256).into(), duplex(256).into());
    tokio::spawn(relay([near_a, near_b], garbled, 7));
    [a, b]
}

fn end(line: DuplexStream, epoch: u32) -> TetherPipe<Line> {
    TetherPipe::new(Line(line), Settings::default(), epoch)
}

/// A message that says `n`.
fn numbered(n: u16) -> Vec<u8> {
    let mut bytes = vec![0; 300];
    let text = format!("{n:05}").repeat(usize::from(n % 50) + 1);
    let len = Message::WillMsg(text.as_bytes()).encode(Version::default(), &mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

/// Sends `count` messages and reads as many; goes on acknowledging until both ends are done.
async fn exchange(pipe: &mut TetherPipe<Line>, count: u16, done: &Cell<u8>) -> Vec<Vec<u8>> {
    let (mut sent, mut got, mut stream, mut finished) = (0, Vec::new(), Vec::new(), false);
    poll_fn(|cx| {
        loop {
            let mut moved = false;
            if sent < count
                && let Poll::Ready(n) = pipe.poll_write(cx, &numbered(sent))
            {
                assert_eq!(n, Ok(numbered(sent).len()));
                sent += 1;
                moved = true;
            }
            let mut buf = [0; 50];
            if let Poll::Ready(n) = pipe.poll_read(cx, &mut buf) {
                stream.extend(&buf[..n.unwrap()]);
                moved = true;
            }
            if !moved {
                if sent == count && got.len() == usize::from(count) && !finished {
                    finished = true;
                    done.set(done.get() + 1);
                }
                return if done.get() == 2 { Poll::Ready(()) } else { Poll::Pending };
            }
            while let Some(len) =
                stream.first().map(|len| usize::from(*len)).filter(|n| *n <= stream.len())
            {
                // Long ones have their length in the two octets behind.
                let len = if len == 1 && stream.len() > 3 {
                    usize::from(u16::from_be_bytes([stream[1], stream[2]]))
                } else {
                    len
                };
                if len > stream.len() || len == 1 {
                    break;
                }
                got.push(stream.drain(..len).collect());
            }
        }
    })
    .await;
    got
}

#[tokio::test(start_paused = true)]
async fn every_message_crosses_a_line_that_garbles() {
    let [a, b] = line(10);
    let (mut a, mut b) = (end(a, 100), end(b, 200));
    let done = Cell::new(0);
    let run = async |pipe: &mut TetherPipe<Line>| {
        poll_fn(|cx| pipe.poll_met(cx)).await.unwrap();
        exchange(pipe, 500, &done).await
    };
    let both = async { tokio::join!(run(&mut a), run(&mut b)) };
    let (at_a, at_b) = timeout(Duration::from_secs(3600), both).await.expect("it comes to an end");
    let right: Vec<_> = (0..500).map(numbered).collect();
    assert!(at_a == right && at_b == right);
    assert!(a.stats().frames_again > 0);
}

/// A gateway at the end of `line` that says hello and answers, until the task is aborted.
fn gateway(line: &Arc<Mutex<DuplexStream>>, epoch: u32) -> JoinHandle<()> {
    struct Shared(Arc<Mutex<DuplexStream>>);
    impl Pipe for Shared {
        fn poll_read(
            &mut self,
            cx: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<Result<usize, Cause>> {
            let mut buf = ReadBuf::new(buf);
            let read = Pin::new(&mut *self.0.lock().unwrap()).poll_read(cx, &mut buf);
            read.map(|r| r.map(|()| buf.filled().len()).map_err(|_| Cause::Io(0)))
        }
        fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>> {
            let written = Pin::new(&mut *self.0.lock().unwrap()).poll_write(cx, buf);
            written.map_err(|_| Cause::Io(0))
        }
        fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }
    let mut pipe = TetherPipe::new(Shared(line.clone()), Settings::default(), epoch);
    tokio::spawn(poll_fn(move |cx| {
        let _ = pipe.poll_met(cx);
        Poll::Pending
    }))
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_restarts_or_is_gone_breaks_the_pipe() {
    let (ours, theirs) = duplex(4096);
    let theirs = Arc::new(Mutex::new(theirs));
    let mut link = TetherLink::new(Lines(vec![ours]), Settings::default(), 1);
    let progress = Progress::new();
    let mut opening = std::pin::pin!(link.open(0, &progress));
    // Nobody is there: it waits.
    assert!(timeout(Duration::from_secs(100), opening.as_mut()).await.is_err());
    assert_eq!(progress.get(), Step::Transport);
    let first = gateway(&theirs, 50);
    let mut pipe = timeout(Duration::from_secs(60), opening).await.unwrap().unwrap();
    let mut buf = [0; 10];
    // As long as it answers, all is well.
    let quiet = poll_fn(|cx| pipe.poll_read(cx, &mut buf));
    assert!(timeout(Duration::from_secs(600), quiet).await.is_err());
    first.abort();
    let second = gateway(&theirs, 51);
    let ended = timeout(Duration::from_secs(60), poll_fn(|cx| pipe.poll_read(cx, &mut buf))).await;
    assert!(matches!(ended, Ok(Err(Cause::Reset | Cause::Silent))), "{ended:?}");
    second.abort();
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_says_nothing_any_more_breaks_the_pipe() {
    let (ours, theirs) = duplex(4096);
    let theirs = Arc::new(Mutex::new(theirs));
    let mut link = TetherLink::new(Lines(vec![ours]), Settings::default(), 1);
    let gateway = gateway(&theirs, 50);
    let progress = Progress::new();
    let mut pipe = link.open(0, &progress).await.unwrap();
    gateway.abort();
    let mut buf = [0; 10];
    let ended = timeout(Duration::from_secs(60), poll_fn(|cx| pipe.poll_read(cx, &mut buf))).await;
    assert_eq!(ended, Ok(Err(Cause::Silent)));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_cannot_be_written() {
    let [a, b] = line(0);
    let (mut a, mut b) = (end(a, 100), end(b, 200));
    tokio::spawn(poll_fn(move |cx| {
        let _ = b.poll_met(cx);
        Poll::<()>::Pending
    }));
    poll_fn(|cx| a.poll_met(cx)).await.unwrap();
    let mut connack = [0; 10];
    let len = Message::ConnAck(ReturnCode(0)).encode(Version::default(), &mut connack).unwrap();
    let n = poll_fn(|cx| a.poll_write(cx, &connack[..len])).await;
    assert_eq!(n, Ok(3));
    // CONNECT of MQTT.
    let n = poll_fn(|cx| a.poll_write(cx, &[0x10, 0x0c, 0, 4])).await;
    assert_eq!(n, Err(Cause::WrongProtocol));
    poll_fn(|cx| a.poll_close(cx)).await;
}
