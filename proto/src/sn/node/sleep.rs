//! Sleeping (6.14): the node says for how long it will not be heard, and in between asks for what the
//! gateway kept for it. With something to say itself it becomes active, says it, and sleeps again.

use super::*;

/// What the application wants, and how it goes.
#[derive(Debug, Default)]
pub(super) struct Nap {
    /// Seconds that the gateway is told, and how often to ask for messages.
    wanted: Option<(u16, Span)>,
    /// Connecting to become active again, on the same pipe.
    returning: bool,
}

impl Nap {
    pub(super) fn connection_lost(&mut self) {
        self.returning = false;
    }

    pub(super) fn returned(&mut self) {
        self.returning = false;
    }
}

impl<S: Store> Node<'_, S> {
    /// Sleeps from as soon as nothing is left to say, until [`wake`](Self::wake) or a
    /// [close](Engine::close). The gateway is told `duration`, 1 to 65535 seconds, and buffers messages;
    /// every `check`, at most `duration` less what repetitions may take, they are asked for. Between
    /// what `poll` says with [`Output::Wait`] the radio may be off while
    /// [`is_asleep`](Self::is_asleep). What is published meanwhile makes the node active for as long
    /// as that takes.
    pub fn sleep(&mut self, duration: u16, check: Duration) {
        let duration = duration.max(1);
        let whole = Span::from_millis(u32::from(duration) * 1000);
        let tries = self.cfg.retry.times(u32::from(self.cfg.retries));
        let latest = whole.minus(tries).max(whole.half());
        self.nap.wanted = Some((duration, Span::of(check).min(latest)));
    }

    /// Ends sleep, at once.
    pub fn wake(&mut self, now: Instant) {
        self.nap.wanted = None;
        if matches!(self.phase, Phase::Asleep { .. } | Phase::Awake) {
            self.become_active(now);
        }
    }

    /// Asks for messages now, if asleep.
    pub fn check_messages(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Asleep { .. }) {
            self.phase = Phase::Asleep { wake: now };
        }
    }

    /// Whether nothing is sent and nothing awaited before what `poll` last said.
    pub fn is_asleep(&self) -> bool {
        matches!(self.phase, Phase::Asleep { .. })
    }

    /// Whether CONNECT only ends a sleep.
    pub(super) fn is_returning(&self) -> bool {
        self.nap.returning
    }

    fn become_active(&mut self, now: Instant) {
        self.nap.returning = true;
        self.start_handshake(now);
    }

    /// The duration to be told now, if the node is to sleep and has nothing left to do.
    pub(super) fn may_sleep(&mut self) -> Option<u16> {
        let (duration, _) = self.nap.wanted?;
        let idle = !self.held && self.owed.is_empty() && !self.has_work();
        (idle && !self.cfg.connectionless).then_some(duration)
    }

    /// The gateway knows that we sleep.
    pub(super) fn fall_asleep(&mut self, now: Instant) {
        self.request = None;
        match self.nap.wanted {
            Some((_, check)) => self.enter(now, Phase::Asleep { wake: now.plus(check) }),
            None => self.become_active(now),
        }
    }

    /// Asleep: is there anything to say, or is it time to ask?
    pub(super) fn check_sleep(&mut self, now: Instant) {
        let Phase::Asleep { wake } = self.phase else { return };
        if self.has_work() || self.nap.wanted.is_none() {
            self.become_active(now);
        } else if now >= wake {
            self.enter(now, Phase::Awake);
            self.request = Some(Request::new(Ask::Check, 0));
        }
    }

    /// "It restarts timer Tretry when it receives a message other than a PINGRESP."
    pub(super) fn heard_while_awake(&mut self, now: Instant, message: &Message<'_>) {
        if matches!(self.phase, Phase::Awake)
            && !matches!(message, Message::PingResp)
            && let Some(request) = &mut self.request
        {
            request.encouraged(now);
        }
    }

    /// "And go back to sleep when the limit is reached." If the gateway was not heard of for so long that
    /// it takes us for lost, a new connection is needed all the same.
    pub(super) fn check_unanswered(&mut self, now: Instant) {
        let Some((duration, _)) = self.nap.wanted else { return self.become_active(now) };
        let patience = Span::from_millis(u32::from(duration) * 1000);
        if now >= self.heard.plus(patience.plus(patience.half())) {
            return self.break_off(now, Fault::new(Step::Up, Cause::Silent));
        }
        self.fall_asleep(now);
    }
}
