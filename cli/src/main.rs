//! Under construction.

mod demo;

fn main() {}
