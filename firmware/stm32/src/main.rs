//! NUCLEO-F429ZI: publishes the chip's temperature every ten seconds over Ethernet, and switches its blue
//! LED on command. Whatever breaks, it comes back by itself, and the readings taken meanwhile follow.
//!
//! | topic            | what                                                         |
//! |------------------|--------------------------------------------------------------|
//! | `ID/temperature` | the reading in degrees Celsius, QoS 1                         |
//! | `ID/led`         | `on` or `off`, from you to the board                          |
//! | `ID/status`      | `online`, or `offline` from the broker on our behalf; retained |
//!
//! `ID` is `stm32-` and the MAC address. The green LED is on while the broker is there. See
//! ../../README.md for wiring, building and flashing.
#![no_std]
#![no_main]

use defmt::{info, warn};
use defmt_rtt as _;
use embassy_executor::Spawner;
use embassy_net::{DhcpConfig, Runner, StackResources};
use embassy_stm32::adc::{Adc, SampleTime, Temperature};
use embassy_stm32::eth::{Ethernet, GenericPhy, PacketQueue, Sma};
use embassy_stm32::gpio::{Level, Output, Speed};
use embassy_stm32::peripherals::{ADC1, ETH, ETH_SMA, IWDG, RNG};
use embassy_stm32::rng::Rng;
use embassy_stm32::time::Hertz;
use embassy_stm32::wdg::IndependentWatchdog;
use embassy_stm32::{Config as Clocks, bind_interrupts, eth, rng, uid};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_time::{Duration, Ticker};
use everlink::embedded::{self, Config, Connect, Memory, Properties, Will};
use everlink::{QoS, WhenFull};
use everlink_link::embedded::tcp::{TcpCell, TcpLink};
use panic_probe as _;
use static_cell::{ConstStaticCell, StaticCell};
use thing::{Celsius, Names, Text};

bind_interrupts!(struct Interrupts {
    ETH => eth::InterruptHandler;
    HASH_RNG => rng::InterruptHandler<RNG>;
});

/// The MAC, and a PHY that is found by asking.
type Nic = Ethernet<'static, ETH, GenericPhy<Sma<'static, ETH_SMA>>>;
type Hub = embedded::Hub<'static, NoopRawMutex>;
type Client = embedded::Client<'static, NoopRawMutex>;
type Link = TcpLink<'static, 'static>;
type Driver = embedded::Driver<'static, NoopRawMutex, Link>;
/// 32 messages of 1.5 KiB together on their way out: five minutes of readings. 8 received messages, 2
/// subscriptions.
type Storage = Memory<32, 1536, 8, 512, 2>;

/// Sockets: DHCP, DNS, MQTT.
const SOCKETS: usize = 3;
const EVERY: Duration = Duration::from_secs(10);
/// A board that hangs for so long starts again.
const WATCHDOG: Duration = Duration::from_secs(8);

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    static PACKETS: StaticCell<PacketQueue<4, 4>> = StaticCell::new();
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let board = embassy_stm32::init(clocks());
    let address = address();
    // RMII to the LAN8742A, as the Nucleo is wired.
    let nic = Ethernet::new(
        PACKETS.init_with(PacketQueue::new),
        board.ETH,
        Interrupts,
        board.PA1,
        board.PA7,
        board.PC4,
        board.PC5,
        board.PG13,
        board.PB13,
        board.PG11,
        address,
        board.ETH_SMA,
        board.PA2,
        board.PC1,
    );
    let mut seed = [0; 8];
    Rng::new(board.RNG, Interrupts).async_fill_bytes(&mut seed).await.unwrap_or_default();
    let config = embassy_net::Config::dhcpv4(DhcpConfig::default());
    let resources = RESOURCES.init(StackResources::new());
    let (stack, runner) = embassy_net::new(nic, config, resources, u64::from_le_bytes(seed));
    // Everything here is spawned once, because `main` runs once.
    spawner.spawn(network(runner).expect("spawned once"));

    static NAMES: StaticCell<Names> = StaticCell::new();
    static CELL: StaticCell<TcpCell<'static>> = StaticCell::new();
    static TCP: ConstStaticCell<[[u8; 1460]; 2]> = ConstStaticCell::new([[0; 1460]; 2]);
    let names: &'static Names = NAMES.init(Names::new("stm32", &address));
    let [receive, transmit] = TCP.take();
    let tcp = TcpLink::new(CELL.init(TcpCell::new(stack, receive, transmit)), &thing::BROKER);
    let client = start_client(spawner, names, tcp);

    let [green, blue] = [
        Output::new(board.PB0, Level::Low, Speed::Low),
        Output::new(board.PB7, Level::Low, Speed::Low),
    ];
    spawner.spawn(show(client, names, green).expect("spawned once"));
    spawner.spawn(obey(client, names, blue).expect("spawned once"));
    let micros = WATCHDOG.as_micros() as u32;
    spawner.spawn(guard(IndependentWatchdog::new(board.IWDG, micros)).expect("spawned once"));
    let adc = Adc::new(board.ADC1);
    let sensor = adc.enable_temperature();
    measure(client, names, adc, sensor).await;
}

