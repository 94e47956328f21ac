//! The ends nobody wants: panic, fault, interrupt without a handler. All are logged and end the
//! emulator with a status of their own.
#![allow(unsafe_code)]

use core::panic::PanicInfo;

use cortex_m_rt::{ExceptionFrame, exception};

use crate::{log, semihost};

/// Exit status after a panic.
pub const PANICKED: u8 = 101;
/// Exit status after a fault of the processor or an interrupt that has no handler.
pub const FAULTED: u8 = 102;
/// Exit status after a power cut that was asked for; see [`crate::flash`].
pub const POWER_CUT: u8 = 103;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    log!("PANIC {info}");
    semihost::exit(PANICKED)
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    log!("FAULT pc={:#010x} lr={:#010x}", frame.pc(), frame.lr());
    semihost::exit(FAULTED)
}

#[exception]
unsafe fn DefaultHandler(number: i16) {
    log!("FAULT interrupt {number} has no handler");
    semihost::exit(FAULTED)
}
