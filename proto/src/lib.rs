//! Sans-IO MQTT and MQTT-SN for everlink: packets, topics, the engines and their stores.
//!
//! Everything that decides lives here. No clock, no socket, no allocator, no log: time is an
//! argument, the next deadline is a result, memory comes from the caller.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod engine;
mod fault;
pub mod mem;
mod refused;
pub mod session;
pub mod sn;
pub mod store;
pub mod time;
pub mod topic;
pub mod wire;
