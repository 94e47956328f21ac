//! What can break between the application and the broker, and at which step.

use crate::wire::ReasonCode;

/// The step of a connection, from the bottom up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Not wanted: closed by the application, or not yet opened.
    Idle,
    /// Waiting before the next attempt.
    Backoff,
    /// Radio, cable, modem.
    Link,
    /// Turning the broker's name into addresses.
    Resolve,
    /// TCP or its equivalent.
    Transport,
    /// A proxy is asked for a way to the broker.
    Proxy,
    /// TLS handshake.
    Tls,
    /// WebSocket handshake.
    WebSocket,
    /// CONNECT sent, CONNACK awaited.
    Handshake,
    /// The session is connected.
    Up,
    /// Leaving: DISCONNECT on its way.
    Closing,
}

impl Step {
    /// Every step, each at the place of its number (`step as usize`).
    pub const ALL: [Self; 11] = [
        Self::Idle,
        Self::Backoff,
        Self::Link,
        Self::Resolve,
        Self::Transport,
        Self::Proxy,
        Self::Tls,
        Self::WebSocket,
        Self::Handshake,
        Self::Up,
        Self::Closing,
    ];

    /// A short lower-case name, as the command line prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Backoff => "backoff",
            Self::Link => "link",
            Self::Resolve => "resolve",
            Self::Transport => "tcp",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::WebSocket => "websocket",
            Self::Handshake => "mqtt",
            Self::Up => "up",
            Self::Closing => "closing",
        }
    }
}

/// Why a connection was lost or could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it broke.
    pub step: Step,
    /// What broke.
    pub cause: Cause,
}

impl Fault {
    /// A fault of `cause` at `step`.
    pub const fn new(step: Step, cause: Cause) -> Self {
        Self { step, cause }
    }
}

impl core::fmt::Display for Fault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {}", self.step.name(), self.cause)
    }
}

impl core::error::Error for Fault {}

/// What broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The name does not exist.
    UnknownHost,
    /// No resolver answered.
    ResolverFailed,
    /// Nobody listens there.
    Refused,
    /// The network or host cannot be reached.
    Unreachable,
    /// The peer reset the connection.
    Reset,
    /// The peer closed the connection.
    Eof,
    /// Another error of the transport; the operating system's error number, or 0.
    Io(i32),
    /// Opening took longer than the connect timeout.
    OpenTimeout,
    /// CONNACK did not come within the response time.
    NoConnack,
    /// Nothing arrived for too long although replies were due: a half-open connection.
    Silent,
    /// PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK or UNSUBACK did not come although the peer lives.
    AckMissing,
    /// The peer takes no bytes any more.
    WriteStalled,
    /// The broker refused the connection.
    RefusedByBroker(ReasonCode),
    /// The broker sent DISCONNECT.
    DisconnectedByBroker(ReasonCode),
    /// The peer broke the protocol; the reason is what we told it.
    Protocol(ReasonCode),
    /// TLS failed, for instance because the certificate is not trusted.
    Tls,
    /// A proxy, a web server, TLS or the operating system does not let us in: other credentials,
    /// another certificate or a permission are needed.
    Denied,
    /// The peer speaks something else than what the address promises.
    WrongProtocol,
    /// There is no such device or socket file.
    NotFound,
    /// The application asked for a new connection or closed this one.
    Requested,
    /// Addresses or routes changed while a connection was being made: it is begun anew.
    NetworkChanged,
    /// An endpoint that comes first can be reached again: the session moves there.
    Returning,
}

impl Cause {
    /// Whether this was our own choice and no failure.
    pub fn is_planned(self) -> bool {
        matches!(self, Self::Requested | Self::NetworkChanged | Self::Returning)
    }

    /// Whether what a person has to change concerns one server alone.
    pub(crate) fn is_of_one_server(self) -> bool {
        matches!(self, Self::Tls | Self::Denied | Self::WrongProtocol)
    }

    /// Whether something at the far end answered: the link below it carries bytes both ways.
    pub fn is_answer(self) -> bool {
        matches!(
            self,
            Self::Refused
                | Self::RefusedByBroker(_)
                | Self::DisconnectedByBroker(_)
                | Self::Tls
                | Self::WrongProtocol
        )
    }

    /// Whether trying again soon can help, or a person has to change something first.
    pub fn is_permanent(self) -> bool {
        match self {
            Self::RefusedByBroker(r) | Self::Protocol(r) => matches!(
                r,
                ReasonCode::UNSUPPORTED_PROTOCOL_VERSION
                    | ReasonCode::CLIENT_IDENTIFIER_NOT_VALID
                    | ReasonCode::BAD_USER_NAME_OR_PASSWORD
                    | ReasonCode::NOT_AUTHORIZED
                    | ReasonCode::BANNED
                    | ReasonCode::BAD_AUTHENTICATION_METHOD
            ),
            // Another client uses our identifier: going back at once would only start a fight.
            Self::DisconnectedByBroker(r) => matches!(
                r,
                ReasonCode::SESSION_TAKEN_OVER | ReasonCode::NOT_AUTHORIZED | ReasonCode::BANNED
            ),
            Self::Tls | Self::Denied | Self::WrongProtocol => true,
            _ => false,
        }
    }
}

impl core::fmt::Display for Cause {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::UnknownHost => "host name not found",
            Self::ResolverFailed => "name resolution failed",
            Self::Refused => "connection refused",
            Self::Unreachable => "network unreachable",
            Self::Reset => "connection reset",
            Self::Eof => "connection closed by the peer",
            Self::Io(code) => return write!(f, "i/o error {code}"),
            Self::OpenTimeout => "connect timed out",
            Self::NoConnack => "no answer to CONNECT",
            Self::Silent => "peer silent, connection is half-open",
            Self::AckMissing => "an acknowledgement is overdue",
            Self::WriteStalled => "peer takes no more bytes",
            Self::RefusedByBroker(r) => return write!(f, "refused by the broker: {r}"),
            Self::DisconnectedByBroker(r) => return write!(f, "disconnected by the broker: {r}"),
            Self::Protocol(r) => return write!(f, "protocol violation by the peer: {r}"),
            Self::Tls => "TLS failed",
            Self::Denied => "access denied",
            Self::WrongProtocol => "the peer speaks another protocol",
            Self::NotFound => "no such device or socket",
            Self::Requested => "closed on request",
            Self::NetworkChanged => "the network changed",
            Self::Returning => "back to the first choice",
        })
    }
}
