//! Tests of firmware on the emulated board, seen from the host.
//!
//! A test builds a program of `firmware/mps2` ([`Firmware`]), starts it in QEMU ([`Board`]), gives it
//! a peer on loopback ([`Broker`], [`EchoServer`], [`Ledger`]), and then reads its log, sends it
//! commands, breaks its cable ([`Wire`]) or kills it.
//!
//! What is missing on the machine fails the test and says how to install it; nothing is skipped.
//! Helpers panic with what the board has said so far, since only tests call them.

#![forbid(unsafe_code)]

mod board;
mod broker;
mod dir;
mod dns;
mod echo;
mod firmware;
mod log;
mod peers;
mod process;
mod wire;

pub use board::{Board, Setup};
pub use broker::Broker;
pub use dir::TempDir;
pub use echo::EchoServer;
pub use firmware::Firmware;
pub use log::Line;
pub use peers::{Ledger, publish};
pub use wire::Wire;
