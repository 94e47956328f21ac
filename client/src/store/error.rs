//! What can be wrong with a store.

use std::io;
use std::path::PathBuf;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The system cannot do what is needed.
    #[error("{}: cannot {what}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Another process uses it.
    #[error("{} is in use by {}", path.display(), pid.map_or("another process".into(), |pid| format!("process {pid}")))]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Whose it is, if that is known.
        pid: Option<u32>,
    },
    /// It was written by another version of this program.
    #[error("{} has format {version}, and only format {ours} is understood", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u32,
        /// The one format this program knows.
        ours: u32,
    },
    /// The file is not of a store, or its first bytes are damaged.
    #[error("{} is not a store's file, or its head is damaged", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// What is there is not what was written, and it is not only the end that was being written.
    #[error("{} is damaged at byte {offset}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damage begins, in bytes.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A file with messages is not there.
    #[error("{} is missing, with {messages} messages", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Messages in it that were not delivered.
        messages: u64,
    },
    /// It holds the session of another client.
    #[error("the store belongs to client {stored:?}, not to {given:?}")]
    OtherClient {
        /// Its Client Identifier.
        stored: String,
        /// The one asked for.
        given: String,
    },
    /// The limit leaves no room for messages.
    #[error("the limit of a store must be at least {least} bytes")]
    Limit {
        /// Least limit in bytes.
        least: u64,
    },
}
