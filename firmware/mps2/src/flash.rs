//! NOR flash in a file of the host: 4 KiB sectors, 4-byte words, bits that only fall.
//!
//! Every word goes to the file by a write of its own, at once, and a sector is erased in pieces of
//! 256 bytes. So a board that is killed at any instant leaves what a real one would: some words
//! written, some not, a sector half erased. With [`Settings::cut_after`] the power fails at an exact
//! step, in the middle of a word.

use embassy_time::{Duration, Timer};
use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

use crate::args::Args;
use crate::fault::POWER_CUT;
use crate::semihost::{File, HostError, Mode};
use crate::{log, semihost};

/// Bytes that are erased together.
pub const SECTOR: usize = 4096;
/// Bytes that are written together.
pub const WORD: usize = 4;
/// Bytes that one step of an erasure sets to 0xff.
const ERASE_STEP: usize = 256;

/// How the flash is to behave.
#[derive(Clone, Copy)]
pub struct Settings {
    /// Bytes when the file is made; a file that exists keeps its size.
    pub size: usize,
    /// The power fails in this step, counted from 0: the board ends with status
    /// [`POWER_CUT`]. A step is a word written or a sixteenth of a sector erased.
    pub cut_after: Option<u32>,
    /// What the erasure of a sector takes.
    pub erase_time: Duration,
}

impl Settings {
    /// From the arguments `flash-kib` (default 256), `cut-after` (never) and `erase-ms` (0).
    pub fn from_args(args: Args) -> Self {
        let cut = args.parsed("cut-after", u32::MAX);
        Self {
            size: args.parsed("flash-kib", 256) * 1024,
            cut_after: (cut != u32::MAX).then_some(cut),
            erase_time: Duration::from_millis(args.parsed("erase-ms", 0)),
        }
    }
}

/// What was done to the flash since reset.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wear {
    /// Words written.
    pub words: u32,
    /// Words written that were not erased before: allowed, bits only fall.
    pub rewritten: u32,
    /// Sectors erased.
    pub erased: u32,
    /// Steps in the sense of [`Settings::cut_after`].
    pub steps: u32,
}

/// The flash.
pub struct FileFlash {
    file: File,
    size: usize,
    settings: Settings,
    wear: Wear,
}

/// Why the flash refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError {
    /// The address or the length is not a whole number of words or sectors.
    NotAligned,
    /// Beyond the end.
    OutOfBounds,
    /// The host could not read or write its file.
    Host,
}

impl From<HostError> for FlashError {
    fn from(_: HostError) -> Self {
        FlashError::Host
    }
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            FlashError::NotAligned => NorFlashErrorKind::NotAligned,
            FlashError::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            FlashError::Host => NorFlashErrorKind::Other,
        }
    }
}

impl FileFlash {
    /// Opens the file at `path`, relative to where the emulator was started; makes it, erased, when
    /// it is missing or shorter than `settings.size`.
    pub fn open(path: &str, settings: Settings) -> Result<Self, FlashError> {
        let mut file = match File::open(path, Mode::ReadWrite) {
            Ok(file) => file,
            Err(HostError) => File::open(path, Mode::Create)?,
        };
        // A board killed while it made the file left a short one, all of it erased.
        let mut size = file.len()?;
        while size < settings.size {
            let step = (settings.size - size).min(ERASE_STEP);
            file.seek(size)?;
            file.write(&[0xff; ERASE_STEP][..step])?;
            size += step;
        }
        Ok(Self { file, size: size / SECTOR * SECTOR, settings, wear: Wear::default() })
    }

    /// What was done since reset.
    pub fn wear(&self) -> Wear {
        self.wear
    }

    fn check(&self, offset: u32, length: usize, unit: usize) -> Result<usize, FlashError> {
        let offset = offset as usize;
        match offset.checked_add(length) {
            Some(end) if end <= self.size => {}
            _ => return Err(FlashError::OutOfBounds),
        }
        let aligned = offset.is_multiple_of(unit) && length.is_multiple_of(unit);
        if aligned { Ok(offset) } else { Err(FlashError::NotAligned) }
    }

    /// Writes `new` over `old` as one step; when the power is to fail in it, `torn` instead.
    fn step(&mut self, offset: usize, new: &[u8], torn: &[u8]) -> Result<(), FlashError> {
        self.file.seek(offset)?;
        if self.settings.cut_after == Some(self.wear.steps) {
            self.file.write(torn)?;
            log!("POWER CUT in step {} at {offset:#x}", self.wear.steps);
            semihost::exit(POWER_CUT);
        }
        self.wear.steps += 1;
        self.file.write(new)?;
        Ok(())
    }

    fn write_word(
        &mut self,
        offset: usize,
        old: [u8; WORD],
        data: &[u8],
    ) -> Result<(), FlashError> {
        let mut new = old;
        for (new, data) in new.iter_mut().zip(data) {
            *new &= data;
        }
        // A write cut short: the first half is done, and of the third byte every other bit.
        let torn = [new[0], new[1], old[2] & (new[2] | 0x55), old[3]];
        self.wear.words += 1;
        if old != [0xff; WORD] {
            self.wear.rewritten += 1;
        }
        self.step(offset, &new, &torn)
    }

    fn erase_sector(&mut self, sector: usize) -> Result<(), FlashError> {
        for offset in (sector..sector + SECTOR).step_by(ERASE_STEP) {
            // An erasure cut short: bits rise at random.
            let mut torn = [0u8; ERASE_STEP];
            self.file.seek(offset)?;
            self.file.read(&mut torn)?;
            let mut noise = offset as u32 ^ self.wear.steps ^ 0x9e37_79b9;
            for byte in &mut torn {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte |= (noise >> 24) as u8;
            }
            self.step(offset, &[0xff; ERASE_STEP], &torn)?;
        }
        self.wear.erased += 1;
        Ok(())
    }
}

impl ErrorType for FileFlash {
    type Error = FlashError;
}

impl ReadNorFlash for FileFlash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let offset = self.check(offset, bytes.len(), Self::READ_SIZE)?;
        self.file.seek(offset)?;
        self.file.read(bytes)?;
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.size
    }
}

/// Dropping a future between two sectors leaves the rest unerased; a write is done in one poll.
impl NorFlash for FileFlash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let length = to.checked_sub(from).ok_or(FlashError::OutOfBounds)? as usize;
        let from = self.check(from, length, SECTOR)?;
        for sector in (from..from + length).step_by(SECTOR) {
            if self.settings.erase_time > Duration::MIN {
                Timer::after(self.settings.erase_time).await;
            }
            self.erase_sector(sector)?;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let offset = self.check(offset, bytes.len(), WORD)?;
        let mut old = [0u8; ERASE_STEP];
        for (index, chunk) in bytes.chunks(ERASE_STEP).enumerate() {
            let chunk_offset = offset + index * ERASE_STEP;
            let old = &mut old[..chunk.len()];
            self.file.seek(chunk_offset)?;
            self.file.read(old)?;
            for (word, (old, data)) in
                old.chunks_exact(WORD).zip(chunk.chunks_exact(WORD)).enumerate()
            {
                let old = [old[0], old[1], old[2], old[3]];
                self.write_word(chunk_offset + word * WORD, old, data)?;
            }
        }
        Ok(())
    }
}

/// The bits of a word that is written twice are those of both, as NOR cells are.
impl MultiwriteNorFlash for FileFlash {}
