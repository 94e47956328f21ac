//! Receives a message larger than the board's memory, piece by piece, and tells its SHA-256: what an update of
//! firmware needs. Arguments: `port`, `host`, `version` and `id` as for `client::start`, and those of `net::start`.
#![no_std]
#![no_main]

use embassy_executor::Spawner;
use embassy_sync::blocking_mutex::raw::{CriticalSectionRawMutex, NoopRawMutex};
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant};
use everlink::embedded::{Config, Connect, Driver, Hub, Memory, Message, Pieces};
use everlink::{QoS, Version};
use everlink_link::embedded::tcp::{Endpoint, TcpCell, TcpLink};
use mps2::client::watch;
use mps2::{Board, log, memory, net, semihost};
use sha2::{Digest, Sha256};
use static_cell::StaticCell;

/// Largest message it takes.
const LARGEST: u32 = 2 << 20;
/// It tells how far it is each time so many bytes came.
const STEP: usize = 128 * 1024;

/// And is busy for so long then.
const BUSY: Duration = Duration::from_millis(100);

/// 4 messages of 256 bytes, 2 received ones, 1 subscription.
type SmallMemory = Memory<4, 256, 2, 128, 1, 4>;

static DONE: Signal<CriticalSectionRawMutex, [u8; 32]> = Signal::new();

/// Where the pieces go.
#[derive(Default)]
struct Image {
    hash: Sha256,
    came: usize,
    starts: u32,
    /// Busy until then, as a flash that is being erased.
    busy_until: Option<Instant>,
}

impl Pieces for Image {
    fn begin(&mut self, message: &Message<'_>, payload: usize) -> bool {
        self.starts += 1;
        log!("begins start={} bytes={payload} dup={}", self.starts, message.dup);
        self.hash = Sha256::new();
        self.hash.update(message.payload);
        self.came = message.payload.len();
        true
    }

    fn piece(&mut self, bytes: &[u8], left: usize) -> bool {
        if self.busy_until.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        self.hash.update(bytes);
        let before = self.came / STEP;
        self.came += bytes.len();
        if self.came / STEP > before {
            log!("came bytes={}", self.came);
            self.busy_until = Some(Instant::now() + BUSY);
        }
        if left == 0 {
            DONE.signal(self.hash.finalize_reset().into());
        }
        true
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    mps2::start(|spawner, board| spawner.spawn(large(spawner, board).expect("spawned once")))
}

#[embassy_executor::task]
async fn large(spawner: Spawner, board: Board) {
    static MEMORY: StaticCell<SmallMemory> = StaticCell::new();
    static HUB: StaticCell<Hub<'static, NoopRawMutex>> = StaticCell::new();
    static IMAGE: StaticCell<Image> = StaticCell::new();
    static CELL: StaticCell<TcpCell<'static>> = StaticCell::new();
    static TCP: StaticCell<([u8; 1460], [u8; 256])> = StaticCell::new();
    static PACKETS: StaticCell<([u8; 512], [u8; 128])> = StaticCell::new();
    static ENDPOINTS: StaticCell<[Endpoint<'static>; 1]> = StaticCell::new();

    let args = board.args;
    let Some((stack, _nic)) = net::start(spawner, args) else {
        log!("failed: no NIC");
        semihost::exit(1)
    };
    let version = match args.parsed("version", 5u16) {
        311 => Version::V311,
        _ => Version::V5,
    };
    let config = Config {
        version,
        clean_start: false,
        largest_in_pieces: LARGEST,
        ..Config::unattended(args.parsed("seed", 1))
    };
    let connect = Connect::new(args.text("id").unwrap_or("large"));
    let hub = Hub::new(MEMORY.init_with(Memory::new), config, connect);
    let hub = HUB.init(hub.pieces(IMAGE.init(Image::default())));
    let (receive, transmit) = TCP.init(([0; 1460], [0; 256]));
    let cell = CELL.init(TcpCell::new(stack, receive, transmit));
    let host = args.text("host").unwrap_or("10.0.2.2");
    let endpoints = ENDPOINTS.init([Endpoint::new(host, args.parsed("port", 1883))]);
    let (receive, transmit) = PACKETS.init(([0; 512], [0; 128]));
    let driver = hub.driver(TcpLink::new(cell, endpoints), &mut receive[..], &mut transmit[..]);
    spawner.spawn(drive(driver).expect("spawned once"));

    let client = hub.client();
    spawner.spawn(watch(client).expect("spawned once"));
    let subscription = client.subscribe("large", QoS::AtLeastOnce).await;
    log!("subscribed granted={}", subscription.is_ok());
    let hash = DONE.wait().await;
    let mut text = [0; 64];
    for (byte, digits) in hash.iter().zip(text.chunks_exact_mut(2)) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 15)];
    }
    let usage = memory::usage();
    log!("sha256={}", core::str::from_utf8(&text).unwrap_or("?"));
    log!("memory statics={} stack={}", usage.statics, usage.stack_used);
    client.drain(core::time::Duration::from_secs(5)).await;
    semihost::exit(0)
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[embassy_executor::task]
async fn drive(mut driver: Driver<'static, NoopRawMutex, TcpLink<'static, 'static>>) {
    driver.run().await;
}
