//! Happy eyeballs [RFC 8305, 5]: attempts start one after the other, the first success wins.

use std::boxed::Box;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec::Vec;

use everlink_proto::engine::Cause;
use tokio::time::{Instant, Sleep, sleep};

use super::cause;

enum News<T> {
    Won(SocketAddr, T),
    Lost(Cause),
    Next,
}

struct Race<F> {
    running: Vec<(SocketAddr, Pin<Box<F>>)>,
    /// When the next attempt may start although the others still run.
    next: Pin<Box<Sleep>>,
}

/// Tries `addresses` in their order: the next one starts when `stagger` has passed or one has failed.
/// Ends with the first connection, or with the most telling cause when all have failed; attempts
/// that neither succeed nor fail keep it waiting.
///
/// Cancel-safe: dropping it drops every attempt, as does a winner.
pub(super) async fn race<T, F, D>(
    addresses: Vec<SocketAddr>,
    stagger: Duration,
    mut dial: D,
) -> Result<(SocketAddr, T), Cause>
where
    D: FnMut(SocketAddr) -> F,
    F: Future<Output = io::Result<T>>,
{
    let mut race = Race { running: Vec::new(), next: Box::pin(sleep(stagger)) };
    let mut told = None;
    let mut addresses = addresses.into_iter();
    loop {
        match addresses.next() {
            Some(address) => race.start(address, dial(address), stagger),
            None if race.running.is_empty() => return Err(told.unwrap_or(Cause::Unreachable)),
            None => {}
        }
        let more = addresses.len() > 0;
        match poll_fn(|cx| race.poll(cx, more)).await {
            News::Won(address, connection) => return Ok((address, connection)),
            News::Lost(cause) => told = Some(told.map_or(cause, |t| cause::more_telling(t, cause))),
            News::Next => {}
        }
    }
}

impl<F> Race<F> {
    fn start(&mut self, address: SocketAddr, attempt: F, stagger: Duration) {
        self.running.push((address, Box::pin(attempt)));
        self.next.as_mut().reset(Instant::now() + stagger);
    }

    fn poll<T>(&mut self, cx: &mut Context<'_>, more: bool) -> Poll<News<T>>
    where
        F: Future<Output = io::Result<T>>,
    {
        for index in 0..self.running.len() {
            let (address, attempt) = &mut self.running[index];
            let address = *address;
            if let Poll::Ready(result) = attempt.as_mut().poll(cx) {
                self.running.remove(index);
                return Poll::Ready(match result {
                    Ok(connection) => News::Won(address, connection),
                    Err(error) => News::Lost(cause::of_opening(&error)),
                });
            }
        }
        if more && self.next.as_mut().poll(cx).is_ready() {
            return Poll::Ready(News::Next);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// After so many milliseconds, this end; `None` never ends.
    type Fate = (Option<u64>, Result<(), io::ErrorKind>);

    const DEAD: Fate = (None, Ok(()));

    /// Runs a race on paused time: who won, and when each attempt started.
    async fn run(fates: &[Fate]) -> (Result<usize, Cause>, Vec<u128>, u128) {
        let began = Instant::now();
        let starts = RefCell::new(Vec::new());
        let addresses =
            (0..fates.len()).map(|i| SocketAddr::from(([127, 0, 0, 1], i as u16))).collect();
        let dial = |address: SocketAddr| {
            starts.borrow_mut().push(began.elapsed().as_millis());
            let (after, end) = fates[usize::from(address.port())];
            async move {
                match after {
                    Some(ms) => sleep(Duration::from_millis(ms)).await,
                    None => std::future::pending().await,
                }
                end.map_err(io::Error::from)
            }
        };
        let won = race(addresses, Duration::from_millis(250), dial).await;
        let took = began.elapsed().as_millis();
        (won.map(|(address, ())| usize::from(address.port())), starts.take(), took)
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_address_alone_if_it_answers_in_time() {
        assert_eq!(run(&[(Some(200), Ok(())), DEAD]).await, (Ok(0), vec![0], 200));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_address_costs_one_stagger() {
        assert_eq!(run(&[DEAD, (Some(10), Ok(()))]).await, (Ok(1), vec![0, 250], 260));
        assert_eq!(run(&[DEAD, DEAD, (Some(10), Ok(()))]).await, (Ok(2), vec![0, 250, 500], 510));
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_attempt_may_still_win() {
        assert_eq!(
            run(&[(Some(300), Ok(())), (Some(100), Ok(()))]).await,
            (Ok(0), vec![0, 250], 300)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_starts_the_next_at_once() {
        let refused = (Some(5), Err(io::ErrorKind::ConnectionRefused));
        assert_eq!(run(&[refused, (Some(10), Ok(()))]).await, (Ok(1), vec![0, 5], 15));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_the_most_telling_cause_remains() {
        let end = |kind| (Some(5), Err(kind));
        let fates = [end(io::ErrorKind::NetworkUnreachable), end(io::ErrorKind::ConnectionRefused)];
        assert_eq!(run(&fates).await.0, Err(Cause::Refused));
        assert_eq!(run(&[fates[1], fates[0]]).await.0, Err(Cause::Refused));
    }
}
