//! The thread that writes what is to be kept, and reads it back as memory has room.
//!
//! Everything that came while it was writing goes out together the next time.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use everlink_proto::mem::Table;
use everlink_proto::session::{Config, Queue, under_way};

use super::builder::random;
use super::connect::ConnectOptions;
use super::engine::Session_;
use super::inbox::Front;
use super::keep::{Batch, Keep, Limits, number as store_number, round};
use super::shared::Shared;
use crate::store::{
    CLIENT_ID, Directory, Durability, FileStore, Log, SESSION, SUBSCRIPTIONS, StoreError,
};

/// Messages that memory holds of a queue that is on disk, at least; the rest is read when these get few.
pub(crate) const MESSAGES: usize = 1024;
/// Bytes of these.
pub(crate) const BYTES: usize = 16 << 20;
/// Read from the medium at a time, in bytes.
const READ: usize = 1 << 20;
/// How long to wait before writing is tried again that failed.
const RETRY: Duration = Duration::from_secs(1);
/// What was written and is not durable is not allowed to get larger, in bytes.
const UNSYNCED: u64 = 2 << 20;
/// Bytes of a batch that stay allocated.
const SPARE: usize = 256 * 1024;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Keeper {
    log: Log<Directory>,
    durability: Durability,
    /// Held for as long as the store is ours.
    _lock: File,
    began: Instant,
    age: u32,
    /// Written and not yet durable.
    unconfirmed: Batch,
    /// Somebody is to be told when it is.
    confirms: bool,
    unsynced_since: Option<Instant>,
    /// The next batch goes here.
    spare: Batch,
    /// Damage was found: nothing more is read.
    damaged: bool,
}

/// Whose store it is, and that its session is resumed.
pub(crate) fn prepare(
    store: &FileStore,
    options: &mut ConnectOptions,
    config: &mut Config,
) -> Result<(), StoreError> {
    match store.client_id() {
        Some(stored) if options.client_id.is_empty() => options.client_id = stored.to_owned(),
        Some(stored) if options.client_id != stored => {
            let (stored, given) = (stored.to_owned(), options.client_id.clone());
            return Err(StoreError::OtherClient { stored, given });
        }
        Some(_) => {}
        None if options.client_id.is_empty() => {
            options.client_id = format!("everlink-{:016x}", random());
        }
        None => return Ok(()),
    }
    config.clean_start &= store.client_id().is_none();
    Ok(())
}

/// How much of the queue is in memory, and how much there can be in all.
pub(crate) fn limits(store: &FileStore, memory: &mut Queue, given: bool) -> Limits {
    let asked = *memory;
    // Of so few messages each can be in memory: then the engine's limits do.
    let few = given && asked.messages <= MESSAGES;
    if !few {
        *memory = Queue { messages: MESSAGES, bytes: asked.bytes.min(BYTES), ..asked };
    }
    let (room, disk, waiting) = store.room();
    Limits {
        bytes: room,
        disk,
        waiting,
        messages: match (few, given) {
            (true, _) => 0,
            (false, true) => asked.messages as u64,
            (false, false) => u64::MAX,
        },
        queued_bytes: if given { asked.bytes as u64 } else { u64::MAX },
    }
}

