//! The log: frames appended to a row of files, and files given back when nothing in them is needed.
//!
//! Each file begins with all that the files before it amount to, apart from the messages that are not over.
//! So a file can go, whatever its place in the row, when none of its messages is left, and opening a
//! log reads the last file only.

use std::collections::BTreeMap;
use std::io;

use super::disk::Disk;
use super::error::StoreError;
use super::frame::{Entry, FILE_HEAD, FRAME_HEAD, file_head, open_frame, seal};
use super::read::Reader;
use super::state::State;

/// A file under construction.
const DRAFT: &str = "new";

/// An append-only log of messages that come to an end, mostly in their order, and of notes.
///
/// Nothing here knows a clock, a lock or a thread.
#[derive(Debug)]
pub struct Log<D: Disk> {
    pub(super) disk: D,
    pub(super) state: State,
    /// Length of each file.
    pub(super) files: BTreeMap<u64, u64>,
    /// The last one.
    pub(super) id: u64,
    pub(super) file: D::File,
    /// Its whole frames end here; what was written up to there is durable.
    pub(super) written: u64,
    pub(super) safe: u64,
    /// What is written and not durable, to be written again if it cannot be made so.
    unsafe_bytes: Vec<u8>,
    /// Entries to be written, behind room for the head of their frame.
    frame: Vec<u8>,
    /// Writing failed: what is not durable may be gone.
    failed: bool,
    /// Part of a frame may be behind the last one.
    ragged: bool,
    pub(super) age: u32,
    /// A file is full with so many bytes.
    file_size: u64,
    /// What all files together may take.
    limit: u64,
    pub(super) reader: Reader<D::File>,
}

impl<D: Disk> Log<D> {
    pub(super) fn new(disk: D, file_size: u64, state: State, last: (u64, D::File, u64)) -> Self {
        let (id, file, written) = last;
        let mut frame = Vec::new();
        open_frame(&mut frame);
        Self {
            disk,
            state,
            files: BTreeMap::from([(id, written)]),
            id,
            file,
            written,
            safe: written,
            unsafe_bytes: Vec::new(),
            frame,
            failed: false,
            ragged: false,
            age: 0,
            file_size,
            limit: u64::MAX,
            reader: Reader::default(),
        }
    }

    /// Adds a message to what is to be written; numbers go up one by one, from
    /// [`next_number`](Self::next_number).
    pub fn put(&mut self, number: u64, value: &[u8]) {
        Entry::Put { number, value }.encode(&mut self.frame);
    }

    /// A message whose value had `len` bytes is over.
    pub fn gone(&mut self, number: u64, len: u32) {
        Entry::Gone { number, len }.encode(&mut self.frame);
    }

    /// Puts a value under a key, in place of the one before.
    pub fn note(&mut self, key: u8, value: &[u8]) {
        Entry::Note { key, value }.encode(&mut self.frame);
    }

    /// Adds encoded entries.
    pub(crate) fn append(&mut self, entries: &[u8]) {
        self.frame.extend_from_slice(entries);
    }

    /// Writes what was added, as one frame: after a loss of power all of it is there or nothing. `age` is
    /// for how many seconds the log has been in use.
    ///
    /// # Errors
    /// The system's. Nothing is lost: the next call tries again.
    pub fn write(&mut self, age: u32) -> Result<(), StoreError> {
        if self.frame.len() == FRAME_HEAD {
            return Ok(());
        }
        self.age = self.age.max(age);
        seal(&mut self.frame, (self.id, self.written), self.safe, self.age);
        if let Err(error) = self.disk.write(&self.file, &self.frame, self.written) {
            (self.failed, self.ragged) = (true, true);
            return Err(self.io("write", error));
        }
        self.ragged = false;
        let entries = &self.frame[FRAME_HEAD..];
        self.state.apply(self.id, entries).map_err(|what| self.damaged(self.written, what))?;
        self.written += self.frame.len() as u64;
        self.files.insert(self.id, self.written);
        self.unsafe_bytes.extend_from_slice(&self.frame);
        self.frame.truncate(FRAME_HEAD);
        self.frame.shrink_to(1 << 20);
        Ok(())
    }

