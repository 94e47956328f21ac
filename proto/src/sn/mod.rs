//! MQTT for Sensor Networks: for links whose messages are datagrams, or short.
//!
//! Numbers such as "(6.13)" name sections of the MQTT-SN 1.2 text.

pub mod node;
pub mod version;
pub mod wire;
