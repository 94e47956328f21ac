//! Between MQTT-SN nodes and an MQTT broker.
//!
//! [`core`] decides: sans-IO, no allocator needed, the same on a Linux machine and on a
//! microcontroller. It speaks MQTT-SN to nodes and asks for *operations* on the broker's side; it knows
//! neither sockets nor MQTT packets. [`runner`] carries it out on tokio.
#![cfg_attr(not(feature = "tokio"), no_std)]
#![forbid(unsafe_code)]

pub mod core;
#[cfg(feature = "tokio")]
pub mod runner;
