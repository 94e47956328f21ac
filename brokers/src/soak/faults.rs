//! What goes wrong, and how often each did.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use everlink_sim::proxy::{Direction, Heal, Proxy};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::Lane;
use crate::broker::Broker;

const NAMES: [&str; 9] = [
    "reset",
    "close",
    "cut at a byte",
    "connects refused",
    "black hole, then reset",
    "black hole, then everything arrives",
    "connects accepted and never answered",
    "slow and late",
    "mosquitto restarted",
];

/// Draws faults from a seed.
pub(super) struct Faults {
    random: u64,
    counts: [u64; NAMES.len()],
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, counts: [0; NAMES.len()] }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % below
    }

    fn millis(&mut self, below: u64) -> Duration {
        Duration::from_millis(self.draw(below))
    }

    /// Until the next one: from nothing to twice the mean.
    pub(super) fn pause(&mut self, mean: Duration) -> Duration {
        self.millis(2 * mean.as_millis() as u64)
    }

    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        NAMES.into_iter().zip(self.counts).collect()
    }

    /// One fault at one connection, or the broker's restart. It is over when this returns, or it goes
    /// on by itself.
    pub(super) async fn one(
        &mut self,
        lanes: &[Lane],
        broker: &Arc<Mutex<Broker>>,
    ) -> Result<(), String> {
        let which = self.draw(2 * NAMES.len() as u64 - 1) as usize / 2; // the last is rarer
        self.counts[which] += 1;
        let lane = &lanes[self.draw(lanes.len() as u64) as usize];
        let proxy = if self.draw(2) == 0 { &lane.to_writer } else { &lane.to_reader };
        let way =
            [Direction::ToBroker, Direction::ToClient, Direction::Both][self.draw(3) as usize];
        match which {
            0 => proxy.reset().await,
            1 => proxy.close().await,
            2 => proxy.cut_after(way, self.draw(20_000)),
            3 => {
                refuse(proxy, true).await?;
                sleep(self.millis(3000)).await;
                refuse(proxy, false).await?;
            }
            4 | 5 => {
                proxy.black_hole(way);
                sleep(self.millis(6000)).await;
                proxy.heal(if which == 4 { Heal::Drop } else { Heal::Forward }).await;
            }
            6 => {
                proxy.accept_silently(true);
                proxy.reset().await;
                sleep(self.millis(5000)).await;
                proxy.accept_silently(false);
            }
            7 => {
                let rate = NonZeroU32::new(2_000 + self.draw(50_000) as u32);
                proxy.throttle(way, rate);
                proxy.delay(way, self.millis(200), self.millis(200));
                sleep(self.millis(4000)).await;
                proxy.throttle(way, None);
                proxy.delay(way, Duration::ZERO, Duration::ZERO);
            }
            _ => {
                // In order, as an update of the system does it: killed, it loses what it had
                // acknowledged (see docs/brokers.md).
                let mut broker = broker.lock().await;
                tokio::task::block_in_place(|| broker.restart_in_order())?;
            }
        }
        Ok(())
    }

    /// Nothing is in the way any more.
    pub(super) async fn settle(&self, lanes: &[Lane]) {
        for proxy in lanes.iter().flat_map(|l| [&l.to_writer, &l.to_reader]) {
            // It only fails if the port is gone, which the lane's end will show.
            let _ = proxy.clear().await;
        }
    }
}

async fn refuse(proxy: &Proxy, on: bool) -> Result<(), String> {
    proxy.refuse(on).await.map_err(|e| format!("a proxy lost its port: {e}"))
}
