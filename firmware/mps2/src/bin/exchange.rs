//! Exchanges numbered messages with a broker at every QoS, both ways, and judges what it got.
//!
//! It publishes 0, 1, 2 ... to `from/board/Q` at QoS Q, and expects 0, 1, 2 ... on `to/board/Q`. Commands:
//! `pause` and `resume` (publishing), `close` and `open` (the client), `ledger`, `finish N` (the host has
//! published N messages at each QoS: stops, waits for everything, judges), and those of `console::common`.
//!
//! Arguments: `every-ms=N` (100), and those of `client::start` and `net::start`.
#![no_std]
#![no_main]

use core::cell::Cell;

use embassy_executor::Spawner;
use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_time::{Duration, Instant, Timer, with_timeout};
use everlink::QoS;
use mps2::client::{self, Client, Decimal};
use mps2::console::{self, Console};
use mps2::eth::NicControl;
use mps2::{Board, log, memory, net, semihost};

const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
const FROM: [&str; 3] = ["from/board/0", "from/board/1", "from/board/2"];
const TO: [&str; 3] = ["to/board/0", "to/board/1", "to/board/2"];
/// How long to wait for what is under way at the end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was sent and received at one QoS.
#[derive(Clone, Copy, Debug, Default)]
struct Ledger {
    /// Accepted by the client.
    sent: u32,
    /// Times there was no room.
    waited: u32,
    /// Number that comes next.
    next: u32,
    /// Left out by the broker.
    lost: u32,
    /// Came again.
    doubled: u32,
}

impl Ledger {
    const NEW: Self = Self { sent: 0, waited: 0, next: 0, lost: 0, doubled: 0 };

    fn receive(&mut self, number: u32) {
        if number < self.next {
            self.doubled += 1;
        } else {
            self.lost += number - self.next;
            self.next = number + 1;
        }
    }
}

static LEDGERS: [Mutex<CriticalSectionRawMutex, Cell<Ledger>>; 3] =
    [const { Mutex::new(Cell::new(Ledger::NEW)) }; 3];
static PAUSED: Mutex<CriticalSectionRawMutex, Cell<bool>> = Mutex::new(Cell::new(false));

fn ledger(qos: usize) -> Ledger {
    LEDGERS[qos].lock(Cell::get)
}

fn note(qos: usize, change: impl FnOnce(&mut Ledger)) {
    LEDGERS[qos].lock(|cell| {
        let mut ledger = cell.get();
        change(&mut ledger);
        cell.set(ledger);
    });
}

#[cortex_m_rt::entry]
fn main() -> ! {
    mps2::start(|spawner, board| spawner.spawn(exchange(spawner, board).expect("spawned once")))
}

#[embassy_executor::task]
async fn exchange(spawner: Spawner, board: Board) {
    let Some((stack, nic)) = net::start(spawner, board.args) else {
        log!("failed: no NIC");
        semihost::exit(1)
    };
    let client = client::start(spawner, board.args, stack);
    for qos in 0..QOS.len() {
        spawner.spawn(receive(client, qos).expect("three may be spawned"));
    }
    // The host waits for this before it publishes.
    client.up().await;
    Timer::after_millis(200).await;
    log!("ready");
    let every = Duration::from_millis(board.args.parsed("every-ms", 100));
    for qos in 0..QOS.len() {
        spawner.spawn(send(client, qos, every).expect("three may be spawned"));
    }
    obey(client, nic).await;
}

#[embassy_executor::task(pool_size = 3)]
async fn receive(client: Client, qos: usize) {
    let mut messages = match client.subscribe(TO[qos], QOS[qos]).await {
        Ok(subscription) => subscription,
        Err(error) => {
            log!("failed: {error}");
            semihost::exit(1)
        }
    };
    loop {
        let number = messages.next(|message| {
            let text = core::str::from_utf8(message.payload).ok()?;
            text.parse::<u32>().ok()
        });
        match number.await {
            Some(Some(number)) => {
                if qos == 2 && number < ledger(qos).next {
                    log!("doubled {number}");
                }
                note(qos, |ledger| ledger.receive(number));
            }
            Some(None) => log!("failed: not a number"),
            // Closed; it goes on when it is opened again.
            None => Timer::after_millis(100).await,
        }
    }
}

#[embassy_executor::task(pool_size = 3)]
async fn send(client: Client, qos: usize, every: Duration) {
    loop {
        Timer::after(every).await;
        if PAUSED.lock(Cell::get) {
            continue;
        }
        let number = Decimal::new(ledger(qos).sent);
        let start = Instant::now();
        let publish = client.publish(FROM[qos], &number).qos(QOS[qos]);
        // A full queue makes us wait here.
        if publish.accepted().await.is_ok() {
            let waited = u32::from(start.elapsed() > Duration::from_millis(20));
            note(qos, |ledger| {
                ledger.sent += 1;
                ledger.waited += waited;
            });
        }
    }
}

async fn obey(client: Client, nic: NicControl) {
    let mut console = Console::open();
    loop {
        let line = console.line().await;
        if console::common(line, Some(nic)) {
            continue;
        }
        match line {
            "pause" => PAUSED.lock(|paused| paused.set(true)),
            "resume" => PAUSED.lock(|paused| paused.set(false)),
            "close" => client.close(),
            "open" => client::open(),
            "ledger" => report(&client),
            other => match other.strip_prefix("finish ").and_then(|n| n.parse().ok()) {
                Some(expected) => finish(&client, expected).await,
                None => log!("unknown command: {other}"),
            },
        }
        log!("done {line}");
    }
}

fn report(client: &Client) {
    for qos in 0..QOS.len() {
        let Ledger { sent, waited, next, lost, doubled } = ledger(qos);
        log!(
            "ledger qos={qos} sent={sent} waited={waited} next={next} lost={lost} doubled={doubled}"
        );
    }
    let (stats, memory) = (client.stats(), memory::usage());
    log!(
        "stats accepted={} delivered={} dropped={} held={} outages={} repeats={} duplicates={} lost={}",
        stats.accepted,
        stats.delivered,
        stats.dropped + stats.expired + stats.rejected,
        client.held(),
        stats.outages,
        stats.repeats,
        stats.duplicates,
        client.lost()
    );
    log!("memory statics={} stack={}", memory.statics, memory.stack_used);
}

/// Waits until everything sent is delivered and `expected` messages came at QoS 1 and 2; then judges.
async fn finish(client: &Client, expected: u32) {
    PAUSED.lock(|paused| paused.set(true));
    let all = async {
        while ledger(1).next < expected || ledger(2).next < expected {
            Timer::after_millis(50).await;
        }
        client.flush().await;
    };
    let complete = with_timeout(PATIENCE, all).await.is_ok();
    report(client);
    let [_, one, two] = [0, 1, 2].map(ledger);
    let right = complete
        && (one.next, one.lost) == (expected, 0)
        && (two.next, two.lost, two.doubled) == (expected, 0, 0)
        && client.held() == 0;
    log!("verdict {}", if right { "right" } else { "wrong" });
}
