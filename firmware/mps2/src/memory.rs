//! How much RAM a program takes: statics by the linker's word, stack by the paint that is left.
#![allow(unsafe_code)]

/// Bytes of RAM.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Everything static: `.data`, `.bss`, `.uninit`.
    pub statics: usize,
    /// The deepest the stack has reached since reset.
    pub stack_used: usize,
    /// What the stack may reach before the board faults.
    pub stack_size: usize,
}

/// What the program has taken since reset. Reads the whole unused stack: not for a hot path.
pub fn usage() -> Usage {
    unsafe extern "C" {
        static _stack_end: u32;
        static _stack_start: u32;
        static __sdata: u32;
        static __euninit: u32;
    }
    let bottom = &raw const _stack_end;
    let top = &raw const _stack_start;
    let stack_size = top as usize - bottom as usize;
    // SAFETY: from `bottom` up is RAM set aside for the stack; only painted words are passed.
    let unused = (0..stack_size / 4)
        .take_while(|&word| unsafe { bottom.add(word).read_volatile() } == PAINT)
        .count();
    Usage {
        statics: &raw const __euninit as usize - &raw const __sdata as usize,
        stack_used: stack_size - unused * 4,
        stack_size,
    }
}

/// What cortex-m-rt paints the stack with before `main`.
const PAINT: u32 = cortex_m_rt::STACK_PAINT_VALUE;
