//! Raspberry Pi Pico W: publishes the chip's temperature every ten seconds over WiFi, and switches its
//! LED on command. Whatever breaks, it comes back by itself, and the readings taken meanwhile follow.
//!
//! | topic            | what                                                         |
//! |------------------|--------------------------------------------------------------|
//! | `ID/temperature` | the reading in degrees Celsius, QoS 1                         |
//! | `ID/led`         | `on` or `off`, from you to the board                          |
//! | `ID/status`      | `online`, or `offline` from the broker on our behalf; retained |
//!
//! `ID` is `pico-w-` and the MAC address. See ../../README.md for building and flashing.
#![no_std]
#![no_main]

mod nvram;
mod radio;

use core::time::Duration;

use defmt::{info, warn};
use defmt_rtt as _;
use embassy_executor::Spawner;
use embassy_net::{DhcpConfig, Runner, StackResources};
use embassy_rp::adc::{Adc, Blocking, Channel};
use embassy_rp::clocks::RoscRng;
use embassy_rp::watchdog::Watchdog;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_time::{Duration as Ticks, Ticker};
use everlink::embedded::{self, Config, Connect, Memory, Properties, Will};
use everlink::{Ladder, QoS, WhenFull};
use everlink_link::embedded::tcp::{TcpCell, TcpLink};
use everlink_link::embedded::wifi::WifiLink;
use panic_probe as _;
use portable_atomic as _;
use static_cell::{ConstStaticCell, StaticCell};
use thing::{Celsius, Names, Text};

use radio::{Led, Radio, Wiring};

type Hub = embedded::Hub<'static, NoopRawMutex>;
type Client = embedded::Client<'static, NoopRawMutex>;
type Link = WifiLink<'static, Radio, TcpLink<'static, 'static>>;
type Driver = embedded::Driver<'static, NoopRawMutex, Link>;
/// 32 messages of 1.5 KiB together on their way out: five minutes of readings. 8 received messages, 2
/// subscriptions.
type Storage = Memory<32, 1536, 8, 512, 2>;

/// Sockets: DHCP, DNS, MQTT.
const SOCKETS: usize = 3;
const EVERY: Ticks = Ticks::from_secs(10);
/// A board that hangs for so long starts again. The chip cannot count further than 8.3 s.
const WATCHDOG: Ticks = Ticks::from_secs(8);

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let board = embassy_rp::init(embassy_rp::config::Config::default());
    let wiring = Wiring {
        power: board.PIN_23,
        data: board.PIN_24,
        select: board.PIN_25,
        clock: board.PIN_29,
        pio: board.PIO0,
        dma: board.DMA_CH0,
    };
    let (chip, driver) = radio::start(spawner, wiring).await;
    let resources = RESOURCES.init(StackResources::new());
    let config = embassy_net::Config::dhcpv4(DhcpConfig::default());
    let (stack, runner) = embassy_net::new(driver, config, resources, RoscRng.next_u64());
    // Everything here is spawned once, because `main` runs once.
    spawner.spawn(network(runner).expect("spawned once"));

    static NAMES: StaticCell<Names> = StaticCell::new();
    static CELL: StaticCell<TcpCell<'static>> = StaticCell::new();
    static TCP: ConstStaticCell<[[u8; 1460]; 2]> = ConstStaticCell::new([[0; 1460]; 2]);
    let serial = chip.lock().await.address().await;
    let names: &'static Names = NAMES.init(Names::new("pico-w", &serial));
    let [receive, transmit] = TCP.take();
    let tcp = TcpLink::new(CELL.init(TcpCell::new(stack, receive, transmit)), &thing::BROKER);
    let link = WifiLink::new(Radio::new(chip, stack), tcp, thing::networks());
    let client = start_client(spawner, names, link);

    spawner.spawn(show(client, names).expect("spawned once"));
    spawner.spawn(obey(client, names, Led::new(chip)).expect("spawned once"));
    let mut watchdog = Watchdog::new(board.WATCHDOG);
    watchdog.start(WATCHDOG);
    spawner.spawn(guard(watchdog).expect("spawned once"));
    let sensor = Channel::new_temp_sensor(board.ADC_TEMP_SENSOR);
    measure(client, names, Adc::new_blocking(board.ADC, Default::default()), sensor).await;
}

