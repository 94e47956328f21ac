//! everlink against brokers that others wrote.
//!
//! [`matrix`] runs every [check](checks::Check) against a broker in both protocol versions. Where a broker
//! does not do what the standard says, [`known`] says so; a deviation that is not listed there is a
//! failure, and so is a listed one that is gone. [`cluster`] loses a node under load. [`soak`] goes on
//! for hours.
#![forbid(unsafe_code)]

pub mod broker;
pub mod checks;
pub mod cluster;
pub mod known;
pub mod matrix;
pub mod soak;
