//! Under construction.

#[cfg(feature = "proxy")]
pub mod proxy;
