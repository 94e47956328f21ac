//! Memory-mapped registers.
#![allow(unsafe_code)]

use core::ptr::{read_volatile, write_volatile};

/// A 32-bit register of the board.
#[derive(Clone, Copy)]
pub(crate) struct Reg(usize);

impl Reg {
    /// `address` must be that of a device register of the mps2-an385, aligned to 4 bytes.
    pub(crate) const fn at(address: usize) -> Self {
        // A constant outside the peripheral regions does not compile.
        assert!(address >= 0x4000_0000 && address < 0x5000_0000 && address.is_multiple_of(4));
        Self(address)
    }

    pub(crate) fn read(self) -> u32 {
        // SAFETY: `at` admits device registers only; no Rust object lives there.
        unsafe { read_volatile(self.0 as *const u32) }
    }

    pub(crate) fn write(self, value: u32) {
        // SAFETY: as for `read`; no device here has access to memory of its own accord.
        unsafe { write_volatile(self.0 as *mut u32, value) }
    }
}
