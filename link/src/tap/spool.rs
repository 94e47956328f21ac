//! A file written by a thread of its own.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::string::{String, ToString};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::vec::Vec;

/// Bytes that wait to be written, at the most: a disk that is slower costs a tap its records, and nobody
/// else anything.
const WAITING: usize = 8 << 20;
/// How long the end waits for a disk that takes nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// A file that is appended to without waiting: a thread of its own writes. Bounded in bytes. What it cannot
/// take is counted; after a failure to write, or at the limit, it takes nothing more, so that what is in
/// the file has no gaps.
///
/// Clones are the same file. It is complete when the last is dropped.
#[derive(Clone, Debug)]
pub struct Spool {
    inner: Arc<Inner>,
}

/// How a [`Spool`] is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolStatus {
    /// Bytes taken.
    pub bytes: u64,
    /// Pieces that were not taken.
    pub lost: u64,
    /// Why nothing is taken any more.
    pub trouble: Option<String>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    limit: u64,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    status: SpoolStatus,
    /// Nobody has anything more to write.
    ended: bool,
    /// The thread is done.
    done: bool,
}

/// What stands around the bytes that are written together, if anything.
pub type Wrap = fn(bytes: &[u8], file: &mut Vec<u8>);

impl Spool {
    /// Creates the file, or empties it if it is there; only its owner may read a new one. It begins with
    /// `head`, and gets at most `limit` bytes more.
    ///
    /// # Errors
    /// If the file cannot be created or written, or no thread can be started.
    pub fn create(path: &Path, limit: u64, head: &[u8], wrap: Option<Wrap>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        file.write_all(head)?;
        Self::over(file, limit, wrap)
    }

    /// As [`create`](Self::create), for anything that bytes can be written to; it may block.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn over(
        file: impl Write + Send + 'static,
        limit: u64,
        wrap: Option<Wrap>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let writer = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("everlink-spool".to_string())
            .spawn(move || writer.run(file, wrap))?;
        Ok(Self { inner: Arc::new(Inner { shared, limit }) })
    }

    /// Appends `bytes`, whole or not at all.
    pub fn push(&self, bytes: &[u8]) -> bool {
        let shared = &self.inner.shared;
        let mut state = shared.lock();
        let behind = state.waiting.len() + bytes.len() > WAITING;
        let full = state.status.bytes + bytes.len() as u64 > self.inner.limit;
        if state.status.trouble.is_none() && (behind || full) {
            let why = if full { "its limit is reached" } else { "the disk is too slow" };
            state.status.trouble = Some(why.to_string());
        }
        if state.status.trouble.is_some() {
            state.status.lost += 1;
            return false;
        }
        let idle = state.waiting.is_empty();
        state.waiting.extend_from_slice(bytes);
        state.status.bytes += bytes.len() as u64;
        drop(state);
        if idle {
            shared.changed.notify_all();
        }
        true
    }

    /// How it is doing.
    pub fn status(&self) -> SpoolStatus {
        self.inner.shared.lock().status.clone()
    }

    /// Waits until all that was pushed is written, or cannot be; some seconds at most.
    pub fn flush(&self) {
        let shared = &self.inner.shared;
        let busy = |state: &mut State| !state.waiting.is_empty() && !state.done;
        drop(shared.changed.wait_timeout_while(shared.lock(), PATIENCE, busy));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.lock().ended = true;
        shared.changed.notify_all();
        drop(shared.changed.wait_timeout_while(shared.lock(), PATIENCE, |state| !state.done));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut file: impl Write, wrap: Option<Wrap>) {
        let (mut bytes, mut wrapped) = (Vec::new(), Vec::new());
        loop {
            let idle = |state: &mut State| state.waiting.is_empty() && !state.ended;
            let state = self.changed.wait_while(self.lock(), idle);
            let mut state = state.unwrap_or_else(PoisonError::into_inner);
            if state.waiting.is_empty() {
                break;
            }
            bytes.clear();
            bytes.extend_from_slice(&state.waiting);
            drop(state);
            let whole = match wrap {
                Some(wrap) => {
                    wrapped.clear();
                    wrap(&bytes, &mut wrapped);
                    &wrapped
                }
                None => &bytes,
            };
            let result = file.write_all(whole);
            state = self.lock();
            // What came meanwhile stays.
            state.waiting.drain(..bytes.len());
            if let Err(error) = result {
                state.status.trouble = Some(crate::words::reason(&error));
                state.waiting.clear();
            }
            drop(state);
            self.changed.notify_all();
        }
        self.lock().done = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> std::path::PathBuf {
        let name = std::format!("everlink-spool-{}-{name}", std::process::id());
        std::env::temp_dir().join(name)
    }

    #[test]
    fn what_is_pushed_is_in_the_file_and_only_for_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let path = scratch("order");
        let spool = Spool::create(&path, 1 << 20, b"head:", None).unwrap();
        for n in 0..100_u8 {
            assert!(spool.clone().push(&[n]));
        }
        drop(spool);
        let bytes = std::fs::read(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(&bytes[..5], b"head:");
        assert!(bytes[5..].iter().copied().eq(0..100));
        assert_eq!(mode & 0o077, 0);
    }

    #[test]
    fn at_the_limit_it_stops_for_good() {
        let path = scratch("limit");
        let spool = Spool::create(&path, 10, b"", None).unwrap();
        assert!(spool.push(b"12345678"));
        assert!(!spool.push(b"abc"));
        // It would fit, but there would be a gap before it.
        assert!(!spool.push(b"d"));
        let status = spool.status();
        assert_eq!((status.bytes, status.lost), (8, 2));
        assert!(status.trouble.unwrap().contains("limit"));
        drop(spool);
        assert_eq!(std::fs::read(&path).unwrap(), b"12345678");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_full_disk_is_told_and_blocks_nobody() {
        let spool = Spool::create(Path::new("/dev/full"), 1 << 20, b"", None).unwrap();
        assert!(spool.push(b"gone"));
        spool.flush();
        let status = spool.status();
        assert!(status.trouble.as_deref().unwrap().contains("No space left"), "{status:?}");
        assert!(!spool.push(b"more"));
        assert!(Spool::create(Path::new("/no/such/directory/x"), 1, b"", None).is_err());
    }
}
