//! Links of boards: no allocator, no executor; memory comes from the caller.
//!
//! | feature        | module     | what                                                                |
//! |----------------|------------|---------------------------------------------------------------------|
//! | `embassy-net`  | [`tcp`]    | TCP over embassy-net: link, DHCP, DNS, several addresses in turn     |
//! | `uart`         | [`uart`]   | a byte stream over anything that reads and writes, with a pump task  |
//! | `embedded-tls` | [`tls`]    | TLS 1.3 over any link, with a pump task                              |
//! | `wifi`         | [`wifi`]   | a radio below any link: join, hold, reset                            |
//!
//! Drivers of serial ports and of TLS have reads that must not be dropped half-way, whereas a [`Pipe`]
//! may be left at any time. So a task of its own, the pump, reads and writes there, and a [`relay`]
//! joins it to the client.
//!
//! [`Pipe`]: crate::Pipe

#[cfg(feature = "embedded-tls")]
mod race;
#[cfg(any(feature = "uart", feature = "embedded-tls"))]
pub mod relay;
#[cfg(any(feature = "uart", feature = "embedded-tls"))]
mod ring;
#[cfg(feature = "embassy-net")]
pub mod tcp;
#[cfg(feature = "embedded-tls")]
pub mod tls;
#[cfg(feature = "uart")]
pub mod uart;
#[cfg(feature = "wifi")]
pub mod wifi;
