//! A flash chip in a simulation.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

pub const PAGE: usize = 256;
pub const WORD: usize = 4;

/// A flash whose power goes after so many words. Copies are the same chip.
#[derive(Clone)]
pub struct Torn(Rc<Chip>);

struct Chip {
    bytes: RefCell<Vec<u8>>,
    words: Cell<usize>,
    power_until: Cell<usize>,
    is_dead: Cell<bool>,
    /// The word that cannot be written, once.
    fails_at: Cell<usize>,
}

#[derive(Debug)]
pub struct PowerGone;

impl NorFlashError for PowerGone {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl Torn {
    /// An erased chip, with power for so many words.
    pub fn new(pages: usize, words: usize) -> Self {
        Self(Rc::new(Chip {
            bytes: RefCell::new(vec![0xff; pages * PAGE]),
            words: Cell::new(0),
            power_until: Cell::new(words),
            is_dead: Cell::new(false),
            fails_at: Cell::new(usize::MAX),
        }))
    }

    /// All of it.
    pub fn range(&self) -> std::ops::Range<u32> {
        0..self.0.bytes.borrow().len() as u32
    }

    /// Words written or erased so far.
    pub fn words(&self) -> usize {
        self.0.words.get()
    }

    /// Writing or erasing this word fails, once; the power stays.
    pub fn fail_at(&self, word: usize) {
        self.0.fails_at.set(word);
    }

    /// Whether the power is gone.
    pub fn is_dead(&self) -> bool {
        self.0.is_dead.get()
    }

    /// The power comes back, for `words` more words.
    pub fn revive(&self, words: usize) {
        self.0.is_dead.set(false);
        self.0.power_until.set(self.words().saturating_add(words));
    }

    fn word(&mut self) -> Result<(), PowerGone> {
        if self.is_dead() || self.words() >= self.0.power_until.get() {
            self.0.is_dead.set(true);
            return Err(PowerGone);
        }
        if self.words() == self.0.fails_at.get() {
            self.0.fails_at.set(usize::MAX);
            return Err(PowerGone);
        }
        self.0.words.set(self.words() + 1);
        Ok(())
    }
}

impl ErrorType for Torn {
    type Error = PowerGone;
}

impl ReadNorFlash for Torn {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), PowerGone> {
        bytes.copy_from_slice(&self.0.bytes.borrow()[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.bytes.borrow().len()
    }
}

impl NorFlash for Torn {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), PowerGone> {
        for at in (from as usize..to as usize).step_by(WORD) {
            self.word()?;
            self.0.bytes.borrow_mut()[at..at + WORD].fill(0xff);
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), PowerGone> {
        for (n, word) in bytes.chunks(WORD).enumerate() {
            self.word()?;
            let at = offset as usize + n * WORD;
            let flash = &mut self.0.bytes.borrow_mut()[at..at + WORD];
            assert!(flash.iter().all(|b| *b == 0xff), "written without erasure at {at}");
            flash.copy_from_slice(word);
        }
        Ok(())
    }
}
