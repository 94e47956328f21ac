//! Records on NOR flash, or in memory that survives deep sleep.

use core::fmt::Debug;
use core::ops::Range;

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use sequential_storage::Error;
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage};

use super::keep::Medium;

/// A [`Medium`] on NOR flash: pages are used in turn, so that all wear alike; a write that was cut at
/// any byte is recognised and left out.
pub struct Flash<'b, F: NorFlash> {
    map: MapStorage<u16, F, Cache<Uncached, Uncached, Uncached, u16>>,
    work: &'b mut [u8],
}

impl<F: NorFlash> Debug for Flash<'_, F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Flash").finish_non_exhaustive()
    }
}

impl<'b, F: NorFlash> Flash<'b, F> {
    /// Records on the pages of `range`, in bytes from the start of `flash`: at least two whole pages, which
    /// hold nothing else. `work` takes the largest record, two bytes more and what is missing to whole
    /// words.
    ///
    /// Twice the room that all records need spares erasures: a page is erased when the others are full.
    ///
    /// # Panics
    /// If `range` is not of whole pages or fewer than two.
    pub fn new(flash: F, range: Range<u32>, work: &'b mut [u8]) -> Self {
        Self { map: MapStorage::new(flash, MapConfig::new(range), Cache::new_uncached()), work }
    }

    /// Forgets everything, in whatever condition it is.
    ///
    /// # Errors
    /// The flash's.
    pub async fn erase(&mut self) -> Result<(), Error<F::Error>> {
        self.map.erase_all().await
    }

    /// The flash.
    pub fn release(self) -> F {
        self.map.destroy().0
    }
}

impl<F: NorFlash> Medium for Flash<'_, F> {
    type Error = Error<F::Error>;

    async fn put(&mut self, key: u16, value: &[u8]) -> Result<(), Self::Error> {
        self.map.store_item(self.work, &key, &value).await
    }

    async fn get(&mut self, key: u16, value: &mut [u8]) -> Result<usize, Self::Error> {
        let found: Option<&[u8]> = self.map.fetch_item(self.work, &key).await?;
        let Some(found) = found else { return Ok(0) };
        let room = value.get_mut(..found.len()).ok_or(Error::BufferTooSmall(found.len()))?;
        room.copy_from_slice(found);
        Ok(found.len())
    }
}

/// Memory that keeps its contents in deep sleep (RTC memory, backup RAM), as a flash with pages of
/// 256 bytes: for the same records as on [`Flash`], without its wear. After a real loss of power its contents
/// are arbitrary: that is recognised, and counts as empty.
#[derive(Debug)]
pub struct SleepMemory<'b>(&'b mut [u8]);

impl<'b> SleepMemory<'b> {
    /// As many whole pages as fit into `memory`.
    pub fn new(memory: &'b mut [u8]) -> Self {
        Self(memory)
    }

    /// The range to give to [`Flash::new`].
    pub fn range(&self) -> Range<u32> {
        let pages = self.0.len() / Self::ERASE_SIZE;
        0..(pages * Self::ERASE_SIZE) as u32
    }

    fn part(&mut self, from: u32, to: u32) -> Result<&mut [u8], OutOfBounds> {
        self.0.get_mut(from as usize..to as usize).ok_or(OutOfBounds)
    }
}

/// An address beyond the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBounds;

impl NorFlashError for OutOfBounds {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::OutOfBounds
    }
}

impl ErrorType for SleepMemory<'_> {
    type Error = OutOfBounds;
}

impl ReadNorFlash for SleepMemory<'_> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), OutOfBounds> {
        let end = offset.saturating_add(bytes.len() as u32);
        bytes.copy_from_slice(self.part(offset, end)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for SleepMemory<'_> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 256;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), OutOfBounds> {
        self.part(from, to)?.fill(0xff);
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), OutOfBounds> {
        let end = offset.saturating_add(bytes.len() as u32);
        self.part(offset, end)?.copy_from_slice(bytes);
        Ok(())
    }
}
