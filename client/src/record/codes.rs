//! Numbers for what has names.

use everlink_proto::engine::{
    Cause, Depth, Event, Fault, Output, Refused, Step, Verdict, WhenFull,
};
use everlink_proto::time::Instant;
use everlink_proto::wire::{ReasonCode, WireError};

use super::format::{Get, Put};

/// The calls.
pub(super) mod call {
    pub(in super::super) const SETUP: u8 = 0;
    pub(in super::super) const OPEN: u8 = 1;
    pub(in super::super) const CLOSE: u8 = 2;
    pub(in super::super) const RECONNECT: u8 = 3;
    pub(in super::super) const HANDLE: u8 = 4;
    pub(in super::super) const POLL: u8 = 5;
    pub(in super::super) const CONNECT: u8 = 6;
    pub(in super::super) const PUBLISH: u8 = 7;
    pub(in super::super) const SUBSCRIBE: u8 = 8;
    pub(in super::super) const UNSUBSCRIBE: u8 = 9;
    pub(in super::super) const ACKNOWLEDGE: u8 = 10;
    pub(in super::super) const PING: u8 = 11;
    pub(in super::super) const REAUTHENTICATE: u8 = 12;
}

/// What the inbox was asked, before what it answered.
pub(super) mod answer {
    pub(in super::super) const END: u8 = 0;
    pub(in super::super) const MESSAGE: u8 = 1;
    pub(in super::super) const CONNECTED: u8 = 2;
    pub(in super::super) const REDIRECT: u8 = 3;
    pub(in super::super) const CHALLENGE: u8 = 4;
    pub(in super::super) const AUTHENTICATE: u8 = 5;
    pub(in super::super) const BEGIN: u8 = 6;
    pub(in super::super) const PIECE: u8 = 7;
}

/// The inputs.
pub(super) mod input {
    pub(in super::super) const OPENING: u8 = 0;
    pub(in super::super) const OPENED: u8 = 1;
    pub(in super::super) const ALIVE: u8 = 2;
    pub(in super::super) const PACKET: u8 = 3;
    pub(in super::super) const SKIPPED: u8 = 4;
    pub(in super::super) const REST: u8 = 5;
    pub(in super::super) const MALFORMED: u8 = 6;
    pub(in super::super) const WROTE: u8 = 7;
    pub(in super::super) const CLOSED: u8 = 8;
    pub(in super::super) const TICK: u8 = 9;
    pub(in super::super) const TRIED: u8 = 10;
    pub(in super::super) const NETWORK_CHANGED: u8 = 11;
}

const REFUSED: [Refused; 8] = [
    Refused::QueueFull,
    Refused::TooLarge,
    Refused::TooManySubscriptions,
    Refused::Unsupported,
    Refused::Invalid,
    Refused::Closed,
    Refused::Store,
    Refused::Stale,
];

const VERDICTS: [Verdict; 3] = [Verdict::Taken, Verdict::Later, Verdict::Busy];

const DEPTHS: [Depth; 3] = [Depth::Pipe, Depth::Link, Depth::Device];

const POLICIES: [WhenFull; 5] = [
    WhenFull::Wait,
    WhenFull::Reject,
    WhenFull::DropOldest,
    WhenFull::DropNewest,
    WhenFull::Latest,
];

/// The causes without a number of their own; those with one follow behind them.
const CAUSES: [Cause; 18] = [
    Cause::UnknownHost,
    Cause::ResolverFailed,
    Cause::Refused,
    Cause::Unreachable,
    Cause::Reset,
    Cause::Eof,
    Cause::OpenTimeout,
    Cause::NoConnack,
    Cause::Silent,
    Cause::AckMissing,
    Cause::WriteStalled,
    Cause::Tls,
    Cause::Denied,
    Cause::WrongProtocol,
    Cause::NotFound,
    Cause::Requested,
    Cause::NetworkChanged,
    Cause::Returning,
];
const IO: u8 = 128;
const REFUSED_BY_BROKER: u8 = 129;
const DISCONNECTED_BY_BROKER: u8 = 130;
const PROTOCOL: u8 = 131;

/// The place in a list, or a number that no list has: what a later version made up cannot be read.
fn place<T: PartialEq>(list: &[T], value: &T) -> u8 {
    list.iter().position(|v| v == value).map_or(u8::MAX, |at| at as u8)
}

impl Put {
    pub(super) fn step(&mut self, step: Step) -> &mut Self {
        self.byte(place(&Step::ALL, &step))
    }

    pub(super) fn verdict(&mut self, verdict: Verdict) -> &mut Self {
        self.byte(place(&VERDICTS, &verdict))
    }

    pub(super) fn policy(&mut self, policy: WhenFull) -> &mut Self {
        self.byte(place(&POLICIES, &policy))
    }

    /// 0: it went well.
    pub(super) fn result<T>(&mut self, result: &Result<T, Refused>) -> &mut Self {
        self.byte(
            result.as_ref().err().map_or(0, |refused| place(&REFUSED, refused).saturating_add(1)),
        )
    }

