//! An open connection over any road.

use std::boxed::Box;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use everlink_proto::engine::Cause;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::Pipe;
use crate::tcp::{TcpPipe, cause_of_pipe};

/// How long an orderly close waits for the peer to close too.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// An open connection over any [road](super::Road).
#[derive(Debug)]
pub struct RoadPipe(pub(super) Kind);

/// Plain TCP stands apart: it is the shortest way, and what is above it costs nothing there.
#[derive(Debug)]
pub(super) enum Kind {
    Tcp(TcpPipe),
    Udp(Box<crate::UdpPipe>),
    #[cfg(unix)]
    Unix(StreamPipe<tokio::net::UnixStream>),
    #[cfg(all(unix, feature = "serial"))]
    Serial(Box<StreamPipe<super::serial::SerialWire>>),
    #[cfg(all(unix, feature = "esp-at"))]
    Modem(Box<super::modem::ModemPipe>),
    #[cfg(feature = "tls")]
    Tls(Box<StreamPipe<crate::tls::TlsWire>>),
    #[cfg(feature = "ws")]
    Ws(Box<crate::ws::WsPipe<TcpStream>>),
    #[cfg(all(feature = "ws", feature = "tls"))]
    Wss(Box<crate::ws::WsPipe<crate::tls::TlsWire>>),
}

macro_rules! each {
    ($pipe:expr, $inner:ident => $what:expr) => {
        match $pipe {
            Kind::Tcp($inner) => $what,
            Kind::Udp($inner) => $what,
            #[cfg(unix)]
            Kind::Unix($inner) => $what,
            #[cfg(all(unix, feature = "serial"))]
            Kind::Serial($inner) => $what,
            #[cfg(all(unix, feature = "esp-at"))]
            Kind::Modem($inner) => $what,
            #[cfg(feature = "tls")]
            Kind::Tls($inner) => $what,
            #[cfg(feature = "ws")]
            Kind::Ws($inner) => $what,
            #[cfg(all(feature = "ws", feature = "tls"))]
            Kind::Wss($inner) => $what,
        }
    };
}

impl RoadPipe {
    /// What TLS came to; `None` without TLS.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<crate::tls::TlsFacts> {
        match &self.0 {
            Kind::Tls(pipe) => Some(pipe.wire.facts()),
            #[cfg(feature = "ws")]
            Kind::Wss(pipe) => Some(pipe.wire().facts()),
            _ => None,
        }
    }
}

impl Pipe for RoadPipe {
    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>> {
        each!(&mut self.0, pipe => pipe.poll_read(cx, buf))
    }

    #[inline]
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>> {
        each!(&mut self.0, pipe => pipe.poll_write(cx, buf))
    }

    #[inline]
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        each!(&mut self.0, pipe => pipe.poll_flush(cx))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        each!(&mut self.0, pipe => pipe.poll_close(cx))
    }
}

/// A byte stream, and what is particular to it.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin {
    /// Whether the peer can end the stream, and so an end of ours is answered by one.
    const ENDS: bool = true;

    /// Why it broke. What a cause cannot hold is put into words.
    fn cause(&self, error: &io::Error) -> Cause {
        cause_of_pipe(error)
    }

    /// The peer takes no bytes any more: the system is to forget what it still holds.
    fn forget(&mut self) {}
}

impl Wire for TcpStream {
    fn forget(&mut self) {
        let _ = self.set_zero_linger();
    }
}

#[cfg(unix)]
impl Wire for tokio::net::UnixStream {}

/// A wire as a pipe.
#[derive(Debug)]
pub(crate) struct StreamPipe<W: Wire> {
    wire: W,
    /// Tells the link that a byte came; taken once told.
    heard: Option<Arc<AtomicBool>>,
    /// The wire may hold bytes that it took and has not sent.
    unsent: bool,
    /// It took nothing when last written to.
    stalled: bool,
    closing: Option<Pin<Box<Sleep>>>,
}

impl<W: Wire> StreamPipe<W> {
    pub(crate) fn new(wire: W, heard: Option<Arc<AtomicBool>>) -> Self {
        Self { wire, heard, unsent: false, stalled: false, closing: None }
    }

    /// Sends what is left and the end of the stream. Then as [`TcpPipe`]: reads until the peer
    /// closes too.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.wire).poll_shutdown(cx))?;
        if !W::ENDS {
            return Poll::Ready(Ok(()));
        }
        let mut scrap = [0; 4096];
        loop {
            let mut scrap = ReadBuf::new(&mut scrap);
            ready!(Pin::new(&mut self.wire).poll_read(cx, &mut scrap))?;
            if scrap.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<W: Wire> Pipe for StreamPipe<W> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>> {
        let mut buf = ReadBuf::new(buf);
        let result = ready!(Pin::new(&mut self.wire).poll_read(cx, &mut buf));
        let n = buf.filled().len();
        if n > 0
            && let Some(heard) = self.heard.take()
        {
            heard.store(true, Ordering::Relaxed);
        }
        Poll::Ready(result.map(|()| n).map_err(|error| self.wire.cause(&error)))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>> {
        let result = Pin::new(&mut self.wire).poll_write(cx, buf);
        self.stalled = result.is_pending();
        self.unsent = true;
        result.map_err(|error| self.wire.cause(&error))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        if !self.unsent {
            return Poll::Ready(Ok(()));
        }
        let result = Pin::new(&mut self.wire).poll_flush(cx);
        self.stalled = result.is_pending();
        self.unsent = result.is_pending();
        result.map_err(|error| self.wire.cause(&error))
    }

    /// Takes a second at most, the sending included: a TLS session has a last word to say, and a
    /// serial line may be slow.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let linger = self.closing.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if linger.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        ready!(self.poll_end(cx)).ok();
        self.stalled = false;
        Poll::Ready(())
    }
}

impl<W: Wire> Drop for StreamPipe<W> {
    /// As for [`TcpPipe`]: what a peer does not take is not to pile up in the system.
    fn drop(&mut self) {
        if self.stalled {
            self.wire.forget();
        }
    }
}
