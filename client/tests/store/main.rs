//! The store in files.
#![cfg(feature = "store")]
#![allow(unreachable_pub)] // the modules share what they need

mod damage;
mod disk;
mod faults;
mod front;
