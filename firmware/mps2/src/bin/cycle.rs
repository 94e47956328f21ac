//! The sleep cycle: wake, exchange, sleep. One reading goes out, what waited at the broker comes in, and
//! the board sleeps again; its memory is lost but for a few bytes.
//!
//! Arguments: `cycles=N` (5), `sleep-ms=N` (500), `budget-ms=N` (10000, longest time awake), and those of
//! `client::start` and `net::start`; `clean=0`, or the broker would forget what waits.
#![no_std]
#![no_main]

use embassy_executor::Spawner;
use embassy_time::{Duration, Instant, with_timeout};
use everlink::QoS;
use everlink::embedded::SubscribeError;
use mps2::client::{self, Client, Decimal};
use mps2::reset::deep_sleep;
use mps2::{Board, log, net, semihost};

/// How long to wait for a further message before it is taken to be the last.
const QUIET: Duration = Duration::from_millis(200);

#[cortex_m_rt::entry]
fn main() -> ! {
    mps2::start(|spawner, board| spawner.spawn(cycle(spawner, board).expect("spawned once")))
}

#[embassy_executor::task]
async fn cycle(spawner: Spawner, board: Board) {
    let (args, retained) = (board.args, board.reset.retained);
    // What survives the sleep: the number of the reading, and how many messages came so far.
    let number = u32::from_le_bytes([retained[0], retained[1], retained[2], retained[3]]);
    let received = u32::from_le_bytes([retained[4], retained[5], retained[6], retained[7]]);
    let Some((stack, _nic)) = net::start(spawner, args) else {
        log!("failed: no NIC");
        semihost::exit(1)
    };
    let client = client::start(spawner, args, stack);
    let budget = Duration::from_millis(args.parsed("budget-ms", 10_000));
    let mut came = 0;
    let exchanged = with_timeout(budget, exchange(&client, number, &mut came)).await;
    let delivered = matches!(exchanged, Ok(Ok(())));
    // Says goodbye, so that the broker does not publish the will.
    client.drain(core::time::Duration::from_secs(1)).await;
    client::closed().await;

    let (number, received) = (number + u32::from(delivered), received + came);
    retained[..4].copy_from_slice(&number.to_le_bytes());
    retained[4..8].copy_from_slice(&received.to_le_bytes());
    let stats = client.stats();
    log!(
        "cycle delivered={delivered} number={number} received={received} came={came} awake-ms={} out={} in={}",
        Instant::now().as_millis(),
        stats.bytes_out,
        stats.bytes_in
    );
    if number >= args.parsed("cycles", 5) {
        semihost::exit(0)
    }
    deep_sleep(Duration::from_millis(args.parsed("sleep-ms", 500)));
}

/// Publishes reading `number`, and takes what waited at the broker.
async fn exchange(client: &Client, number: u32, came: &mut u32) -> Result<(), SubscribeError> {
    // Of old the broker has this subscription; without it here, its messages would find nobody.
    let mut messages = client.subscribe("to/cycle", QoS::AtLeastOnce).await?;
    let reading = Decimal::new(number);
    let publish = client.publish("from/cycle", &reading).qos(QoS::AtLeastOnce);
    if let Err(error) = publish.await {
        log!("failed: {error}");
        return Err(SubscribeError::Closed);
    }
    while let Ok(Some(())) = with_timeout(QUIET, messages.next(|_| ())).await {
        *came += 1;
    }
    // Dropping it would unsubscribe.
    core::mem::forget(messages);
    Ok(())
}
