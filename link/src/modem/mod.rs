//! WiFi modules with the AT firmware they are sold with, as a link: the module joins a network, opens
//! TCP or TLS to the broker, and is reached over a serial line.
//!
//! [`EspAt`] decides, without input or output of its own, without an allocator and without a clock: bytes
//! from the line and the time go in, bytes for the line and a deadline come out. Its rule is that
//! nothing about the module is assumed: every connection begins by asking whether it is there, sets
//! what matters and asks where it is, because it may have restarted since.
//!
//! On boards, with feature `uart`, `pump` carries it out over any serial port of `embedded-io-async`; on
//! Linux, with feature `esp-at`, the road `esp-at://` does.
//!
//! Between us and the module there is no checksum. Bytes that the line loses are noticed, in both
//! directions; a bit that it flips is not.

mod esp_at;
mod plan;
#[cfg(feature = "uart")]
mod pump;
mod queue;

pub use esp_at::{EspAt, Output, State, Trouble};
pub use plan::{Broker, ModemOptions, ModemTls, Network, Plan};
#[cfg(feature = "uart")]
pub use pump::{Route, pump};

/// Least room for what [`EspAt::poll`] writes.
pub const MIN_OUT: usize = esp_at::LONGEST_COMMAND;
