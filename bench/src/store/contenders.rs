//! What keeps a queue on disk, each as well as it can: a put is durable before the next one, and so is a take.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use everlink::store::{Directory, Log};
use fjall::{PartitionCreateOptions, PersistMode};
use redb::{Database, ReadableDatabase, TableDefinition};
use rusqlite::Connection;

use crate::Result;

/// A queue of messages on disk.
pub(crate) trait Queue {
    /// Adds a message so many times, in one commit.
    fn put(&mut self, times: usize, message: &[u8]) -> Result<()>;

    /// Takes out the oldest messages, in one commit; how many there were.
    fn take(&mut self, messages: usize) -> Result<usize>;
}

/// No queue but the limit: a file that is appended to and synced, and read again from its beginning while
/// a few bytes for each message are appended to another.
pub(crate) struct Limit {
    file: File,
    taken: File,
    reader: File,
    group: Vec<u8>,
    message: usize,
}

impl Limit {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        let file = options.open(path.join("file"))?;
        let taken = options.open(path.join("taken"))?;
        let reader = File::open(path.join("file"))?;
        Ok(Self { file, taken, reader, group: Vec::new(), message: 0 })
    }
}

impl Queue for Limit {
    fn put(&mut self, times: usize, message: &[u8]) -> Result<()> {
        self.message = message.len();
        self.group.clear();
        (0..times).for_each(|_| self.group.extend_from_slice(message));
        self.file.write_all(&self.group)?;
        Ok(self.file.sync_data()?)
    }

    fn take(&mut self, messages: usize) -> Result<usize> {
        self.group.resize(messages * self.message, 0);
        self.reader.read_exact(&mut self.group)?;
        self.taken.write_all(&self.group[..messages * 8])?;
        self.taken.sync_data()?;
        Ok(messages)
    }
}

/// The log of everlink's store.
pub(crate) struct Everlink {
    log: Log<Directory>,
    next: u64,
    first: u64,
    taken: Vec<(u64, u32)>,
}

impl Everlink {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let log = Log::open(Directory::open(path)?, 4 << 20)?;
        Ok(Self { log, next: 1, first: 1, taken: Vec::new() })
    }

    fn commit(&mut self) -> Result<()> {
        self.log.write(0)?;
        self.log.sync()?;
        self.log.tidy()?;
        Ok(())
    }
}

impl Queue for Everlink {
    fn put(&mut self, times: usize, message: &[u8]) -> Result<()> {
        for _ in 0..times {
            self.log.put(self.next, message);
            self.next += 1;
        }
        self.commit()
    }

    fn take(&mut self, messages: usize) -> Result<usize> {
        let taken = &mut self.taken;
        if taken.is_empty() {
            // As its client does, it reads ahead, so much and no more.
            self.log.read(self.first, false, &mut |number, _, value| {
                if taken.len() >= 1024 {
                    return false;
                }
                std::hint::black_box(value);
                taken.push((number, value.len() as u32));
                true
            })?;
            taken.reverse();
        }
        let mut n = 0;
        while n < messages
            && let Some((number, len)) = taken.pop()
        {
            self.log.gone(number, len);
            self.first = number + 1;
            n += 1;
        }
        if n < messages && self.first < self.next {
            return Ok(n + self.take(messages - n)?);
        }
        self.commit()?;
        Ok(n)
    }
}

/// SQLite with a write-ahead log, synchronous at each commit.
pub(crate) struct Sqlite {
    database: Connection,
}

impl Sqlite {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let database = Connection::open(path.join("queue"))?;
        database.pragma_update(None, "journal_mode", "wal")?;
        database.pragma_update(None, "synchronous", "full")?;
        database.execute("create table queue (number integer primary key, value blob)", [])?;
        Ok(Self { database })
    }
}

impl Queue for Sqlite {
    fn put(&mut self, times: usize, message: &[u8]) -> Result<()> {
        let commit = self.database.transaction()?;
        {
            let mut insert = commit.prepare_cached("insert into queue (value) values (?1)")?;
            for _ in 0..times {
                insert.execute([message])?;
            }
        }
        Ok(commit.commit()?)
    }

    fn take(&mut self, messages: usize) -> Result<usize> {
        let commit = self.database.transaction()?;
        let (mut n, mut last) = (0, 0_i64);
        {
            let mut select = commit
                .prepare_cached("select number, value from queue order by number limit ?1")?;
            let mut rows = select.query([messages as i64])?;
            while let Some(row) = rows.next()? {
                last = row.get(0)?;
                std::hint::black_box(row.get_ref(1)?.as_blob()?);
                n += 1;
            }
            commit.prepare_cached("delete from queue where number <= ?1")?.execute([last])?;
        }
        commit.commit()?;
        Ok(n)
    }
}

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("queue");

/// redb, durable at each commit.
pub(crate) struct Redb {
    database: Database,
    next: u64,
    first: u64,
}

impl Redb {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let database = Database::create(path.join("queue"))?;
        Ok(Self { database, next: 1, first: 1 })
    }
}

impl Queue for Redb {
    fn put(&mut self, times: usize, message: &[u8]) -> Result<()> {
        let commit = self.database.begin_write()?;
        {
            let mut table = commit.open_table(TABLE)?;
            for _ in 0..times {
                table.insert(self.next, message)?;
                self.next += 1;
            }
        }
        Ok(commit.commit()?)
    }

    fn take(&mut self, messages: usize) -> Result<usize> {
        let mut n = 0;
        {
            let read = self.database.begin_read()?;
            let table = read.open_table(TABLE)?;
            for entry in table.range(self.first..self.first + messages as u64)? {
                std::hint::black_box(entry?.1.value());
                n += 1;
            }
        }
        let commit = self.database.begin_write()?;
        {
            let mut table = commit.open_table(TABLE)?;
            for number in self.first..self.first + n as u64 {
                table.remove(number)?;
            }
        }
        commit.commit()?;
        self.first += n as u64;
        Ok(n)
    }
}

/// fjall, its journal synced at each commit.
pub(crate) struct Fjall {
    keyspace: fjall::Keyspace,
    queue: fjall::PartitionHandle,
    next: u64,
    first: u64,
}

impl Fjall {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let keyspace = fjall::Config::new(path.join("queue")).open()?;
        let queue = keyspace.open_partition("queue", PartitionCreateOptions::default())?;
        Ok(Self { keyspace, queue, next: 1, first: 1 })
    }
}

impl Queue for Fjall {
    fn put(&mut self, times: usize, message: &[u8]) -> Result<()> {
        let mut commit = self.keyspace.batch().durability(Some(PersistMode::SyncData));
        for _ in 0..times {
            commit.insert(&self.queue, self.next.to_be_bytes(), message);
            self.next += 1;
        }
        Ok(commit.commit()?)
    }

    fn take(&mut self, messages: usize) -> Result<usize> {
        let mut commit = self.keyspace.batch().durability(Some(PersistMode::SyncData));
        let mut n = 0;
        let numbers = self.first.to_be_bytes()..(self.first + messages as u64).to_be_bytes();
        for entry in self.queue.range(numbers) {
            let (number, value) = entry?;
            std::hint::black_box(value);
            commit.remove(&self.queue, number);
            n += 1;
        }
        commit.commit()?;
        self.first += n as u64;
        Ok(n)
    }
}