    /// Makes durable what was written.
    ///
    /// # Errors
    /// The system's. Nothing is lost: the next call tries again, and writes again what a system may have
    /// forgotten that could not write it.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        if self.safe == self.written {
            return Ok(());
        }
        if self.failed {
            // After a failure a system may take for written what it has thrown away.
            let written = self.disk.write(&self.file, &self.unsafe_bytes, self.safe);
            written.map_err(|e| self.fail(e))?;
            self.failed = false;
        }
        self.disk.sync(&self.file).map_err(|e| self.fail(e))?;
        self.safe = self.written;
        self.unsafe_bytes.clear();
        self.unsafe_bytes.shrink_to(1 << 20);
        Ok(())
    }

    fn fail(&mut self, error: io::Error) -> StoreError {
        self.failed = true;
        self.io("write", error)
    }

    /// Bytes that were written and are not durable yet.
    pub fn unsynced(&self) -> u64 {
        self.written - self.safe
    }

    /// Whether there is something to write.
    pub fn has_unwritten(&self) -> bool {
        self.frame.len() > FRAME_HEAD
    }

    /// Begins a new file if the last one is full, and removes those without a message that is not over.
    /// `true`: a file was written anew, and there may be more to do.
    ///
    /// # Errors
    /// The system's. All goes on as before, in larger files.
    pub fn tidy(&mut self) -> Result<bool, StoreError> {
        let full = self.written >= self.file_size;
        let empty = |id: &u64| self.state.pieces.get(id).is_none_or(|p| p.count == 0);
        if !full && self.files.keys().all(|id| *id == self.id || !empty(id)) {
            return self.compact();
        }
        // What ended the last of their messages has to be durable before they go.
        self.sync()?;
        if full {
            self.begin_file()?;
        }
        let state = &self.state;
        let empty = |id: &u64| state.pieces.get(id).is_none_or(|p| p.count == 0);
        let ids: Vec<u64> =
            self.files.keys().copied().filter(|id| *id != self.id && empty(id)).collect();
        for id in ids {
            let name = name(id);
            match self.disk.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.io_at(&name, "remove", error));
                }
                _ => {}
            }
            self.files.remove(&id);
            self.state.pieces.remove(&id);
        }
        self.compact()
    }

    fn begin_file(&mut self) -> Result<(), StoreError> {
        if self.ragged {
            self.disk.truncate(&self.file, self.written).map_err(|e| self.fail(e))?;
            self.disk.sync(&self.file).map_err(|e| self.fail(e))?;
            self.ragged = false;
        }
        let id = self.id + 1;
        let (file, written) = create(&self.disk, id, &self.state, self.age)?;
        (self.id, self.file, self.written, self.safe) = (id, file, written, written);
        self.files.insert(id, written);
        Ok(())
    }

    /// Writes the file anew of which most is of no use, if the files take far more than they hold. One at a
    /// time, so that nobody waits long.
    fn compact(&mut self) -> Result<bool, StoreError> {
        let (_, held) = self.state.held();
        if self.bytes() <= held + 4 * self.file_size {
            return Ok(false);
        }
        let waste = |(id, len): (&u64, &u64)| {
            len.saturating_sub(self.state.pieces.get(id).map_or(0, |p| p.bytes))
        };
        let others =
            self.files.iter().filter(|(id, _)| **id != self.id && **id != self.reader.file_id());
        let Some((id, len)) = others.max_by_key(|file| waste(*file)) else { return Ok(false) };
        // As long as there is room, only what makes more room than work.
        let urgent = self.bytes() + 2 * self.file_size > self.limit;
        if waste((id, len)) * if urgent { 8 } else { 2 } < *len {
            return Ok(false);
        }
        let id = *id;
        // What ended its messages has to be durable before they go.
        self.sync()?;
        let content = self.useful_content(id)?;
        write_whole(&self.disk, &name(id), &content)?;
        self.files.insert(id, content.len() as u64);
        Ok(true)
    }

    /// A file with nothing but its messages that are not over.
    fn useful_content(&self, id: u64) -> Result<Vec<u8>, StoreError> {
        let mut content = file_head(id);
        let mut frame = Vec::new();
        self.each_frame(id, &mut |age, entries| {
            frame.clear();
            open_frame(&mut frame);
            for entry in super::frame::Entries(entries) {
                if let Entry::Put { number, .. } = entry?
                    && !self.state.over.contains(number)
                {
                    entry?.encode(&mut frame);
                }
            }
            if frame.len() > FRAME_HEAD {
                seal(&mut frame, (id, content.len() as u64), 0, age);
                content.extend_from_slice(&frame);
            }
            Ok(())
        })?;
        Ok(content)
    }

    /// How large a file may get, in bytes, before the next one is begun, and what all are to take at the most.
    pub(super) fn set_limits(&mut self, file: u64, all: u64) {
        (self.file_size, self.limit) = (file, all);
    }

    /// Messages that are not over, and the bytes they take.
    pub fn held(&self) -> (u64, u64) {
        self.state.held()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.values().sum()
    }

    /// Number of the next message.
    pub fn next_number(&self) -> u64 {
        self.state.next
    }

    /// Number of the oldest message that is not over, from `number` on.
    pub fn next_held(&self, number: u64) -> Option<u64> {
        Some(self.state.over.next_open(number)).filter(|n| *n < self.state.next)
    }

    /// The value under a key.
    pub fn noted(&self, key: u8) -> &[u8] {
        self.state.notes.get(&key).map_or(&[], Vec::as_slice)
    }

    /// For how many seconds the log had been in use when it was last written.
    pub fn age(&self) -> u32 {
        self.age
    }

    pub(super) fn io(&self, what: &'static str, source: io::Error) -> StoreError {
        self.io_at(&name(self.id), what, source)
    }

    pub(super) fn io_at(&self, name: &str, what: &'static str, source: io::Error) -> StoreError {
        StoreError::Io { path: self.disk.path(name), what, source }
    }

    /// What was read last makes no sense to whoever reads it.
    pub(crate) fn damaged_where_read(&self, what: &'static str) -> StoreError {
        let (id, offset) = self.reader.place();
        StoreError::Damaged { path: self.disk.path(&name(id)), offset, what }
    }

    pub(super) fn damaged(&self, offset: u64, what: &'static str) -> StoreError {
        StoreError::Damaged { path: self.disk.path(&name(self.id)), offset, what }
    }
}

