//! Raspberry Pi Pico W: joins WiFi and gets an address by DHCP, again after every loss.
//!
//! The LED is on while the board has an address. See ../../README.md for building and flashing.
#![no_std]
#![no_main]

mod networks;
mod nvram;
mod radio;

use defmt::{info, warn};
use defmt_rtt as _;
use embassy_executor::Spawner;
use embassy_net::{Config, DhcpConfig, Runner, Stack, StackResources};
use embassy_rp::clocks::RoscRng;
use embassy_time::{Duration, Timer, with_timeout};
use panic_probe as _;
use portable_atomic as _;
use static_cell::StaticCell;

use networks::NETWORKS;
use radio::{Radio, Wiring};

/// Sockets: DHCP, DNS, and two for the program.
const SOCKETS: usize = 4;
/// For joining, and for the address after it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two rounds over all networks.
const PAUSE: Duration = Duration::from_secs(5);

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
    let (radio, driver) = Radio::start(spawner, wiring).await;
    let resources = RESOURCES.init(StackResources::new());
    let config = Config::dhcpv4(DhcpConfig::default());
    let (stack, runner) = embassy_net::new(driver, config, resources, RoscRng.next_u64());
    // `main` runs once.
    spawner.spawn(run(runner).expect("spawned once"));
    stay_connected(radio, stack).await;
}

#[embassy_executor::task]
async fn run(mut runner: Runner<'static, cyw43::NetDriver<'static>>) -> ! {
    runner.run().await
}

/// Joins the first network that works, and starts over when it is lost.
async fn stay_connected(mut radio: Radio, stack: Stack<'static>) -> ! {
    loop {
        for network in NETWORKS.into_iter().filter(|network| !network.ssid.is_empty()) {
            match with_timeout(PATIENCE, radio.join(network)).await {
                Ok(Ok(())) => {
                    info!("joined {}", network.ssid);
                    with_address(&mut radio, stack).await;
                }
                Ok(Err(error)) => warn!("cannot join {}: {}", network.ssid, error),
                Err(_) => warn!("cannot join {}: no answer", network.ssid),
            }
            radio.leave().await;
        }
        Timer::after(PAUSE).await;
    }
}

/// Gets an address and returns when the link is lost.
async fn with_address(radio: &mut Radio, stack: Stack<'static>) {
    if with_timeout(PATIENCE, stack.wait_config_up()).await.is_err() {
        warn!("no address by DHCP");
        return;
    }
    if let Some(config) = stack.config_v4() {
        info!("address {}", config.address);
    }
    radio.set_led(true).await;
    stack.wait_link_down().await;
    radio.set_led(false).await;
    warn!("link lost");
}
