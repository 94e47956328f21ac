//! Board support for the emulated board: QEMU's `mps2-an385`, a Cortex-M3 at 25 MHz.
//!
//! A program calls [`start`], which gives it the command line, the reason of the start and an
//! embassy executor:
//!
//! ```ignore
//! #[cortex_m_rt::entry]
//! fn main() -> ! {
//!     mps2::start(|spawner, board| spawner.spawn(program(spawner, board).unwrap()))
//! }
//! ```
#![no_std]

pub mod args;
pub mod client;
pub mod clock;
pub mod console;
pub mod counters;
pub mod eth;
mod executor;
pub mod fault;
pub mod flash;
pub mod irq;
#[doc(hidden)]
pub mod log;
pub mod memory;
pub mod net;
mod reg;
pub mod reset;
mod ring;
pub mod semihost;
pub mod uart;

use embassy_executor::Spawner;

use args::Args;
use reset::Reset;

/// What a program gets at its start. Network, flash and UARTs are started by those who need them.
pub struct Board {
    /// The command line.
    pub args: Args,
    /// Why the board started, and memory that survives a reset.
    pub reset: Reset,
}

/// Starts the clock and the executor, and runs what `init` spawns, for ever.
pub fn start(init: impl FnOnce(Spawner, Board)) -> ! {
    clock::start();
    let board = Board { args: Args::read(), reset: Reset::take() };
    log!("start cause={} starts={} args: {}", board.reset.cause, board.reset.starts, board.args);
    executor::run(|spawner| init(spawner, board))
}
