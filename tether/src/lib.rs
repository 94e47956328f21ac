//! The tether: what lies between a board without a network and its gateway.
//!
//! [`Tether`] makes of a link that loses, doubles, delays and reorders frames one that carries whole
//! messages, each once and in order, on four [channels](Channel), until one of the two ends loses its
//! memory; then both know. It is sans-IO and allocates nothing: the caller brings frames and the time,
//! and asks [`Tether::poll`] what to do next. On byte links [`stream`] cuts frames and checks them; radios
//! with a CRC of their own carry a frame as it is, from 24 bytes on.
//!
//! ```
//! use everlink_proto::time::Instant;
//! use everlink_tether::{Channel, Config, Event, Memory, Output, Tether};
//!
//! let (mut a, mut b) = (Memory::<512, 256, 4, 64>::new(), Memory::<512, 256, 4, 64>::new());
//! // Epochs: numbers that are likely never used before by this end.
//! let mut node = Tether::new(Config::serial(), 0x1d5c_1f03, &mut a);
//! let mut gateway = Tether::new(Config::serial(), 0x77aa_0b12, &mut b);
//! let (now, mut frame) = (Instant::from_millis(1), [0; 64]);
//! // Each frame of one goes to the other.
//! while let Output::Frame(len) = node.poll(now, &mut frame) {
//!     gateway.received(now, &frame[..len]);
//! }
//! while let Output::Frame(len) = gateway.poll(now, &mut frame) {
//!     node.received(now, &frame[..len]);
//! }
//! assert_eq!(node.poll(now, &mut frame), Output::Event(Event::Up { resumed: false }));
//! node.send(Channel::Sn, b"\x02\x18").unwrap();
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod api;
mod config;
mod frame;
mod incoming;
mod outgoing;
mod poll;
mod round_trip;
pub mod stream;
mod tether;

pub use api::{Event, Loss, Output, Refused, Stats};
#[cfg(feature = "alloc")]
pub use config::Sizes;
pub use config::{Config, Memory};
pub use frame::{Channel, HEADER};
pub use tether::Tether;
