//! How it went, in numbers.

use std::fmt;

use everlink::{Ack, Client};
use serde::Serialize;

use super::fates::words;
use crate::exit::{Exit, Failure};
use crate::watch::Tally;

/// What became of all messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    accepted: u64,
    delivered: u64,
    expired: u64,
    rejected: u64,
    dropped: u64,
    held: u64,
    outages: u64,
    longest_outage_ms: u64,
}

impl Summary {
    /// The client's counters, and what it would not take: dropped by choice of the user, or
    /// because it fits into no queue. Messages of `own` do not count.
    pub(super) fn of(client: &Client, refused: u64, own: Tally) -> Self {
        let stats = client.stats();
        let Tally { accepted, delivered, expired, rejected, dropped } = own;
        let own_held = accepted - delivered - expired - rejected - dropped;
        Self {
            accepted: stats.accepted.saturating_sub(accepted) + refused,
            delivered: stats.delivered.saturating_sub(delivered),
            expired: stats.expired.saturating_sub(expired),
            rejected: stats.rejected.saturating_sub(rejected),
            dropped: stats.dropped.saturating_sub(dropped) + refused,
            held: (client.held() as u64).saturating_sub(own_held),
            outages: stats.outages,
            longest_outage_ms: stats.longest_outage.as_millis() as u64,
        }
    }

    /// As the last line of `--json`.
    pub(super) fn json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Line<'a> {
            summary: &'a Summary,
        }
        // Writing numbers to memory cannot fail.
        let mut line = serde_json::to_vec(&Line { summary: self }).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// How the command ends; the broker's last refusal says why.
    pub(super) fn verdict(&self, refusal: Option<Ack>) -> Result<Exit, Failure> {
        let why = refusal.map_or_else(String::new, |ack| format!(": {}", words(&ack)));
        let of = self.accepted;
        if self.rejected > 0 {
            let n = self.rejected;
            return Err(Failure::refused(format!("{n} of {of} messages rejected{why}")));
        }
        let missing = self.expired + self.dropped + self.held;
        if missing > 0 {
            let Self { expired, dropped, held, .. } = self;
            return Err(Failure::not_done(format!(
                "{missing} of {of} messages not delivered: \
                 {expired} expired, {dropped} dropped, {held} still held"
            )));
        }
        Ok(Exit::Done)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, delivered, expired, rejected, dropped, held, outages, .. } = self;
        write!(
            f,
            "{accepted} accepted, {delivered} delivered, {expired} expired, {rejected} rejected, \
             {dropped} dropped, {held} held; "
        )?;
        match outages {
            0 => write!(f, "no outage"),
            _ => write!(f, "{outages} outages, the longest {} ms", self.longest_outage_ms),
        }
    }
}
