//! Flags about the store.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use everlink::store::Durability;

use super::values;

const STORE: &str = "Store";

/// Where unfinished work survives the end of the process.
#[derive(Args)]
pub(crate) struct StoreArgs {
    /// Keep the session, and with `pub` the queue, in this directory: what is stored there survives kill -9 and
    /// a loss of power, and the next run with the same directory goes on with it. Implies -c
    #[arg(long = "store", value_name = "DIR", help_heading = STORE)]
    pub(crate) directory: Option<PathBuf>,

    /// When what is written is made to survive a loss of power too: each (at once), a number of
    /// milliseconds (that much later at most, together), or none (when the system likes)
    #[arg(long, value_name = "WHEN", default_value = "each", requires = "directory", allow_negative_numbers = true,
        help_heading = STORE, value_parser = durability)]
    pub(crate) durability: Durability,

    /// Most bytes that the store may take on disk, at least 1048576 [default: 1 GiB]
    #[arg(long = "store-limit", value_name = "BYTES", requires = "directory", allow_negative_numbers = true,
        help_heading = STORE, value_parser = values::whole(1_048_576..=u64::MAX))]
    pub(crate) limit: Option<u64>,
}

/// What to do with a store.
#[derive(Subcommand)]
pub(crate) enum StoreCommand {
    /// Read all of it, and tell what is in it and whether it is what was written
    ///
    /// No other process may use it meanwhile. What was being written when the power went is cut off, as
    /// at any start.
    Check {
        /// The directory
        directory: PathBuf,
    },
}

fn durability(text: &str) -> Result<Durability, String> {
    let number = text.strip_suffix("ms").map_or(text, str::trim_end);
    match text {
        "each" => Ok(Durability::Each),
        "none" => Ok(Durability::System),
        _ => match number.parse() {
            Ok(0) | Err(_) => Err("each, none or a number of milliseconds is wanted".into()),
            Ok(ms) => Ok(Durability::Within(Duration::from_millis(ms))),
        },
    }
}
