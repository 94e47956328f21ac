//! An open TCP connection.

use std::boxed::Box;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use everlink_proto::engine::Cause;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::cause;
use crate::Pipe;

/// How long an orderly close waits for the peer to close too.
const LINGER: Duration = Duration::from_secs(1);

/// An open TCP connection.
#[derive(Debug)]
pub struct TcpPipe {
    stream: TcpStream,
    /// Tells the link that a byte came; taken once told.
    heard: Option<Arc<AtomicBool>>,
    /// The kernel's send buffer was full when last written to.
    stalled: bool,
    closing: Option<Pin<Box<Sleep>>>,
}

impl TcpPipe {
    pub(crate) fn new(stream: TcpStream, heard: Arc<AtomicBool>) -> Self {
        Self { stream, heard: Some(heard), stalled: false, closing: None }
    }

    /// The socket, for instance to look up its addresses.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

impl Pipe for TcpPipe {
    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>> {
        let mut buf = ReadBuf::new(buf);
        let result = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf));
        let n = buf.filled().len();
        if n > 0
            && let Some(heard) = self.heard.take()
        {
            heard.store(true, Ordering::Relaxed);
        }
        Poll::Ready(result.map(|()| n).map_err(|error| cause::of_pipe(&error)))
    }

    #[inline]
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.stalled = result.is_pending();
        result.map_err(|error| cause::of_pipe(&error))
    }

    /// Sends the end of the stream, then reads and drops what still comes until the peer closes or
    /// a second has passed. A socket closed with bytes unread resets the connection, and the reset
    /// could overtake the DISCONNECT: the broker would publish the will.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.closing.is_none() {
            if ready!(Pin::new(&mut self.stream).poll_shutdown(cx)).is_err() {
                return Poll::Ready(());
            }
            self.stalled = false;
            self.closing = Some(Box::pin(sleep(LINGER)));
        }
        if self.closing.as_mut().is_some_and(|linger| linger.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(());
        }
        let mut scrap = [0; 4096];
        loop {
            match ready!(self.poll_read(cx, &mut scrap)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }
}

impl Drop for TcpPipe {
    /// A peer that takes no bytes is gone or hangs. Without a reset the kernel would keep up to some
    /// megabytes for it and go on sending for minutes; a path that breaks often would pile them up.
    fn drop(&mut self) {
        if self.stalled {
            let _ = self.stream.set_zero_linger();
        }
    }
}
