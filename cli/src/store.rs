//! The store of a run, and what it says about itself.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::Duration;

use everlink::Client;
use everlink::store::{FileStore, StoreError};

use crate::args::{StoreArgs, StoreCommand};
use crate::exit::{Exit, Failure, say};
use crate::output::Output;

/// How often the store is asked how it is.
const LOOK: Duration = Duration::from_millis(200);

/// Opens the store that the flags name.
pub(crate) fn open(args: &StoreArgs) -> Result<Option<FileStore>, Failure> {
    let Some(directory) = &args.directory else { return Ok(None) };
    let failure = |error: StoreError| Failure::usage(format!("--store: {error}"));
    let store = FileStore::open(directory).map_err(failure)?.durability(args.durability);
    Ok(Some(match args.limit {
        Some(bytes) => store.limit(bytes).map_err(failure)?,
        None => store,
    }))
}

/// Looks into a store.
pub(crate) async fn run(command: StoreCommand) -> Result<Exit, Failure> {
    let StoreCommand::Check { directory } = command;
    let failure = |error: StoreError| Failure::usage(format!("store: {error}"));
    if !directory.is_dir() {
        return Err(Failure::usage(format!("store: {} is not a directory", directory.display())));
    }
    let mut store = FileStore::open(&directory).map_err(failure)?;
    store.check().map_err(failure)?;
    let client = store.client_id().map_or("no client".into(), |id| format!("client {id:?}"));
    let (messages, bytes) = (store.messages(), store.bytes());
    let line = format!("{messages} messages of {client}, {bytes} bytes in files, all whole\n");
    // Nobody may be left to read it.
    let _ = Output::default().write(line.into_bytes()).await;
    Ok(Exit::Done)
}

/// What is wrong with the store, if it cannot get better.
pub(crate) fn damage(client: &Client) -> Option<String> {
    let trouble = client.store()?.trouble?;
    let lasting = matches!(*trouble, StoreError::Damaged { .. } | StoreError::Missing { .. });
    lasting.then(|| trouble.to_string())
}

/// Waits until something is wrong with the store that cannot get better. Tells of what can.
pub(crate) async fn damaged(client: &Client) {
    let mut told = false;
    while let Some(status) = client.store() {
        if damage(client).is_some() {
            return;
        }
        match status.trouble {
            Some(why) if !told => {
                say(format_args!("store: {why}; what cannot be stored is held in memory"));
                told = true;
            }
            None if told => {
                say("store: it works again");
                told = false;
            }
            _ => {}
        }
        tokio::time::sleep(LOOK).await;
    }
    std::future::pending().await
}

/// Where the lines of standard input have been taken from: what a store keeps with each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which file it is.
    device: u64,
    inode: u64,
    /// Where its next line begins, in bytes, and how many lines were before it.
    offset: u64,
    pub(crate) lines: u64,
}

impl Place {
    /// Where a file that can be read from any place stands now; `None` for pipes and terminals.
    pub(crate) fn of(file: &mut File) -> Option<Self> {
        let facts = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let offset = file.stream_position().ok()?;
        Some(Self { device: facts.dev(), inode: facts.ino(), offset, lines: 0 })
    }

    /// Goes on where `mark` says, if it speaks of this file.
    pub(crate) fn resume(&mut self, file: &mut File, mark: &[u8]) -> io::Result<()> {
        let Some(earlier) = Self::decode(mark) else { return Ok(()) };
        let same = (earlier.device, earlier.inode) == (self.device, self.inode);
        if !same || earlier.offset < self.offset || !is_line_end(file, earlier.offset)? {
            return Ok(());
        }
        file.seek(SeekFrom::Start(earlier.offset))?;
        *self = earlier;
        Ok(())
    }

    /// So many bytes and lines further on.
    pub(crate) fn behind(self, bytes: u64, lines: u64) -> Self {
        Self { offset: self.offset + bytes, lines: self.lines + lines, ..self }
    }

    pub(crate) fn encode(&self) -> [u8; 32] {
        let mut mark = [0; 32];
        let numbers = [self.device, self.inode, self.offset, self.lines];
        for (part, number) in mark.chunks_exact_mut(8).zip(numbers) {
            part.copy_from_slice(&number.to_le_bytes());
        }
        mark
    }

    fn decode(mark: &[u8]) -> Option<Self> {
        let mut numbers = mark.chunks_exact(8).map(|part| {
            // Eight bytes each.
            u64::from_le_bytes(part.try_into().unwrap_or_default())
        });
        let (device, inode) = (numbers.next()?, numbers.next()?);
        Some(Self { device, inode, offset: numbers.next()?, lines: numbers.next()? })
    }
}

/// Whether a line ends just before `offset`, or the file ends there.
fn is_line_end(file: &File, offset: u64) -> io::Result<bool> {
    let len = file.metadata()?.len();
    let mut byte = [0];
    Ok(match offset {
        0 => true,
        _ if offset == len => true,
        _ if offset > len => false,
        _ => file.read_at(&mut byte, offset - 1)? == 1 && byte == *b"\n",
    })
}
