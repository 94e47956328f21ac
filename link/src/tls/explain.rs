//! Errors of TLS, in words that a person understands.

use std::format;
use std::io;
use std::string::{String, ToString};
use std::vec::Vec;

use everlink_proto::engine::Cause;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error};

use super::verify::Issuer;
use crate::tcp::cause_of_pipe;

/// What we know beyond the error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// We have a certificate to show.
    pub(crate) has_identity: bool,
    pub(super) refused: Issuer,
}

/// The cause and, if TLS itself failed, one line about it.
pub(crate) fn explain(error: &io::Error, context: &Context) -> (Cause, Option<String>) {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => {
            let (cause, text) = of_tls(error, context);
            (cause, Some(text))
        }
        None => (cause_of_pipe(error), None),
    }
}

fn of_tls(error: &Error, context: &Context) -> (Cause, String) {
    match error {
        Error::InvalidCertificate(error) => (Cause::Tls, certificate(error, context)),
        Error::AlertReceived(alert) => of_alert(*alert, context.has_identity),
        Error::InvalidMessage(_) => {
            (Cause::WrongProtocol, "the peer does not speak TLS on this port".to_string())
        }
        Error::NoCertificatesPresented => (Cause::Tls, "the broker showed no certificate".into()),
        Error::PeerIncompatible(_) => {
            (Cause::Tls, format!("no way to speak TLS that both sides know: {error}"))
        }
        Error::PeerMisbehaved(_) | Error::InappropriateHandshakeMessage { .. } => {
            (Cause::Tls, format!("the peer broke the rules of TLS: {error}"))
        }
        other => (Cause::Tls, other.to_string()),
    }
}

fn certificate(error: &CertificateError, context: &Context) -> String {
    match error {
        CertificateError::UnknownIssuer => unknown_issuer(context),
        CertificateError::NotValidForNameContext { expected, presented }
            if presented.is_empty() =>
        {
            let expected = expected.to_str();
            format!(
                "the broker's certificate names no host (subjectAltName), so it is not for {expected}"
            )
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            format!(
                "the broker's certificate is for {}, not for {}",
                names(presented),
                expected.to_str()
            )
        }
        CertificateError::NotValidForName => {
            "the broker's certificate is for another name".to_string()
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the broker's certificate expired on {}", date(*not_after))
        }
        CertificateError::Expired => "the broker's certificate has expired".to_string(),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the broker's certificate is valid from {} on; by the clock here it is {}",
            date(*not_before),
            date(*time)
        ),
        CertificateError::NotValidYet => "the broker's certificate is not yet valid".to_string(),
        CertificateError::Revoked => "the broker's certificate was revoked".to_string(),
        CertificateError::BadSignature => {
            "the signature of the broker's certificate is wrong".to_string()
        }
        CertificateError::BadEncoding => "the broker's certificate is damaged".to_string(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the broker's certificate is not one for servers".to_string()
        }
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "the broker shows the certificate of an authority as its own; \
             it needs one that the authority issued (CA:FALSE)"
                .to_string()
        }
        other if format!("{other:?}").contains("UnsupportedCertVersion") => {
            "the broker's certificate is of version 1, without names; \
             make one with extensions (subjectAltName)"
                .to_string()
        }
        other => format!("the broker's certificate cannot be used: {other}"),
    }
}

fn unknown_issuer(context: &Context) -> String {
    match context {
        Context { refused: Issuer { is_itself: true, .. }, .. } => {
            "the broker's certificate is signed by itself and not among the trusted ones"
                .to_string()
        }
        Context { refused: Issuer { name: Some(name), .. }, .. } => {
            format!(
                "the broker's certificate was issued by {name:?}, which is not a trusted authority"
            )
        }
        _ => "the broker's certificate was issued by an authority that is not trusted".to_string(),
    }
}

/// A few names of a certificate, which may have hundreds.
fn names(presented: &[String]) -> String {
    const SHOWN: usize = 4;
    let bare = |name: &String| {
        // rustls writes DnsName("a") and IpAddress(1.2.3.4).
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        let inner = inner.unwrap_or(name).trim_matches('"');
        inner.chars().filter(|c| !c.is_control()).take(100).collect::<String>()
    };
    let shown: Vec<String> = presented.iter().take(SHOWN).map(bare).collect();
    match presented.len() {
        n if n > SHOWN => format!("{} and {} more", shown.join(", "), n - SHOWN),
        _ => shown.join(", "),
    }
}

/// What the broker says of us.
fn of_alert(alert: AlertDescription, has_identity: bool) -> (Cause, String) {
    use AlertDescription as A;
    let text = match alert {
        A::CertificateRequired => "the broker wants a client certificate",
        A::HandshakeFailure | A::BadCertificate if !has_identity => {
            "the broker broke off the handshake; perhaps it wants a client certificate"
        }
        A::UnknownCA if has_identity => {
            "the broker does not trust the authority that issued our certificate"
        }
        A::CertificateExpired => "the broker says that our certificate has expired",
        A::CertificateRevoked => "the broker says that our certificate was revoked",
        A::BadCertificate | A::CertificateUnknown | A::UnsupportedCertificate if has_identity => {
            "the broker does not accept our certificate"
        }
        A::AccessDenied => "the broker denies us access",
        A::DecryptError if has_identity => "the broker does not accept the signature of our key",
        A::UnrecognisedName => "the broker does not know the server name we ask for",
        A::NoApplicationProtocol => "the broker speaks none of the application protocols (ALPN)",
        A::ProtocolVersion => "the broker speaks only older versions of TLS",
        other => {
            let name = other.as_str().map_or_else(|| u8::from(other).to_string(), str::to_string);
            return (Cause::Tls, format!("the broker broke off TLS, alert {name}"));
        }
    };
    let about_us =
        !matches!(alert, A::UnrecognisedName | A::NoApplicationProtocol | A::ProtocolVersion);
    (if about_us { Cause::Denied } else { Cause::Tls }, text.to_string())
}

/// Day and minute in UTC.
fn date(time: UnixTime) -> String {
    let minutes = time.as_secs() / 60;
    let (days, minute) = (minutes / 1440, minutes % 1440);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", minute / 60, minute % 60)
}

/// Year, month and day of the Gregorian calendar, so many days after 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years that begin in March have the leap day at their end; 400 of them have 146 097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, date)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_825_599, "2000-02-29 11:59 UTC"),
            (1_795_198_859, "2026-11-20 18:20 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            assert_eq!(date(time), text);
        }
    }

    #[test]
    fn names_in_the_words_of_rustls() {
        let presented = |n: usize| (0..n).map(|n| format!("DnsName(\"h{n}\")")).collect::<Vec<_>>();
        assert_eq!(names(&presented(2)), "h0, h1");
        assert_eq!(names(&presented(9)), "h0, h1, h2, h3 and 5 more");
        assert_eq!(names(&["IpAddress(127.0.0.1)".to_string()]), "127.0.0.1");
    }

    #[test]
    fn what_is_no_tls_is_not_tls() {
        let plain = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(explain(&plain, &Context::default()), (Cause::Reset, None));
        let alert = Error::AlertReceived(AlertDescription::InternalError);
        let (cause, text) = explain(&io::Error::other(alert), &Context::default());
        assert_eq!(cause, Cause::Tls);
        assert_eq!(text.as_deref(), Some("the broker broke off TLS, alert InternalError"));
    }
}
