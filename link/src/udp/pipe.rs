//! A stream of messages over a socket that has datagrams.

use std::boxed::Box;
use std::io;
use std::task::{Context, Poll, ready};

use everlink_proto::engine::{Cause, Framing};
use everlink_proto::sn::version::Version;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use super::Junk;
use crate::Pipe;
use crate::tcp::cause_of_pipe;

/// More than any datagram holds: one octet is left over, so that nothing is cut off unseen.
const LARGEST: usize = 65_536;
/// Datagrams in a row that are dropped before other tasks get their turn.
const ROUNDS: usize = 32;

/// An open UDP "connection".
///
/// A write takes whole messages, one for each datagram; what is read is messages one behind the other. A
/// datagram that is not exactly one message is dropped and counted.
#[derive(Debug)]
pub struct UdpPipe {
    socket: UdpSocket,
    version: Version,
    junk: Junk,
    /// The last datagram, as far as there was no room for it.
    datagram: Box<[u8]>,
    start: usize,
    end: usize,
}

impl UdpPipe {
    pub(super) fn new(socket: UdpSocket, version: Version, junk: Junk) -> Self {
        let datagram = std::vec![0; LARGEST].into_boxed_slice();
        Self { socket, version, junk, datagram, start: 0, end: 0 }
    }

    fn is_message(&self, n: usize) -> bool {
        self.version.packet_len(&self.datagram[..n]) == Ok(Some(n))
    }

    fn poll_datagram(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..ROUNDS {
            let mut buf = ReadBuf::new(&mut self.datagram);
            ready!(self.socket.poll_recv(cx, &mut buf))?;
            let n = buf.filled().len();
            if self.is_message(n) {
                (self.start, self.end) = (0, n);
                return Poll::Ready(Ok(()));
            }
            self.junk.one();
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Pipe for UdpPipe {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>> {
        if self.start == self.end {
            ready!(self.poll_datagram(cx)).map_err(|error| cause_of_pipe(&error))?;
        }
        let message = &self.datagram[self.start..self.end];
        let n = message.len().min(buf.len());
        buf[..n].copy_from_slice(&message[..n]);
        self.start += n;
        Poll::Ready(Ok(n))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>> {
        let message = match self.version.packet_len(buf) {
            Ok(Some(n)) => buf.get(..n),
            _ => None,
        };
        // An engine of another protocol.
        let message = message.ok_or(Cause::WrongProtocol)?;
        let sent = ready!(self.socket.poll_send(cx, message));
        Poll::Ready(sent.map(|_| message.len()).map_err(|error| cause_of_pipe(&error)))
    }

    /// What was sent is sent; nobody need be told of the end.
    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}
