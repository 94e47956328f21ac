//! The byte stream over a serial port, and the relay below it.
#![cfg(feature = "uart")]

mod board;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use board::{Tasks, sleep};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use everlink_link::embedded::relay::{Relay, Want};
use everlink_link::embedded::uart;
use everlink_link::{Link, Pipe, Progress};
use everlink_proto::engine::{Cause, Depth, Fault, Step};

type TestRelay = Relay<'static, CriticalSectionRawMutex>;

fn relay(size: usize) -> &'static TestRelay {
    let [up, down] = [(); 2].map(|()| Box::leak(vec![0; size].into_boxed_slice()));
    Box::leak(Box::new(Relay::new(up, down)))
}

/// What is on the line, and who waits for it.
type Line = (VecDeque<Result<u8, ErrorKind>>, Option<Waker>);

/// One direction of a serial line.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Line>>);

impl Wire {
    fn put(&self, bytes: impl IntoIterator<Item = Result<u8, ErrorKind>>) {
        let mut wire = self.0.lock().unwrap();
        wire.0.extend(bytes);
        if let Some(waker) = wire.1.take() {
            waker.wake();
        }
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().0.iter().map(|b| char::from(b.unwrap())).collect()
    }
}

impl ErrorType for Wire {
    type Error = ErrorKind;
}

impl Read for Wire {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        poll_fn(|cx| {
            let mut wire = self.0.lock().unwrap();
            match wire.0.pop_front() {
                Some(Ok(byte)) => {
                    buf[0] = byte;
                    Poll::Ready(Ok(1))
                }
                Some(Err(error)) => Poll::Ready(Err(error)),
                None => {
                    wire.1 = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Write for Wire {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        self.put([Ok(buf[0])]);
        Ok(1)
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

fn bytes(text: &str) -> impl Iterator<Item = Result<u8, ErrorKind>> {
    text.bytes().map(Ok)
}

async fn write(pipe: &mut impl Pipe, mut text: &[u8]) {
    while !text.is_empty() {
        let n = poll_fn(|cx| pipe.poll_write(cx, text)).await.expect("open");
        text = &text[n..];
    }
}

async fn read(pipe: &mut impl Pipe, want: usize) -> Result<String, Cause> {
    let mut got = Vec::new();
    while got.len() < want {
        let mut buf = [0; 7];
        let n = poll_fn(|cx| pipe.poll_read(cx, &mut buf)).await?;
        if n == 0 {
            return Err(Cause::Eof);
        }
        got.extend_from_slice(&buf[..n]);
    }
    Ok(String::from_utf8(got).unwrap())
}

#[test]
fn bytes_both_ways_whatever_the_buffers() {
    for size in [1, 3, 64] {
        let (relay, rx, tx) = (relay(size), Wire::default(), Wire::default());
        let mut tasks = Tasks::default();
        let (port_rx, port_tx) = (rx.clone(), tx.clone());
        tasks.spawn(async move { match uart::pump(relay, port_rx, port_tx).await {} });
        rx.put(bytes("noise from before"));
        tasks.block_on(async {
            sleep(Duration::from_millis(1)).await;
            let mut pipe = relay.link().open(0, &Progress::new()).await.expect("a wire is there");
            write(&mut pipe, b"a longer text than any buffer, if not the last").await;
            rx.put(bytes("an answer that is longer, too, than some"));
            assert_eq!(
                read(&mut pipe, 40).await.unwrap(),
                "an answer that is longer, too, than some"
            );
            // The orderly end waits for the wire.
            poll_fn(|cx| pipe.poll_close(cx)).await;
            assert_eq!(tx.text(), "a longer text than any buffer, if not the last");
        });
    }
}

#[test]
fn a_new_connection_gets_nothing_of_the_old_one() {
    let (relay, rx, tx) = (relay(16), Wire::default(), Wire::default());
    let mut tasks = Tasks::default();
    let (port_rx, port_tx) = (rx.clone(), tx.clone());
    tasks.spawn(async move { match uart::pump(relay, port_rx, port_tx).await {} });
    tasks.block_on(async {
        for round in 0..5 {
            let mut pipe = relay.link().open(0, &Progress::new()).await.expect("open");
            rx.put(bytes(&round.to_string()));
            assert_eq!(read(&mut pipe, 1).await.unwrap(), round.to_string());
            rx.put(bytes("unread, and more than there is room for"));
            sleep(Duration::from_millis(1)).await;
            drop(pipe);
            sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn an_error_of_the_port_breaks_the_connection_and_the_next_one_works() {
    let (relay, rx, tx) = (relay(16), Wire::default(), Wire::default());
    let mut tasks = Tasks::default();
    let (port_rx, port_tx) = (rx.clone(), tx.clone());
    tasks.spawn(async move { match uart::pump(relay, port_rx, port_tx).await {} });
    tasks.block_on(async {
        let mut pipe = relay.link().open(0, &Progress::new()).await.expect("open");
        rx.put(bytes("ok").chain([Err(ErrorKind::Other)]));
        assert_eq!(read(&mut pipe, 2).await.unwrap(), "ok");
        assert_eq!(read(&mut pipe, 1).await, Err(Cause::Io(0)));
        let refused = poll_fn(|cx| pipe.poll_write(cx, b"x")).await;
        assert_eq!(refused, Err(Cause::Io(0)));
        drop(pipe);
        let mut pipe = relay.link().open(0, &Progress::new()).await.expect("open");
        // It pauses after an error.
        sleep(Duration::from_millis(50)).await;
        rx.put(bytes("again"));
        assert_eq!(read(&mut pipe, 5).await.unwrap(), "again");
    });
}

#[test]
fn the_pump_says_how_far_it_has_come_and_why_it_failed() {
    let relay = relay(16);
    let mut tasks = Tasks::default();
    tasks.spawn(async {
        let (want, request) = relay.request().await;
        assert_eq!(want, Want::Open(3));
        request.progress(Step::Tls);
        sleep(Duration::from_secs(1)).await;
        request.fail(Fault::new(Step::Tls, Cause::Tls));
        let (want, request) = relay.request().await;
        assert_eq!(want, Want::Cycle(Depth::Device));
        sleep(Duration::from_secs(2)).await;
        request.accept();
        // The client gives up waiting for this one.
        let (_, request) = relay.request().await;
        request.abandoned().await;
        assert_eq!(request.read(&mut [0; 4]).await, None);
        assert!(!request.write(b"x").await);
        request.accept();
        let (_, request) = relay.request().await;
        request.accept();
        assert!(request.write(b"last words").await);
        request.end();
    });
    tasks.block_on(async {
        let progress = Progress::new();
        let failed = relay.link().open(3, &progress).await.err();
        assert_eq!(failed, Some(Fault::new(Step::Tls, Cause::Tls)));
        assert_eq!(progress.get(), Step::Tls);
        let before = board::now();
        relay.link().cycle(Depth::Device).await;
        assert!(board::now() >= before + 2.0);
        {
            let progress = Progress::new();
            let mut link = relay.link();
            let mut open = std::pin::pin!(link.open(0, &progress));
            poll_fn(|cx| {
                assert!(open.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(1)).await;
        let mut pipe = relay.link().open(0, &Progress::new()).await.expect("open");
        // What came before the end can be read after it.
        sleep(Duration::from_millis(1)).await;
        assert_eq!(read(&mut pipe, 10).await.unwrap(), "last words");
        assert_eq!(read(&mut pipe, 1).await, Err(Cause::Eof));
    });
}
