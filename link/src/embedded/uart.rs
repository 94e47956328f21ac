//! A byte stream over a serial port: anything that reads and writes with `embedded-io-async`.
//!
//! At the far end of the wire something carries the stream to the broker: a bridge such as ser2net, a
//! modem in transparent mode, another board. A serial line knows no connections, so one "opens" at once
//! and whatever came before is dropped. A line without flow control loses bytes when nobody reads in
//! time, and then the stream makes no sense any more and the client starts anew: give the driver of the
//! port a buffer, or the line its RTS and CTS.
//!
//! Futures of a serial port must not be dropped half-way as a rule, because bytes may be lost with them.
//! [`pump`] never drops one: spawn it, and give the client the [`link`](Relay::link) of the same relay.
//!
//! ```no_run
//! # use embassy_sync::blocking_mutex::raw::NoopRawMutex;
//! # use everlink_link::embedded::{relay::Relay, uart};
//! # async fn example(rx: impl embedded_io_async::Read, tx: impl embedded_io_async::Write) {
//! # fn spawn(_: impl Future) {}
//! let (mut up, mut down) = ([0; 256], [0; 256]);
//! let relay = Relay::<NoopRawMutex>::new(&mut up, &mut down);
//! spawn(uart::pump(&relay, rx, tx));
//! let link = relay.link(); // for the driver
//! # let _ = link;
//! # }
//! ```

use core::convert::Infallible;
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;

use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_time::{Duration, Timer};
use embedded_io_async::{Read, Write};
use everlink_proto::engine::{Cause, Fault, Step};

use super::relay::{Relay, Request, Want};

/// Bytes moved at a time.
const BLOCK: usize = 64;
/// Pause after an error, which may be there to stay.
const PAUSE: Duration = Duration::from_millis(20);

/// Moves bytes between the client and a serial port, for ever.
///
/// An error of the port breaks the connection at hand. Dropping the future may lose bytes.
pub async fn pump<M: RawMutex>(relay: &Relay<'_, M>, rx: impl Read, tx: impl Write) -> Infallible {
    let mut inward = pin!(inward(relay, rx));
    let mut outward = pin!(outward(relay, tx));
    poll_fn(|cx| {
        let _ = inward.as_mut().poll(cx);
        let _: Poll<Infallible> = outward.as_mut().poll(cx);
        Poll::Pending
    })
    .await
}

/// From the port to the client. Without a connection, bytes are dropped.
async fn inward<M: RawMutex>(relay: &Relay<'_, M>, mut rx: impl Read) -> Infallible {
    let mut block = [0; BLOCK];
    loop {
        match rx.read(&mut block).await {
            Ok(0) => {
                broken(relay, Cause::Eof);
                Timer::after(PAUSE).await;
            }
            Ok(n) => {
                if let Some(request) = relay.open_request() {
                    request.write(block.get(..n).unwrap_or(&[])).await;
                }
            }
            Err(_) => {
                broken(relay, Cause::Io(0));
                Timer::after(PAUSE).await;
            }
        }
    }
}

fn broken<M: RawMutex>(relay: &Relay<'_, M>, cause: Cause) {
    if let Some(request) = relay.open_request() {
        request.fail(Fault::new(Step::Transport, cause));
    }
}

/// From the client to the port.
async fn outward<M: RawMutex>(relay: &Relay<'_, M>, mut tx: impl Write) -> Infallible {
    loop {
        let (want, request) = relay.request().await;
        if matches!(want, Want::Open(_)) {
            request.progress(Step::Transport);
        }
        request.accept();
        if send(&request, &mut tx).await.is_err() {
            request.fail(Fault::new(Step::Transport, Cause::Io(0)));
            Timer::after(PAUSE).await;
        }
        request.end();
    }
}

async fn send<M: RawMutex, W: Write>(
    request: &Request<'_, '_, M>,
    tx: &mut W,
) -> Result<(), W::Error> {
    let mut block = [0; BLOCK];
    while let Some(n) = request.read(&mut block).await {
        tx.write_all(block.get(..n).unwrap_or(&[])).await?;
        tx.flush().await?;
    }
    Ok(())
}
