//! The files of a store, as far as it needs them: real ones, or in tests some that fail and forget.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// A directory of files.
///
/// What was written survives a loss of power once [`sync`](Self::sync) returned, what was created, renamed
/// or removed once [`sync_directory`](Self::sync_directory) did; before, all, some or nothing of it may.
pub trait Disk: Debug + Send {
    /// An open file.
    type File: Debug + Send;

    /// Names and lengths of all files.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Opens a file, or makes it empty.
    ///
    /// # Errors
    /// As the system has them, here and below.
    fn open(&self, name: &str, create: bool) -> io::Result<Self::File>;

    /// Reads from `offset` on, less than asked for only at the end.
    ///
    /// # Errors
    /// The system's.
    fn read(&self, file: &Self::File, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// The system's; some bytes may be written.
    fn write(&self, file: &Self::File, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts off what is behind `len`.
    ///
    /// # Errors
    /// The system's.
    fn truncate(&self, file: &Self::File, len: u64) -> io::Result<()>;

    /// Waits until the content is durable.
    ///
    /// # Errors
    /// The system's; what was written since the last success may be lost.
    fn sync(&self, file: &Self::File) -> io::Result<()>;

    /// Puts one file in the place of another.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Waits until creations, renamings and removals are durable.
    ///
    /// # Errors
    /// The system's.
    fn sync_directory(&self) -> io::Result<()>;

    /// What to call a file when talking to people.
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(name)
    }
}

/// A directory of the file system.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    itself: File,
}

impl Directory {
    /// Opens the directory, which has to be there.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        Ok(Self { itself: File::open(&path)?, path })
    }
}

impl Disk for Directory {
    type File = File;

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            // Other names are not ours.
            if let Ok(name) = entry.file_name().into_string() {
                files.push((name, entry.metadata()?.len()));
            }
        }
        Ok(files)
    }

    fn open(&self, name: &str, create: bool) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create).truncate(create);
        options.open(self.path.join(name))
    }

    fn read(&self, file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while !buffer.is_empty() {
            match file.read_at(buffer, offset) {
                Ok(0) => break,
                Ok(n) => {
                    (buffer, offset, read) = (&mut buffer[n..], offset + n as u64, read + n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.itself.sync_all()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}
