//! Wake, exchange, sleep: one call for a board that sleeps most of the time.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::time::Duration;

use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_time::{Instant, Timer, with_timeout};
use everlink_link::{Buffer, Link};
use everlink_proto::session::Stats;
use everlink_proto::store::Store;

use super::client::Client;
use super::clock;
use super::driver::Driver;
use super::keep::{Keeper, Medium};
use crate::driver::Finished;

/// How long saying goodbye may take beyond the budget.
const GOODBYE: Duration = Duration::from_secs(1);

/// What one [exchange](Driver::exchange) came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// The broker was reached.
    pub connected: bool,
    /// Messages still held: 0 if everything was delivered.
    pub held: usize,
    /// Messages received.
    pub received: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// How long it took.
    pub awake: Duration,
}

impl<'m, M: RawMutex, L: Link, B: Buffer, S: Store> Driver<'m, M, L, B, S> {
    /// Connects, sends what is held, takes what waits at the broker until nothing came for `quiet`, and
    /// leaves politely; all within `budget`, and a second to say goodbye. For what waits at the broker
    /// to come at all, the session must be kept between exchanges:
    /// [`Config::clean_start`](super::Config::clean_start) off, the Session Expiry Interval longer than the sleep.
    ///
    /// What is not done in time stays held, for the next exchange. Messages and subscriptions are accepted
    /// before and between exchanges too. Dropping the future drops the connection.
    pub async fn exchange(&mut self, budget: Duration, quiet: Duration) -> Exchange {
        let client = self.hub().client();
        let exchange = exchange(client, self.run(), budget, quiet).await;
        self.reopen();
        exchange
    }

    /// As [`exchange`](Self::exchange); returns when what is left survives a loss of power, or the
    /// medium fails for longer than the goodbye may take.
    pub async fn exchange_keeping<D: Medium>(
        &mut self,
        keeper: &mut Keeper<'m, D>,
        budget: Duration,
        quiet: Duration,
    ) -> Exchange {
        let client = self.hub().client();
        let exchange = exchange(client, self.run_keeping(keeper), budget, quiet).await;
        self.reopen();
        exchange
    }
}

async fn exchange<M: RawMutex, S: Store>(
    client: Client<'_, M, S>,
    running: impl Future<Output = Finished>,
    budget: Duration,
    quiet: Duration,
) -> Exchange {
    let (start, before) = (Instant::now(), client.stats());
    let mut running = pin!(running);
    let mut talk = pin!(async {
        // A full exchange, or as much as the budget allows.
        let _ = with_timeout(clock::duration(budget), talk(client, quiet)).await;
        client.close();
    });
    let mut talked = false;
    let both = poll_fn(|cx| {
        if !talked {
            talked = talk.as_mut().poll(cx).is_ready();
        }
        running.as_mut().poll(cx).map(|_| ())
    });
    let _ = with_timeout(clock::duration(budget.saturating_add(GOODBYE)), both).await;
    let Stats { connections, received, bytes_in, bytes_out, .. } = client.stats();
    Exchange {
        connected: connections > before.connections,
        held: client.held(),
        received: received - before.received,
        bytes_in: bytes_in - before.bytes_in,
        bytes_out: bytes_out - before.bytes_out,
        awake: Duration::from_micros(start.elapsed().as_micros()),
    }
}

async fn talk<M: RawMutex, S: Store>(client: Client<'_, M, S>, quiet: Duration) {
    client.up().await;
    client.flush().await;
    let mut received = client.stats().received;
    loop {
        Timer::after(clock::duration(quiet)).await;
        let now = client.stats().received;
        if now == received && client.held() == 0 {
            return;
        }
        received = now;
    }
}