/// An MQTT client in static memory, and the task that drives it.
fn start_client(spawner: Spawner, names: &'static Names, link: Link) -> Client {
    static STORAGE: StaticCell<Storage> = StaticCell::new();
    static HUB: StaticCell<Hub> = StaticCell::new();
    static PACKETS: ConstStaticCell<[[u8; 512]; 2]> = ConstStaticCell::new([[0; 512]; 2]);

    let mut config = Config::unattended(names.seed());
    // In a long outage the newest readings are worth more than the oldest.
    config.queue.when_full = WhenFull::DropOldest;
    // Joining WiFi and DHCP are part of it.
    config.open_timeout = Duration::from_secs(30);
    // Leaves the WiFi after every third failure in a row, so that the access point notices too.
    config.ladder =
        Ladder { link_after: 3, link_hold: Duration::from_secs(1), ..Ladder::default() };
    let will = Will {
        topic: &names.status,
        payload: b"offline",
        qos: QoS::AtLeastOnce,
        retain: true,
        props: Properties::EMPTY,
    };
    let connect = Connect::new(&names.id).will(will);
    let hub = HUB.init(Hub::new(STORAGE.init_with(Memory::new), config, connect));
    let [receive, transmit] = PACKETS.take();
    let driver = hub.driver(link, &mut receive[..], &mut transmit[..]);
    spawner.spawn(drive(driver).expect("spawned once"));
    hub.client()
}

#[embassy_executor::task]
async fn network(mut runner: Runner<'static, cyw43::NetDriver<'static>>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn drive(mut driver: Driver) {
    // Ends only when the client is closed, which nobody does here.
    let _ = driver.run().await;
}

/// Tells the world that we are there, and whoever watches the log how far we are.
#[embassy_executor::task]
async fn show(client: Client, names: &'static Names) {
    let mut state = client.state();
    loop {
        info!("{}: {}", &*names.id, state);
        if state.is_up() {
            let online = client.publish(&names.status, "online").retain(true);
            if let Err(error) = online.qos(QoS::AtLeastOnce).forget() {
                warn!("status: {}", error);
            }
        }
        state = client.changed(&state).await;
    }
}

/// Switches the LED. The subscription is restored after every outage.
#[embassy_executor::task]
async fn obey(client: Client, names: &'static Names, led: Led) {
    let mut commands = match client.subscribe(&names.led, QoS::AtLeastOnce).open() {
        Ok(commands) => commands,
        Err(error) => return warn!("led: {}", error),
    };
    while let Some(on) = commands.next(|message| message.payload == b"on").await {
        led.set(on).await;
    }
}

/// Publishes readings: accepted at once, delivered as soon as there is a broker.
async fn measure(
    client: Client,
    names: &Names,
    mut adc: Adc<'_, Blocking>,
    mut sensor: Channel<'_>,
) -> ! {
    let mut every = Ticker::every(EVERY);
    loop {
        if let Ok(sample) = adc.blocking_read(&mut sensor) {
            let reading = Text::<12>::of(celsius(sample));
            let publish = client.publish(&names.temperature, reading.as_bytes());
            match publish.qos(QoS::AtLeastOnce).forget() {
                Ok(()) => info!("{} degrees, {} held", &*reading, client.held()),
                Err(error) => warn!("reading: {}", error),
            }
        }
        every.next().await;
    }
}

/// RP2040 data sheet, 4.9.5: 27 degrees at 706 mV, and a degree more for each 1.721 mV less. 12 bits
/// are 3.3 V.
fn celsius(sample: u16) -> Celsius {
    let microvolts = i32::from(sample) * 8057 / 10;
    Celsius(2700 - (microvolts - 706_000) * 100 / 1721)
}

/// Keeps the watchdog quiet for as long as tasks run.
#[embassy_executor::task]
async fn guard(mut watchdog: Watchdog) {
    let mut every = Ticker::every(WATCHDOG / 4);
    loop {
        watchdog.feed(WATCHDOG);
        every.next().await;
    }
}
