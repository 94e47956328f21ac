//! NUCLEO-F429ZI: gets an address by DHCP over Ethernet, at every link.
//!
//! The green LED is on while the board has an address. See ../../README.md for building and flashing.
#![no_std]
#![no_main]

use defmt::info;
use defmt_rtt as _;
use embassy_executor::Spawner;
use embassy_net::{DhcpConfig, Runner, Stack, StackResources};
use embassy_stm32::eth::{Ethernet, GenericPhy, PacketQueue, Sma};
use embassy_stm32::gpio::{Level, Output, Speed};
use embassy_stm32::peripherals::{ETH, ETH_SMA, RNG};
use embassy_stm32::rng::Rng;
use embassy_stm32::time::Hertz;
use embassy_stm32::{Config, bind_interrupts, eth, rng, uid};
use panic_probe as _;
use static_cell::StaticCell;

bind_interrupts!(struct Interrupts {
    ETH => eth::InterruptHandler;
    HASH_RNG => rng::InterruptHandler<RNG>;
});

/// The MAC, and a PHY that is found by asking.
type Nic = Ethernet<'static, ETH, GenericPhy<Sma<'static, ETH_SMA>>>;

/// Sockets: DHCP, DNS, and two for the program.
const SOCKETS: usize = 4;

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    static PACKETS: StaticCell<PacketQueue<4, 4>> = StaticCell::new();
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let board = embassy_stm32::init(clocks());
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
        address(),
        board.ETH_SMA,
        board.PA2,
        board.PC1,
    );
    let mut seed = [0; 8];
    Rng::new(board.RNG, Interrupts).async_fill_bytes(&mut seed).await.unwrap_or_default();
    let config = embassy_net::Config::dhcpv4(DhcpConfig::default());
    let resources = RESOURCES.init(StackResources::new());
    let (stack, runner) = embassy_net::new(nic, config, resources, u64::from_le_bytes(seed));
    // `main` runs once.
    spawner.spawn(run(runner).expect("spawned once"));
    show_address(stack, Output::new(board.PB0, Level::Low, Speed::Low)).await;
}

#[embassy_executor::task]
async fn run(mut runner: Runner<'static, Nic>) -> ! {
    runner.run().await
}

async fn show_address(stack: Stack<'static>, mut led: Output<'static>) -> ! {
    loop {
        stack.wait_config_up().await;
        if let Some(config) = stack.config_v4() {
            info!("address {}", config.address);
        }
        led.set_high();
        stack.wait_config_down().await;
        led.set_low();
        info!("link lost");
    }
}

/// 168 MHz, and 48 MHz for the random number generator, from the 8 MHz of the ST-LINK.
fn clocks() -> Config {
    use embassy_stm32::rcc::{
        AHBPrescaler, APBPrescaler, Hse, HseMode, Pll, PllMul, PllPDiv, PllPreDiv, PllQDiv,
        PllSource, Sysclk,
    };
    let mut config = Config::default();
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
