//! An MQTT client in static memory, over the board's network.

use core::fmt::{self, Write};
use core::time::Duration;

use embassy_executor::Spawner;
use embassy_net::Stack;
use embassy_sync::blocking_mutex::raw::{CriticalSectionRawMutex, NoopRawMutex};
use embassy_sync::signal::Signal;
use embedded_storage_async::nor_flash::ReadNorFlash;
use everlink::embedded::{
    self, Config, Connect, Driver, Flash, Found, Hub, KeepError, Keeper, KeptSlot, Memory,
    Properties, Will,
};
use everlink::{QoS, Version, WhenFull};
use everlink_link::embedded::tcp::{Endpoint, TcpCell, TcpLink};
use static_cell::{ConstStaticCell, StaticCell};

use crate::args::Args;
use crate::flash::{FileFlash, FlashError};
use crate::{log, semihost};

/// A handle to the board's client.
pub type Client = embedded::Client<'static, NoopRawMutex>;

/// One TCP segment each way is what a small board can spare.
const TCP_BUFFER: usize = 1460;
/// Largest packet to receive, and room for packets to send.
const PACKET_BUFFER: usize = 512;

/// Largest record in flash: a message of 100 bytes, or the session.
const RECORD: usize = 208;

/// 16 messages of 2 KiB together on their way out, as many received ones, 4 subscriptions.
type BoardMemory = Memory<16, 2048, 16, 2048, 4>;

/// Tells the driver to open a client that was closed.
static OPEN: Signal<CriticalSectionRawMutex, ()> = Signal::new();
/// The driver has left the broker.
static CLOSED: Signal<CriticalSectionRawMutex, ()> = Signal::new();

/// Starts a client, which connects as soon as the network is up, and for ever.
///
/// Arguments: `host` (default 10.0.2.2, which is the host) and `port` of the broker, `version` (5, or
/// 311), `id` (Client Identifier), `clean=0` (takes up an old session at power-up too), `keep-alive` in
/// seconds (60), `response-ms` (10000), `clean-reconnect=1` (takes up no old session ever), `will` (a topic,
/// on which the broker says `gone` when the board is), `seed` of the pauses between attempts.
///
/// # Panics
/// When it has been called before.
pub fn start(spawner: Spawner, args: Args, stack: Stack<'static>) -> Client {
    let (hub, driver) = build(args, stack);
    let client = hub.client();
    // Spawned once, here, and this cannot run twice: the cells would panic.
    spawner.spawn(drive(driver).expect("spawned once"));
    spawner.spawn(watch(client).expect("spawned once"));
    client
}

/// As [`start`], and keeps what is unfinished in the flash named by the argument `flash`: 16 messages
/// of up to 100 bytes.
///
/// # Errors
/// The flash cannot be read.
///
/// # Panics
/// As [`start`].
pub async fn start_keeping(
    spawner: Spawner,
    args: Args,
    stack: Stack<'static>,
    flash: FileFlash,
) -> Result<(Client, Found), KeepError<sequential_storage::Error<FlashError>>> {
    static WORK: StaticCell<[u8; RECORD + 8]> = StaticCell::new();
    static VALUE: StaticCell<[u8; RECORD]> = StaticCell::new();
    static SLOTS: StaticCell<[KeptSlot; 16]> = StaticCell::new();

    let range = 0..flash.capacity() as u32;
    let flash = Flash::new(flash, range, WORK.init([0; RECORD + 8]));
    let (hub, driver) = build(args, stack);
    let slots = SLOTS.init([KeptSlot::default(); 16]);
    let (keeper, found) = hub.keep(flash, VALUE.init([0; RECORD]), slots).await?;
    let client = hub.client();
    spawner.spawn(drive_keeping(driver, keeper).expect("spawned once"));
    spawner.spawn(watch(client).expect("spawned once"));
    Ok((client, found))
}