/// What file number `id` is called.
pub(super) fn name(id: u64) -> String {
    format!("{id:016x}.log")
}

/// The number of the file that is called so, if it is one.
pub(super) fn id_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// Makes a file that begins with `state`: it is there with that or not at all. Gives its length as well.
pub(super) fn create<D: Disk>(
    disk: &D,
    id: u64,
    state: &State,
    age: u32,
) -> Result<(D::File, u64), StoreError> {
    let mut content = file_head(id);
    let mut frame = Vec::new();
    open_frame(&mut frame);
    frame.extend_from_slice(&state.encode());
    seal(&mut frame, (id, FILE_HEAD as u64), FILE_HEAD as u64, age);
    content.extend_from_slice(&frame);
    let file = write_whole(disk, &name(id), &content)?;
    Ok((file, content.len() as u64))
}

fn write_whole<D: Disk>(disk: &D, name: &str, content: &[u8]) -> Result<D::File, StoreError> {
    let written = (|| {
        let file = disk.open(DRAFT, true)?;
        disk.write(&file, content, 0)?;
        disk.sync(&file)?;
        disk.rename(DRAFT, name)?;
        disk.sync_directory()?;
        Ok(file)
    })();
    written.map_err(|source| StoreError::Io { path: disk.path(name), what: "create", source })
}
