//! Simulated time, networks and peers for testing everlink.
//!
//! Everything here is deterministic: time is stepped by the test, all randomness comes from a
//! seed, nothing opens a socket (but for the `proxy`, which breaks real paths for real programs, and the
//! `modem`, which is one of them).
//!
//! A [`Pair`](pair::Pair) is engines on simulated hosts ([`host`]), a simulated network
//! ([`netem`]) and a model broker ([`broker`]), with an observer at each host's socket that knows
//! the rules of the standard ([`check`]). A [`Script`](script::Script) plays the broker by hand.
#![forbid(unsafe_code)]

pub mod broker;
pub mod campaign;
pub mod check;
pub mod clock;
pub mod explore;
pub mod host;
#[cfg(all(unix, feature = "modem"))]
pub mod modem;
pub mod netem;
pub mod pair;
#[cfg(feature = "proxy")]
pub mod proxy;
pub mod script;
pub mod trace;
