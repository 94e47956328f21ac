//! The fate of each message, reported when it is known.

use everlink::{Ack, Delivery, Outcome};
use futures_util::StreamExt;
use futures_util::future::Either;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::notice::{Change, ChangeLine, Changes};
use crate::output::Output;

/// What is gathered before it is written, in bytes.
const BATCH: usize = 64 * 1024;

/// What is known of a message when it was taken from the input.
#[derive(Debug)]
pub(super) enum Known {
    /// It has a fate to wait for.
    Accepted { n: u64, at: Instant, delivery: Delivery },
    /// The client would not take it.
    Refused { n: u64, why: String },
}

/// One line of the report.
#[derive(Debug, Serialize)]
struct Fate {
    n: u64,
    outcome: &'static str,
    reason: Option<String>,
    ms: u64,
}

/// The line before it, with a store.
#[derive(Debug, Serialize)]
struct Stored {
    n: u64,
    stored: bool,
}

/// What comes next of a message.
enum Step {
    Stored(u64, Instant, Delivery),
    Fate(Option<Fate>),
}

async fn stored(n: u64, at: Instant, mut delivery: Delivery) -> Step {
    match delivery.stored().await {
        true => Step::Stored(n, at, delivery),
        false => fate(n, at, delivery).await,
    }
}

async fn fate(n: u64, at: Instant, delivery: Delivery) -> Step {
    Step::Fate(Fate::of(n, at, &delivery.await))
}

impl Fate {
    /// `None` while it is still held.
    fn of(n: u64, at: Instant, outcome: &Outcome) -> Option<Self> {
        let (outcome, reason) = match outcome {
            Outcome::Delivered(_) => ("delivered", None),
            Outcome::Expired => ("expired", None),
            Outcome::Rejected(ack) => ("rejected", Some(words(ack))),
            Outcome::Dropped(_) | Outcome::Superseded => {
                ("dropped", Some("to make room in the queue".into()))
            }
            Outcome::Held => return None,
        };
        Some(Self { n, outcome, reason, ms: at.elapsed().as_millis() as u64 })
    }
}

/// A Reason Code in words, with what the broker had to say.
pub(super) fn words(ack: &Ack) -> String {
    match ack.reason_string() {
        Some(more) => format!("{} ({more})", ack.reason),
        None => ack.reason.to_string(),
    }
}

/// Writes a line for each message and for each change of the connection.
///
/// It holds one small entry for each message whose fate is not known, which the queue and the
/// window bound; while nobody reads what it writes it takes no new ones, which holds back the input.
#[derive(Debug)]
pub(super) struct Reporter {
    known: mpsc::Receiver<Known>,
    changes: Changes,
    output: Output,
    lines: Vec<u8>,
    stores: bool,
}

impl Reporter {
    /// With `stores` it tells as well when each message is in the store.
    pub(super) fn new(known: mpsc::Receiver<Known>, changes: Changes, stores: bool) -> Self {
        Self { known, changes, output: Output::default(), lines: Vec::new(), stores }
    }

    /// Until no further message comes and the fate of each is known, or will not be.
    pub(super) async fn run(mut self) -> Output {
        let mut waiting = FuturesUnordered::new();
        let mut more = true;
        while more || !waiting.is_empty() {
            tokio::select! {
                biased;
                Some(step) = waiting.next(), if !waiting.is_empty() => match step {
                    Step::Fate(fate) => self.line(&fate),
                    Step::Stored(n, at, delivery) => {
                        self.line(&Some(Stored { n, stored: true }));
                        waiting.push(Either::Right(fate(n, at, delivery)));
                    }
                },
                change = self.changes.next() => self.change(&change),
                known = self.known.recv(), if more => match known {
                    None => more = false,
                    Some(Known::Refused { n, why }) => {
                        let reason = Some(why);
                        self.line(&Some(Fate { n, outcome: "dropped", reason, ms: 0 }));
                    }
                    Some(Known::Accepted { n, at, delivery }) => {
                        waiting.push(match self.stores {
                            true => Either::Left(stored(n, at, delivery)),
                            false => Either::Right(fate(n, at, delivery)),
                        });
                    }
                },
                // Nothing is ready any more: what was gathered can go.
                () = std::future::ready(()), if !self.lines.is_empty() => self.flush().await,
            }
            if self.lines.len() >= BATCH {
                self.flush().await;
            }
        }
        while let Some(change) = self.changes.last() {
            self.change(&change);
        }
        self.flush().await;
        self.output
    }

    fn change(&mut self, change: &Change) {
        self.line(&Some(ChangeLine::from(change)));
    }

    fn line(&mut self, line: &Option<impl Serialize>) {
        // Writing to memory cannot fail.
        if let Some(line) = line
            && serde_json::to_writer(&mut self.lines, line).is_ok()
        {
            self.lines.push(b'\n');
        }
    }

    async fn flush(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() {
            return;
        }
        // When nobody reads any more, the messages are delivered all the same.
        self.lines = self.output.write(lines).await.unwrap_or_default();
    }
}
