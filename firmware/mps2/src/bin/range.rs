//! How far does the network reach? Publishes a count and its own record every few seconds at QoS 1:
//! carry the board away from the access point and read what arrives. When the board is out of reach for
//! good, the broker says so on `range/gone`, if told to by `will=range/gone`.
//!
//! Arguments: `every-ms=N` (5000), `count=N` (0: for ever), and those of `client::start` and `net::start`.
#![no_std]
#![no_main]

use core::fmt::Write;

use embassy_executor::Spawner;
use embassy_time::{Duration, Ticker};
use everlink::QoS;
use mps2::client::{self, Client};
use mps2::{Board, log, memory, net, semihost};

#[cortex_m_rt::entry]
fn main() -> ! {
    mps2::start(|spawner, board| spawner.spawn(range(spawner, board).expect("spawned once")))
}

#[embassy_executor::task]
async fn range(spawner: Spawner, board: Board) {
    let Some((stack, _nic)) = net::start(spawner, board.args) else {
        log!("failed: no NIC");
        semihost::exit(1)
    };
    let client = client::start(spawner, board.args, stack);
    let count = board.args.parsed("count", 0);
    let mut every = Ticker::every(Duration::from_millis(board.args.parsed("every-ms", 5000)));
    let mut n = 0u32;
    while count == 0 || n < count {
        n += 1;
        publish(&client, n).await;
        every.next().await;
    }
    client.flush().await;
    report(&client);
    client.drain(core::time::Duration::from_secs(5)).await;
    client::closed().await;
    semihost::exit(0)
}

/// Accepted now, delivered across whatever outage comes. When the queue is full, this waits.
async fn publish(client: &Client, n: u32) {
    let stats = client.stats();
    let mut line = Line { text: [0; 64], length: 0 };
    let _ = write!(
        line,
        "{n} repeats={} outages={} longest-ms={}",
        stats.repeats,
        stats.outages,
        stats.longest_outage.as_millis() as u32
    );
    let text = &line.text[..line.length];
    match client.publish("range", text).qos(QoS::AtLeastOnce).accepted().await {
        Ok(_) => log!("published n={n} held={}", client.held()),
        Err(error) => log!("failed: {error}"),
    }
}

fn report(client: &Client) {
    let (stats, memory) = (client.stats(), memory::usage());
    log!(
        "range delivered={} lost={} repeats={} outages={} pings={} out={} in={}",
        stats.delivered,
        stats.dropped + stats.expired + stats.rejected,
        stats.repeats,
        stats.outages,
        stats.pings,
        stats.bytes_out,
        stats.bytes_in
    );
    log!("memory statics={} stack={}", memory.statics, memory.stack_used);
}

struct Line {
    text: [u8; 64],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.length + text.len();
        let room = self.text.get_mut(self.length..end).ok_or(core::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
