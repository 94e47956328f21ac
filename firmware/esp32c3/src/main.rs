//! ESP32-C3: publishes the chip's temperature every ten seconds over WiFi, and switches a LED on command.
//! Whatever breaks, it comes back by itself, and the readings taken meanwhile follow.
//!
//! | topic            | what                                                         |
//! |------------------|--------------------------------------------------------------|
//! | `ID/temperature` | the reading in degrees Celsius, QoS 1                         |
//! | `ID/led`         | `on` or `off`, from you to the board                          |
//! | `ID/status`      | `online`, or `offline` from the broker on our behalf; retained |
//!
//! `ID` is `esp32c3-` and the MAC address. See ../../README.md for wiring, building and flashing.
#![no_std]
#![no_main]

mod radio;

use core::time::Duration;

use embassy_executor::Spawner;
use embassy_net::{DhcpConfig, Runner, StackResources};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_time::{Duration as Ticks, Ticker};
use esp_backtrace as _;
use esp_hal::clock::CpuClock;
use esp_hal::efuse;
use esp_hal::gpio::{Level, Output, OutputConfig};
use esp_hal::peripherals::TIMG0;
use esp_hal::rng::Rng;
use esp_hal::timer::timg::{MwdtStage, TimerGroup, Wdt};
use esp_hal::tsens::{self, TemperatureSensor};
use esp_println::println;
use esp_radio::wifi::{Interface, WifiController};
use everlink::embedded::{self, Config, Connect, Memory, Properties, Will};
use everlink::{Ladder, QoS, WhenFull};
use everlink_link::embedded::tcp::{TcpCell, TcpLink};
use everlink_link::embedded::wifi::WifiLink;
use static_cell::{ConstStaticCell, StaticCell};
use thing::{Celsius, Names, Text};

use radio::Radio;

esp_bootloader_esp_idf::esp_app_desc!();

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
/// In seconds: a board that hangs for so long starts again.
const WATCHDOG: u64 = 8;

#[esp_rtos::main]
async fn main(spawner: Spawner) -> ! {
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let board = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    // The radio's code allocates; nothing else here does. The first piece is what the boot loader
    // leaves behind.
    esp_alloc::heap_allocator!(#[esp_hal::ram(reclaimed)] size: 64 * 1024);
    esp_alloc::heap_allocator!(size: 36 * 1024);
    let timers = TimerGroup::new(board.TIMG0);
    esp_rtos::start(timers.timer0, board.FROM_CPU_INTR0);

    // Nothing can be done without a radio.
    let radio = WifiController::new(board.WIFI, Default::default()).expect("the radio starts");
    let random = Rng::new();
    let seed = u64::from(random.random()) << 32 | u64::from(random.random());
    let config = embassy_net::Config::dhcpv4(DhcpConfig::default());
    let resources = RESOURCES.init(StackResources::new());
    let (stack, runner) = embassy_net::new(Interface::station(), config, resources, seed);
    // Everything here is spawned once, because `main` runs once.
    spawner.spawn(network(runner).expect("spawned once"));

    static NAMES: StaticCell<Names> = StaticCell::new();
    static CELL: StaticCell<TcpCell<'static>> = StaticCell::new();
    static TCP: ConstStaticCell<[[u8; 1460]; 2]> = ConstStaticCell::new([[0; 1460]; 2]);
    let serial = efuse::base_mac_address();
    let names: &'static Names = NAMES.init(Names::new("esp32c3", serial.as_bytes()));
    let [receive, transmit] = TCP.take();
    let tcp = TcpLink::new(CELL.init(TcpCell::new(stack, receive, transmit)), &thing::BROKER);
    let link = WifiLink::new(Radio::new(radio, stack), tcp, thing::networks());
    let client = start_client(spawner, names, link);

    spawner.spawn(show(client, names).expect("spawned once"));
    let led = Output::new(board.GPIO8, Level::High, OutputConfig::default());
    spawner.spawn(obey(client, names, led).expect("spawned once"));
    spawner.spawn(guard(timers.wdt).expect("spawned once"));
    // The default settings are possible ones.
    let sensor = TemperatureSensor::new(board.TSENS, tsens::Config::default());
    measure(client, names, sensor.expect("a valid setting")).await
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
    // Leaves the WiFi after every third failure in a row, so that the access point notices too, and
    // resets the radio after every twelfth.
    config.ladder = Ladder {
        link_after: 3,
        link_hold: Duration::from_secs(1),
        device_after: 12,
        ..Ladder::default()
    };
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
async fn network(mut runner: Runner<'static, Interface>) -> ! {
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
        match state.fault {
            Some(fault) if !state.is_up() => {
                println!("{}: {} after {fault}", names.id, state.step.name());
            }
            _ => println!("{}: {}", names.id, state.step.name()),
        }
        if state.is_up() {
            let online = client.publish(&names.status, "online").retain(true);
            if let Err(error) = online.qos(QoS::AtLeastOnce).forget() {
                println!("status: {}", error);
            }
        }
        state = client.changed(&state).await;
    }
}

/// Switches the LED, which is lit when its pin is low. The subscription is restored after every outage.
#[embassy_executor::task]
async fn obey(client: Client, names: &'static Names, mut led: Output<'static>) {
    let mut commands = match client.subscribe(&names.led, QoS::AtLeastOnce).open() {
        Ok(commands) => commands,
        Err(error) => return println!("led: {}", error),
    };
    while let Some(on) = commands.next(|message| message.payload == b"on").await {
        led.set_level(if on { Level::Low } else { Level::High });
    }
}

/// Publishes readings: accepted at once, delivered as soon as there is a broker.
async fn measure(client: Client, names: &Names, sensor: TemperatureSensor<'_>) -> ! {
    let mut every = Ticker::every(EVERY);
    loop {
        let celsius = sensor.get_temperature().to_celsius();
        let reading = Text::<12>::of(Celsius((celsius * 100.0) as i32));
        let publish = client.publish(&names.temperature, reading.as_bytes());
        match publish.qos(QoS::AtLeastOnce).forget() {
            Ok(()) => println!("{reading} degrees, {} held", client.held()),
            Err(error) => println!("reading: {error}"),
        }
        every.next().await;
    }
}

/// Keeps the watchdog quiet for as long as tasks run.
#[embassy_executor::task]
async fn guard(mut watchdog: Wdt<TIMG0<'static>>) {
    watchdog.set_timeout(MwdtStage::Stage0, esp_hal::time::Duration::from_secs(WATCHDOG));
    watchdog.enable();
    let mut every = Ticker::every(Ticks::from_secs(WATCHDOG / 4));
    loop {
        watchdog.feed();
        every.next().await;
    }
}
