//! From the operating system's errors to causes.

use std::io::{Error, ErrorKind};

use everlink_proto::engine::Cause;

/// Why a connection could not be opened.
pub(super) fn of_opening(error: &Error) -> Cause {
    match error.kind() {
        ErrorKind::TimedOut => Cause::OpenTimeout,
        // The address to connect from is gone, or the host has none of that family.
        ErrorKind::AddrNotAvailable => Cause::Unreachable,
        _ => of_pipe(error),
    }
}

/// Why an open connection broke.
pub(crate) fn of_pipe(error: &Error) -> Cause {
    match error.kind() {
        ErrorKind::ConnectionRefused => Cause::Refused,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected => Cause::Reset,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            Cause::Unreachable
        }
        // The kernel gave up sending again.
        ErrorKind::TimedOut => Cause::Silent,
        ErrorKind::UnexpectedEof => Cause::Eof,
        _ => Cause::Io(error.raw_os_error().unwrap_or(0)),
    }
}

/// The system's resolver tells its errors apart in words only.
pub(super) fn of_lookup(error: &Error) -> Cause {
    const NO_SUCH_NAME: [&str; 5] = [
        "Name or service not known",
        "No address associated with",
        "Name does not resolve",
        "Name has no usable address",
        "nodename nor servname provided",
    ];
    let text = std::string::ToString::to_string(error);
    if error.kind() == ErrorKind::NotFound || NO_SUCH_NAME.iter().any(|words| text.contains(words))
    {
        Cause::UnknownHost
    } else {
        Cause::ResolverFailed
    }
}

/// Of the causes of two addresses of one host, the one that tells more about the host: that it
/// answered at all says most, the lack of one address family says least.
pub(super) fn more_telling(a: Cause, b: Cause) -> Cause {
    fn weight(cause: Cause) -> u8 {
        match cause {
            Cause::Refused => 4,
            Cause::Reset => 3,
            Cause::OpenTimeout => 2,
            Cause::Unreachable => 1,
            _ => 0,
        }
    }
    if weight(b) > weight(a) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening() {
        for (kind, cause) in [
            (ErrorKind::ConnectionRefused, Cause::Refused),
            (ErrorKind::ConnectionReset, Cause::Reset),
            (ErrorKind::BrokenPipe, Cause::Reset),
            (ErrorKind::ConnectionAborted, Cause::Reset),
            (ErrorKind::HostUnreachable, Cause::Unreachable),
            (ErrorKind::NetworkUnreachable, Cause::Unreachable),
            (ErrorKind::AddrNotAvailable, Cause::Unreachable),
            (ErrorKind::TimedOut, Cause::OpenTimeout),
            (ErrorKind::Other, Cause::Io(0)),
        ] {
            assert_eq!(of_opening(&kind.into()), cause);
        }
        assert_eq!(of_opening(&Error::from_raw_os_error(24)), Cause::Io(24));
        assert_eq!(of_pipe(&ErrorKind::TimedOut.into()), Cause::Silent);
    }

    #[test]
    fn lookups() {
        let of = |text: &str| {
            of_lookup(&Error::other(format!("failed to lookup address information: {text}")))
        };
        assert_eq!(of("Name or service not known"), Cause::UnknownHost);
        assert_eq!(of("No address associated with hostname"), Cause::UnknownHost);
        assert_eq!(of("Temporary failure in name resolution"), Cause::ResolverFailed);
        assert_eq!(of("Try again"), Cause::ResolverFailed);
        assert_eq!(of_lookup(&ErrorKind::NotFound.into()), Cause::UnknownHost);
        assert_eq!(of_lookup(&Error::from_raw_os_error(24)), Cause::ResolverFailed);
    }

    #[test]
    fn the_most_telling_cause() {
        let most = |causes: [Cause; 3]| causes.into_iter().reduce(more_telling);
        assert_eq!(
            most([Cause::Unreachable, Cause::Refused, Cause::OpenTimeout]),
            Some(Cause::Refused)
        );
        assert_eq!(
            most([Cause::Io(97), Cause::Unreachable, Cause::Io(1)]),
            Some(Cause::Unreachable)
        );
        assert_eq!(most([Cause::Io(24), Cause::Io(1), Cause::Io(2)]), Some(Cause::Io(24)));
    }
}