/// Opens the store for an engine: takes up the first messages and the session.
pub(crate) fn restore(
    mut store: FileStore,
    engine: &mut Session_,
    front: &mut Front,
    limits: Limits,
) -> Result<Keeper, StoreError> {
    let log = &mut store.log;
    engine.keep_records(usize::MAX / 2, Table::growing(usize::from(u16::MAX)));
    let next = log.next_number();
    let mut keep = Keep::new(next, log.held(), limits, engine.when_full());
    let session = log.noted(SESSION).to_vec();
    // All that was under way has to be there before the session goes on.
    let needed = under_way(&session).map(|n| store_number(n, next)).max().unwrap_or(0);
    let (age, mut nonsense) = (log.age(), false);
    engine.found(log.held().0);
    log.read(0, true, &mut |number, written, value| {
        if nonsense || number > needed && !engine.has_room(value.len()) {
            return false;
        }
        let aged = Duration::from_secs(age.saturating_sub(written).into());
        let now = everlink_proto::time::Instant::ZERO;
        nonsense = !keep.take_up(engine, now, (number, aged, value));
        !nonsense
    })?;
    let subscriptions = engine.restore_subscriptions(log.noted(SUBSCRIPTIONS));
    if nonsense || subscriptions.is_err() || engine.taken_up(&session, round(next)).is_err() {
        return Err(log.damaged_where_read("a record makes no sense"));
    }
    if log.noted(CLIENT_ID) != front.options.client_id.as_bytes() {
        log.note(CLIENT_ID, front.options.client_id.as_bytes());
    }
    front.keep = Some(Box::new(keep));
    Ok(Keeper {
        age,
        durability: store.durability,
        _lock: store.lock,
        log: store.log,
        began: Instant::now(),
        unconfirmed: Batch::default(),
        confirms: true,
        unsynced_since: None,
        spare: Batch::default(),
        damaged: false,
    })
}

