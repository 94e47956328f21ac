//! From any fault back to a connection: backoff, ladder, rotation, first-connect policy.

use super::FirstConnect;
use super::config::{Backoff, Plan};
use super::failover::{Failover, Turn};
use crate::engine::{Cause, Depth, Fault};
use crate::time::{Duration, Instant, Span};

/// So often in a row an attempt is begun anew because the network changed: it must come to an end.
const HURRIES: u8 = 3;

/// So often in a row another server is gone to without a pause.
const REDIRECTS: u32 = 3;

const FLOOR: Span = Span::of(Backoff::FLOOR);

/// Memory across connections.
#[derive(Debug)]
pub(crate) struct Recovery {
    /// Failures in a row; a stable connection ends the row.
    pub(crate) failures: u32,
    pub(crate) failover: Failover,
    /// The session was up at least once since it was opened.
    pub(crate) ever_up: bool,
    /// The session was up at least once since power-up: what follows goes on with it.
    pub(crate) has_session: bool,
    pub(crate) fault: Option<Fault>,
    /// Since when there is no connection.
    pub(crate) down_since: Option<Instant>,
    up_since: Option<Instant>,
    /// Since when nothing was achieved: no connection lasted, and none delivered anything.
    row_since: Option<Instant>,
    /// Connections in a row that achieved nothing.
    barren: u32,
    /// How many messages had got through when the session was last up.
    achieved: u64,
    /// The broker said to use another server: no failure, unless it goes on and on.
    pub(crate) redirected: bool,
    /// How often in a row.
    redirects: u32,
    /// Attempts in a row that a change of the network ended.
    hurries: u8,
    random: u32,
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Retry { at: Instant, cut: Depth },
    GiveUp,
}

