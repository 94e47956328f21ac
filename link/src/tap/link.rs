//! A link around a link, with a tap on what goes over it.

use core::task::{Context, Poll, ready};

use everlink_proto::engine::{Cause, Depth, Fault};

use super::{Direction, Seen, Tap};
use crate::{Link, Pipe, Progress};

/// A link with a tap on it.
///
/// Link and pipes each hold the tap, so it is something cheap to clone that all copies share, such as an
/// `Arc<Mutex<Trace<..>>>` or a `&RefCell<..>`.
#[derive(Debug)]
pub struct TapLink<L, T> {
    link: L,
    tap: T,
}

impl<L, T: Tap + Clone> TapLink<L, T> {
    /// Puts `tap` on `link`.
    pub fn new(link: L, tap: T) -> Self {
        Self { link, tap }
    }

    /// The link below.
    pub fn get_ref(&self) -> &L {
        &self.link
    }
}

impl<L: Link, T: Tap + Clone> Link for TapLink<L, T> {
    type Pipe = TapPipe<L::Pipe, T>;

    async fn open(&mut self, endpoint: u16, progress: &Progress) -> Result<Self::Pipe, Fault> {
        self.tap.see(&Seen::Opening { endpoint });
        let mut attempt = Attempt { tap: &mut self.tap, ended: false };
        let opened = self.link.open(endpoint, progress).await;
        attempt.ended = true;
        match opened {
            Ok(pipe) => {
                attempt.tap.see(&Seen::Opened);
                Ok(TapPipe { pipe, tap: attempt.tap.clone(), ended: false })
            }
            Err(fault) => {
                attempt.tap.see(&Seen::Failed(Some(fault)));
                Err(fault)
            }
        }
    }

    async fn cycle(&mut self, depth: Depth) {
        self.tap.see(&Seen::Cycle(depth));
        self.link.cycle(depth).await;
    }

    async fn try_out(&mut self, endpoint: u16) -> bool {
        self.link.try_out(endpoint).await
    }

    #[cfg(feature = "std")]
    fn words(&self) -> Option<crate::Words> {
        self.link.words()
    }

    fn redirect(&mut self, server: &str, permanent: bool) -> bool {
        self.link.redirect(server, permanent)
    }
}

/// Says so if it is dropped before its end.
struct Attempt<'t, T: Tap> {
    tap: &'t mut T,
    ended: bool,
}

impl<T: Tap> Drop for Attempt<'_, T> {
    fn drop(&mut self) {
        if !self.ended {
            self.tap.see(&Seen::Failed(None));
        }
    }
}

/// A pipe with a tap on it.
#[derive(Debug)]
pub struct TapPipe<P, T: Tap> {
    pipe: P,
    tap: T,
    ended: bool,
}

impl<P, T: Tap> TapPipe<P, T> {
    /// The pipe below.
    pub fn get_ref(&self) -> &P {
        &self.pipe
    }

    fn end(&mut self, cause: Option<Cause>) {
        if !core::mem::replace(&mut self.ended, true) {
            self.tap.see(&Seen::Ended(cause));
        }
    }

    /// What a call that moves bytes came to.
    fn moved(
        &mut self,
        direction: Direction,
        result: Result<usize, Cause>,
        bytes: &[u8],
    ) -> Result<usize, Cause> {
        match result {
            // A write of nothing moves nothing; a read of nothing is the end.
            Ok(0) if direction == Direction::In => self.end(Some(Cause::Eof)),
            Ok(0) => {}
            Ok(n) => self.tap.see(&Seen::Bytes(direction, bytes.get(..n).unwrap_or(bytes))),
            // Behind a failed write there may be last words to read.
            Err(_) if direction == Direction::Out => {}
            Err(cause) => self.end(Some(cause)),
        }
        result
    }
}

impl<P: Pipe, T: Tap> Pipe for TapPipe<P, T> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>> {
        let result = ready!(self.pipe.poll_read(cx, buf));
        Poll::Ready(self.moved(Direction::In, result, buf))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>> {
        let result = ready!(self.pipe.poll_write(cx, buf));
        Poll::Ready(self.moved(Direction::Out, result, buf))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.pipe.poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.pipe.poll_close(cx)
    }
}

impl<P, T: Tap> Drop for TapPipe<P, T> {
    fn drop(&mut self) {
        self.end(None);
    }
}
