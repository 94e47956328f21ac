//! The client over TLS 1.3: sends itself numbers at QoS 2 through the broker, and judges what comes back.
//!
//! Arguments: `host=NAME` (the name in the broker's certificate), `port=N`, `ca=FILE` (the authority's
//! certificate in DER form, on the host), `count=N` (50), and those of `net::start`.
#![no_std]
#![no_main]

use embassy_executor::Spawner;
use embassy_net::Stack;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_time::{Duration, Timer, with_timeout};
use everlink::QoS;
use everlink::embedded::{self, Config, Connect, Memory};
use everlink_link::embedded::relay::{Relay, RelayLink};
use everlink_link::embedded::tcp::{Endpoint, TcpCell, TcpLink};
use everlink_link::embedded::tls::{Authority, Tls, TlsClock};
use mps2::args::Args;
use mps2::client::Decimal;
use mps2::semihost::{self, HostRandom};
use mps2::{Board, log, memory, net};
use static_cell::{ConstStaticCell, StaticCell};

type Hub = embedded::Hub<'static, NoopRawMutex>;
type Client = embedded::Client<'static, NoopRawMutex>;
type Link = RelayLink<'static, 'static, NoopRawMutex>;
type Driver = embedded::Driver<'static, NoopRawMutex, Link>;
type SecureLink = Tls<'static, TcpLink<'static, 'static>, HostRandom>;

/// Any TLS record fits.
const RECORD: usize = 16_640;
/// Longest wait for a number to come back: an outage is ridden.
const PATIENCE: Duration = Duration::from_secs(60);

/// The host's clock, to check the certificate's dates.
struct Clock;

impl TlsClock for Clock {
    fn now() -> Option<u64> {
        Some(semihost::unix_time().into())
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    mps2::start(|spawner, board| spawner.spawn(tls(spawner, board).expect("spawned once")))
}

#[embassy_executor::task]
async fn tls(spawner: Spawner, board: Board) {
    let Some((stack, _nic)) = net::start(spawner, board.args) else {
        log!("failed: no NIC");
        semihost::exit(1)
    };
    let Some(client) = start(spawner, board.args, stack) else {
        log!("failed: no certificate, or no random numbers");
        semihost::exit(1)
    };
    // Everything is spawned once, because this task is.
    spawner.spawn(watch(client).expect("spawned once"));
    let right = exchange(client, board.args.parsed("count", 50)).await;
    log!("memory statics={} stack={}", memory::usage().statics, memory::usage().stack_used);
    log!("verdict {}", if right { "right" } else { "wrong" });
}

/// A client over TLS over TCP. A task of its own encrypts and decrypts.
fn start(spawner: Spawner, args: Args, stack: Stack<'static>) -> Option<Client> {
    static CERTIFICATE: ConstStaticCell<[u8; 1024]> = ConstStaticCell::new([0; 1024]);
    static BUFFERS: ConstStaticCell<[[u8; 1460]; 2]> = ConstStaticCell::new([[0; 1460]; 2]);
    static RINGS: ConstStaticCell<[[u8; 512]; 2]> = ConstStaticCell::new([[0; 512]; 2]);
    static PACKETS: ConstStaticCell<[[u8; 512]; 2]> = ConstStaticCell::new([[0; 512]; 2]);
    static CELL: StaticCell<TcpCell<'static>> = StaticCell::new();
    static ENDPOINTS: StaticCell<[Endpoint<'static>; 1]> = StaticCell::new();
    static NAMES: StaticCell<[&str; 1]> = StaticCell::new();
    static RELAY: StaticCell<Relay<'static, NoopRawMutex>> = StaticCell::new();
    static MEMORY: StaticCell<Memory<16, 1024, 16, 1024, 2>> = StaticCell::new();
    static HUB: StaticCell<Hub> = StaticCell::new();

    let host = args.text("host").unwrap_or("10.0.2.2");
    let authority = semihost::read_file(args.text("ca")?, CERTIFICATE.take())?;
    let [receive, transmit] = BUFFERS.take();
    let cell = CELL.init(TcpCell::new(stack, receive, transmit));
    let tcp = TcpLink::new(cell, ENDPOINTS.init([Endpoint::new(host, args.parsed("port", 8883))]));
    let names = NAMES.init([host]);
    let secure = Tls::new(tcp, Authority::new(authority), names, HostRandom::open()?);
    let [up, down] = RINGS.take();
    let relay: &'static _ = RELAY.init(Relay::new(up, down));
    spawner.spawn(pump(secure, relay).expect("spawned once"));

    let hub = HUB.init(Hub::new(
        MEMORY.init_with(Memory::new),
        Config::unattended(1),
        Connect::new("tls"),
    ));
    let [receive, transmit] = PACKETS.take();
    let driver = hub.driver(relay.link(), &mut receive[..], &mut transmit[..]);
    spawner.spawn(drive(driver).expect("spawned once"));
    Some(hub.client())
}

#[embassy_executor::task]
async fn pump(mut secure: SecureLink, relay: &'static Relay<'static, NoopRawMutex>) {
    static READ: ConstStaticCell<[u8; RECORD]> = ConstStaticCell::new([0; RECORD]);
    static WRITE: ConstStaticCell<[u8; 1024]> = ConstStaticCell::new([0; 1024]);
    secure.pump::<Clock, _>(relay, READ.take(), WRITE.take()).await;
}

#[embassy_executor::task]
async fn drive(mut driver: Driver) {
    let _ = driver.run().await;
}

#[embassy_executor::task]
async fn watch(client: Client) {
    let mut state = client.state();
    loop {
        state = client.changed(&state).await;
        match state.fault {
            Some(fault) if !state.is_up() => log!("state {} fault={fault}", state.step.name()),
            _ => log!("state {} resumed={}", state.step.name(), state.resumed),
        }
    }
}

/// Sends numbers and takes them back; whether all came once and in order.
async fn exchange(client: Client, count: u32) -> bool {
    let mut echo = match client.subscribe("echo", QoS::ExactlyOnce).await {
        Ok(echo) => echo,
        Err(error) => {
            log!("failed: {error}");
            return false;
        }
    };
    log!("ready");
    for number in 0..count {
        let sent = Decimal::new(number);
        if let Err(error) = client.publish("echo", &sent).qos(QoS::ExactlyOnce).accepted().await {
            log!("failed: {error}");
            return false;
        }
        let next = echo.next(|message| message.payload == sent.as_ref());
        if with_timeout(PATIENCE, next).await != Ok(Some(true)) {
            log!("failed: number {number}");
            return false;
        }
        log!("back {number}");
        Timer::after_millis(20).await;
    }
    client.flush().await;
    client.held() == 0
}
