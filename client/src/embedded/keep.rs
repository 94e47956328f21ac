//! Keeping what is unfinished on a durable medium.

use core::fmt::Debug;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_time::{Duration, Timer};
use everlink_link::{Buffer, Link};
use everlink_proto::mem::Table;
use everlink_proto::session::{KeptSlot, Record, Unreadable};
use everlink_proto::store::Store;

use super::driver::Driver;
use super::hub::Hub;
use crate::driver::Finished;

/// How long to wait before a record that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A durable medium: a map from small keys to values.
#[allow(async_fn_in_trait, reason = "polled in the driver's task, whatever that is")]
pub trait Medium {
    /// What can go wrong.
    type Error: Debug;

    /// Replaces the value under `key`; an empty one may be forgotten. It is durable once this returns. A
    /// loss of power, or dropping the future, leaves the old value or the new one.
    ///
    /// # Errors
    /// The medium is full or broken. It is tried again every second, and nothing that depends on it is sent.
    async fn put(&mut self, key: u16, value: &[u8]) -> Result<(), Self::Error>;

    /// Reads the value under `key` into the front of `value`; its length, 0 if there is none.
    ///
    /// # Errors
    /// It cannot be read, or is larger than `value`.
    async fn get(&mut self, key: u16, value: &mut [u8]) -> Result<usize, Self::Error>;
}

impl<T: Medium> Medium for &mut T {
    type Error = T::Error;

    async fn put(&mut self, key: u16, value: &[u8]) -> Result<(), Self::Error> {
        (**self).put(key, value).await
    }

    async fn get(&mut self, key: u16, value: &mut [u8]) -> Result<usize, Self::Error> {
        (**self).get(key, value).await
    }
}

/// Why nothing can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeepError<E> {
    /// The medium cannot be read.
    Medium(E),
    /// The record of the session may need so many bytes: 13, 6 for each message under way, 4 for each
    /// received message there is room for.
    RecordTooShort {
        /// Bytes that `record` must have at least.
        needed: usize,
    },
}

impl<E: Debug> core::fmt::Display for KeepError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Medium(error) => write!(f, "the medium cannot be read: {error:?}"),
            Self::RecordTooShort { needed } => write!(f, "a record needs {needed} bytes"),
        }
    }
}

impl<E: Debug> core::error::Error for KeepError<E> {}

/// What was found on the medium at power-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Messages not yet delivered.
    pub messages: u16,
    /// Records that could not be read or made no sense; they are lost.
    pub damaged: u16,
    /// The session goes on where it was; else its messages start anew.
    pub session: bool,
}

/// Writes what has to survive a loss of power: messages of QoS 1 and 2 not yet delivered, and the state
/// of the session. Made by [`Hub::keep`], driven by [`Driver::run_keeping`].
#[derive(Debug)]
pub struct Keeper<'m, D> {
    medium: D,
    record: &'m mut [u8],
    failures: u32,
}

impl<D> Keeper<'_, D> {
    /// How often the medium failed.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The medium.
    pub fn medium(&mut self) -> &mut D {
        &mut self.medium
    }
}

impl<'m, M: RawMutex, S: Store> Hub<'m, M, S> {
    /// Takes up what is on `medium`, and keeps it there from now on. To be called once, before the
    /// client is used. If there was a session, the broker is asked for it whatever
    /// [`Config::clean_start`](super::Config::clean_start) says.
    ///
    /// A message of QoS 1 or 2 needs one of the `slots` and has to fit into `record`, with 13 bytes for
    /// itself; so has the session: 13 bytes, 6 for each message under way, 4 for each received QoS 2
    /// message in progress. The medium should hold as many records as there are slots, and one more.
    ///
    /// Received messages are not kept: acknowledge by hand those that must not be lost, once they are
    /// dealt with.
    ///
    /// # Errors
    /// The medium's, if it cannot be read at all; and if `record` is too short for the session.
    pub async fn keep<D: Medium>(
        &self,
        mut medium: D,
        record: &'m mut [u8],
        slots: &'m mut [KeptSlot],
    ) -> Result<(Keeper<'m, D>, Found), KeepError<D::Error>> {
        let limit = record.len();
        let needed = self.with(|core, _| core.engine.session_record_len(slots.len()));
        let needed = needed.unwrap_or_default();
        if limit < needed {
            return Err(KeepError::RecordTooShort { needed });
        }
        let keys = self.with(|core, _| {
            core.engine.keep_records(limit, Table::fixed(slots));
            core.engine.record_keys()
        });
        let mut found = Found::default();
        for key in keys.unwrap_or_default() {
            let len = medium.get(key, record).await.map_err(KeepError::Medium)?;
            let Some(value) = record.get(..len).filter(|v| !v.is_empty()) else { continue };
            match self.with(|core, now| core.engine.restore(now, key, value)) {
                Some(Ok(())) => found.messages += 1,
                _ => found.damaged += 1,
            }
        }
        let len = medium.get(0, record).await.map_err(KeepError::Medium)?;
        let session = record.get(..len).unwrap_or(&[]);
        match self.with(|core, _| core.engine.restored(session)) {
            Some(Ok(())) => found.session = len > 0,
            Some(Err(Unreadable)) | None => found.damaged += 1,
        }
        Ok((Keeper { medium, record, failures: 0 }, found))
    }

    fn next_record(&self, out: &mut [u8]) -> Option<Record> {
        self.with(|core, now| core.engine.unsaved(now, out))?
    }

    fn is_saved(&self) -> bool {
        self.with(|core, _| core.engine.is_saved()).unwrap_or(true)
    }
}

impl<'m, M: RawMutex, L: Link, B: Buffer, S: Store> Driver<'m, M, L, B, S> {
    /// As [`run`](Driver::run), and writes meanwhile what has to survive a loss of power. What waits
    /// for the medium is sent when it is written. Returns once everything is written.
    ///
    /// Cancel-safe like a loss of power is: what was not written yet is written at the next call.
    pub async fn run_keeping<D: Medium>(&mut self, keeper: &mut Keeper<'m, D>) -> Finished {
        let hub = self.hub();
        let mut run = pin!(self.run());
        let mut save = pin!(keeper.save(hub));
        let mut finished = None;
        poll_fn(|cx| {
            if finished.is_none()
                && let Poll::Ready(how) = run.as_mut().poll(cx)
            {
                finished = Some(how);
            }
            let _ = save.as_mut().poll(cx);
            match finished {
                Some(how) if hub.is_saved() => Poll::Ready(how),
                _ => Poll::Pending,
            }
        })
        .await
    }
}

impl<D: Medium> Keeper<'_, D> {
    /// Writes record after record, for ever.
    async fn save<'h, M: RawMutex, S: Store>(&mut self, hub: &'h Hub<'h, M, S>) {
        loop {
            let Self { medium, record: out, failures } = self;
            // Whoever changes the engine wakes the driver's task, which is ours.
            let next = poll_fn(|_| hub.next_record(out).map_or(Poll::Pending, Poll::Ready));
            let record = next.await;
            let value = out.get(..record.len).unwrap_or(&[]);
            match medium.put(record.key, value).await {
                Ok(()) => {
                    hub.with(|core, _| {
                        core.engine.saved(record, &mut core.front);
                        core.kick = true;
                    });
                }
                Err(_) => {
                    *failures = failures.saturating_add(1);
                    Timer::after(RETRY).await;
                }
            }
        }
    }
}
