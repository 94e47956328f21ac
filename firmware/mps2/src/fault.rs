//! The ends nobody wants: panic, fault, interrupt without a handler. All are logged and end the
//! emulator with a status of their own.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::panic::PanicInfo;

use cortex_m_rt::exception;

use crate::{log, semihost};

/// Exit status after a panic.
pub const PANICKED: u8 = 101;
/// Exit status after a fault of the processor or an interrupt that has no handler.
pub const FAULTED: u8 = 102;
/// Exit status after the stack grew beyond its end.
pub const OVERFLOWED: u8 = 104;
/// Exit status after a power cut that was asked for; see [`crate::flash`].
pub const POWER_CUT: u8 = 103;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    log!("PANIC {info}");
    semihost::exit(PANICKED)
}

/// An overflow leaves no stack to report it with, so this takes a fresh one from the top: nothing
/// returns to what was there.
// SAFETY: only the processor calls this, as the handler of a fault, and it does not return.
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".HardFault.user")]
unsafe extern "C" fn HardFault() -> ! {
    naked_asm!(
        "mov r0, sp",
        "movw r1, :lower16:_stack_end",
        "movt r1, :upper16:_stack_end",
        "movw r2, :lower16:_stack_start",
        "movt r2, :upper16:_stack_start",
        "cmp r0, r1",
        "it lo",
        "movlo sp, r2",
        "b {report}",
        report = sym report,
    )
}

/// `frame` is what the processor saved: r0 to r3, r12, lr, pc; nowhere if it lies below `bottom`.
extern "C" fn report(frame: *const [u32; 7], bottom: *const [u32; 7]) -> ! {
    if frame < bottom {
        log!("FAULT stack overflow");
        semihost::exit(OVERFLOWED)
    }
    // SAFETY: the processor has just written it there.
    let [.., lr, pc] = unsafe { *frame };
    log!("FAULT pc={pc:#010x} lr={lr:#010x}");
    semihost::exit(FAULTED)
}

#[exception]
unsafe fn DefaultHandler(number: i16) {
    log!("FAULT interrupt {number} has no handler");
    semihost::exit(FAULTED)
}