impl Keeper {
    /// Works in a thread of its own until the client is dropped.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(crate) fn start(self, shared: &Arc<Shared>) -> Result<(), StoreError> {
        let weak = Arc::downgrade(shared);
        let left = shared.look(|_, front| front.keep.as_ref().map(|keep| keep.left()));
        let builder = std::thread::Builder::new().name("everlink-store".into());
        let thread = builder.spawn(move || self.run(&weak, &left.unwrap_or_default()));
        let thread = thread.map_err(|source| StoreError::Io {
            path: std::path::PathBuf::from("everlink-store"),
            what: "start the thread",
            source,
        })?;
        shared.look(|_, front| {
            if let Some(keep) = &mut front.keep {
                keep.kept_by(thread.thread().clone());
            }
        });
        Ok(())
    }

    fn run(mut self, shared: &Weak<Shared>, left: &Mutex<Batch>) {
        loop {
            let Some(client) = shared.upgrade() else { break };
            let result = self.round(&client);
            let pause = match result {
                Ok(pause) => pause,
                Err(error) => {
                    self.failed(&client, error);
                    Some(RETRY)
                }
            };
            drop(client);
            match pause {
                Some(time) => std::thread::park_timeout(time),
                None => std::thread::park(),
            }
        }
        // The client was dropped: what it left is written, whatever the durability, once.
        let batch = std::mem::take(&mut *left.lock().unwrap_or_else(PoisonError::into_inner));
        self.log.append(&batch.entries);
        let age = self.age_now();
        if let Err(error) = self.log.write(age).and_then(|()| self.log.sync()) {
            tracing::error!(%error, "the store cannot be written");
        }
    }

    /// Writes what there is and reads what there is room for. Gives how long there is nothing to do; `None`
    /// until there is.
    fn round(&mut self, client: &Shared) -> Result<Option<Duration>, StoreError> {
        // What could not be written comes first, so that no more than a batch waits here.
        let hurry = !self.log.has_unwritten() && self.take_batch(client);
        let age = self.age_now();
        self.log.write(age)?;
        let wait = self.make_durable(client, hurry)?;
        let untidy = self.log.tidy()?;
        let disk = self.log.bytes();
        client.settle(|_, front| {
            if let Some(keep) = &mut front.keep {
                keep.tidied(disk);
            }
            front.room.wake(&mut front.wakes);
        });
        self.recovered(client);
        let more = !self.damaged && self.take_up(client)?;
        let busy = client.reach(|engine, front| {
            let keep = front.keep.as_ref();
            keep.is_some_and(|k| !k.is_idle(engine) || more && k.wants_more(engine))
        });
        Ok(if !busy && !untidy { wait } else { Some(Duration::ZERO) })
    }

    /// Takes what there is to write. Whether somebody waits for it to be durable.
    fn take_batch(&mut self, client: &Shared) -> bool {
        let spare = std::mem::take(&mut self.spare);
        let taken = client.reach(|engine, front| {
            front.keep.as_mut().map(|keep| (keep.hurry, keep.take(engine, spare)))
        });
        let (hurry, mut batch) = taken.unwrap_or_default();
        self.log.append(&batch.entries);
        self.confirms |= !batch.entries.is_empty();
        self.unconfirmed.records.append(&mut batch.records);
        self.unconfirmed.next = batch.next;
        batch.entries.clear();
        batch.entries.shrink_to(SPARE);
        self.spare = batch;
        hurry
    }

    /// Makes durable what was written, if it is time. Gives how long that has time, if it has.
    fn make_durable(
        &mut self,
        client: &Shared,
        hurry: bool,
    ) -> Result<Option<Duration>, StoreError> {
        if self.log.unsynced() > 0 {
            let since = *self.unsynced_since.get_or_insert_with(Instant::now);
            match self.durability {
                Durability::System => {}
                Durability::Within(time)
                    if !hurry && self.log.unsynced() < UNSYNCED && since.elapsed() < time =>
                {
                    return Ok(Some(time.saturating_sub(since.elapsed())));
                }
                Durability::Each | Durability::Within(_) => self.log.sync()?,
            }
        }
        self.unsynced_since = None;
        if !std::mem::take(&mut self.confirms) {
            return Ok(None);
        }
        let batch = &mut self.unconfirmed;
        client.settle(|engine, front| {
            if let Some(mut keep) = front.keep.take() {
                keep.confirm(engine, front, batch);
                front.keep = Some(keep);
            }
            front.saved.wake(&mut front.wakes);
        });
        batch.records.clear();
        Ok(None)
    }

    /// Reads messages into memory, if it has room. Whether there may be more.
    fn take_up(&mut self, client: &Shared) -> Result<bool, StoreError> {
        let wanted = client.reach(|engine, front| {
            let keep = front.keep.as_ref().filter(|keep| keep.wants_more(engine))?;
            Some(keep.first_behind())
        });
        let Some(from) = wanted else { return Ok(false) };
        let (mut values, mut found) = (Vec::new(), Vec::new());
        let all = self.durability == Durability::System;
        let read = self.log.read(from, all, &mut |number, age, value| {
            if found.len() >= MESSAGES || values.len() + value.len() > READ && !found.is_empty() {
                return false;
            }
            found.push((number, age, values.len()));
            values.extend_from_slice(value);
            true
        });
        let age = self.age_now();
        let mut taken = 0;
        let mut nonsense = false;
        client.settle(|engine, front| {
            let Some(mut keep) = front.keep.take() else { return };
            for (at, (number, written, start)) in found.iter().enumerate() {
                let end = found.get(at + 1).map_or(values.len(), |(.., next)| *next);
                let aged = Duration::from_secs(age.saturating_sub(*written).into());
                let now = client.now();
                if !engine.has_room(end - start) && taken > 0 {
                    break;
                }
                if !keep.take_up(engine, now, (*number, aged, &values[*start..end])) {
                    nonsense = true;
                    break;
                }
                taken += 1;
            }
            front.keep = Some(keep);
        });
        if taken < found.len() {
            self.log.rewind();
        }
        if nonsense {
            let what = "a message makes no sense";
            return Err(self.log.damaged_where_read(what));
        }
        read?;
        Ok(!found.is_empty())
    }

    fn failed(&mut self, client: &Shared, error: StoreError) {
        let error = Arc::new(error);
        self.damaged |= matches!(*error, StoreError::Damaged { .. } | StoreError::Missing { .. });
        client.settle(|_, front| {
            let Some(keep) = &mut front.keep else { return };
            keep.failures += 1;
            if keep.trouble.is_none() {
                tracing::error!(%error, "the store fails; what was accepted stays in memory");
            }
            keep.trouble = Some(error);
            front.saved.wake(&mut front.wakes);
        });
    }

    /// Writing works again. Damage stays.
    fn recovered(&mut self, client: &Shared) {
        if self.damaged {
            return;
        }
        client.look(|_, front| {
            if let Some(keep) = &mut front.keep
                && keep.trouble.take().is_some()
            {
                tracing::info!("the store can be written again");
            }
        });
    }

    /// For how many seconds the store has been in use.
    fn age_now(&self) -> u32 {
        self.age.saturating_add(u32::try_from(self.began.elapsed().as_secs()).unwrap_or(u32::MAX))
    }
}
