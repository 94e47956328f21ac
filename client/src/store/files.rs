//! A directory that is this process's store.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::disk::Directory;
use super::error::StoreError;
use super::log::Log;

/// Who has the store.
const LOCK: &str = "lock";
/// How long to wait for a client of this very process that is about to let go of the store.
const HANDING_OVER: Duration = Duration::from_secs(2);
/// The limit if none is given.
const LIMIT: u64 = 1 << 30;
/// The least limit, in bytes.
const LEAST: u64 = 1 << 20;
/// Into how many files a full store is divided, and the size of the largest.
const FILES: u64 = 32;
const FILE_SIZE: u64 = 4 << 20;
/// What is kept free besides messages, in files: for what ends them, and while files are written anew.
const RESERVE: u64 = 10;

/// Keys of notes.
pub(crate) const SESSION: u8 = 0;
pub(crate) const CLIENT_ID: u8 = 1;
pub(crate) const MARK: u8 = 2;
pub(crate) const SUBSCRIPTIONS: u8 = 3;

/// When what is written is made to outlive a loss of power.
///
/// It outlives the end of the process (kill -9, a panic) in every case, as soon as it counts as stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// At once: a message counts as stored when it is on the medium. All that comes while the medium is
    /// busy goes there together the next time.
    #[default]
    Each,
    /// This much later at the latest, together with all that comes meanwhile.
    Within(Duration),
    /// When the system gets around to it. A message counts as stored when the system has it.
    System,
}

/// A store in files of one directory, for one client: what was accepted at QoS 1 and 2 and not delivered
/// yet, and the session with its Client Identifier. Given to [`Builder::store`](crate::Builder::store).
///
/// What was stored outlives the end of the process and a loss of power; the queue can be as long as the
/// limit in bytes allows, while memory holds only its beginning.
#[derive(Debug)]
pub struct FileStore {
    pub(crate) log: Log<Directory>,
    pub(crate) lock: File,
    pub(crate) durability: Durability,
    limit: u64,
    path: PathBuf,
}

impl FileStore {
    /// Opens the store in this directory, or begins one; the directory is made if need be. Blocks for as
    /// long as it takes to read the end of what is there.
    ///
    /// # Errors
    /// It is in use, of another format or damaged, or the system cannot read or write there.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        let io = |what, source| StoreError::Io { path: path.clone(), what, source };
        std::fs::create_dir_all(&path).map_err(|e| io("create", e))?;
        if let Ok(Some(parent)) = path.canonicalize().map(|p| p.parent().map(Path::to_owned)) {
            // The directory itself is to outlive a loss of power, too. Who may not read what it is in
            // has not made it.
            let _ = File::open(parent).and_then(|parent| parent.sync_all());
        }
        let lock = lock(&path)?;
        let directory = Directory::open(&path).map_err(|e| io("open", e))?;
        let mut log = Log::open(directory, FILE_SIZE)?;
        log.set_limits(FILE_SIZE, LIMIT);
        Ok(Self { log, lock, durability: Durability::default(), limit: LIMIT, path })
    }

    /// When what is written is made durable; the default is at once.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Most bytes that all files may take together, at least 1 MiB; the default is 1 GiB. About a third
    /// of a small limit is kept free for the store's own needs, and at most 40 MiB. What happens when it is
    /// reached is the [policy of the queue](crate::Builder::when_full).
    ///
    /// # Errors
    /// [`StoreError::Limit`].
    pub fn limit(mut self, bytes: u64) -> Result<Self, StoreError> {
        if bytes < LEAST {
            return Err(StoreError::Limit { least: LEAST });
        }
        self.limit = bytes;
        self.log.set_limits((bytes / FILES).min(FILE_SIZE), bytes);
        Ok(self)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Messages in it that were not delivered.
    pub fn messages(&self) -> u64 {
        self.log.held().0
    }

    /// Bytes that its files take.
    pub fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// The Client Identifier whose session it holds; `None` for a new store.
    pub fn client_id(&self) -> Option<&str> {
        let id = std::str::from_utf8(self.log.noted(CLIENT_ID)).ok()?;
        Some(id).filter(|id| !id.is_empty())
    }

    /// The mark that was stored with the latest message; see [`Publish::mark`](crate::Publish::mark).
    pub fn mark(&self) -> Option<&[u8]> {
        Some(self.log.noted(MARK)).filter(|mark| !mark.is_empty())
    }

    /// Reads everything, and tells whether it is what was written. Blocks.
    ///
    /// # Errors
    /// The first damage; or the system's.
    pub fn check(&mut self) -> Result<(), StoreError> {
        self.log.check()
    }

    /// Bytes that messages may take, that all files may take when another message is accepted, and that
    /// may wait to be written.
    pub(crate) fn room(&self) -> (u64, u64, u64) {
        let file = (self.limit / FILES).min(FILE_SIZE);
        (self.limit - RESERVE * file, self.limit - 4 * file, file)
    }
}

/// Takes the store for this process.
fn lock(path: &Path) -> Result<File, StoreError> {
    let name = path.join(LOCK);
    let io = |what, source| StoreError::Io { path: name.clone(), what, source };
    let mut options = File::options();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name)
        .map_err(|e| io("open", e))?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(io("lock", error)),
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = file.rewind().and_then(|()| file.read_to_string(&mut text));
                let pid = text.trim().parse().ok();
                if pid != Some(std::process::id()) || began.elapsed() > HANDING_OVER {
                    return Err(StoreError::Locked { path: path.to_owned(), pid });
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(|e| io("write", e))?;
    Ok(file)
}
