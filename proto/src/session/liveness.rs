//! Keep-alive, silence, stalled writes: when is the peer to be given up.
//!
//! Any received byte is life. A peer is silent when a reply is due and nothing at all came for
//! the response time; half-way there a ping gives it the chance to prove itself. So a slow peer
//! that still talks is never taken for a dead one, and a dead one is left within the response time.

use super::abilities::{ADAPTIVE, FAILOVER};
use super::config::Settings;
use super::round_trip::{LONGEST, RoundTrip};
use crate::time::{Duration, Instant, Span};

/// As much time a living connection has to show itself after the network changed, if its round trips
/// were not longer.
const SHORT_PATIENCE: Span = Span::from_millis(500);
/// Round trips shorter than this cannot make the adaptive mode impatient.
const LEAST_PATIENCE: Span = Span::from_millis(1000);

#[derive(Debug)]
pub(super) struct Liveness {
    /// Last byte from the peer.
    pub(super) heard: Instant,
    /// Last packet handed to the pipe.
    pub(super) spoke: Instant,
    /// PINGREQ without any byte since.
    ping: Option<Instant>,
    /// PINGREQ whose PINGRESP is to be measured.
    measured: Option<Instant>,
    /// The ping that is to confirm a suspicion.
    confirm: Option<Instant>,
    /// Bytes the pipe has not yet taken, and when it last took some.
    pending: usize,
    progress: Instant,
    /// Bytes handed to the pipe on this connection.
    handed: u64,
    /// When the pipe has taken so many bytes, what was handed over before that instant is out.
    mark: (u64, Instant),
    /// What was handed over before this is out, even while bytes are pending.
    out: Instant,
    /// We do not read at present, so silence says nothing.
    pub(super) held: bool,
    /// When the pipe was opened.
    since_opened: Instant,
    /// The network changed since anything was heard: how long to wait for a sign of life.
    hurried: bool,
    /// How long the broker took to accept the connection.
    acceptance: u32,
    interval: Span,
    /// Silence for so long, in spite of a ping, is the end whatever the response time.
    limit: Span,
    rtt: RoundTrip,
}

/// What the clock demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    Ping { suspicious: bool },
    Silent,
    Stalled,
}

impl Liveness {
    pub(super) fn new(cfg: &Settings) -> Self {
        Self {
            heard: Instant::ZERO,
            spoke: Instant::ZERO,
            ping: None,
            measured: None,
            confirm: None,
            pending: 0,
            progress: Instant::ZERO,
            handed: 0,
            mark: (0, Instant::ZERO),
            out: Instant::ZERO,
            held: false,
            since_opened: Instant::ZERO,
            hurried: false,
            acceptance: 0,
            interval: interval(cfg, cfg.keep_alive),
            limit: limit(cfg.keep_alive),
            rtt: RoundTrip::default(),
        }
    }

    /// A new connection.
    pub(super) fn opened(&mut self, now: Instant) {
        let (interval, limit, rtt) = (self.interval, self.limit, self.rtt);
        *self = Self {
            heard: now,
            spoke: now,
            ping: None,
            measured: None,
            confirm: None,
            pending: 0,
            progress: now,
            handed: 0,
            mark: (0, now),
            out: now,
            held: false,
            since_opened: now,
            hurried: false,
            acceptance: 0,
            interval,
            limit,
            rtt,
        };
    }

    /// The keep-alive in force for this connection, in seconds.
    pub(super) fn keep_alive(&mut self, cfg: &Settings, seconds: u16) {
        self.interval = interval(cfg, seconds);
        self.limit = limit(seconds);
    }

    /// The broker accepted the connection.
    pub(super) fn accepted(&mut self, now: Instant) {
        self.acceptance = now.micros_since(self.since_opened).min(u64::from(LONGEST)) as u32;
    }

