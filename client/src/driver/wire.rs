//! Reading and writing, up to the last word.

use core::future::poll_fn;
use core::task::{Context, Poll};

use everlink_link::{Buffer, Pipe};
use everlink_proto::engine::{Cause, Engine, Fault, Input, Step};

use super::{Clock, Core, End, Share};
use crate::feed::feed;

impl<S, C, B> Core<S, C, B>
where
    S: Share,
    C: Clock,
    B: Buffer,
{
    pub(super) fn write<P: Pipe>(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut P,
    ) -> Result<bool, Cause> {
        let mut moved = false;
        while !self.tx.is_empty() {
            match pipe.poll_write(cx, self.tx.pending()) {
                Poll::Ready(Ok(0)) => return Err(Cause::Eof),
                Poll::Ready(Ok(n)) => {
                    self.tx.sent(n);
                    self.wrote = true;
                    moved = true;
                }
                Poll::Ready(Err(cause)) => return Err(cause),
                Poll::Pending => return Ok(moved),
            }
        }
        match pipe.poll_flush(cx) {
            Poll::Ready(Err(cause)) => Err(cause),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(moved),
        }
    }

    pub(super) fn read<P: Pipe>(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut P,
    ) -> Result<bool, Cause> {
        let space = self.rx.space();
        if self.busy || space.is_empty() {
            return Ok(false);
        }
        match pipe.poll_read(cx, space) {
            Poll::Ready(Ok(0)) => Err(Cause::Eof),
            Poll::Ready(Ok(n)) => {
                self.rx.filled(n);
                self.alive = true;
                Ok(true)
            }
            Poll::Ready(Err(cause)) => Err(cause),
            Poll::Pending => Ok(false),
        }
    }

    /// The peer takes nothing any more, but what it said before that still counts:
    /// acknowledgements, messages, DISCONNECT. Systems keep it even after a reset, though it may
    /// take a moment until it can be read.
    pub(super) fn poll_last_words<P: Pipe>(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut P,
        mut cause: Cause,
    ) -> Poll<End> {
        loop {
            match self.read(cx, pipe) {
                Ok(true) => self.hear(),
                Ok(false) if self.busy => break,
                Ok(false) if self.clock.poll_alarm(self.deadline, cx).is_ready() => break,
                Ok(false) => return Poll::Pending,
                Err(last) => {
                    // Why we were cut off says more than that we were.
                    if last.is_permanent() {
                        cause = last;
                    }
                    break;
                }
            }
        }
        self.lost(cause);
        Poll::Ready(End::Gone)
    }

    /// Hands everything that was read to the engine.
    fn hear(&mut self) {
        let now = self.clock.now();
        let Self { share, rx, tx, alive, wrote, busy, .. } = self;
        share.with(None, |engine, inbox| feed(engine, inbox, now, rx, tx, (alive, wrote, busy)));
    }

    pub(super) fn lost(&mut self, cause: Cause) {
        self.hear();
        let now = self.clock.now();
        self.share.with(None, |engine, inbox| {
            // What TLS has against us comes when its handshake seems done.
            let step = match cause {
                Cause::Tls | Cause::Denied => Step::Tls,
                _ => engine.status().step,
            };
            let _ = engine.handle(now, Input::Closed(Fault::new(step, cause)), inbox);
        });
    }

    /// The last words: what is still to be written and, after a graceful DISCONNECT, an orderly
    /// end, so that the broker reads it and publishes no will. A peer that was given up is not waited for.
    pub(super) async fn part<P: Pipe>(&mut self, pipe: &mut P) {
        let graceful = self.share.with(None, |engine, _| {
            let status = engine.status();
            let moves = status.fault.is_some_and(|fault| fault.cause == Cause::Returning);
            status.step == Step::Idle || moves
        });
        poll_fn(|cx| {
            if self.write(cx, pipe).is_err() || !graceful {
                return Poll::Ready(());
            }
            pipe.poll_close(cx)
        })
        .await;
    }
}