/// An MQTT client in static memory, and the task that drives it.
fn start_client(spawner: Spawner, names: &'static Names, link: Link) -> Client {
    static STORAGE: StaticCell<Storage> = StaticCell::new();
    static HUB: StaticCell<Hub> = StaticCell::new();
    static PACKETS: ConstStaticCell<[[u8; 512]; 2]> = ConstStaticCell::new([[0; 512]; 2]);

    let mut config = Config::unattended(names.seed());
    // In a long outage the newest readings are worth more than the oldest.
    config.queue.when_full = WhenFull::DropOldest;
    // DHCP is part of it, and so is the time until somebody plugs the cable in.
    config.open_timeout = core::time::Duration::from_secs(30);
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
async fn network(mut runner: Runner<'static, Nic>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn drive(mut driver: Driver) {
    // Ends only when the client is closed, which nobody does here.
    let _ = driver.run().await;
}

/// Tells the world that we are there, and whoever watches the log how far we are.
#[embassy_executor::task]
async fn show(client: Client, names: &'static Names, mut led: Output<'static>) {
    let mut state = client.state();
    loop {
        info!("{}: {}", &*names.id, state);
        led.set_level(if state.is_up() { Level::High } else { Level::Low });
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
async fn obey(client: Client, names: &'static Names, mut led: Output<'static>) {
    let mut commands = match client.subscribe(&names.led, QoS::AtLeastOnce).open() {
        Ok(commands) => commands,
        Err(error) => return warn!("led: {}", error),
    };
    while let Some(on) = commands.next(|message| message.payload == b"on").await {
        led.set_level(if on { Level::High } else { Level::Low });
    }
}

/// Publishes readings: accepted at once, delivered as soon as there is a broker.
async fn measure(
    client: Client,
    names: &Names,
    mut adc: Adc<'_, ADC1>,
    mut sensor: Temperature,
) -> ! {
    let mut every = Ticker::every(EVERY);
    loop {
        let sample = adc.blocking_read(&mut sensor, SampleTime::CYCLES480);
        let reading = Text::<12>::of(celsius(sample));
        let publish = client.publish(&names.temperature, reading.as_bytes());
        match publish.qos(QoS::AtLeastOnce).forget() {
            Ok(()) => info!("{} degrees, {} held", &*reading, client.held()),
            Err(error) => warn!("reading: {}", error),
        }
        every.next().await;
    }
}

/// STM32F429 data sheet, 6.3.22: 25 degrees at 760 mV, and a degree more for each 2.5 mV. 12 bits are
/// 3.3 V.
fn celsius(sample: u16) -> Celsius {
    let microvolts = i32::from(sample) * 8059 / 10;
    Celsius(2500 + (microvolts - 760_000) / 25)
}

/// Keeps the watchdog quiet for as long as tasks run.
#[embassy_executor::task]
async fn guard(mut watchdog: IndependentWatchdog<'static, IWDG>) {
    watchdog.unleash();
    let mut every = Ticker::every(WATCHDOG / 4);
    loop {
        watchdog.pet();
        every.next().await;
    }
}

/// 168 MHz, and 48 MHz for the random number generator, from the 8 MHz of the ST-LINK.
fn clocks() -> Clocks {
    use embassy_stm32::rcc::{
        AHBPrescaler, APBPrescaler, Hse, HseMode, Pll, PllMul, PllPDiv, PllPreDiv, PllQDiv,
        PllSource, Sysclk,
    };
    let mut config = Clocks::default();
    config.rcc.hse = Some(Hse { freq: Hertz(8_000_000), mode: HseMode::Bypass });
    config.rcc.pll_src = PllSource::HSE;
    config.rcc.pll = Some(Pll {
        prediv: PllPreDiv::DIV4,
        mul: PllMul::MUL168,
        divp: Some(PllPDiv::DIV2),
        divq: Some(PllQDiv::DIV7),
        divr: None,
    });
    config.rcc.ahb_pre = AHBPrescaler::DIV1;
    config.rcc.apb1_pre = APBPrescaler::DIV4;
    config.rcc.apb2_pre = APBPrescaler::DIV2;
    config.rcc.sys = Sysclk::PLL1_P;
    config
}

/// An address of this chip's own: locally administered, from its serial number.
fn address() -> [u8; 6] {
    let serial = uid::uid();
    let mix = |start: usize| serial[start..].iter().step_by(5).fold(0, |mix, byte| mix ^ byte);
    [0x02, mix(0), mix(1), mix(2), mix(3), mix(4)]
}