impl Recovery {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            failures: 0,
            failover: Failover::new(),
            ever_up: false,
            has_session: false,
            fault: None,
            down_since: None,
            up_since: None,
            row_since: None,
            barren: 0,
            achieved: 0,
            redirected: false,
            redirects: 0,
            hurries: 0,
            // xorshift must not start at zero; spread seeds that differ in few bits.
            random: (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 | 1,
        }
    }

    /// A new start on the application's word.
    pub(crate) fn opened(&mut self, now: Instant) {
        (self.failures, self.ever_up, self.fault) = (0, false, None);
        (self.down_since, self.up_since, self.row_since) = (Some(now), None, Some(now));
        (self.barren, self.hurries) = (0, 0);
        self.failover.shorten(0);
    }

    /// The session is up, `achieved` messages having got through so far. Returns how long it was
    /// down.
    pub(crate) fn up(&mut self, cfg: &Plan, now: Instant, achieved: u64) -> Duration {
        self.achieved = achieved;
        self.hurries = 0;
        self.failover.up(cfg, now);
        (self.ever_up, self.has_session) = (true, true);
        self.fault = None;
        self.up_since = Some(now);
        self.down_since.take().map_or(Duration::ZERO, |t| now.since(t))
    }

    /// A connection or an attempt is lost.
    pub(crate) fn failed(&mut self, cfg: &Plan, now: Instant, fault: Fault, achieved: u64) -> Next {
        self.down_since.get_or_insert(now);
        let was_up = self.up_since.take();
        let redirected = core::mem::take(&mut self.redirected);
        if fault.cause == Cause::NetworkChanged {
            // What failed before says more.
            self.fault.get_or_insert(fault);
            self.hurries = self.hurries.saturating_add(1);
            return Next::Retry { at: now, cut: Depth::Pipe };
        }
        (self.fault, self.hurries) = (Some(fault), 0);
        if fault.cause.is_planned() {
            return Next::Retry { at: now, cut: Depth::Pipe };
        }
        if let Some(since) = was_up {
            self.failover.lost(cfg, now, since);
            let lasted = now >= since.plus(cfg.backoff.stable);
            if lasted {
                (self.failures, self.redirects) = (0, 0);
            }
            if lasted || achieved != self.achieved {
                (self.barren, self.row_since) = (0, None);
            } else {
                self.barren = self.barren.saturating_add(1);
            }
            // It can be reached, so a pause beyond the second step would help nobody, unless that
            // goes on: a broker that cannot bear one of our messages accepts each connection.
            self.failures = self.failures.min(self.barren.max(1));
            self.failover.shorten(self.failures);
        }
        self.row_since.get_or_insert(now);
        self.failures = self.failures.saturating_add(1);
        let turn = match redirected {
            true => Turn::Same,
            false => self.failover.failed(cfg, was_up.map(|_| self.barren), fault.cause),
        };
        // Counted apart: a broker that accepts before it sends us away ends the row of failures.
        self.redirects = if redirected { self.redirects.saturating_add(1) } else { 0 };
        if redirected && self.redirects <= REDIRECTS {
            return Next::Retry { at: now, cut: Depth::Pipe };
        }
        if !self.ever_up {
            match cfg.first_connect {
                _ if matches!(turn, Turn::Next { .. }) => {}
                FirstConnect::Fail => return Next::GiveUp,
                FirstConnect::Retry(n) if self.rounds(cfg) > n => return Next::GiveUp,
                _ => {}
            }
        }
        let (cut, hold) = self.rung(cfg, turn);
        let pause = self.pause(cfg, now, fault, turn).max(hold);
        Next::Retry { at: now.plus(pause), cut }
    }

    /// How often all was tried in this row of failures.
    fn rounds(&self, cfg: &Plan) -> u32 {
        if cfg.endpoints > 1 { self.failover.rounds() } else { self.failures }
    }

    /// Whether the last fault is one that another network does not mend.
    pub(crate) fn waits_for_a_person(&self) -> bool {
        // A certificate or a web page in the way may have been that of the network that was left.
        self.fault.is_some_and(|f| f.cause.is_permanent() && !f.cause.is_of_one_server())
    }

    /// Whether a change of the network may end the present attempt.
    pub(crate) fn may_hurry(&self) -> bool {
        self.hurries < HURRIES
    }

    /// How deep this failure cuts, and the least time to stay down. A link is cut when all that lies
    /// over it was tried, and counts the rounds in which that was so.
    fn rung(&mut self, cfg: &Plan, turn: Turn) -> (Depth, Span) {
        let count = match turn {
            Turn::Same if cfg.endpoints <= 1 => self.failures,
            Turn::Next { other_link: true } => self.failover.rounds().saturating_add(1),
            Turn::Round => self.failover.rounds(),
            Turn::Same | Turn::Next { other_link: false } => {
                return (Depth::Pipe, cfg.rungs.pipe_hold);
            }
        };
        let spared = self.failover.link_answered() && cfg.rungs.spare_working;
        let due = |every: u32| every != 0 && !spared && count.is_multiple_of(every);
        let (cut, hold) = if due(cfg.rungs.device_after) {
            (Depth::Device, cfg.rungs.device_hold)
        } else if due(cfg.rungs.link_after) {
            (Depth::Link, cfg.rungs.link_hold)
        } else {
            (Depth::Pipe, cfg.rungs.pipe_hold)
        };
        // Another link need not wait for this one to come up again.
        let waits = !matches!(turn, Turn::Next { .. });
        (cut, if waits { hold } else { cfg.rungs.pipe_hold })
    }

    /// Exponential with full jitter; see [`Backoff`]. What was not yet tried has no reason to wait, unless
    /// a person has to do something first and the next broker may ask the same.
    fn pause(&mut self, cfg: &Plan, now: Instant, fault: Fault, turn: Turn) -> Span {
        let refused = fault.cause.is_permanent();
        let row = match turn {
            Turn::Next { .. } if !refused || fault.cause.is_of_one_server() => return FLOOR,
            Turn::Round => self.failover.rounds(),
            _ => self.failures,
        };
        let growth = 1 << (row.max(1) - 1).min(16);
        let upper = cfg.backoff.min.times(growth).min(self.patience(now)).min(cfg.backoff.max);
        let drawn = FLOOR.plus(self.draw(upper.minus(FLOOR)));
        if refused {
            // Trying fast would not help, and some brokers lock accounts.
            let refused = self.draw(cfg.backoff.refused.times(growth).min(cfg.backoff.max));
            return drawn.max(cfg.backoff.refused).max(refused);
        }
        drawn
    }

    /// A tenth of the time in which nothing was achieved, but not less than 2 s.
    fn patience(&self, now: Instant) -> Span {
        let outage = self.row_since.map_or(Span::ZERO, |t| now.span_since(t));
        Span::from_millis((outage.millis() / 10).max(2000))
    }

    /// Uniform between zero and `upper`.
    fn draw(&mut self, upper: Span) -> Span {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        Span::from_millis(((u64::from(upper.millis()) * u64::from(self.random)) >> 32) as u32)
    }
}