fn build(
    args: Args,
    stack: Stack<'static>,
) -> (&'static Hub<'static, NoopRawMutex>, Driver<'static, NoopRawMutex, TcpLink<'static, 'static>>)
{
    static MEMORY: StaticCell<BoardMemory> = StaticCell::new();
    static HUB: StaticCell<Hub<'static, NoopRawMutex>> = StaticCell::new();
    static CELL: StaticCell<TcpCell<'static>> = StaticCell::new();
    static TCP: ConstStaticCell<[[u8; TCP_BUFFER]; 2]> = ConstStaticCell::new([[0; TCP_BUFFER]; 2]);
    static PACKETS: ConstStaticCell<[[u8; PACKET_BUFFER]; 2]> =
        ConstStaticCell::new([[0; PACKET_BUFFER]; 2]);
    static ENDPOINTS: StaticCell<[Endpoint<'static>; 1]> = StaticCell::new();

    let version = match args.parsed("version", 5u16) {
        311 => Version::V311,
        _ => Version::V5,
    };
    let mut config = Config { version, ..Config::unattended(args.parsed("seed", 1)) };
    config.queue.when_full = WhenFull::Wait;
    config.clean_start = args.parsed("clean", 1u8) != 0;
    config.clean_reconnect = args.parsed("clean-reconnect", 0u8) != 0;
    // The broker may hold exchanges of our last life, whose identifiers we no longer know.
    config.first_packet_id = if config.clean_start { 1 } else { semihost::host_clock() as u16 };
    config.keep_alive = args.parsed("keep-alive", 60);
    config.response_time = Duration::from_millis(args.parsed("response-ms", 10_000));
    let mut connect = Connect::new(args.text("id").unwrap_or("mps2"));
    if let Some(topic) = args.text("will") {
        let (qos, props) = (QoS::AtLeastOnce, Properties::EMPTY);
        connect = connect.will(Will { topic, payload: b"gone", qos, retain: false, props });
    }
    let hub = HUB.init(Hub::new(MEMORY.init_with(Memory::new), config, connect));

    let [tcp_receive, tcp_transmit] = TCP.take();
    let cell = CELL.init(TcpCell::new(stack, tcp_receive, tcp_transmit));
    let host = args.text("host").unwrap_or("10.0.2.2");
    let endpoints = ENDPOINTS.init([Endpoint::new(host, args.parsed("port", 1883))]);
    let [receive, transmit] = PACKETS.take();
    let driver = hub.driver(TcpLink::new(cell, endpoints), &mut receive[..], &mut transmit[..]);
    (hub, driver)
}

/// Waits until the client is closed, after [`Client::close`].
pub async fn closed() {
    CLOSED.wait().await;
}

/// Opens the client again after [`Client::close`].
pub fn open() {
    OPEN.signal(());
}

#[embassy_executor::task]
async fn drive(mut driver: Driver<'static, NoopRawMutex, TcpLink<'static, 'static>>) {
    loop {
        OPEN.reset();
        CLOSED.reset();
        let finished = driver.run().await;
        log!("client {finished:?}");
        CLOSED.signal(());
        OPEN.wait().await;
    }
}

#[embassy_executor::task]
async fn drive_keeping(
    mut driver: Driver<'static, NoopRawMutex, TcpLink<'static, 'static>>,
    mut keeper: Keeper<'static, Flash<'static, FileFlash>>,
) {
    let finished = driver.run_keeping(&mut keeper).await;
    log!("client {finished:?} medium-failures={}", keeper.failures());
    CLOSED.signal(());
}

/// Logs every change of state.
#[embassy_executor::task]
pub async fn watch(client: Client) {
    let mut state = client.state();
    loop {
        state = client.changed(&state).await;
        match state.fault {
            Some(fault) if !state.is_up() => {
                log!("state {} attempts={} fault={fault}", state.step.name(), state.attempts);
            }
            _ => log!("state {} resumed={}", state.step.name(), state.resumed),
        }
    }
}

/// A number as text.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    text: [u8; 10],
    length: usize,
}

impl Decimal {
    /// The digits of `number`.
    pub fn new(number: u32) -> Self {
        let mut decimal = Self { text: [0; 10], length: 0 };
        // Ten digits hold every number of 32 bits.
        let _ = write!(decimal, "{number}");
        decimal
    }
}

impl AsRef<[u8]> for Decimal {
    fn as_ref(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

impl Write for Decimal {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.text.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
