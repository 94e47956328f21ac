//! Changes of the connection, in words and as JSON.

use std::time::Duration;

use everlink::{Cause, Client, Fault, State, Step};
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::exit::say;

/// The connection came up or went down.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    Up {
        resumed: bool,
        after: Option<Duration>,
        /// Where, if it is elsewhere than before, or not where it was tried first.
        place: Option<String>,
    },
    /// `why` is the fault in words.
    Down { fault: Fault, why: String, next: Option<Instant> },
}

impl Change {
    /// Whether only a person can mend what went wrong.
    fn is_permanent(&self) -> bool {
        matches!(self, Self::Down { fault, .. } if fault.cause.is_permanent())
    }
}

/// Follows the state of a client.
#[derive(Debug)]
pub(crate) struct Changes {
    client: Client,
    states: watch::Receiver<State>,
    last: Option<State>,
    down_since: Option<Instant>,
    /// The endpoint that was in use last.
    endpoint: u16,
}

impl Changes {
    /// From now on.
    pub(crate) fn of(client: &Client) -> Self {
        let states = client.watch();
        Self { client: client.clone(), states, last: None, down_since: None, endpoint: 0 }
    }

    /// The next change. Cancel-safe. Pending for ever once the client is gone.
    pub(crate) async fn next(&mut self) -> Change {
        loop {
            let state = *self.states.borrow_and_update();
            if let Some(change) = self.judge(state) {
                return change;
            }
            if self.states.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// A change not yet told, if there is one.
    pub(crate) fn last(&mut self) -> Option<Change> {
        let state = *self.states.borrow_and_update();
        self.judge(state)
    }

    fn judge(&mut self, state: State) -> Option<Change> {
        let news =
            self.last.is_none_or(|last| (last.step, last.since) != (state.step, state.since));
        self.last = Some(state);
        match (state.step, state.fault) {
            (Step::Up, _) if news => {
                let after = self.down_since.take().map(|since| state.since - since);
                let before = std::mem::replace(&mut self.endpoint, state.endpoint);
                let place = (before != state.endpoint).then(|| self.client.endpoint()).flatten();
                Some(Change::Up { resumed: state.resumed, after, place })
            }
            (Step::Backoff | Step::Idle, Some(fault)) if news => {
                self.down_since.get_or_insert(state.since);
                let why = self.client.explain(&fault);
                Some(Change::Down { fault, why, next: state.next_attempt })
            }
            _ => None,
        }
    }
}

/// So many different faults in a row are remembered.
const TOLD: usize = 16;

/// Puts changes into words, without saying the same again at each attempt.
#[derive(Debug, Default)]
struct Narrator {
    told: Vec<String>,
    was_up: bool,
}

impl Narrator {
    /// A line worth telling, if the change is one.
    fn line(&mut self, change: &Change) -> Option<String> {
        match change {
            Change::Up { after, resumed, place } => {
                let again = std::mem::replace(&mut self.was_up, true);
                let told = !std::mem::take(&mut self.told).is_empty() || place.is_some();
                let place = place.as_ref().map(|p| format!(" to {p}")).unwrap_or_default();
                let session = match resumed {
                    true => "session resumed",
                    false => "new session",
                };
                let after = after.unwrap_or_default().as_secs_f32();
                let again = if again { "connected again" } else { "connected" };
                told.then(|| format!("{again}{place} after {after:.1} s, {session}"))
            }
            // The last word, which the failure itself repeats.
            Change::Down { next: None, .. } => None,
            // Each of several endpoints may have a fault of its own, in turns.
            Change::Down { why, .. } if self.told.contains(why) => None,
            Change::Down { fault, .. } if fault.cause == Cause::Returning => None,
            Change::Down { why, .. } => {
                let first = self.told.is_empty();
                self.told.truncate(TOLD - 1);
                self.told.push(why.clone());
                Some(match (first, self.was_up) {
                    (true, true) => format!("connection lost ({why}), trying again"),
                    (true, false) => format!("cannot connect ({why}), trying again"),
                    (false, _) => format!("still trying ({why})"),
                })
            }
        }
    }
}

/// A task that tells every change on standard error, until this is dropped.
#[derive(Debug)]
pub(crate) struct Narration(JoinHandle<()>);

impl Narration {
    /// From now on. With `gives_up`, a refusal that ends the command is left to the command to tell.
    pub(crate) fn of(client: &Client, gives_up: bool) -> Self {
        let mut changes = Changes::of(client);
        let mut narrator = Narrator::default();
        let client = client.clone();
        Self(tokio::spawn(async move {
            loop {
                let change = changes.next().await;
                if gives_up && change.is_permanent() && client.stats().connections == 0 {
                    continue;
                }
                if let Some(line) = narrator.line(&change) {
                    say(line);
                }
            }
        }))
    }
}

impl Drop for Narration {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A change as a line of JSON.
#[derive(Debug, Serialize)]
pub(crate) struct ChangeLine {
    state: &'static str,
    stage: &'static str,
    fault: Option<String>,
    next_attempt_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
}

impl From<&Change> for ChangeLine {
    fn from(change: &Change) -> Self {
        match change {
            Change::Up { place, .. } => Self {
                state: "up",
                stage: Step::Up.name(),
                fault: None,
                next_attempt_ms: None,
                endpoint: place.clone(),
            },
            Change::Down { fault, why, next } => Self {
                state: "down",
                stage: fault.step.name(),
                // The stage is told already.
                fault: Some(why.split_once(": ").map_or(why.as_str(), |(_, why)| why).to_owned()),
                next_attempt_ms: next
                    .map(|at| at.saturating_duration_since(Instant::now()).as_millis() as u64),
                endpoint: None,
            },
        }
    }
}
