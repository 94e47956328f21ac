//! What a broker's certificate says, in a line.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use everlink::TlsFacts;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// A certificate that ends sooner is worth a word.
const SOON: i64 = 30;
const DAY: i64 = 24 * 60 * 60;
/// More names than these are only counted.
const NAMES: usize = 3;

/// Version, cipher, protocol; whose certificate it is, from whom, until when.
pub(super) fn describe(facts: &TlsFacts) -> String {
    let version = facts.version.replace("TLSv1_", "TLS 1.");
    let cipher = facts.cipher.trim_start_matches("TLS13_").replace('_', "-");
    let mut words = vec![format!("{version}, {cipher}")];
    words.extend(facts.protocol.as_ref().map(|protocol| format!("ALPN {protocol}")));
    if facts.resumed {
        words.push("resumed".to_owned());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64);
    words.extend(facts.certificates.first().map(|der| certificate(der, now)));
    if facts.certificates.len() > 1 {
        words.push(format!("chain of {}", facts.certificates.len()));
    }
    words.join(", ")
}

fn certificate(der: &[u8], now: i64) -> String {
    let Ok((_, read)) = X509Certificate::from_der(der) else {
        return "a certificate that cannot be read".to_owned();
    };
    let name = |name: &x509_parser::x509::X509Name<'_>| {
        let common = name.iter_common_name().next().and_then(|name| name.as_str().ok());
        common.map_or_else(|| name.to_string(), str::to_owned)
    };
    let end = read.validity().not_after.timestamp();
    let until = DateTime::from_timestamp(end, 0).map(|end| end.format("%Y-%m-%d").to_string());
    let until = until.unwrap_or_else(|| "no date".to_owned());
    let days = (end - now).div_euclid(DAY);
    let left = match days {
        ..0 => "EXPIRED".to_owned(),
        0..SOON => format!("only {days} days left"),
        _ => format!("{days} days"),
    };
    let of = names(&read).unwrap_or_else(|| name(read.subject()));
    let from = if read.subject() == read.issuer() {
        "signed by itself".to_owned()
    } else {
        format!("from {}", name(read.issuer()))
    };
    format!("certificate of {of} {from} until {until} ({left})")
}

/// The names that a client compares: those of Subject Alternative Name.
fn names(read: &X509Certificate<'_>) -> Option<String> {
    let extension = read.subject_alternative_name().ok()??;
    let all: Vec<String> = extension.value.general_names.iter().filter_map(of_host).collect();
    let (first, more) = all.split_at(all.len().min(NAMES));
    let text = first.join(" ");
    match more.len() {
        0 if text.is_empty() => None,
        0 => Some(text),
        more => Some(format!("{text} and {more} more")),
    }
}

fn of_host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).ok().map(std::net::IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(*bytes).ok().map(std::net::IpAddr::from);
            v4.or_else(v6).map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// A certificate for these names that ends on the last day of 2026.
    fn signed(names: &[&str]) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = rcgen::date_time_ymd(2026, 12, 31);
        params.distinguished_name.push(rcgen::DnType::CommonName, "somebody");
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn days_before_the_end(days: i64) -> i64 {
        DateTime::parse_from_rfc3339("2026-12-31T00:00:00Z").unwrap().timestamp() - days * DAY
    }

    #[test]
    fn names_issuer_and_days() {
        let der = signed(&["broker.local", "192.0.2.1"]);
        let says = |days| certificate(&der, days_before_the_end(days));
        let whose = "certificate of broker.local 192.0.2.1 signed by itself until 2026-12-31";
        assert_eq!(says(100), format!("{whose} (100 days)"));
        assert_eq!(says(29), format!("{whose} (only 29 days left)"));
        assert_eq!(says(-1), format!("{whose} (EXPIRED)"));
    }

    #[test]
    fn many_names_are_counted_and_none_is_the_subject() {
        let now = days_before_the_end(50);
        let many = certificate(&signed(&["a.b", "c.d", "e.f", "g.h", "i.j"]), now);
        assert!(many.contains("of a.b c.d e.f and 2 more signed"), "{many}");
        let none = certificate(&signed(&[]), now);
        assert!(none.contains("of somebody signed"), "{none}");
    }

    #[test]
    fn what_is_no_certificate() {
        assert_eq!(certificate(b"nonsense", 0), "a certificate that cannot be read");
        let der = signed(&["a.b"]);
        for len in 0..der.len() {
            certificate(&der[..len], 0);
        }
    }
}
