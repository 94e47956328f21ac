//! Recordings: everything that the engine was told, when, and what it answered.
//!
//! The engine decides by its inputs alone, and time is one of them; so a recording can be played to it
//! again, as often as one likes, and every decision looked at. [`Recorder`] goes to
//! [`Builder::record`](crate::Builder::record); [`Replay`] is what `everlink replay` prints.
//!
//! The format is described in `docs/taps.md`.

mod codes;
mod format;
mod inbox;
mod read;
mod replay;
mod setup;
mod tape;

use std::io;
use std::path::Path;

use everlink_link::tap::{Secrets, Spool};

pub use read::RecordError;
pub use replay::{Moment, Replay};
pub(crate) use tape::Tape;

/// Where a recording goes.
#[derive(Clone, Debug)]
pub struct Recorder {
    spool: Spool,
    secrets: Secrets,
}

impl Recorder {
    /// Creates the file, or empties it if it is there; only its owner may read a new one. It gets at
    /// most `limit` bytes; there the recording ends, and the client goes on.
    ///
    /// # Errors
    /// If the file cannot be created or written.
    pub fn create(path: &Path, limit: u64) -> io::Result<Self> {
        let spool = Spool::create(path, limit, &format::head(), Some(format::frame))?;
        Ok(Self { spool, secrets: Secrets::Masked })
    }

    /// Whether passwords, authentication data and payloads are recorded. They are not, unless this says
    /// so: stars of the same length stand in their place, which the engine takes as well.
    #[must_use]
    pub fn secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = secrets;
        self
    }

    /// The file, to be asked how it is doing.
    pub fn spool(&self) -> Spool {
        self.spool.clone()
    }
}
