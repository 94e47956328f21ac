//! What files are made of: frames, each written and checked as a whole, and entries within them.
//!
//! All numbers are little-endian.

/// Names the kind of file, and the version of the format.
pub(super) const MAGIC: &[u8; 12] = b"everlink-log";
/// The format that is written and understood.
pub(super) const FORMAT: u32 = 1;
/// Bytes before the first frame: magic, format, number of the file, checksum.
pub(super) const FILE_HEAD: usize = 12 + 4 + 8 + 4;
/// Bytes before the entries of a frame: mark, length, what was safe, age, checksum.
pub(super) const FRAME_HEAD: usize = 4 + 4 + 4 + 4 + 4;
/// How each frame begins, so that it can be found behind damage.
const MARK: [u8; 4] = *b"\xe7evl";
/// Bytes before the value of a message.
pub(crate) const PUT_HEAD: usize = 1 + 8 + 4;

const PUT: u8 = 1;
const GONE: u8 = 2;
const NOTE: u8 = 3;
const START: u8 = 4;

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    /// A message.
    Put { number: u64, value: &'a [u8] },
    /// A message is over; its value had so many bytes.
    Gone { number: u64, len: u32 },
    /// A value under a key, in place of the one before.
    Note { key: u8, value: &'a [u8] },
    /// All that the files before amount to; notes follow.
    Start { state: &'a [u8] },
}

impl Entry<'_> {
    /// Adds it to the entries of a frame.
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        match *self {
            Self::Put { number, value } => {
                to.push(PUT);
                to.extend_from_slice(&number.to_le_bytes());
                with_length(value, to);
            }
            Self::Gone { number, len } => {
                to.push(GONE);
                to.extend_from_slice(&number.to_le_bytes());
                to.extend_from_slice(&len.to_le_bytes());
            }
            Self::Note { key, value } => {
                to.extend_from_slice(&[NOTE, key]);
                with_length(value, to);
            }
            Self::Start { state } => {
                to.push(START);
                with_length(state, to);
            }
        }
    }
}

fn with_length(value: &[u8], to: &mut Vec<u8>) {
    // No value is longer than an MQTT packet, which is less than 2^28 bytes.
    to.extend_from_slice(&(value.len() as u32).to_le_bytes());
    to.extend_from_slice(value);
}

/// Begins a message whose value is written behind it; ended with [`end_put`].
pub(crate) fn begin_put(to: &mut Vec<u8>) -> usize {
    let at = to.len();
    to.resize(at + PUT_HEAD, 0);
    at
}

/// The value is complete: gives its length.
pub(crate) fn end_put(to: &mut [u8], at: usize, number: u64) -> u32 {
    let len = (to.len() - at - PUT_HEAD) as u32;
    to[at] = PUT;
    to[at + 1..at + 9].copy_from_slice(&number.to_le_bytes());
    to[at + 9..at + PUT_HEAD].copy_from_slice(&len.to_le_bytes());
    len
}

/// The entries of a frame, one after the other; `Err` if they make no sense.
#[derive(Clone, Debug)]
pub(super) struct Entries<'a>(pub(super) &'a [u8]);

impl<'a> Entries<'a> {
    fn cut(&mut self, n: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(first)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.cut(4)?.try_into().ok()?))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.cut(8)?.try_into().ok()?))
    }

    fn value(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()?;
        self.cut(len as usize)
    }

    fn entry(&mut self) -> Option<Entry<'a>> {
        Some(match self.cut(1)? {
            [PUT] => Entry::Put { number: self.u64()?, value: self.value()? },
            [GONE] => Entry::Gone { number: self.u64()?, len: self.u32()? },
            [NOTE] => Entry::Note { key: *self.cut(1)?.first()?, value: self.value()? },
            [START] => Entry::Start { state: self.value()? },
            _ => return None,
        })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let entry = self.entry().ok_or("it makes no sense");
        if entry.is_err() {
            self.0 = &[];
        }
        Some(entry)
    }
}

/// The head of a file.
pub(super) fn file_head(id: u64) -> Vec<u8> {
    let mut head = Vec::with_capacity(FILE_HEAD);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&FORMAT.to_le_bytes());
    head.extend_from_slice(&id.to_le_bytes());
    let sum = crc32fast::hash(&head);
    head.extend_from_slice(&sum.to_le_bytes());
    head
}

/// What the head of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileHead {
    Ours,
    /// Another version.
    Format(u32),
    Nonsense,
}

pub(super) fn check_file_head(head: &[u8], id: u64) -> FileHead {
    if head == file_head(id) {
        return FileHead::Ours;
    }
    let mut rest = Entries(head);
    match (rest.cut(MAGIC.len()), rest.u32()) {
        (Some(magic), Some(format)) if magic == MAGIC && format != FORMAT => {
            FileHead::Format(format)
        }
        _ => FileHead::Nonsense,
    }
}

/// The first bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// Bytes of its entries.
    pub(super) len: usize,
    /// All before this offset was durable when it was written.
    pub(super) safe: u64,
    /// Seconds that the store has been in use.
    pub(super) age: u32,
    sum: u32,
}

impl FrameHead {
    pub(super) fn decode(head: &[u8]) -> Option<Self> {
        let mut rest = Entries(head.strip_prefix(&MARK)?);
        let (len, safe) = (rest.u32()? as usize, rest.u32()?.into());
        Some(Self { len, safe, age: rest.u32()?, sum: rest.u32()? })
    }

    /// Whether the entries are those that were written here.
    pub(super) fn fits(&self, id: u64, offset: u64, entries: &[u8]) -> bool {
        self.sum == checksum(id, offset, &self.bytes(), entries)
    }

    fn bytes(&self) -> [u8; FRAME_HEAD - 4] {
        let mut bytes = [0; FRAME_HEAD - 4];
        bytes[..4].copy_from_slice(&MARK);
        bytes[4..8].copy_from_slice(&(self.len as u32).to_le_bytes());
        bytes[8..12].copy_from_slice(&(self.safe as u32).to_le_bytes());
        bytes[12..].copy_from_slice(&self.age.to_le_bytes());
        bytes
    }
}

/// With its place, so that neither a frame of another file nor one at another place passes.
fn checksum(id: u64, offset: u64, head: &[u8], entries: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&id.to_le_bytes());
    sum.update(&offset.to_le_bytes());
    sum.update(head);
    sum.update(entries);
    sum.finalize()
}

/// Leaves room for the head of a frame; entries follow, then [`seal`].
pub(super) fn open_frame(frame: &mut Vec<u8>) {
    frame.resize(frame.len() + FRAME_HEAD, 0);
}

/// Writes the head of the frame that is all of `frame`, for this place in file `id`.
pub(super) fn seal(frame: &mut [u8], (id, offset): (u64, u64), safe: u64, age: u32) {
    let (head, entries) = frame.split_at_mut(FRAME_HEAD);
    let mut at = FrameHead { len: entries.len(), safe, age, sum: 0 };
    at.sum = checksum(id, offset, &at.bytes(), entries);
    head[..FRAME_HEAD - 4].copy_from_slice(&at.bytes());
    head[FRAME_HEAD - 4..].copy_from_slice(&at.sum.to_le_bytes());
}

/// Where the next frame may begin in `bytes`, from `from` on.
pub(super) fn next_mark(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(MARK.len()).position(|w| w == MARK).map(|at| from + at)
}
