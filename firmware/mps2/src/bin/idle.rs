//! How much does an idle client wake its board? Connects, subscribes, publishes once, and does nothing
//! for a while; then it says how often the processor woke, and why.
//!
//! Arguments: `idle-ms=N` (60000), and those of `client::start` and `net::start`.
#![no_std]
#![no_main]

use embassy_executor::Spawner;
use embassy_time::{Duration, Timer};
use everlink::QoS;
use mps2::client::{self, Client};
use mps2::counters::Counters;
use mps2::{Board, log, net, semihost};

#[cortex_m_rt::entry]
fn main() -> ! {
    mps2::start(|spawner, board| spawner.spawn(idle(spawner, board).expect("spawned once")))
}

#[embassy_executor::task]
async fn idle(spawner: Spawner, board: Board) {
    let Some((stack, _nic)) = net::start(spawner, board.args) else {
        log!("failed: no NIC");
        semihost::exit(1)
    };
    let client = client::start(spawner, board.args, stack);
    // For a command that does not come.
    let subscription = match client.subscribe("to/idle", QoS::AtLeastOnce).await {
        Ok(subscription) => subscription,
        Err(error) => {
            log!("failed: {error}");
            semihost::exit(1)
        }
    };
    if let Err(error) = client.publish("from/idle", "here").qos(QoS::AtLeastOnce).await {
        log!("failed: {error}");
    }
    // Lets the network's own timers, of addresses just learnt, pass.
    Timer::after_secs(2).await;
    watch(&client, Duration::from_millis(board.args.parsed("idle-ms", 60_000))).await;
    drop(subscription);
    client.drain(core::time::Duration::from_secs(5)).await;
    client::closed().await;
    semihost::exit(0)
}

async fn watch(client: &Client, time: Duration) {
    let (before, pings) = (Counters::read(), client.stats().pings);
    log!("idle for {} ms", time.as_millis());
    Timer::after(time).await;
    let idle = Counters::read().since(&before);
    log!("idle {idle} pings={}", client.stats().pings - pings);
}
