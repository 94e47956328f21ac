//! When messages are published, and when the demo ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// Messages a second, of all clients and levels together.
const RATE: u32 = 240;

/// Whether messages are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    Paused,
    Over,
}

/// Whether the demo goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// As planned.
    None,
    /// Mend the path, deliver what is under way, and tell the verdict.
    Finish,
    /// Tell the verdict.
    Now,
}

/// The flow of messages: how many, and whether they flow at all.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    left: Arc<AtomicU64>,
    gate: watch::Sender<Gate>,
    urgency: watch::Sender<Urgency>,
}

impl Flow {
    /// A flow of at most `messages`.
    pub(super) fn new(messages: Option<u64>) -> Self {
        Self {
            left: Arc::new(AtomicU64::new(messages.unwrap_or(u64::MAX))),
            gate: watch::Sender::new(Gate::Open),
            urgency: watch::Sender::new(Urgency::None),
        }
    }

    /// Holds the next messages back until `resume`.
    pub(super) fn pause(&self) {
        self.gate.send_if_modified(|gate| {
            let open = *gate == Gate::Open;
            *gate = if open { Gate::Paused } else { *gate };
            open
        });
    }

    /// Ends a pause.
    pub(super) fn resume(&self) {
        self.gate.send_if_modified(|gate| {
            let paused = *gate == Gate::Paused;
            *gate = if paused { Gate::Open } else { *gate };
            paused
        });
    }

    /// No more messages.
    pub(super) fn end(&self) {
        self.gate.send_replace(Gate::Over);
    }

    /// Whether no more messages will come.
    pub(super) fn is_over(&self) -> bool {
        *self.gate.borrow() == Gate::Over
    }

    /// Asks the demo to end.
    pub(super) fn hurry(&self, urgency: Urgency) {
        self.urgency.send_if_modified(|u| {
            let more = urgency > *u;
            *u = urgency.max(*u);
            more
        });
    }

    /// Whether the demo was asked to end.
    pub(super) fn urgency(&self) -> Urgency {
        *self.urgency.borrow()
    }

    /// Waits until the demo is asked to end so urgently. Cancel-safe.
    pub(super) async fn urged(&self, urgency: Urgency) {
        // the sender is here, so that it cannot fail
        let _ = self.urgency.subscribe().wait_for(|u| *u >= urgency).await;
    }

    /// Lets time pass, unless the demo is to end.
    pub(super) async fn wait(&self, time: Duration) {
        let _ = timeout(time, self.urged(Urgency::Finish)).await;
    }

    /// The view of one of `publishers`.
    pub(super) fn pace(&self, publishers: usize) -> Pace {
        Pace {
            flow: self.clone(),
            gate: self.gate.subscribe(),
            every: Duration::from_secs(publishers as u64) / RATE,
        }
    }

    /// Takes one message out of the budget.
    fn take(&self) -> bool {
        let left =
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        if matches!(left, Ok(..=1) | Err(_)) {
            self.end();
            self.hurry(Urgency::Finish);
        }
        left.is_ok()
    }
}

/// The pace of one publisher.
#[derive(Debug)]
pub(super) struct Pace {
    flow: Flow,
    gate: watch::Receiver<Gate>,
    every: Duration,
}

impl Pace {
    /// The time between two messages.
    pub(super) fn every(&self) -> Duration {
        self.every
    }

    /// Waits until the next message may go; false if there is none any more.
    pub(super) async fn next(&mut self) -> bool {
        let gate = self.gate.wait_for(|gate| *gate != Gate::Paused).await;
        matches!(gate.map(|gate| *gate), Ok(Gate::Open)) && self.flow.take()
    }

    /// Waits until there are no more messages because the demo ends; not because the budget is
    /// used up: what was taken out of it is to be sent. Cancel-safe.
    pub(super) async fn stopped(&mut self) {
        let left = self.flow.left.clone();
        let over = |gate: &Gate| *gate == Gate::Over && left.load(Ordering::Relaxed) > 0;
        if self.gate.wait_for(over).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_budget_is_used_up_exactly() {
        let flow = Flow::new(Some(3));
        let (mut a, mut b) = (flow.pace(2), flow.pace(2));
        assert_eq!([a.next().await, b.next().await], [true; 2]);
        assert_eq!((flow.is_over(), flow.urgency()), (false, Urgency::None));
        assert!(a.next().await);
        assert_eq!((flow.is_over(), flow.urgency()), (true, Urgency::Finish));
        assert_eq!([a.next().await, b.next().await], [false; 2]);
    }

    #[tokio::test]
    async fn a_pause_holds_back_and_nothing_reopens_the_end() {
        let flow = Flow::new(None);
        let mut pace = flow.pace(1);
        flow.pause();
        let moment = Duration::from_millis(20);
        assert!(timeout(moment, pace.next()).await.is_err());
        flow.resume();
        assert!(pace.next().await);
        flow.end();
        flow.pause();
        flow.resume();
        assert!(flow.is_over() && !pace.next().await);
    }

    #[tokio::test]
    async fn urgency_only_grows_and_cuts_waiting_short() {
        let flow = Flow::new(None);
        flow.hurry(Urgency::Now);
        flow.hurry(Urgency::Finish);
        assert_eq!(flow.urgency(), Urgency::Now);
        flow.wait(Duration::from_secs(3600)).await;
    }
}
