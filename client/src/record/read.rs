//! Reads a recording, frame by frame.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::format::{FILE_HEAD, FRAME, FRAME_HEAD, format};

/// Why a recording cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("this is no recording of everlink")]
    Foreign,
    /// An earlier or later everlink wrote it.
    #[error("it is in format {0}, and this everlink knows format 1 only")]
    OtherFormat(u32),
    /// It ends in the middle, as when the power goes: what is before was read.
    #[error("it is torn off at byte {0}: what came after that is missing")]
    Torn(u64),
    /// What is there is not what was written.
    #[error("it is damaged at byte {0}")]
    Damaged(u64),
}

#[derive(Debug)]
pub(super) struct Frames<R = BufReader<File>> {
    file: R,
    at: u64,
}

impl Frames {
    pub(super) fn open(path: &Path) -> Result<Self, RecordError> {
        Self::new(BufReader::new(File::open(path)?))
    }
}

impl<R: Read> Frames<R> {
    pub(super) fn new(mut file: R) -> Result<Self, RecordError> {
        let mut head = [0; FILE_HEAD];
        if fill(&mut file, &mut head)? < FILE_HEAD {
            return Err(RecordError::Foreign);
        }
        format(&head)
            .map_err(|other| other.map_or(RecordError::Foreign, RecordError::OtherFormat))?;
        Ok(Self { file, at: FILE_HEAD as u64 })
    }

    /// Where the frame that was read last ends.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    /// The next frame, into `bytes`; `false` at the end.
    pub(super) fn next(&mut self, bytes: &mut Vec<u8>) -> Result<bool, RecordError> {
        let mut head = [0; FRAME_HEAD];
        match fill(&mut self.file, &mut head)? {
            0 => return Ok(false),
            FRAME_HEAD => {}
            _ => return Err(RecordError::Torn(self.at)),
        }
        let (length, checksum) = head.split_at(4);
        let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap_or_default());
        let length = number(length) as usize;
        if length > FRAME {
            return Err(RecordError::Damaged(self.at));
        }
        bytes.resize(length, 0);
        if fill(&mut self.file, bytes)? < length {
            return Err(RecordError::Torn(self.at));
        }
        if crc32fast::hash(bytes) != number(checksum) {
            return Err(RecordError::Damaged(self.at));
        }
        self.at += (FRAME_HEAD + length) as u64;
        Ok(true)
    }
}

/// Reads until `to` is full or the file ends.
fn fill(file: &mut impl Read, to: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < to.len() {
        match file.read(&mut to[n..]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n)
}
