//! A server's name and port.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::string::{String, ToString};

/// The port of MQTT without TLS.
pub const MQTT_PORT: u16 = 1883;
/// The port of MQTT over TLS.
pub const MQTTS_PORT: u16 = 8883;

/// The port that MQTT-SN gateways listen at by custom.
pub const MQTTSN_PORT: u16 = 10_000;

/// The port of HTTP, and of WebSockets.
pub const HTTP_PORT: u16 = 80;
/// The port of HTTPS, and of WebSockets over TLS.
pub const HTTPS_PORT: u16 = 443;

/// A server: host name, IPv4 or IPv6 address, and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Host name or address; an IPv6 address is without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// What is wrong with a `host[:port]`. It repeats nothing of the text, which may hold a secret that
/// was cut in the wrong place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointError {
    /// There is no host.
    NoHost,
    /// This cannot be a host name or an address.
    BadHost,
    /// The port is not a number from 1 to 65535.
    BadPort,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHost => "the host is missing",
            Self::BadHost => "not a valid host name or address",
            Self::BadPort => "the port must be a number from 1 to 65535",
        })
    }
}

impl std::error::Error for EndpointError {}

impl Endpoint {
    /// A server by its name or address; an IPv6 address may be in brackets. The port is not
    /// checked: with 0, every attempt fails.
    pub fn new(host: &str, port: u16) -> Result<Self, EndpointError> {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host = match bare {
            Some(address) => ipv6(address)?,
            None if host.contains(':') => ipv6(host)?,
            None => name(host)?,
        };
        Ok(Self { host, port })
    }

    /// Reads `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, EndpointError> {
        let (host, port) = split_port(text)?;
        let port = match port {
            Some(digits) => port_number(digits)?,
            None => default_port,
        };
        Self::new(host, port)
    }

    /// The address, if the host is one and needs no look-up.
    pub fn literal(&self) -> Option<SocketAddr> {
        let ip = self.host.parse::<IpAddr>().ok()?;
        Some(SocketAddr::new(ip, self.port))
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// [`Endpoint::parse`] with [`MQTT_PORT`].
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::parse(text, MQTT_PORT)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn split_port(text: &str) -> Result<(&str, Option<&str>), EndpointError> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or(EndpointError::BadHost)? + 1;
        let (host, rest) = text.split_at(end);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(EndpointError::BadHost),
        };
    }
    match text.split_once(':') {
        // A second colon: only an address without port can be written so.
        Some((_, rest)) if rest.contains(':') => Ok((text, None)),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

fn port_number(digits: &str) -> Result<u16, EndpointError> {
    // `parse` would take a leading plus sign.
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(EndpointError::BadPort);
    }
    match digits.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(EndpointError::BadPort),
    }
}

/// An IPv6 address, with an optional zone after `%` (or `%25` as URLs have it, RFC 6874).
fn ipv6(text: &str) -> Result<String, EndpointError> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone.strip_prefix("25").unwrap_or(zone))),
        None => (text, None),
    };
    address.parse::<Ipv6Addr>().map_err(|_| EndpointError::BadHost)?;
    match zone {
        None => Ok(address.to_string()),
        Some(zone) if is_name(zone) => Ok(format!("{address}%{zone}")),
        Some(_) => Err(EndpointError::BadHost),
    }
}

/// A host name or IPv4 address. International names must come in their `xn--` form.
fn name(text: &str) -> Result<String, EndpointError> {
    if text.is_empty() {
        return Err(EndpointError::NoHost);
    }
    if text.len() > 253 || !is_name(text) {
        return Err(EndpointError::BadHost);
    }
    Ok(text.to_string())
}

fn is_name(text: &str) -> bool {
    // A leading hyphen is no host name and would be taken for a flag by tools that are handed it.
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    !text.is_empty() && !text.starts_with(['-', '.']) && text.bytes().all(valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, port: u16) -> Result<Endpoint, EndpointError> {
        Ok(Endpoint { host: host.to_string(), port })
    }

    #[test]
    fn host_and_port() {
        for (text, expected) in [
            ("broker.local", endpoint("broker.local", 1883)),
            ("broker.local:8000", endpoint("broker.local", 8000)),
            ("127.0.0.1:1", endpoint("127.0.0.1", 1)),
            ("my_host.", endpoint("my_host.", 1883)),
            ("::1", endpoint("::1", 1883)),
            ("[::1]", endpoint("::1", 1883)),
            ("[fe80::1%eth0]:65535", endpoint("fe80::1%eth0", 65535)),
            ("[fe80::1%25eth0]", endpoint("fe80::1%eth0", 1883)),
            ("", Err(EndpointError::NoHost)),
            (":1883", Err(EndpointError::NoHost)),
            ("[]:1883", Err(EndpointError::BadHost)),
            ("[::1", Err(EndpointError::BadHost)),
            ("[::1]1883", Err(EndpointError::BadHost)),
            ("[broker]:1883", Err(EndpointError::BadHost)),
            ("a:b:c", Err(EndpointError::BadHost)),
            ("two words", Err(EndpointError::BadHost)),
            ("-flag", Err(EndpointError::BadHost)),
            ("bücher.example", Err(EndpointError::BadHost)),
            ("broker:", Err(EndpointError::BadPort)),
            ("broker:0", Err(EndpointError::BadPort)),
            ("broker:+1", Err(EndpointError::BadPort)),
            ("broker:65536", Err(EndpointError::BadPort)),
            ("broker:mqtt", Err(EndpointError::BadPort)),
        ] {
            assert_eq!(text.parse::<Endpoint>(), expected, "{text}");
        }
    }

    #[test]
    fn shown_as_it_is_read() {
        for text in ["broker.local:8000", "127.0.0.1:1", "[::1]:1883", "[fe80::1%eth0]:7"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn literals_need_no_lookup() {
        let literal =
            |text: &str| text.parse::<Endpoint>().unwrap().literal().map(|a| a.to_string());
        assert_eq!(literal("127.0.0.1:7"), Some("127.0.0.1:7".to_string()));
        assert_eq!(literal("[::1]:7"), Some("[::1]:7".to_string()));
        // The zone needs the system's interface table.
        assert_eq!(literal("[fe80::1%eth0]:7"), None);
        assert_eq!(literal("localhost:7"), None);
    }
}
