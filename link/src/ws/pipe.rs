//! An open WebSocket.

use std::boxed::Box;
use std::format;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::string::{String, ToString};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::vec::Vec;

use everlink_proto::engine::Cause;
use tokio::io::ReadBuf;
use tokio::time::{Sleep, sleep};

use super::frame::{self, BINARY, CLOSE, Decoder, Event, Masks, Offence, PONG};
use crate::http::shown;
use crate::road::{LINGER, Wire};
use crate::{Pipe, Words};

/// The longest payload of a frame of ours. Frames of all that is ready would need as much memory again.
const LONGEST: usize = 32 * 1024;
/// What is read at a time, but for payload that fits where it is wanted.
const BLOCK: usize = 2048;
/// So many reads that bring no payload let other tasks have their turn.
const ROUNDS: usize = 16;
/// A normal end [RFC 6455, 7.4.1].
const NORMAL: [u8; 2] = 1000_u16.to_be_bytes();

/// An open WebSocket over a wire: a stream of bytes, whatever frames they come in. `[MQTT-6.0.0-2]`
#[derive(Debug)]
pub(crate) struct WsPipe<W: Wire> {
    wire: W,
    words: Words,
    heard: Option<Arc<AtomicBool>>,
    decoder: Decoder,
    /// What was read and not yet decoded.
    unread: Vec<u8>,
    begin: usize,
    /// Frames on their way, of which the wire took `sent` bytes.
    frames: Vec<u8>,
    sent: usize,
    /// The wire may hold bytes that it took and has not sent.
    unsent: bool,
    stalled: bool,
    masks: Masks,
    /// The answer to the last ping. Earlier ones need none [RFC 6455, 5.5.3].
    pong: Option<Vec<u8>>,
    closing: Option<Pin<Box<Sleep>>>,
    /// Our last frame is among those on their way.
    said_goodbye: bool,
}

impl<W: Wire> WsPipe<W> {
    /// `unread` came behind the handshake.
    pub(crate) fn new(
        wire: W,
        heard: Arc<AtomicBool>,
        words: Words,
        unread: Vec<u8>,
    ) -> Result<Self, (Cause, Option<String>)> {
        Ok(Self {
            wire,
            words,
            heard: Some(heard),
            decoder: Decoder::new(),
            unread,
            begin: 0,
            frames: Vec::new(),
            sent: 0,
            unsent: false,
            stalled: false,
            masks: Masks::new().map_err(|error| (Cause::Io(0), Some(error.to_string())))?,
            pong: None,
            closing: None,
            said_goodbye: false,
        })
    }

    #[cfg(feature = "tls")]
    pub(crate) fn wire(&self) -> &W {
        &self.wire
    }

    fn broken(&self, error: &io::Error) -> Cause {
        self.wire.cause(error)
    }

    fn frame(&mut self, opcode: u8, payload: &[u8]) -> Result<(), Cause> {
        let mask = self.masks.next().map_err(|_| Cause::Io(0))?;
        frame::encode(opcode, payload, mask, &mut self.frames);
        Ok(())
    }

    /// Sends the frames that are on their way, and a pong behind them.
    fn poll_frames(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        loop {
            while let Some(rest) = self.frames.get(self.sent..).filter(|rest| !rest.is_empty()) {
                let result = Pin::new(&mut self.wire).poll_write(cx, rest);
                self.stalled = result.is_pending();
                match ready!(result) {
                    Ok(0) => return Poll::Ready(Err(Cause::Eof)),
                    Ok(n) => (self.sent, self.unsent) = (self.sent + n, true),
                    Err(error) => return Poll::Ready(Err(self.broken(&error))),
                }
            }
            // An idle connection is to be small.
            (self.frames, self.sent) = (Vec::new(), 0);
            let Some(pong) = self.pong.take().filter(|_| !self.said_goodbye) else {
                return Poll::Ready(Ok(()));
            };
            self.frame(PONG, &pong)?;
        }
    }