    /// The network changed: what lives is to show it soon.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.hurried = true;
        // A stall is judged from now on.
        self.progress = self.progress.max(now);
        self.confirm = self.confirm.map(|asked| asked.max(now));
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.hurried = false;
        self.ping = None;
        self.heard = now;
        self.confirm = None;
    }

    pub(super) fn wrote(&mut self, now: Instant, pending: usize) {
        let before = self.unsent_since();
        (self.pending, self.progress) = (pending, now);
        if self.handed.saturating_sub(pending as u64) >= self.mark.0 {
            self.out = self.mark.1;
            self.mark = (self.handed, now);
        }
        let unsent = self.unsent_since();
        for asked in [&mut self.ping, &mut self.confirm].into_iter().flatten() {
            if came_out(*asked, before, unsent) {
                *asked = now;
            }
        }
    }

    /// Bytes went to the driver; they count as stuck until it reports.
    pub(super) fn sent(&mut self, now: Instant, n: usize) {
        if self.pending == 0 {
            (self.progress, self.out) = (now, now);
            self.mark = (self.handed + n as u64, now);
        }
        self.handed += n as u64;
        self.pending += n;
        self.spoke = now;
    }

    /// What was handed over at this instant or later may still wait for the pipe, so no reply to it
    /// can be due. `None`: the pipe has taken all. The kernel's own buffer is out of our sight.
    pub(super) fn unsent_since(&self) -> Option<Instant> {
        (self.pending > 0).then_some(self.out)
    }

    /// A PINGREQ was sent, for its own sake or because of a suspicion.
    pub(super) fn pinged(&mut self, now: Instant, suspicious: bool) {
        self.ping.get_or_insert(now);
        self.measured.get_or_insert(now);
        if suspicious {
            self.confirm = Some(now);
        }
    }

    /// Whether the pipe has taken all bytes.
    pub(super) fn is_drained(&self) -> bool {
        self.pending == 0
    }

    pub(super) fn ponged(&mut self, now: Instant) {
        if let Some(ping) = self.measured.take() {
            self.rtt.sample(now, now.micros_since(ping));
        }
    }

    pub(super) fn acknowledged(&mut self, now: Instant, round_trip: u64) {
        self.rtt.sample(now, round_trip);
    }

    /// Smoothed round trip; zero before the first.
    pub(super) fn round_trip(&self) -> Duration {
        Duration::from_micros(self.rtt.smooth.into())
    }

    /// Since when we have been hearing nothing although something is due.
    fn silent_since(&self, reply_due: Option<Instant>) -> Option<Instant> {
        let unsent = self.unsent_since();
        let first = match (self.ping.filter(|at| is_out(*at, unsent)), reply_due) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if self.held { None } else { first.map(|t| t.max(self.heard)) }
    }

    /// How long to wait before asking, and again before giving up.
    fn patience(&self, cfg: &Settings) -> Span {
        let half = cfg.response_time.half();
        if FAILOVER && self.hurried {
            let slow = self.rtt.bound().max(self.acceptance.saturating_mul(4));
            // Not `clamp`: it panics if its bounds are the wrong way round, which no compiler can exclude.
            return Span::from_millis(slow.div_ceil(1000)).max(SHORT_PATIENCE).min(half);
        }
        match (ADAPTIVE && cfg.adaptive, self.rtt.patience()) {
            (true, Some(p)) => p.max(LEAST_PATIENCE).min(half),
            _ => half,
        }
    }

    /// What is due at `now`. `reply_due` is since when an acknowledgement is awaited.
    pub(super) fn check(
        &self,
        cfg: &Settings,
        reply_due: Option<Instant>,
        now: Instant,
    ) -> Option<Demand> {
        let patience = self.patience(cfg);
        if self.pending > 0 && now >= self.progress.plus(patience.times(2)) {
            return Some(Demand::Stalled);
        }
        if now >= self.last_moment() {
            return Some(Demand::Silent);
        }
        if let Some(since) = self.silent_since(reply_due) {
            match self.confirm {
                Some(asked) if !is_out(asked, self.unsent_since()) => {}
                Some(asked) if now >= asked.plus(patience) => return Some(Demand::Silent),
                None if now >= since.plus(patience) => {
                    return Some(Demand::Ping { suspicious: true });
                }
                _ => {}
            }
        }
        (now >= self.next_ping()).then_some(Demand::Ping { suspicious: false })
    }

    /// When [`check`](Self::check) will next demand something.
    pub(super) fn deadline(&self, cfg: &Settings, reply_due: Option<Instant>) -> Instant {
        let patience = self.patience(cfg);
        let silent = match (self.confirm, self.silent_since(reply_due)) {
            (Some(asked), Some(_)) if is_out(asked, self.unsent_since()) => asked.plus(patience),
            (None, Some(since)) if self.pending == 0 => since.plus(patience),
            _ => Instant::MAX,
        };
        // No ping can pass while the pipe is stuck; the stall is judged instead.
        let next = match self.pending {
            0 => self.next_ping(),
            _ => self.progress.plus(patience.times(2)),
        };
        silent.min(next).min(self.last_moment())
    }

    fn next_ping(&self) -> Instant {
        match (self.held, self.ping) {
            // The answers lie unread, but the broker must go on hearing us [MQTT-3.1.2-20].
            (true, _) => self.spoke.plus(self.interval),
            (false, Some(_)) => Instant::MAX,
            (false, None) => self.heard.min(self.spoke).plus(self.interval),
        }
    }

    /// A whole Keep Alive without a byte although a ping went out: the original's rule, which
    /// matters where the Keep Alive is shorter than the response time.
    fn last_moment(&self) -> Instant {
        match self.ping {
            Some(ping) if !self.held && is_out(ping, self.unsent_since()) => {
                // A ping that waited behind other packets has its time all the same.
                let late = ping.plus(self.limit.minus(self.interval));
                late.max(self.heard.plus(self.limit))
            }
            _ => Instant::MAX,
        }
    }

    /// We read again after a while in which we did not.
    pub(super) fn listening(&mut self, now: Instant) {
        self.heard = now;
    }
}

/// Whether the pipe has taken what was handed over at `at`; see [`Liveness::unsent_since`].
pub(super) fn is_out(at: Instant, unsent_since: Option<Instant>) -> bool {
    unsent_since.is_none_or(|unsent| at < unsent)
}

/// Whether it has now, but had not before.
pub(super) fn came_out(at: Instant, before: Option<Instant>, now: Option<Instant>) -> bool {
    !is_out(at, before) && is_out(at, now)
}

/// A quarter of the keep-alive, so that the broker's one and a half keep-alives are never
/// reached while we believe to be connected; or the shorter interval the user chose.
fn interval(cfg: &Settings, keep_alive: u16) -> Span {
    let quarter = match keep_alive {
        0 => Span::from_millis(20_000),
        k => Span::from_millis(u32::from(k) * 250),
    };
    if cfg.ping_interval == Span::ZERO { quarter } else { quarter.min(cfg.ping_interval) }
}

fn limit(keep_alive: u16) -> Span {
    match keep_alive {
        0 => Span::FOREVER,
        k => Span::from_millis(u32::from(k) * 1000),
    }
}