    pub(super) fn fault(&mut self, fault: Fault) -> &mut Self {
        self.step(fault.step);
        match fault.cause {
            Cause::Io(code) => self.byte(IO).signed(code.into()),
            Cause::RefusedByBroker(reason) => self.byte(REFUSED_BY_BROKER).byte(reason.0),
            Cause::DisconnectedByBroker(reason) => self.byte(DISCONNECTED_BY_BROKER).byte(reason.0),
            Cause::Protocol(reason) => self.byte(PROTOCOL).byte(reason.0),
            cause => self.byte(place(&CAUSES, &cause)),
        }
    }

    /// All but the bytes that are to be sent; times relative to `now`.
    pub(super) fn output(&mut self, output: Output, now: Instant) -> &mut Self {
        match output {
            Output::Open { endpoint } => self.byte(0).number(endpoint.into()),
            Output::Connect => self.byte(1),
            Output::Send(n) => self.byte(2).number(n as u64),
            Output::Close(depth) => self.byte(3).byte(place(&DEPTHS, &depth)),
            Output::Event(Event::Up { resumed }) => self.byte(4).byte(resumed.into()),
            Output::Event(Event::Down(fault)) => self.byte(5).fault(fault),
            Output::Event(Event::GaveUp(fault)) => self.byte(6).fault(fault),
            Output::Event(Event::Closed) => self.byte(7),
            Output::Try { endpoint } => self.byte(10).number(endpoint.into()),
            Output::Wait(None) => self.byte(8),
            Output::Wait(Some(at)) => {
                self.byte(9).signed(at.as_micros().wrapping_sub(now.as_micros()) as i64)
            }
        }
    }
}

impl Get<'_> {
    fn listed<T: Copy>(&mut self, list: &[T]) -> Option<T> {
        list.get(usize::from(self.byte()?)).copied()
    }

    pub(super) fn step(&mut self) -> Option<Step> {
        self.listed(&Step::ALL)
    }

    pub(super) fn verdict(&mut self) -> Option<Verdict> {
        self.listed(&VERDICTS)
    }

    pub(super) fn policy(&mut self) -> Option<WhenFull> {
        self.listed(&POLICIES)
    }

    pub(super) fn result(&mut self) -> Option<Result<(), Refused>> {
        match self.byte()?.checked_sub(1) {
            None => Some(Ok(())),
            Some(at) => REFUSED.get(usize::from(at)).map(|refused| Err(*refused)),
        }
    }

    pub(super) fn fault(&mut self) -> Option<Fault> {
        let step = self.step()?;
        let cause = match self.byte()? {
            IO => Cause::Io(self.signed()?.try_into().ok()?),
            REFUSED_BY_BROKER => Cause::RefusedByBroker(ReasonCode(self.byte()?)),
            DISCONNECTED_BY_BROKER => Cause::DisconnectedByBroker(ReasonCode(self.byte()?)),
            PROTOCOL => Cause::Protocol(ReasonCode(self.byte()?)),
            at => *CAUSES.get(usize::from(at))?,
        };
        Some(Fault::new(step, cause))
    }

    pub(super) fn output(&mut self, now: Instant) -> Option<Output> {
        Some(match self.byte()? {
            0 => Output::Open { endpoint: self.small()? },
            1 => Output::Connect,
            2 => Output::Send(self.small()?),
            3 => Output::Close(self.listed(&DEPTHS)?),
            4 => Output::Event(Event::Up { resumed: self.flag()? }),
            5 => Output::Event(Event::Down(self.fault()?)),
            6 => Output::Event(Event::GaveUp(self.fault()?)),
            7 => Output::Event(Event::Closed),
            8 => Output::Wait(None),
            9 => {
                let at = now.as_micros().wrapping_add(self.signed()? as u64);
                Output::Wait(Some(Instant::from_micros(at)))
            }
            10 => Output::Try { endpoint: self.small()? },
            _ => return None,
        })
    }
}

/// An error with this Reason Code: nothing else of it is looked at.
pub(super) fn malformed(reason: ReasonCode) -> WireError {
    let errors = [WireError::NoTopic, WireError::BadTopicAlias, WireError::UnsupportedVersion];
    errors.into_iter().find(|error| error.reason() == reason).unwrap_or(WireError::BadLength)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_and_faults_survive() {
        let now = Instant::from_millis(5);
        let reason = ReasonCode::NOT_AUTHORIZED;
        let io = [Cause::Io(-7), Cause::RefusedByBroker(reason), Cause::Protocol(reason)];
        let mut outputs = vec![
            Output::Open { endpoint: 300 },
            Output::Try { endpoint: 301 },
            Output::Connect,
            Output::Send(70_000),
            Output::Close(Depth::Device),
            Output::Event(Event::Up { resumed: true }),
            Output::Event(Event::Closed),
            Output::Wait(None),
            Output::Wait(Some(Instant::ZERO)),
            Output::Wait(Some(Instant::MAX)),
        ];
        for cause in CAUSES.into_iter().chain(io).chain([Cause::DisconnectedByBroker(reason)]) {
            for step in Step::ALL {
                outputs.push(Output::Event(Event::Down(Fault::new(step, cause))));
            }
        }
        for output in outputs {
            let mut put = Put::default();
            put.output(output, now);
            assert_eq!(Get(&put.0).output(now), Some(output));
        }
    }

    #[test]
    fn malformed_streams_keep_their_reason() {
        for error in [WireError::NoTopic, WireError::Truncated, WireError::BadTopicAlias] {
            assert_eq!(malformed(error.reason()).reason(), error.reason());
        }
    }
}