    /// All that is on its way, to the last byte.
    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        ready!(self.poll_frames(cx))?;
        if self.unsent {
            let result = Pin::new(&mut self.wire).poll_flush(cx);
            self.stalled = result.is_pending();
            ready!(result).map_err(|error| self.broken(&error))?;
            self.unsent = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads from the wire: payload straight into `buf` if there is nothing else to come before it.
    fn poll_wire(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>> {
        let ahead = self.decoder.payload_ahead().min(buf.len());
        if ahead > 0 {
            let mut into = ReadBuf::new(&mut buf[..ahead]);
            let result = ready!(Pin::new(&mut self.wire).poll_read(cx, &mut into));
            result.map_err(|error| self.broken(&error))?;
            let n = into.filled().len();
            self.decoder.took_payload(n);
            return Poll::Ready(if n == 0 { Err(Cause::Eof) } else { Ok(n) });
        }
        let mut block = [0; BLOCK];
        let mut into = ReadBuf::new(&mut block);
        let result = ready!(Pin::new(&mut self.wire).poll_read(cx, &mut into));
        result.map_err(|error| self.broken(&error))?;
        if into.filled().is_empty() {
            return Poll::Ready(Err(Cause::Eof));
        }
        (self.unread, self.begin) = (into.filled().to_vec(), 0);
        Poll::Ready(Ok(0))
    }

    /// Payload of what was read before; 0 if there is none.
    fn decode(&mut self, buf: &mut [u8]) -> Result<usize, Cause> {
        while self.begin < self.unread.len() {
            let done = self.decoder.decode(&self.unread[self.begin..], buf);
            let done = done.map_err(|offence| self.offended(offence))?;
            self.begin += done.read;
            match done.event {
                Event::None => {}
                Event::Ping => self.pong = Some(self.decoder.control().to_vec()),
                Event::Close => return Err(self.closed()),
            }
            if done.written > 0 {
                return Ok(done.written);
            }
        }
        self.unread = Vec::new();
        self.begin = 0;
        Ok(0)
    }

    fn offended(&self, offence: Offence) -> Cause {
        let line = match offence {
            Offence::Text => {
                "the server sends text in the WebSocket; MQTT is sent in binary frames"
            }
            Offence::Frame => "the server breaks the rules of WebSocket",
        };
        self.words.say(Cause::WrongProtocol, line);
        Cause::WrongProtocol
    }

    fn closed(&self) -> Cause {
        let line = match self.decoder.control() {
            [a, b, reason @ ..] => {
                let code = u16::from_be_bytes([*a, *b]);
                let reason = shown(&String::from_utf8_lossy(reason));
                format!("the server closes the WebSocket, {code} {reason}")
            }
            _ => "the server closes the WebSocket".into(),
        };
        self.words.say(Cause::Eof, line.trim());
        Cause::Eof
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        if !self.said_goodbye {
            // Behind what is on its way already.
            self.frame(CLOSE, &NORMAL)?;
            self.said_goodbye = true;
        }
        ready!(self.poll_all(cx))?;
        let mut scrap = [0; 1024];
        // Until the server says goodbye too, or is gone.
        while self.closing.is_some() {
            match self.decode(&mut scrap) {
                Ok(0) => {}
                Ok(_) => continue,
                Err(_) => break,
            }
            ready!(self.poll_wire(cx, &mut scrap))?;
        }
        let _ = ready!(Pin::new(&mut self.wire).poll_shutdown(cx));
        Poll::Ready(Ok(()))
    }
}

impl<W: Wire> Pipe for WsPipe<W> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>> {
        for _ in 0..ROUNDS {
            let mut n = self.decode(buf)?;
            if self.pong.is_some() {
                // Here, because the driver may have nothing to write for long.
                if let Poll::Ready(Err(cause)) = self.poll_all(cx) {
                    return Poll::Ready(Err(cause));
                }
            }
            if n == 0 {
                n = ready!(self.poll_wire(cx, buf))?;
            }
            if n > 0 {
                if let Some(heard) = self.heard.take() {
                    heard.store(true, Ordering::Relaxed);
                }
                return Poll::Ready(Ok(n));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>> {
        ready!(self.poll_frames(cx))?;
        let n = buf.len().min(LONGEST);
        self.frame(BINARY, &buf[..n])?;
        match self.poll_frames(cx) {
            Poll::Ready(Err(cause)) => Poll::Ready(Err(cause)),
            // The frame is taken, and goes out before anything else.
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(n)),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.poll_all(cx)
    }

    /// Sends what is left and the closing frame, then waits for that of the server; takes a second at
    /// most.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let linger = self.closing.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if linger.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let _ = ready!(self.poll_end(cx));
        self.stalled = false;
        Poll::Ready(())
    }
}

impl<W: Wire> Drop for WsPipe<W> {
    fn drop(&mut self) {
        if self.stalled {
            self.wire.forget();
        }
    }
}
