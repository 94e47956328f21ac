//! Writes the linker's memory map and adds the linker script to every program of this package.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    // Sizes in KiB: stack, and everything else in RAM.
    let (stack, statics) =
        if env::var_os("CARGO_FEATURE_RAM_32K").is_some() { (10, 22) } else { (64, 4096 - 64) };
    fs::write(out.join("memory.x"), memory(stack, statics)).expect("OUT_DIR is writable");
    // Every vector is in src/irq.rs, so nothing is left to provide.
    fs::write(out.join("device.x"), "").expect("OUT_DIR is writable");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rerun-if-changed=build.rs");
}

/// The stack lies below everything else: one that overflows leaves RAM and faults, instead of
/// eating the statics unnoticed.
fn memory(stack: u32, statics: u32) -> String {
    format!(
        "MEMORY {{
    FLASH : ORIGIN = 0x00000000, LENGTH = 4M
    STACK : ORIGIN = 0x20000000, LENGTH = {stack}K
    RAM   : ORIGIN = 0x20000000 + {stack}K, LENGTH = {statics}K
}}
_stack_end = ORIGIN(STACK);
_stack_start = ORIGIN(STACK) + LENGTH(STACK);
"
    )
}
