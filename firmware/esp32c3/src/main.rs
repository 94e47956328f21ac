//! ESP32-C3: joins WiFi and gets an address by DHCP, again after every loss.
//!
//! See ../../README.md for building and flashing.
#![no_std]
#![no_main]

mod networks;

use embassy_executor::Spawner;
use embassy_net::{DhcpConfig, Runner, Stack, StackResources};
use embassy_time::{Duration, Timer, with_timeout};
use esp_backtrace as _;
use esp_hal::clock::CpuClock;
use esp_hal::rng::Rng;
use esp_hal::timer::timg::TimerGroup;
use esp_println::println;
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{
    AuthenticationMethodConfig, Config, ConnectionError, Interface, WifiController, WifiError,
};
use static_cell::StaticCell;

use networks::{NETWORKS, Network};

esp_bootloader_esp_idf::esp_app_desc!();

/// Sockets: DHCP, DNS, and two for the program.
const SOCKETS: usize = 4;
/// For joining, and for the address after it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two rounds over all networks.
const PAUSE: Duration = Duration::from_secs(5);

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
    // `main` runs once.
    spawner.spawn(run(runner).expect("spawned once"));
    stay_connected(radio, stack).await
}

#[embassy_executor::task]
async fn run(mut runner: Runner<'static, Interface>) -> ! {
    runner.run().await
}

/// Joins the first network that works, and starts over when it is lost.
async fn stay_connected(mut radio: WifiController<'static>, stack: Stack<'static>) -> ! {
    loop {
        for network in NETWORKS.into_iter().filter(|network| !network.ssid.is_empty()) {
            match with_timeout(PATIENCE, join(&mut radio, network)).await {
                Ok(Ok(())) => {
                    println!("joined {}", network.ssid);
                    with_address(stack).await;
                }
                Ok(Err(error)) => println!("cannot join {}: {error:?}", network.ssid),
                Err(_) => println!("cannot join {}: no answer", network.ssid),
            }
            // It may be connected or not.
            let _ = radio.disconnect_async().await;
        }
        Timer::after(PAUSE).await;
    }
}

async fn join(radio: &mut WifiController<'_>, network: Network) -> Result<(), JoinError> {
    let authentication = match network.password {
        "" => AuthenticationMethodConfig::Open,
        password => AuthenticationMethodConfig::Wpa2Personal(password.try_into()?),
    };
    let station = StationConfig::default()
        .with_ssid(network.ssid.try_into()?)
        .with_authentication(authentication);
    radio.set_config(&Config::Station(station))?;
    radio.connect_async().await?;
    Ok(())
}

/// Gets an address and returns when the link is lost.
async fn with_address(stack: Stack<'static>) {
    if with_timeout(PATIENCE, stack.wait_config_up()).await.is_err() {
        println!("no address by DHCP");
        return;
    }
    if let Some(config) = stack.config_v4() {
        println!("address {}", config.address);
    }
    stack.wait_link_down().await;
    println!("link lost");
}

/// Why a network could not be joined.
#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
enum JoinError {
    /// Name or key are impossible, or the radio refuses.
    Radio(WifiError),
    /// The network does.
    Network(ConnectionError),
}

impl From<WifiError> for JoinError {
    fn from(error: WifiError) -> Self {
        JoinError::Radio(error)
    }
}

impl From<ConnectionError> for JoinError {
    fn from(error: ConnectionError) -> Self {
        JoinError::Network(error)
    }
}
