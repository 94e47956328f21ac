//! A directory that fails and forgets: what was not synced survives a loss of power in part.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use everlink::store::Disk;

/// Loss comes in pieces of this size, in bytes, as pages or sectors do.
const SECTOR: usize = 64;

/// One file's content.
#[derive(Clone, Debug, Default)]
struct Content {
    /// What programs see.
    now: Vec<u8>,
    /// What surely survives.
    safe: Vec<u8>,
}

#[derive(Debug, Default)]
struct Inner {
    files: Vec<Content>,
    /// Names as programs see them, and as they surely survive.
    names: BTreeMap<String, usize>,
    safe_names: BTreeMap<String, usize>,
    /// Changes so far, and the one that fails or is torn.
    changes: usize,
    fails_at: usize,
    /// How a change that fails does it, and whether all later ones fail too.
    how: How,
    dark: bool,
}

/// How things go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum How {
    /// The power goes: that change and all later ones fail.
    #[default]
    Power,
    /// An error, such as a full disk; part of what was to be written may be. Later changes succeed.
    Once,
    /// As `Once`, and what was not durable is gone, as after an error of a real disk.
    Forgets,
}

/// A directory in memory.
#[derive(Clone, Debug, Default)]
pub struct Faulty(Arc<Mutex<Inner>>);

impl Faulty {
    /// The change of this number, counted from 0, goes wrong.
    pub fn failing_at(&self, change: usize, how: How) {
        let mut inner = self.0.lock().unwrap();
        (inner.fails_at, inner.how) = (inner.changes + change, how);
    }

    /// Changes so far.
    pub fn changes(&self) -> usize {
        self.0.lock().unwrap().changes
    }

    pub fn is_dark(&self) -> bool {
        self.0.lock().unwrap().dark
    }

    /// What is found when the power is back: of what was not durable, pieces that `random` picks.
    pub fn after_power_loss(&self, random: &mut fastrand::Rng) -> Self {
        let inner = self.0.lock().unwrap();
        let survive = |content: &Content, random: &mut fastrand::Rng| survivors(content, random);
        let files: Vec<Content> = inner
            .files
            .iter()
            .map(|content| {
                let bytes = survive(content, random);
                Content { now: bytes.clone(), safe: bytes }
            })
            .collect();
        let mut names = inner.safe_names.clone();
        // Of changes to the directory the first few may be there.
        if random.bool() {
            names = inner.names.clone();
        }
        let inner = Inner {
            files,
            safe_names: names.clone(),
            names,
            fails_at: usize::MAX,
            ..Inner::default()
        };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// A copy in which nothing fails.
    pub fn copy(&self) -> Self {
        let inner = self.0.lock().unwrap();
        let inner = Inner {
            files: inner.files.clone(),
            names: inner.names.clone(),
            safe_names: inner.safe_names.clone(),
            fails_at: usize::MAX,
            ..Inner::default()
        };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Changes the bytes of the newest file whose name ends so.
    pub fn edit(&self, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut inner = self.0.lock().unwrap();
        let name = inner.names.keys().filter(|n| n.ends_with(".log")).max().unwrap().clone();
        self.edit_in(&mut inner, &name, edit);
    }

    /// Changes the bytes of a file.
    pub fn edit_file(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut inner = self.0.lock().unwrap();
        self.edit_in(&mut inner, name, edit);
    }

    fn edit_in(&self, inner: &mut Inner, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let at = inner.names[name];
        let content = &mut inner.files[at];
        edit(&mut content.now);
        content.safe = content.now.clone();
    }

    pub fn logs(&self) -> Vec<(String, usize)> {
        let inner = self.0.lock().unwrap();
        let logs = inner.names.iter().filter(|(name, _)| name.ends_with(".log"));
        logs.map(|(name, at)| (name.clone(), inner.files[*at].now.len())).collect()
    }
}

/// What is left of a file: each sector as it was or as it was to be, and an end in between.
fn survivors(content: &Content, random: &mut fastrand::Rng) -> Vec<u8> {
    let (safe, now) = (&content.safe, &content.now);
    let kind = random.u8(0..4);
    let len = match kind {
        0 => safe.len(),
        1 => now.len(),
        _ => {
            let (a, b) = (safe.len().min(now.len()), safe.len().max(now.len()));
            random.usize(a..=b)
        }
    };
    let mut bytes = vec![0; len];
    for (n, sector) in bytes.chunks_mut(SECTOR).enumerate() {
        // All that came before, a prefix, or any of it.
        let new = match kind {
            0 => false,
            1 | 2 => true,
            _ => random.bool(),
        };
        let at = n * SECTOR;
        for (i, byte) in sector.iter_mut().enumerate() {
            let (old, new_byte) = (safe.get(at + i), now.get(at + i));
            *byte = if new { new_byte.or(old) } else { old.or(None) }.copied().unwrap_or(0);
        }
    }
    bytes
}

fn gone() -> io::Error {
    io::Error::other("no power")
}

impl Inner {
    /// Counts a change. `Ok(false)`: it fails for once.
    fn change(&mut self) -> io::Result<bool> {
        if self.dark {
            return Err(gone());
        }
        self.changes += 1;
        if self.changes - 1 != self.fails_at {
            return Ok(true);
        }
        if self.how == How::Forgets {
            for file in &mut self.files {
                file.now = file.safe.clone();
            }
        }
        self.dark = self.how == How::Power;
        Ok(false)
    }

    fn fail<T>(&self) -> io::Result<T> {
        Err(if self.dark { gone() } else { io::Error::other("no space left") })
    }
}

impl Disk for Faulty {
    type File = usize;

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let inner = self.0.lock().unwrap();
        let lens = inner.names.iter().map(|(n, at)| (n.clone(), inner.files[*at].now.len() as u64));
        Ok(lens.collect())
    }

    fn open(&self, name: &str, create: bool) -> io::Result<usize> {
        let mut inner = self.0.lock().unwrap();
        if !create {
            return inner.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into());
        }
        if !inner.change()? {
            return inner.fail();
        }
        inner.files.push(Content::default());
        let at = inner.files.len() - 1;
        inner.names.insert(name.to_owned(), at);
        Ok(at)
    }

    fn read(&self, file: &usize, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = self.0.lock().unwrap();
        let rest = inner.files[*file].now.get(offset as usize..).unwrap_or(&[]);
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write(&self, file: &usize, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        let whole = inner.change()?;
        let n = if whole { bytes.len() } else { bytes.len() * 2 / 3 };
        let content = &mut inner.files[*file].now;
        let end = offset as usize + n;
        if content.len() < end {
            content.resize(end, 0);
        }
        content[offset as usize..end].copy_from_slice(&bytes[..n]);
        if whole { Ok(()) } else { inner.fail() }
    }

    fn truncate(&self, file: &usize, len: u64) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        if !inner.change()? {
            return inner.fail();
        }
        inner.files[*file].now.truncate(len as usize);
        Ok(())
    }

    fn sync(&self, file: &usize) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        if !inner.change()? {
            return inner.fail();
        }
        let content = &mut inner.files[*file];
        content.safe = content.now.clone();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        if !inner.change()? {
            return inner.fail();
        }
        let at = inner.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inner.names.insert(to.to_owned(), at);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        if !inner.change()? {
            return inner.fail();
        }
        inner.names.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        if !inner.change()? {
            return inner.fail();
        }
        inner.safe_names = inner.names.clone();
        Ok(())
    }
}
