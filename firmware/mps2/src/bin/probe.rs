//! Does what it is told on the console, to try each part of the board.
//!
//! Commands: those of `console::common`, `torture` (writes flash until the power fails; needs
//! argument `flash=FILE`), `overflow` (uses up the stack) and `wait MS`. UART1 echoes. The state of the network
//! is logged.
#![no_std]
#![no_main]

use embassy_net::Stack;
use embassy_time::Timer;
use embedded_io_async::{Read, Write};
use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};
use mps2::args::Args;
use mps2::console::{self, Console};
use mps2::eth::NicControl;
use mps2::flash::{FileFlash, FlashError, SECTOR, Settings, WORD};
use mps2::uart::Port;
use mps2::{log, net};
use static_cell::StaticCell;

#[cortex_m_rt::entry]
fn main() -> ! {
    mps2::start(|spawner, board| {
        let count = &mut board.reset.retained[0];
        *count = count.wrapping_add(1);
        log!("retained count={count}");
        let nic = net::start(spawner, board.args).map(|(stack, nic)| {
            spawner.spawn(watch(stack).expect("spawned once"));
            nic
        });
        spawner.spawn(echo().expect("spawned once"));
        spawner.spawn(obey(board.args, nic).expect("spawned once"));
    })
}

#[embassy_executor::task]
async fn obey(args: Args, nic: Option<NicControl>) {
    let mut console = Console::open();
    log!("ready");
    loop {
        let line = console.line().await;
        if console::common(line, nic) {
            continue;
        }
        if let Some(time) = line.strip_prefix("wait ").and_then(|time| time.parse().ok()) {
            Timer::after_millis(time).await;
            log!("waited");
            continue;
        }
        match line {
            "torture" => match torture(args).await {
                Ok(never) => match never {},
                Err(error) => log!("flash {error:?}"),
            },
            "overflow" => log!("overflow {}", overflow(1)),
            unknown => log!("unknown command: {unknown}"),
        }
    }
}

#[embassy_executor::task]
async fn watch(stack: Stack<'static>) {
    loop {
        stack.wait_config_up().await;
        if let Some(config) = stack.config_v4() {
            log!("net up address={}", config.address);
        }
        stack.wait_config_down().await;
        log!("net down");
    }
}

#[embassy_executor::task]
async fn echo() {
    static RX: StaticCell<[u8; 1024]> = StaticCell::new();
    static TX: StaticCell<[u8; 256]> = StaticCell::new();
    let (mut rx, mut tx) = Port::Link.open(RX.init([0; 1024]), TX.init([0; 256]));
    let mut block = [0; 128];
    loop {
        let Ok(length) = rx.read(&mut block).await;
        let Ok(()) = tx.write_all(&block[..length]).await;
    }
}

/// Erases and fills sector after sector, round after round. A word holds its round (16 bits), its
/// sector (6) and its place in it (10), so that an image tells where the power failed.
async fn torture(args: Args) -> Result<core::convert::Infallible, FlashError> {
    let path = args.text("flash").ok_or(FlashError::Host)?;
    let mut flash = FileFlash::open(path, Settings::from_args(args))?;
    for round in 0u32.. {
        for sector in 0..(flash.capacity() / SECTOR) as u32 {
            let start = sector * SECTOR as u32;
            flash.erase(start, start + SECTOR as u32).await?;
            for offset in (0..SECTOR as u32).step_by(64) {
                let mut block = [0; 64];
                for (place, word) in block.chunks_exact_mut(WORD).enumerate() {
                    let place = offset / WORD as u32 + place as u32;
                    word.copy_from_slice(&(round << 16 | sector << 10 | place).to_le_bytes());
                }
                flash.write(start + offset, &block).await?;
            }
        }
        log!("torture round={round} {:?}", flash.wear());
    }
    Err(FlashError::OutOfBounds)
}

#[expect(unconditional_recursion, reason = "to use up the stack")]
fn overflow(depth: u32) -> u32 {
    let block = core::hint::black_box([depth; 64]);
    overflow(depth + 1) + block[depth as usize % 64]
}
