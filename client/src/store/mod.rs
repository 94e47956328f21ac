//! A durable store in files: what was accepted and not delivered yet, and the session.

mod disk;
mod error;
mod files;
mod frame;
mod log;
mod read;
mod recover;
mod state;

pub use disk::{Directory, Disk};
pub use error::StoreError;
pub(crate) use files::{CLIENT_ID, MARK, SESSION, SUBSCRIPTIONS};
pub use files::{Durability, FileStore};
pub(crate) use frame::{Entry, begin_put, end_put};
pub use log::Log;
pub(crate) use state::cost;
