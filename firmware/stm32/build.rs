//! Adds the linker scripts; the memory map comes with embassy-stm32.

fn main() {
    // The addresses of sections must be multiples of the page size otherwise.
    println!("cargo:rustc-link-arg-bins=--nmagic");
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
    println!("cargo:rerun-if-changed=build.rs");
}
