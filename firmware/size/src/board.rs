//! A board without peripherals: what it reads comes from memory that the compiler cannot see through,
//! so that nothing is optimised away and nothing of a real chip is in the figures.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU32, Ordering};

/// A register that nobody knows the value of.
pub(crate) struct Register(AtomicU32);

pub(crate) static REGISTER: Register = Register(AtomicU32::new(0));

impl Register {
    pub(crate) fn read(&self) -> u32 {
        // SAFETY: the pointer is that of a static.
        unsafe { core::ptr::read_volatile(self.0.as_ptr()) }
    }

    pub(crate) fn write(&self, value: u32) {
        self.0.store(value, Ordering::Relaxed);
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        cortex_m::asm::nop();
    }
}
