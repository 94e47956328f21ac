//! Which endpoint: the order, staying with the one that worked, and the way back to the first choice.

use super::abilities::FAILOVER;
use super::config::Plan;
use crate::engine::Cause;
use crate::time::Instant;

/// So many connections in a row that achieved nothing, and another endpoint is worth a try.
const BARREN: u32 = 3;
/// Returns in a row that did not last make the next one wait longer, up to so many doublings.
const DOUBLINGS: u8 = 5;

/// The present endpoint and what is known of the others.
#[derive(Debug)]
pub(crate) struct Failover {
    /// Tried next, or in use.
    pub(crate) endpoint: u16,
    /// See [`rounds`](Self::rounds).
    rounds: u32,
    /// How many endpoints were gone on to since the last round ended.
    tried: u16,
    /// The session was up here: it is tried once more before the others.
    loyal: bool,
    /// Over the present link something at the far end answered in this round.
    answered: bool,
    /// When a better one is tried out.
    back: Instant,
    /// Which one is being tried out.
    trial: Option<u16>,
    /// It can be reached: the session goes there when nothing is half written.
    pub(crate) moving: Option<u16>,
    /// The present connection was come back to.
    returned: bool,
    /// Returns in a row that did not last.
    futile: u8,
}

/// What the failure of an attempt means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The same endpoint again.
    Same,
    /// One that was not yet tried in this round; whether it lies over another link.
    Next { other_link: bool },
    /// All were tried.
    Round,
}

impl Failover {
    pub(crate) const fn new() -> Self {
        Self {
            endpoint: 0,
            rounds: 0,
            tried: 0,
            loyal: false,
            answered: false,
            back: Instant::MAX,
            trial: None,
            moving: None,
            returned: false,
            futile: 0,
        }
    }

    /// The session is up.
    pub(crate) fn up(&mut self, cfg: &Plan, now: Instant) {
        self.loyal = true;
        if FAILOVER {
            (self.trial, self.moving) = (None, None);
            self.plan(cfg, now);
        }
    }

    /// A connection that was up is lost.
    pub(crate) fn lost(&mut self, cfg: &Plan, now: Instant, up_since: Instant) {
        if FAILOVER {
            (self.trial, self.moving, self.back) = (None, None, Instant::MAX);
            if core::mem::take(&mut self.returned) {
                let lasted = now >= up_since.plus(cfg.return_after);
                self.futile = if lasted { 0 } else { self.futile.saturating_add(1).min(DOUBLINGS) };
            }
        }
    }

    /// Goes to the endpoint that was found to be better.
    pub(crate) fn moved(&mut self, to: u16) {
        (self.endpoint, self.loyal, self.returned) = (to, false, true);
    }

    /// An attempt failed, or a connection that was up; so many in a row achieved nothing.
    pub(crate) fn failed(&mut self, cfg: &Plan, barren: Option<u32>, cause: Cause) -> Turn {
        self.answered |= cause.is_answer();
        if barren.is_none() && core::mem::take(&mut self.returned) {
            self.futile = self.futile.saturating_add(1).min(DOUBLINGS);
        }
        let stays = barren.is_some_and(|n| n < BARREN) && !cfg.elsewhere;
        if cfg.endpoints <= 1 || stays {
            return Turn::Same;
        }
        let last = self.endpoint;
        // After the one that had worked the order begins anew.
        let anew = core::mem::take(&mut self.loyal) && last > 0 && !cfg.elsewhere;
        let next = if anew { 0 } else { last + 1 };
        self.endpoint = next % cfg.endpoints;
        // Counted too, because a broker that moves puts us back to the beginning.
        self.tried += 1;
        if next >= cfg.endpoints || self.tried > cfg.endpoints {
            self.tried = 0;
            self.rounds = self.rounds.saturating_add(1);
            return Turn::Round;
        }
        Turn::Next { other_link: next == 0 || !cfg.shares_link(last) }
    }

    /// How often all were tried in this row of failures.
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds
    }

    /// The row of failures has ended, or has no more than so many.
    pub(crate) fn shorten(&mut self, failures: u32) {
        self.rounds = self.rounds.min(failures);
        if failures == 0 {
            self.tried = 0;
        }
    }

    /// Whether something answered over the link that is now left or tried again.
    pub(crate) fn link_answered(&mut self) -> bool {
        core::mem::take(&mut self.answered)
    }

    /// Which endpoint is to be tried out now.
    pub(crate) fn due(&mut self, cfg: &Plan, now: Instant) -> Option<u16> {
        if !FAILOVER || now < self.back {
            return None;
        }
        let next = self.trial.take().map_or(0, |tried| tried + 1);
        if next >= self.endpoint {
            self.plan(cfg, now);
            return None;
        }
        self.trial = Some(next);
        // Should there be no answer, a later trial takes its place.
        self.plan(cfg, now);
        Some(next)
    }

    /// How the trial ended.
    pub(crate) fn tried(&mut self, now: Instant, open: bool) {
        match self.trial {
            Some(to) if open => {
                (self.moving, self.trial, self.back) = (Some(to), None, Instant::MAX)
            }
            // The next choice, at once.
            Some(_) => self.back = now,
            None => {}
        }
    }

    /// The network changed: what could not be reached may be there again.
    pub(crate) fn hasten(&mut self, now: Instant) {
        // Where coming back did not last, it is not hurried.
        if self.back != Instant::MAX && self.futile == 0 {
            (self.trial, self.back) = (None, now);
        }
    }

    /// When [`due`](Self::due) is to be asked again.
    pub(crate) fn deadline(&self) -> Instant {
        if FAILOVER { self.back } else { Instant::MAX }
    }

    fn plan(&mut self, cfg: &Plan, now: Instant) {
        let wanted = self.endpoint > 0 && cfg.return_after.millis() > 0;
        self.back = match wanted {
            true => now.plus(cfg.return_after.times(1 << self.futile)),
            false => Instant::MAX,
        };
    }
}
