//! What awaits an answer of the gateway. The text allows one REGISTER, one SUBSCRIBE or UNSUBSCRIBE and
//! one PUBLISH of QoS 1 or 2 at a time (6.5, 6.6, 6.9). The node has one request of any kind at a time:
//! one timer and one counter do for all (6.13), and whatever awaits an answer probes the gateway too.

use super::config::Settings;
use crate::store::Key;
use crate::time::Instant;

/// The message that awaits an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Connect,
    WillTopic,
    WillMsg,
    Register,
    Publish(Key),
    Release(Key),
    Subscription,
    Ping,
    /// PINGREQ with the client identifier, of a sleeping node.
    Check,
    /// DISCONNECT with a duration.
    Sleep(u16),
    /// DISCONNECT for good.
    Leave,
    WillTopicUpd,
    WillMsgUpd,
}

impl Ask {
    /// Whether it says what only the driver knows: credentials and will.
    pub(super) fn is_personal(self) -> bool {
        matches!(
            self,
            Self::Connect
                | Self::WillTopic
                | Self::WillMsg
                | Self::Check
                | Self::WillTopicUpd
                | Self::WillMsgUpd
        )
    }

    /// Whether a gateway that said "congestion" is to be spared it.
    pub(super) fn waits(self) -> bool {
        matches!(
            self,
            Self::Register
                | Self::Publish(_)
                | Self::Subscription
                | Self::WillTopicUpd
                | Self::WillMsgUpd
        )
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) ask: Ask,
    /// Names the answer, where there is a MsgId.
    pub(super) msg_id: u16,
    /// When it was last sent; `None` if it is to be sent.
    sent: Option<Instant>,
    /// How often it was sent.
    times: u8,
}

/// What the clock says about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    No,
    /// It is sent once more.
    Again,
    /// It was sent often enough.
    Hopeless,
}

impl Request {
    pub(super) fn new(ask: Ask, msg_id: u16) -> Self {
        Self { ask, msg_id, sent: None, times: 0 }
    }

    pub(super) fn is_due(&self) -> bool {
        self.sent.is_none()
    }

    /// Whether it was sent before.
    pub(super) fn is_repeated(&self) -> bool {
        self.times > 0
    }

    pub(super) fn sent(&mut self, now: Instant) {
        self.sent = Some(now);
        self.times = self.times.saturating_add(1);
    }

    /// The gateway, or the pipe, gave a sign: the wait begins anew.
    pub(super) fn restart(&mut self, now: Instant) {
        if let Some(sent) = &mut self.sent {
            *sent = now;
        }
    }

    /// As [`restart`](Self::restart), and it may be sent as often as at first (6.14).
    pub(super) fn encouraged(&mut self, now: Instant) {
        self.restart(now);
        self.times = self.times.min(1);
    }

    /// The gateway asks for it once more.
    pub(super) fn again(&mut self) {
        self.sent = None;
    }

    /// When the answer is overdue.
    pub(super) fn deadline(&self, cfg: &Settings) -> Instant {
        self.sent.map_or(Instant::MAX, |sent| sent.plus(cfg.retry))
    }

    /// Looks at the clock.
    pub(super) fn check(&mut self, cfg: &Settings, now: Instant) -> Late {
        if now < self.deadline(cfg) {
            return Late::No;
        }
        // A node that leaves does not stay for an answer that need not come.
        let times = if self.ask == Ask::Leave { 1 } else { cfg.retries };
        if self.times > times {
            return Late::Hopeless;
        }
        self.sent = None;
        Late::Again
    }
}
