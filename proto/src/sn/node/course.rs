//! The course of a connection: which step we are at, and what `poll` says next.

use super::request::Late;
use super::*;
use crate::session::recovery::Next;

/// Where the node stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// Closed.
    Idle,
    /// Before the next attempt.
    Waiting { until: Instant },
    /// The driver opens a pipe.
    Opening(Step),
    /// The pipe is open, a gateway is searched for.
    Searching,
    /// CONNECT is to be sent, or was; CONNACK awaited.
    Handshake,
    /// Connected: the gateway's "active".
    Up,
    /// Asleep until it is time to ask for messages.
    Asleep { wake: Instant },
    /// Asked for messages, PINGRESP awaited.
    Awake,
    /// DISCONNECT is to be sent, or was.
    Leaving,
}

/// What is written next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Nothing,
    Written(usize),
    /// [`Engine::connect`] has to write it.
    Personal,
}

impl<S: Store> Node<'_, S> {
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
        if !matches!(self.phase, Phase::Opening(_)) {
            return;
        }
        (self.pending, self.progress, self.held) = (0, now, false);
        (self.heard, self.spoke) = (now, now);
        if self.cfg.connectionless {
            self.is_up(now, false);
        } else if self.cfg.search.is_some() {
            self.start_search(now);
        } else {
            self.start_handshake(now);
        }
    }

    /// Also from sleep to activity, on the same pipe (6.14).
    pub(super) fn start_handshake(&mut self, now: Instant) {
        self.enter(now, Phase::Handshake);
        self.request = Some(Request::new(Ask::Connect, 0));
    }

    /// The gateway accepted the connection, or none is needed.
    pub(super) fn is_up(&mut self, now: Instant, resumed: bool) {
        self.connection = self.connection.wrapping_add(1);
        self.resumed = resumed;
        self.stats.connections += 1;
        self.discovery.found();
        let down = self.recovery.up(&self.cfg.plan, now, self.achieved());
        self.stats.longest_outage = self.stats.longest_outage.max(down);
        self.enter(now, Phase::Up);
        self.event(Event::Up { resumed });
    }

    /// The pipe took octets.
    pub(super) fn wrote(&mut self, now: Instant, pending: usize) {
        if self.pending > 0
            && pending == 0
            && let Some(request) = &mut self.request
        {
            // Only now can its answer be awaited.
            request.restart(now);
        }
        (self.pending, self.progress) = (pending, now);
    }

    pub(super) fn violation(&mut self, now: Instant, reason: ReasonCode) {
        self.break_off(now, Fault::new(self.step_now(), Cause::Protocol(reason)));
    }

    /// Cuts the pipe from our side.
    pub(super) fn break_off(&mut self, now: Instant, fault: Fault) {
        if self.cut.is_none() && self.has_pipe() {
            self.cut = Some(self.ended(now, fault));
        }
    }

    /// The driver says the pipe is gone, or could not be opened.
    pub(super) fn lost(&mut self, now: Instant, fault: Fault) {
        if self.cut.is_none() && self.has_pipe() {
            let depth = self.ended(now, fault);
            self.cut = Some(depth).filter(|depth| *depth > Depth::Pipe);
        }
    }

    pub(super) fn has_pipe(&self) -> bool {
        !matches!(self.phase, Phase::Idle | Phase::Waiting { .. })
    }

    /// Active, asleep or awake.
    pub(super) fn is_established(&self) -> bool {
        matches!(self.phase, Phase::Up | Phase::Asleep { .. } | Phase::Awake)
    }

    /// The connection is over, wanted or not. Returns how deep to cut.
    fn ended(&mut self, now: Instant, fault: Fault) -> Depth {
        let established = self.is_established();
        self.connection_ended();
        if self.closed {
            self.finish_leaving(now);
            return Depth::Pipe;
        }
        self.stats.outages += u64::from(established);
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
    fn achieved(&self) -> u64 {
        self.stats.delivered.wrapping_add(self.stats.rejected).wrapping_add(self.stats.received)
    }

    /// Forgets all that belongs to the connection alone. The store, MsgIds in use and the exchanges of
    /// QoS 2 stay.
    fn connection_ended(&mut self) {
        self.owed.clear();
        (self.request, self.hold) = (None, None);
        self.held = false;
        self.subs.connection_lost();
        self.inbound.connection_lost();
        self.nap.connection_lost();
    }

    pub(super) fn start_leaving(&mut self, now: Instant, reason: ReasonCode) {
        match self.phase {
            Phase::Idle | Phase::Leaving => {}
            // MQTT-SN has no words for it, but a gateway that hears nothing more publishes the will.
            _ if reason == ReasonCode::DISCONNECT_WITH_WILL_MESSAGE => self.leave_now(now),
            _ if self.is_established() && self.cut.is_none() && !self.cfg.connectionless => {
                self.enter(now, Phase::Leaving);
                self.request = Some(Request::new(Ask::Leave, 0));
            }
            _ => self.leave_now(now),
        }
    }

    fn leave_now(&mut self, now: Instant) {
        if self.has_pipe() {
            self.cut = Some(Depth::Pipe);
        }
        self.connection_ended();
        self.finish_leaving(now);
    }

    /// The gateway answered our DISCONNECT, or never will.
    pub(super) fn left(&mut self, now: Instant) {
        if self.request.is_some_and(|r| r.ask == Ask::Leave && r.is_repeated()) {
            self.leave_now(now);
        }
    }

    fn finish_leaving(&mut self, now: Instant) {
        self.enter(now, Phase::Idle);
        self.event(Event::Closed);
    }

    /// One answer of [`Engine::poll`].
    pub(super) fn step(&mut self, now: Instant, tx: &mut [u8], inbox: &mut impl Inbox) -> Output {
        self.check_timers(now, inbox);
        if let Some(depth) = self.cut.take() {
            return Output::Close(depth);
        }
        if let Some(event) = self.events[0].take() {
            self.events.swap(0, 1);
            return Output::Event(event);
        }
        if let Phase::Waiting { until } = self.phase
            && now >= until
        {
            self.stats.attempts += 1;
            self.enter(now, Phase::Opening(Step::Link));
            return Output::Open { endpoint: self.recovery.failover.endpoint };
        }
        self.sweep_expired(now, inbox);
        let put = self.fill(now, tx, inbox);
        self.room_again(inbox);
        match put {
            Put::Written(n) => {
                self.spoke = now;
                self.stats.bytes_out += n as u64;
                if self.pending == 0 {
                    self.progress = now;
                }
                Output::Send(n)
            }
            Put::Personal => Output::Connect,
            // Writing may have found a reason to break off.
            Put::Nothing => match self.cut.take() {
                Some(depth) => Output::Close(depth),
                None => Output::Wait(self.deadline()),
            },
        }
    }

    /// Writes the next message, if there is one: answers first, so that the gateway's exchanges end.
    fn fill(&mut self, now: Instant, tx: &mut [u8], inbox: &mut impl Inbox) -> Put {
        self.starved = false;
        if !self.has_pipe() || matches!(self.phase, Phase::Opening(_)) {
            return Put::Nothing;
        }
        // No message is longer, so each is written whole or not at all.
        if tx.len() < self.cfg.frame {
            self.starved = true;
            return Put::Nothing;
        }
        if let Some(OwedSlot(owed)) = self.owed.pop() {
            return self.put(&owed.message(), tx);
        }
        if let Some(message) = self.discovery_due(now) {
            return self.put(&message, tx);
        }
        let version = self.cfg.version;
        if let Some(n) = self.info_due(now).and_then(|info| info.encode(version, tx).ok()) {
            return Put::Written(n);
        }
        if self.held && now >= self.spoke.plus(self.cfg.interval) {
            // The answer will lie unread, but the gateway must go on hearing us.
            return self.put(&Message::PingReq(None), tx);
        }
        self.put_next(now, tx, inbox)
    }

    pub(super) fn put(&mut self, message: &Message<'_>, tx: &mut [u8]) -> Put {
        match message.encode(self.cfg.version, tx) {
            Ok(n) => Put::Written(n),
            // Was found to be good, and to fit, when it was taken.
            Err(_) => Put::Nothing,
        }
    }

    fn check_timers(&mut self, now: Instant, inbox: &mut impl Inbox) {
        if self.hold.is_some_and(|until| now >= until) {
            self.hold = None;
        }
        match self.phase {
            Phase::Opening(step) if now >= self.since.plus(self.cfg.open_timeout) => {
                return self.break_off(now, Fault::new(step, Cause::OpenTimeout));
            }
            Phase::Asleep { .. } => self.check_sleep(now),
            _ => {}
        }
        if !self.has_pipe() {
            return;
        }
        if self.pending > 0 {
            if now >= self.stalled_at() {
                self.break_off(now, Fault::new(self.step_now(), Cause::WriteStalled));
            }
        } else if !self.held
            && let Some(request) = &mut self.request
            && request.check(&self.cfg, now) == Late::Hopeless
        {
            self.unanswered(now, inbox);
        }
        if self.is_established() && self.discovery.is_gone(now) {
            self.break_off(now, Fault::new(Step::Up, Cause::Silent));
        }
    }

    /// (6.13) "After Nretry retransmissions, the client aborts the procedure and assumes that its
    /// connection to the gateway is disconnected."
    fn unanswered(&mut self, now: Instant, inbox: &mut impl Inbox) {
        let Some(request) = self.request else { return };
        let heard_meanwhile = now < self.heard.plus(self.cfg.retry.times(2));
        match request.ask {
            Ask::Connect | Ask::WillTopic | Ask::WillMsg => {
                self.break_off(now, Fault::new(Step::Handshake, Cause::NoConnack));
            }
            Ask::Check => self.check_unanswered(now),
            Ask::Leave => self.leave_now(now),
            Ask::WillTopicUpd | Ask::WillMsgUpd if heard_meanwhile => {
                // A gateway that knows no updates is a gateway all the same.
                self.request = None;
                self.end_will_update(ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR, inbox);
            }
            _ if heard_meanwhile => {
                self.break_off(now, Fault::new(Step::Up, Cause::AckMissing));
            }
            _ => self.break_off(now, Fault::new(Step::Up, Cause::Silent)),
        }
    }

    /// When a pipe that takes nothing is given up.
    fn stalled_at(&self) -> Instant {
        self.progress.plus(self.cfg.retry.times(u32::from(self.cfg.retries) + 1))
    }

    /// When the gateway is to be asked for a sign of life; not while another answer is awaited.
    pub(super) fn ping_at(&self) -> Instant {
        let quiet = matches!(self.phase, Phase::Up) && self.request.is_none();
        match quiet && !self.cfg.connectionless {
            true if self.held => self.spoke.plus(self.cfg.interval),
            true => self.heard.min(self.spoke).plus(self.cfg.interval),
            false => Instant::MAX,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let at = match self.phase {
            Phase::Idle => Instant::MAX,
            Phase::Waiting { until } => until,
            Phase::Opening(_) => self.since.plus(self.cfg.open_timeout),
            Phase::Asleep { wake } => wake,
            _ => Instant::MAX,
        };
        let at = at.min(self.waiting.next_expiry(&self.store, None));
        let at = if self.has_pipe() { at.min(self.pipe_deadline()) } else { at };
        (at != Instant::MAX).then_some(at)
    }

    fn pipe_deadline(&self) -> Instant {
        if self.pending > 0 {
            return self.stalled_at();
        }
        let request = self.request.as_ref().filter(|_| !self.held);
        let answer = request.map_or(Instant::MAX, |r| r.deadline(&self.cfg));
        let held = if self.held { self.spoke.plus(self.cfg.interval) } else { Instant::MAX };
        let hold = self.hold.unwrap_or(Instant::MAX);
        answer.min(held).min(hold).min(self.ping_at()).min(self.discovery_deadline())
    }

    pub(super) fn step_now(&self) -> Step {
        match self.phase {
            Phase::Idle => Step::Idle,
            Phase::Waiting { .. } => Step::Backoff,
            Phase::Opening(step) => step,
            Phase::Searching => Step::Resolve,
            Phase::Handshake => Step::Handshake,
            Phase::Up | Phase::Asleep { .. } | Phase::Awake => Step::Up,
            Phase::Leaving => Step::Closing,
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
