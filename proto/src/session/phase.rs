//! The course of a connection: which step we are at, and what `poll` says next.

use super::abilities::FAILOVER;
use super::liveness::Demand;
use super::recovery::Next;
use super::*;
use crate::engine::Step;

/// A CONNECT that was given up may reach the broker so much later, and take over or wipe the session.
const LATE_CONNECT: Span = Span::from_millis(60_000);

/// Where the session stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// Closed.
    Idle,
    /// Before the next attempt.
    Waiting { until: Instant },
    /// The driver opens a pipe.
    Opening(Step),
    /// The pipe is open, CONNECT not yet written.
    Opened,
    /// CONNECT written, CONNACK awaited.
    Handshake,
    /// Connected.
    Up,
    /// DISCONNECT is to be sent or on its way.
    Leaving { reason: ReasonCode, expiry: Option<u32>, said: bool },
}

/// The pipe is to be closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    depth: Depth,
    /// MQTT 5: say why first, if a packet can still be written.
    farewell: Option<ReasonCode>,
}

impl<S: Store> Session<'_, S> {
    pub(super) fn enter(&mut self, now: Instant, phase: Phase) {
        self.phase = phase;
        self.since = now;
    }

    pub(super) fn opening(&mut self, step: Step) {
        if let Phase::Opening(at) = &mut self.phase {
            *at = step;
        }
    }

    pub(super) fn opened(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Opening(_)) {
            self.live.opened(now);
            self.enter(now, Phase::Opened);
        }
    }

    /// The peer broke the protocol: tell it, if it understands, and leave ([MQTT-4.8.0-1] of 3.1.1).
    pub(super) fn violation(&mut self, now: Instant, reason: ReasonCode) {
        let up = matches!(self.phase, Phase::Up) && self.cfg.version() == Version::V5;
        let step = if matches!(self.phase, Phase::Up) { Step::Up } else { Step::Handshake };
        self.break_off(now, Fault::new(step, Cause::Protocol(reason)), up.then_some(reason));
    }

    /// Cuts the pipe from our side.
    pub(super) fn break_off(&mut self, now: Instant, fault: Fault, farewell: Option<ReasonCode>) {
        if self.cut.is_some() || !self.has_pipe() {
            return;
        }
        // In the middle of a packet nothing else can be said.
        let farewell = farewell.filter(|_| !self.sending.is_mid_packet());
        self.connection_ended(now);
        let depth = self.ended(now, fault);
        self.cut = Some(Cut { depth, farewell });
    }

    /// The driver says the pipe is gone, or could not be opened.
    pub(super) fn lost(&mut self, now: Instant, fault: Fault) {
        if self.cut.is_some() || !self.has_pipe() {
            return;
        }
        self.connection_ended(now);
        let depth = self.ended(now, fault);
        if depth > Depth::Pipe {
            self.cut = Some(Cut { depth, farewell: None });
        }
    }

    pub(super) fn has_pipe(&self) -> bool {
        !matches!(self.phase, Phase::Idle | Phase::Waiting { .. })
    }

    /// The connection is over, wanted or not. Returns how deep to cut.
    fn ended(&mut self, now: Instant, fault: Fault) -> Depth {
        if self.closed || matches!(self.phase, Phase::Leaving { .. }) {
            self.finish_leaving(now);
            return Depth::Pipe;
        }
        self.after_failure(now, fault)
    }

    /// Plans what follows a failed attempt or a lost connection.
    fn after_failure(&mut self, now: Instant, fault: Fault) -> Depth {
        self.stats.outages += u64::from(matches!(self.phase, Phase::Up));
        self.event(Event::Down(fault));
        match self.recovery.failed(&self.cfg.plan, now, fault, self.achieved()) {
            Next::Retry { at, cut } => {
                self.enter(now, Phase::Waiting { until: at });
                cut
            }
            Next::GiveUp => {
                // Nobody is left to send anything until it is opened again.
                self.closed = true;
                self.event(Event::GaveUp(fault));
                self.enter(now, Phase::Idle);
                Depth::Pipe
            }
        }
    }

    /// Messages that got through, either way.
    pub(super) fn achieved(&self) -> u64 {
        self.stats.delivered.wrapping_add(self.stats.rejected).wrapping_add(self.stats.received)
    }

    /// Forgets all that belongs to the connection alone. [MQTT-3.1.2-23] The store, the identifiers in
    /// use and the exchanges of QoS 2 stay.
    fn connection_ended(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Up) && now >= self.since.plus(LATE_CONNECT) {
            self.doubt = false;
        }
        self.doubt |= core::mem::take(&mut self.unanswered);
        self.owed.clear();
        (self.auth, self.auth_awaited) = (None, None);
        self.sending.connection_lost();
        self.flights.connection_lost();
        self.subs.connection_lost();
        self.inbound_aliases.clear();
        self.outbound_aliases.reset(0);
        // Attempts that came to nothing tell nothing about what the broker remembers.
        if matches!(self.phase, Phase::Up | Phase::Leaving { .. }) {
            self.received.connection_lost();
            self.begun = None;
        }
    }

    pub(super) fn start_leaving(&mut self, now: Instant, disconnect: Disconnect<'_>) {
        match self.phase {
            Phase::Idle => {}
            Phase::Up if self.cut.is_none() => {
                let forget = (self.cfg.ephemeral && self.held() == 0).then_some(0);
                let expiry = disconnect.props.session_expiry().or(forget);
                self.enter(now, Phase::Leaving { reason: disconnect.reason, expiry, said: false });
            }
            Phase::Leaving { .. } => {}
            _ => {
                if self.has_pipe() {
                    // Without it, a broker that has just accepted CONNECT would publish the will.
                    let told = matches!(self.phase, Phase::Handshake);
                    let farewell = told.then_some(disconnect.reason);
                    self.cut = Some(Cut { depth: Depth::Pipe, farewell });
                    self.connection_ended(now);
                }
                // Closing in an outage must not wait for its end.
                self.dance = Dance::Farewell;
                self.finish_leaving(now);
            }
        }
    }

    /// The connection is closed as wanted: the end, or the next step of a planned sequence.
    fn finish_leaving(&mut self, now: Instant) {
        if !self.closed {
            if self.dance == Dance::Farewell {
                self.dance = Dance::None;
            }
            return self.enter(now, Phase::Waiting { until: now });
        }
        if self.needs_farewell() {
            return self.enter(now, Phase::Waiting { until: now });
        }
        self.enter(now, Phase::Idle);
        self.event(Event::Closed);
    }

    /// Whether a 3.1.1 session is still to be wiped; tried once.
    fn needs_farewell(&mut self) -> bool {
        let needed = self.dance != Dance::Farewell
            && self.cfg.ephemeral
            && self.cfg.version() == Version::V311
            && self.recovery.ever_up
            && !self.cfg.clean_reconnect
            && self.held() == 0;
        self.dance = if needed { Dance::Farewell } else { Dance::None };
        needed
    }

    pub(super) fn force_reconnect(&mut self, now: Instant) {
        match self.phase {
            Phase::Waiting { .. } => self.enter(now, Phase::Waiting { until: now }),
            Phase::Idle | Phase::Leaving { .. } => {}
            _ => self.break_off(now, Fault::new(self.step_now(), Cause::Requested), None),
        }
    }

    /// Addresses or routes changed.
    pub(super) fn network_changed(&mut self, now: Instant) {
        if !FAILOVER {
            return;
        }
        match self.phase {
            // Whom only a person can help is not helped by a network.
            Phase::Waiting { until } if !self.recovery.waits_for_a_person() => {
                let soon = self.since.plus(Span::of(Backoff::FLOOR)).max(now);
                self.phase = Phase::Waiting { until: until.min(soon) };
            }
            // It may hang in what is gone, and the next sign of life of TCP may be seconds away.
            Phase::Opening(_) | Phase::Opened | Phase::Handshake if self.recovery.may_hurry() => {
                self.break_off(now, Fault::new(self.step_now(), Cause::NetworkChanged), None);
            }
            Phase::Up => {
                self.live.hurry(now);
                self.sending.ping_wanted = true;
                self.sending.suspicious = true;
                self.recovery.failover.hasten(now);
            }
            _ => {}
        }
    }

    /// Goes back to an endpoint that comes first, if one was found open and nothing is half written.
    fn move_on(&mut self, now: Instant) {
        let Some(to) = self.recovery.failover.moving else { return };
        if self.live.is_drained() && !self.sending.is_mid_packet() {
            self.recovery.failover.moved(to);
            let fault = Fault::new(Step::Up, Cause::Returning);
            self.break_off(now, fault, Some(ReasonCode::SUCCESS));
        }
    }

    /// One answer of [`Engine::poll`].
    pub(super) fn step(&mut self, now: Instant, tx: &mut [u8], inbox: &mut impl Inbox) -> Output {
        self.check_timers(now);
        if let Some(output) = self.cut_output(tx) {
            return output;
        }
        if let Some(event) = self.events[0].take() {
            self.events.swap(0, 1);
            return Output::Event(event);
        }
        match self.phase {
            Phase::Waiting { until } if now >= until => {
                self.stats.attempts += 1;
                self.enter(now, Phase::Opening(Step::Link));
                return Output::Open { endpoint: self.recovery.failover.endpoint };
            }
            Phase::Up => {
                if let Some(endpoint) = self.recovery.failover.due(&self.cfg.plan, now) {
                    return Output::Try { endpoint };
                }
            }
            // [MQTT-3.1.0-1] Nothing else is written in this phase.
            Phase::Opened => return Output::Connect,
            // [MQTT-3.14.4-2] DISCONNECT is out, so the connection ends.
            Phase::Leaving { said: true, .. } if self.live.is_drained() => {
                self.connection_ended(now);
                self.finish_leaving(now);
                return Output::Close(Depth::Pipe);
            }
            _ => {}
        }
        self.sweep_expired(now, inbox);
        match self.fill(now, tx, inbox) {
            // Writing may have found a reason to break off.
            0 => self.cut_output(tx).unwrap_or_else(|| Output::Wait(self.deadline())),
            n => {
                self.live.sent(now, n);
                self.stats.bytes_out += n as u64;
                Output::Send(n)
            }
        }
    }

    fn cut_output(&mut self, tx: &mut [u8]) -> Option<Output> {
        let cut = self.cut.as_mut()?;
        if let Some(reason) = cut.farewell.take() {
            let packet = Disconnect { reason, props: crate::wire::Properties::EMPTY };
            if let Ok(n) = packet.encode(self.cfg.version(), tx) {
                return Some(Output::Send(n));
            }
        }
        let depth = cut.depth;
        self.cut = None;
        Some(Output::Close(depth))
    }

    fn check_timers(&mut self, now: Instant) {
        let overdue = |limit: Span| now >= self.since.plus(limit);
        match self.phase {
            Phase::Opening(step) if overdue(self.cfg.open_timeout) => {
                self.break_off(now, Fault::new(step, Cause::OpenTimeout), None);
            }
            Phase::Handshake | Phase::Opened if overdue(self.cfg.response_time) => {
                self.break_off(now, Fault::new(Step::Handshake, Cause::NoConnack), None);
            }
            Phase::Leaving { .. } if overdue(self.cfg.response_time) => {
                self.break_off(now, Fault::new(Step::Closing, Cause::WriteStalled), None);
            }
            Phase::Up => self.check_up(now),
            _ => {}
        }
    }

    fn check_up(&mut self, now: Instant) {
        let due = self.reply_due();
        match self.live.check(&self.cfg, due, now) {
            Some(Demand::Stalled) => {
                self.break_off(now, Fault::new(Step::Up, Cause::WriteStalled), None)
            }
            Some(Demand::Silent) => self.break_off(now, Fault::new(Step::Up, Cause::Silent), None),
            Some(Demand::Ping { suspicious }) => {
                self.sending.ping_wanted = true;
                self.sending.suspicious = suspicious;
            }
            None => {}
        }
        if FAILOVER && matches!(self.phase, Phase::Up) {
            self.move_on(now);
        }
        if matches!(self.phase, Phase::Up) && self.overdue_at(due).is_some_and(|at| now >= at) {
            self.acknowledgement_overdue(now);
        }
        // [MQTT-4.8.0-2] of 3.1.1: what there was no room for comes again on another connection.
        // Once the last PUBCOMP is written, the rest is for the next connection.
        let answered = self.owed.is_empty() && self.live.is_drained();
        if answered && self.received.is_to_catch_up() {
            self.violation(now, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED);
        }
    }

    /// When the acknowledgement awaited since `due` is overdue; never while we do not read.
    fn overdue_at(&self, due: Option<Instant>) -> Option<Instant> {
        due.filter(|_| !self.live.held).map(|t| t.plus(self.cfg.response_time))
    }

    fn deadline(&self) -> Option<Instant> {
        let at = match self.phase {
            Phase::Idle => Instant::MAX,
            Phase::Waiting { until } => until,
            Phase::Opening(_) => self.since.plus(self.cfg.open_timeout),
            Phase::Opened | Phase::Handshake | Phase::Leaving { .. } => {
                self.since.plus(self.cfg.response_time)
            }
            Phase::Up => {
                let due = self.reply_due();
                let overdue = self.overdue_at(due).unwrap_or(Instant::MAX);
                let back = self.recovery.failover.deadline();
                self.live.deadline(&self.cfg, due).min(overdue).min(back)
            }
        };
        let at = at.min(self.next_expiry());
        (at != Instant::MAX).then_some(at)
    }

    fn step_now(&self) -> Step {
        match self.phase {
            Phase::Idle => Step::Idle,
            Phase::Waiting { .. } => Step::Backoff,
            Phase::Opening(step) => step,
            Phase::Opened | Phase::Handshake => Step::Handshake,
            Phase::Up => Step::Up,
            Phase::Leaving { .. } => Step::Closing,
        }
    }

    pub(super) fn status_now(&self) -> Status {
        let next_attempt = match self.phase {
            Phase::Waiting { until } => Some(until),
            _ => None,
        };
        Status {
            step: self.step_now(),
            since: self.since,
            endpoint: self.recovery.failover.endpoint,
            fault: self.recovery.fault,
            attempts: self.recovery.failures,
            next_attempt,
            resumed: self.resumed,
        }
    }
}
