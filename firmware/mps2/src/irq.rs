//! The interrupts in use and the vector table.
#![allow(unsafe_code)]

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;

use crate::{clock, eth, uart};

/// Numbers from the application note of the board (AN385).
#[derive(Clone, Copy)]
#[repr(u16)]
pub(crate) enum Irq {
    Uart0Rx = 0,
    Uart0Tx = 1,
    Uart1Rx = 2,
    Uart1Tx = 3,
    Clock = 8,
    Alarm = 9,
    Ethernet = 13,
}

// SAFETY: the numbers are those of the vector table below and never change.
unsafe impl InterruptNumber for Irq {
    fn number(self) -> u16 {
        self as u16
    }
}

/// Lets `irq` interrupt from now on.
pub(crate) fn enable(irq: Irq) {
    // SAFETY: no critical section of this board relies on a masked interrupt line; they all mask by
    // PRIMASK.
    unsafe { NVIC::unmask(irq) }
}

/// An entry of the vector table.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub union Vector {
    handler: unsafe extern "C" fn(),
    _reserved: usize,
}

unsafe extern "C" {
    /// From cortex-m-rt: leads to the handler of unexpected interrupts in `fault.rs`.
    fn DefaultHandler();
}

#[doc(hidden)]
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
pub static __INTERRUPTS: [Vector; 32] = {
    let mut table = [Vector { handler: DefaultHandler }; 32];
    table[Irq::Uart0Rx as usize] = Vector { handler: uart::uart0_received };
    table[Irq::Uart0Tx as usize] = Vector { handler: uart::uart0_sent };
    table[Irq::Uart1Rx as usize] = Vector { handler: uart::uart1_received };
    table[Irq::Uart1Tx as usize] = Vector { handler: uart::uart1_sent };
    table[Irq::Clock as usize] = Vector { handler: clock::overflowed };
    table[Irq::Alarm as usize] = Vector { handler: clock::alarm };
    table[Irq::Ethernet as usize] = Vector { handler: eth::interrupted };
    table
};
