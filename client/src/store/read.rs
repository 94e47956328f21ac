//! Reading files: all frames, checked; and the messages that are not over, in order.

use super::disk::Disk;
use super::error::StoreError;
use super::frame::{
    Entries, Entry, FILE_HEAD, FRAME_HEAD, FileHead, FrameHead, MAGIC, check_file_head, next_mark,
};
use super::log::{Log, name};
use super::state::Piece;

/// How much is read at a time, at least.
const CHUNK: usize = 256 * 1024;

/// A way through one file, frame by frame.
#[derive(Debug)]
pub(super) struct Frames<F> {
    pub(super) id: u64,
    pub(super) file: F,
    /// Where the next frame begins.
    pub(super) offset: u64,
    buffer: Vec<u8>,
    /// Of the buffer: where the next frame begins in it.
    at: usize,
}

/// What comes next in a file.
pub(super) enum Next<'a> {
    /// A whole frame: its head and its entries.
    Frame(FrameHead, &'a [u8]),
    /// The end of the file.
    End,
    /// No whole frame.
    Bad,
}

impl<F> Frames<F> {
    /// Opens a file and checks its head.
    pub(super) fn open<D: Disk<File = F>>(disk: &D, id: u64) -> Result<Self, StoreError> {
        let name = name(id);
        let path = || disk.path(&name);
        let io = |source| StoreError::Io { path: path(), what: "read", source };
        let file = disk.open(&name, false).map_err(io)?;
        let mut head = [0; FILE_HEAD];
        let n = disk.read(&file, &mut head, 0).map_err(io)?;
        match check_file_head(&head[..n], id) {
            FileHead::Ours => {}
            FileHead::Format(version) => {
                return Err(StoreError::Format {
                    path: path(),
                    version,
                    ours: super::frame::FORMAT,
                });
            }
            FileHead::Nonsense if head.starts_with(MAGIC) => {
                let what = "the head of the file is not what was written";
                return Err(StoreError::Damaged { path: path(), offset: 0, what });
            }
            FileHead::Nonsense => return Err(StoreError::NotAStore { path: path() }),
        }
        Ok(Self { id, file, offset: FILE_HEAD as u64, buffer: Vec::new(), at: 0 })
    }

