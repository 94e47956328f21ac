//! Opening a log: what was written before, whatever happened to the last of it.

use std::collections::BTreeMap;

use super::disk::Disk;
use super::error::StoreError;
use super::frame::{Entries, Entry};
use super::log::{Log, create, id_of, name};
use super::read::{Frames, Next};
use super::state::State;

/// A log of no more bytes is read whole when it is opened, so that damage is found at once. A larger one
/// would take too long; its damage is found when reading comes to it.
const READ_WHOLE: u64 = 64 << 20;

impl<D: Disk> Log<D> {
    /// Opens the log in a directory, or begins one. Files are given back in units of about `file_size`
    /// bytes.
    ///
    /// What was being written when the power went is cut off. What was durable is there.
    ///
    /// # Errors
    /// The system's; another format; damage, with the place.
    pub fn open(disk: D, file_size: u64) -> Result<Self, StoreError> {
        let io = |disk: &D, what, source| StoreError::Io { path: disk.path(""), what, source };
        let list = disk.list().map_err(|e| io(&disk, "read", e))?;
        let files: BTreeMap<u64, u64> =
            list.iter().filter_map(|(name, len)| Some((id_of(name)?, *len))).collect();
        let Some((id, len)) = files.last_key_value().map(|(id, len)| (*id, *len)) else {
            let state = State::default();
            let (file, written) = create(&disk, 1, &state, 0)?;
            return Ok(Self::new(disk, file_size, state, (1, file, written)));
        };
        let last = Last::read(&disk, id, len)?;
        let frames = last.frames;
        if frames.offset < len {
            disk.truncate(&frames.file, frames.offset).map_err(|e| io(&disk, "write", e))?;
        }
        // Also what was written and, for all that is known, not yet durable.
        disk.sync(&frames.file).map_err(|e| io(&disk, "write", e))?;
        let mut log = Self::new(disk, file_size, last.state, (id, frames.file, frames.offset));
        log.age = last.age;
        log.files = files;
        log.files.insert(id, frames.offset);
        log.check_files()?;
        Ok(log)
    }

    /// All files that are needed are there, and, if they are not too large, whole.
    fn check_files(&mut self) -> Result<(), StoreError> {
        let needed = self.state.pieces.iter().filter(|(_, piece)| piece.count > 0);
        for (id, piece) in needed {
            if !self.files.contains_key(id) {
                let path = self.disk.path(&name(*id));
                return Err(StoreError::Missing { path, messages: piece.count });
            }
        }
        if self.bytes() <= READ_WHOLE { self.check() } else { Ok(()) }
    }

    /// Reads everything.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn check(&mut self) -> Result<(), StoreError> {
        let ids: Vec<u64> = self.files.keys().copied().collect();
        for id in ids {
            // One that is not needed any more may be anything.
            if id == self.id || self.state.pieces.get(&id).is_some_and(|p| p.count > 0) {
                self.each_frame(id, &mut |_, entries| {
                    Entries(entries).try_for_each(|entry| entry.map(drop))
                })?;
            }
        }
        self.rewind();
        let result = self.read(0, true, &mut |_, _, _| true);
        self.rewind();
        result
    }
}

/// The last file, read up to its end or to what was being written when the power went.
struct Last<F> {
    state: State,
    age: u32,
    frames: Frames<F>,
}

impl<F> Last<F> {
    fn read<D: Disk<File = F>>(disk: &D, id: u64, len: u64) -> Result<Self, StoreError> {
        let mut frames = Frames::open(disk, id)?;
        let (mut state, mut age, mut first) = (State::default(), 0, true);
        loop {
            let offset = frames.offset;
            let damaged = |what| StoreError::Damaged { path: disk.path(&name(id)), offset, what };
            match frames.next(disk, len)? {
                Next::Frame(head, entries) => {
                    let start = |e: &Entry<'_>| matches!(e, Entry::Start { .. });
                    let starts =
                        Entries(entries).next().is_some_and(|e| e.is_ok_and(|e| start(&e)));
                    if starts != first {
                        return Err(damaged("it does not begin with what was before"));
                    }
                    state.apply(id, entries).map_err(damaged)?;
                    (age, first) = (head.age, false);
                }
                // The first frame was durable before the file got its name.
                Next::Bad | Next::End if first => {
                    return Err(damaged("the first frame is not what was written"));
                }
                Next::End => break,
                Next::Bad => {
                    if frames.was_durable(disk, len)? {
                        return Err(damaged("this is not what was written"));
                    }
                    break;
                }
            }
        }
        Ok(Self { state, age, frames })
    }
}