    /// The next frame that ends before `limit`.
    pub(super) fn next<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        limit: u64,
    ) -> Result<Next<'_>, StoreError> {
        let left = usize::try_from(limit.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        if self.fill(disk, FRAME_HEAD, left)? < FRAME_HEAD {
            return Ok(if self.rest().is_empty() || left == 0 { Next::End } else { Next::Bad });
        }
        let Some(head) = FrameHead::decode(&self.rest()[..FRAME_HEAD]) else {
            return Ok(Next::Bad);
        };
        let whole = FRAME_HEAD.saturating_add(head.len);
        // A length that is damaged must not take all the memory.
        if whole > left || self.fill(disk, whole, left)? < whole {
            return Ok(Next::Bad);
        }
        let entries = &self.buffer[self.at + FRAME_HEAD..self.at + whole];
        if !head.fits(self.id, self.offset, entries) {
            return Ok(Next::Bad);
        }
        (self.at, self.offset) = (self.at + whole, self.offset + whole as u64);
        Ok(Next::Frame(head, &self.buffer[self.at - head.len..self.at]))
    }

    /// Goes back to a frame that was read.
    fn back_to(&mut self, offset: u64) {
        self.at -= (self.offset - offset) as usize;
        self.offset = offset;
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Has `wanted` bytes in the buffer, if there are as many; how many there are.
    fn fill<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        wanted: usize,
        left: usize,
    ) -> Result<usize, StoreError> {
        let have = self.rest().len();
        if have < wanted.min(left) {
            self.buffer.drain(..self.at);
            self.at = 0;
            let goal = wanted.max(CHUNK).min(left);
            self.buffer.resize(goal, 0);
            self.buffer.shrink_to(goal);
            let read = disk.read(&self.file, &mut self.buffer[have..], self.offset + have as u64);
            let n = read.map_err(|source| StoreError::Io {
                path: disk.path(&name(self.id)),
                what: "read",
                source,
            })?;
            self.buffer.truncate(have + n);
        }
        Ok(self.rest().len().min(left))
    }

    /// Whether behind the bad frame there is a whole one that was written when the bad one was durable: then
    /// it was not the end that was just being written.
    pub(super) fn was_durable<D: Disk<File = F>>(
        &self,
        disk: &D,
        len: u64,
    ) -> Result<bool, StoreError> {
        let io = |source| StoreError::Io { path: disk.path(&name(self.id)), what: "read", source };
        let mut rest = vec![0; len.saturating_sub(self.offset) as usize];
        let n = disk.read(&self.file, &mut rest, self.offset).map_err(io)?;
        rest.truncate(n);
        let mut from = 1;
        while let Some(at) = next_mark(&rest, from) {
            from = at + 1;
            let Some(head) = rest.get(at..at + FRAME_HEAD).and_then(FrameHead::decode) else {
                continue;
            };
            let start = at + FRAME_HEAD;
            let entries = start.checked_add(head.len).and_then(|end| rest.get(start..end));
            if entries.is_some_and(|e| head.fits(self.id, self.offset + at as u64, e))
                && head.safe > self.offset
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A way through a file, and the number of its last message.
type Way<D> = (Frames<<D as Disk>::File>, u64);
/// Looks at a frame: the log's age when it was written, and its entries.
pub(super) type Show<'s> = dyn FnMut(u32, &[u8]) -> Result<(), &'static str> + 's;

/// Where reading has come to.
#[derive(Debug)]
pub(super) struct Reader<F> {
    frames: Option<Frames<F>>,
}

impl<F> Default for Reader<F> {
    fn default() -> Self {
        Self { frames: None }
    }
}

impl<F> Reader<F> {
    /// The file, and where the next frame begins.
    pub(super) fn place(&self) -> (u64, u64) {
        self.frames.as_ref().map_or((0, 0), |f| (f.id, f.offset))
    }

    /// The file it is in, 0 for none.
    pub(super) fn file_id(&self) -> u64 {
        self.frames.as_ref().map_or(0, |f| f.id)
    }
}

impl<D: Disk> Log<D> {
    /// Gives the messages that are not over, from number `from` on, in order, until `take` does not take
    /// one: number, age of the log when it was written, and value. Only what is durable is given, unless
    /// `all`. `from` must not go back, but after a [`rewind`](Self::rewind).
    ///
    /// # Errors
    /// The system's; or damage, and then nothing that lies behind it.
    pub fn read(
        &mut self,
        from: u64,
        all: bool,
        take: &mut dyn FnMut(u64, u32, &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let mut expected = self.state.over.next_open(from);
        while let Some((mut frames, last)) = self.frames_with(expected)? {
            let limit = match frames.id == self.id {
                true if all => self.written,
                true => self.safe,
                false => self.files.get(&frames.id).copied().unwrap_or(0),
            };
            let (id, offset) = (frames.id, frames.offset);
            let (mut full, mut end) = (false, false);
            let found = match frames.next(&self.disk, limit)? {
                Next::Frame(head, entries) => {
                    self.in_frame(entries, expected, &mut |number, value| {
                        full = !take(number, head.age, value);
                        !full
                    })
                }
                Next::End if id == self.id && expected <= last => {
                    // What is there is not all durable yet.
                    end = true;
                    Ok(expected)
                }
                Next::End => Err("messages are missing at its end"),
                Next::Bad => Err("this is not what was written"),
            };
            if full {
                // The rest of the frame is for the next time.
                frames.back_to(offset);
            }
            self.reader.frames = Some(frames);
            match found {
                Ok(next) => expected = next,
                Err(what) => {
                    self.reader.frames = None;
                    let path = self.disk.path(&name(id));
                    return Err(StoreError::Damaged { path, offset, what });
                }
            }
            if full || end {
                break;
            }
        }
        Ok(())
    }

    /// Gives the messages of a frame from `expected` on; the next one that is expected.
    fn in_frame(
        &self,
        entries: &[u8],
        mut expected: u64,
        take: &mut dyn FnMut(u64, &[u8]) -> bool,
    ) -> Result<u64, &'static str> {
        for entry in Entries(entries) {
            let Entry::Put { number, value } = entry? else { continue };
            if number < expected || self.state.over.contains(number) {
                continue;
            }
            if number > expected {
                return Err("messages are missing before this place");
            }
            if !take(number, value) {
                break;
            }
            expected = self.state.over.next_open(number + 1);
        }
        Ok(expected)
    }

    /// The next [`read`](Self::read) begins anew.
    pub fn rewind(&mut self) {
        self.reader.frames = None;
    }

    /// The place to go on with, in the file that has this message, and the last message of that file.
    fn frames_with(&mut self, number: u64) -> Result<Option<Way<D>>, StoreError> {
        let mut pieces = self.state.pieces.iter().filter(|(_, p)| p.count > 0);
        let piece = pieces.find(|(_, p)| number <= p.last);
        let Some((id, Piece { last, .. })) = piece else { return Ok(None) };
        let frames = match self.reader.frames.take() {
            Some(frames) if frames.id == *id => frames,
            _ => Frames::open(&self.disk, *id)?,
        };
        Ok(Some((frames, *last)))
    }

    /// Shows all frames of a file.
    pub(super) fn each_frame(&self, id: u64, show: &mut Show<'_>) -> Result<(), StoreError> {
        let len = self.files.get(&id).copied().unwrap_or(0);
        let mut frames = Frames::open(&self.disk, id)?;
        loop {
            let offset = frames.offset;
            let result = match frames.next(&self.disk, len)? {
                Next::Frame(head, entries) => show(head.age, entries),
                Next::End => return Ok(()),
                Next::Bad => Err("this is not what was written"),
            };
            if let Err(what) = result {
                let path = self.disk.path(&name(id));
                return Err(StoreError::Damaged { path, offset, what });
            }
        }
    }
}
