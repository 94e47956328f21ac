//! `mqtt://[user[:password]@]host[:port][/path]`, and the other [roads](crate::road).

use std::fmt;
use std::str::FromStr;
use std::string::{String, ToString};
use std::vec::Vec;

use crate::endpoint::{
    Endpoint, EndpointError, HTTP_PORT, HTTPS_PORT, MQTT_PORT, MQTTS_PORT, MQTTSN_PORT,
};
use crate::road::{Road, SerialPort, WEBSOCKET_PATH};

/// Where a broker is and who we are, as written in one line.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Over what the broker is reached.
    pub road: Road,
    /// User Name, percent-decoded.
    pub user: Option<String>,
    /// Password, percent-decoded; any bytes, as in MQTT.
    pub password: Option<Vec<u8>>,
    /// What follows the first slash after the host, undecoded; empty if there is nothing, or if the
    /// road has a use for it. MQTT has none; a command line may take it for a Topic Name.
    pub path: String,
}

/// What is wrong with a URL. It repeats nothing of the text but the scheme, so that no password
/// ends in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// A way to reach a broker that this build does not offer.
    NotSupported(String),
    /// Not a scheme that leads to a broker.
    UnknownScheme(String),
    /// Host or port are wrong.
    Endpoint(EndpointError),
    /// A percent sign in the user name or password is not followed by two hexadecimal digits.
    BadPercent,
    /// The user name is not UTF-8, or holds the character U+0000.
    BadUser,
    /// A socket or device needs a path, and no host.
    NoPath(&'static str),
    /// The path cannot be one.
    BadPath,
    /// A setting of a serial line that means nothing.
    BadSetting(String),
    /// A setting of a modem that means nothing, or that is missing.
    BadModem(String),
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSupported(scheme) => {
                write!(f, "{scheme}:// is not supported in this build")
            }
            Self::UnknownScheme(scheme) => {
                write!(f, "unknown scheme {scheme}://; write mqtt://HOST[:PORT]")
            }
            Self::Endpoint(error) => error.fmt(f),
            Self::BadPercent => f.write_str("a '%' in user name or password must be written %25"),
            Self::BadUser => f.write_str("the user name is not valid UTF-8 text"),
            Self::NoPath(scheme) => {
                write!(f, "a path is wanted behind three slashes: {scheme}:///PATH")
            }
            Self::BadPath => f.write_str("the path holds what no path can hold"),
            Self::BadModem(part) if part == "to=" => {
                f.write_str("the broker is missing: esp-at:///DEVICE?to=mqtt://HOST")
            }
            Self::BadModem(part) if part == "tls=" => {
                f.write_str("tls= goes with to=mqtts://HOST, not with mqtt://")
            }
            Self::BadModem(part) => write!(
                f,
                "{part:?} is no setting of a modem; known are to=mqtt://HOST (or mqtts://), networks=FILE, \
                 tls=verified|mutual|unverified, reset=rts|dtr|/PROGRAM, stable=SECONDS, baud=N and \
                 flow=none|hardware"
            ),
            Self::BadSetting(part) => {
                write!(
                    f,
                    "{part:?} is no setting of a serial line; known are baud=N, flow=none and flow=hardware"
                )
            }
        }
    }
}

impl std::error::Error for UrlError {}

impl From<EndpointError> for UrlError {
    fn from(error: EndpointError) -> Self {
        Self::Endpoint(error)
    }
}

impl FromStr for Url {
    type Err = UrlError;

    /// Reads `mqtt://` (or `tcp://`), `mqtts://` (or `ssl://`, `tls://`), `mqttsn://`, `ws://`, `wss://`,
    /// `unix:///path` and `serial:///device?baud=N&flow=hardware`, and `host` or `host:port` without
    /// a scheme. The default ports are 1883, 8883, 80 and 443.
    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => (Scheme::of(scheme)?, rest),
            _ => (Scheme::Mqtt, text),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        // The last @, so that one in a password, which ought to be %40, does no harm.
        let (user_info, host) = match authority.rsplit_once('@') {
            Some((user_info, host)) => (Some(user_info), host),
            None => (None, authority),
        };
        #[cfg(feature = "esp-at")]
        if let Scheme::EspAt = scheme {
            return modem(user_info, host, path);
        }
        let road = scheme.road(host, path)?;
        let (user, password) = user_info.map_or(Ok((None, None)), credentials)?;
        let path = match scheme {
            Scheme::Mqtt | Scheme::Mqtts => path.strip_prefix('/').unwrap_or_default().to_string(),
            _ => String::new(),
        };
        Ok(Self { road, user, password, path })
    }
}

#[derive(Clone, Copy)]
enum Scheme {
    Mqtt,
    Mqtts,
    Sn,
    Ws,
    Wss,
    Unix,
    Serial,
    #[cfg(feature = "esp-at")]
    EspAt,
}

impl Scheme {
    fn of(text: &str) -> Result<Self, UrlError> {
        let text = text.to_ascii_lowercase();
        let (scheme, offered) = match text.as_str() {
            "mqtt" | "tcp" => (Self::Mqtt, true),
            "mqtts" | "ssl" | "tls" => (Self::Mqtts, cfg!(feature = "tls")),
            "mqttsn" | "mqtt-sn" => (Self::Sn, cfg!(feature = "tokio")),
            "ws" => (Self::Ws, cfg!(feature = "ws")),
            "wss" => (Self::Wss, cfg!(all(feature = "ws", feature = "tls"))),
            "unix" => (Self::Unix, cfg!(unix)),
            "serial" => (Self::Serial, cfg!(all(unix, feature = "serial"))),
            #[cfg(feature = "esp-at")]
            "esp-at" => (Self::EspAt, cfg!(unix)),
            #[cfg(not(feature = "esp-at"))]
            "esp-at" => return Err(UrlError::NotSupported(text)),
            "udp" | "quic" => return Err(UrlError::NotSupported(text)),
            _ => return Err(UrlError::UnknownScheme(text)),
        };
        if offered { Ok(scheme) } else { Err(UrlError::NotSupported(text)) }
    }

    fn road(self, host: &str, path: &str) -> Result<Road, UrlError> {
        let (tls, port) = match self {
            Self::Mqtt => (false, MQTT_PORT),
            Self::Mqtts => (true, MQTTS_PORT),
            Self::Ws => (false, HTTP_PORT),
            Self::Wss => (true, HTTPS_PORT),
            Self::Sn => return Ok(Road::Sn(Endpoint::parse(host, MQTTSN_PORT)?)),
            Self::Unix => return Ok(Road::Unix(local("unix", host, path)?)),
            #[cfg(feature = "esp-at")]
            Self::EspAt => return Err(UrlError::BadPath),
            Self::Serial => {
                let device = local("serial", host, path)?;
                return Ok(Road::Serial(SerialPort::parse(&device).map_err(UrlError::BadSetting)?));
            }
        };
        let websocket = match self {
            Self::Ws | Self::Wss => Some(target(path)?),
            _ => None,
        };
        Ok(Road::Net { endpoint: Endpoint::parse(host, port)?, tls, websocket })
    }
}

/// A path in the file system.
fn local(scheme: &'static str, host: &str, path: &str) -> Result<String, UrlError> {
    if !host.is_empty() || path.len() < 2 || !path.starts_with('/') {
        return Err(UrlError::NoPath(scheme));
    }
    let path = percent_decode(path).map_err(|_| UrlError::BadPath)?;
    let path = String::from_utf8(path).map_err(|_| UrlError::BadPath)?;
    if path.contains('\0') { Err(UrlError::BadPath) } else { Ok(path) }
}

/// `/dev/ttyUSB0?baud=115200&networks=FILE&to=mqtt://HOST`
#[cfg(feature = "esp-at")]
fn modem(user_info: Option<&str>, host: &str, path: &str) -> Result<Url, UrlError> {
    let (device, query) = path.split_once('?').unwrap_or((path, ""));
    let device = local("esp-at", host, device)?;
    let text = |part: &str| {
        let bytes = percent_decode(part).map_err(|_| UrlError::BadPath)?;
        String::from_utf8(bytes).map_err(|_| UrlError::BadPath)
    };
    let mut settings = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) =
            part.split_once('=').ok_or_else(|| UrlError::BadModem(part.to_string()))?;
        // Who we are is decoded later, with its own rules.
        let value = if name == "to" { value.to_string() } else { text(value)? };
        settings.push((name.to_string(), value));
    }
    let (road, inner) =
        crate::road::ModemRoad::parse(device, &settings).map_err(UrlError::BadModem)?;
    let user_info = user_info.or(inner.as_deref());
    let (user, password) = user_info.map_or(Ok((None, None)), credentials)?;
    Ok(Url { road: Road::EspAt(road.into()), user, password, path: String::new() })
}

/// What an HTTP request asks for.
fn target(path: &str) -> Result<String, UrlError> {
    let path = path.split('#').next().unwrap_or_default();
    if !path.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(UrlError::BadPath);
    }
    Ok(match path {
        "" => WEBSOCKET_PATH.to_string(),
        query if query.starts_with('?') => format!("{WEBSOCKET_PATH}{query}"),
        path => path.to_string(),
    })
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Url")
            .field("road", &self.road)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("path", &self.path)
            .finish()
    }
}

impl fmt::Display for Url {
    /// Without user name and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.road.fmt(f)
    }
}

fn is_scheme(text: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(valid)
}

pub(crate) type Credentials = (Option<String>, Option<Vec<u8>>);

pub(crate) fn credentials(user_info: &str) -> Result<Credentials, UrlError> {
    let (user, password) = match user_info.split_once(':') {
        Some((user, password)) => (user, Some(percent_decode(password)?)),
        None => (user_info, None),
    };
    let user = String::from_utf8(percent_decode(user)?).map_err(|_| UrlError::BadUser)?;
    // [MQTT-1.5.4-2] a UTF-8 string of MQTT cannot hold U+0000.
    if user.contains('\0') {
        return Err(UrlError::BadUser);
    }
    Ok((Some(user).filter(|user| !user.is_empty()), password))
}

fn percent_decode(text: &str) -> Result<Vec<u8>, UrlError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => decoded.push((high * 16 + low) as u8),
            _ => return Err(UrlError::BadPercent),
        }
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn error(text: &str) -> UrlError {
        text.parse::<Url>().expect_err(text)
    }

    #[test]
    fn host_and_port_with_or_without_scheme() {
        for text in ["mqtt://shed:7", "tcp://shed:7", "MQTT://shed:7/", "shed:7", "shed:7?x=1"] {
            assert_eq!(url(text).to_string(), "mqtt://shed:7", "{text}");
        }
        assert_eq!(url("shed").to_string(), "mqtt://shed:1883");
        assert_eq!(url("mqtt://[::1]").to_string(), "mqtt://[::1]:1883");
        assert_eq!((url("shed").user, url("shed").password), (None, None));
    }

    #[test]
    fn credentials_are_decoded() {
        let u = url("mqtt://al%20ice:p%40s%3As%ff@shed");
        assert_eq!(u.user.as_deref(), Some("al ice"));
        assert_eq!(u.password.as_deref(), Some(&b"p@s:s\xff"[..]));
        let u = url("mqtt://alice@shed:1");
        assert_eq!((u.user.as_deref(), u.password), (Some("alice"), None));
        let u = url("mqtt://:secret@shed");
        assert_eq!((u.user, u.password.as_deref()), (None, Some(&b"secret"[..])));
        let u = url("mqtt://alice:@shed");
        assert_eq!(u.password.as_deref(), Some(&b""[..]));
        let u = url("mqtt://alice:p@ss:w@shed");
        assert_eq!(u.password.as_deref(), Some(&b"p@ss:w"[..]));
    }

    #[test]
    fn the_path_is_kept_as_written() {
        assert_eq!(url("mqtt://shed/a/%20/#").path, "a/%20/#");
        assert_eq!(url("mqtt://shed").path, "");
        assert_eq!(url("mqtt://shed/").path, "");
    }

    #[test]
    #[cfg(all(unix, feature = "tls", feature = "ws", feature = "serial"))]
    fn every_road() {
        for (text, shown) in [
            ("mqtts://shed", "mqtts://shed:8883"),
            ("SSL://shed:1/topic", "mqtts://shed:1"),
            ("tls://[::1]", "mqtts://[::1]:8883"),
            ("mqttsn://shed", "mqttsn://shed:10000"),
            ("mqtt-sn://[::1]:7", "mqttsn://[::1]:7"),
            ("ws://shed", "ws://shed:80/mqtt"),
            ("ws://shed:7/", "ws://shed:7/"),
            ("wss://shed/a?b=c#d", "wss://shed:443/a?b=c"),
            ("wss://shed?b=c", "wss://shed:443/mqtt?b=c"),
            ("unix:///run/a%20b.sock", "unix:///run/a b.sock"),
            ("serial:///dev/ttyS0", "serial:///dev/ttyS0?baud=115200"),
            (
                "serial:///dev/ttyS0?baud=9600&flow=rtscts",
                "serial:///dev/ttyS0?baud=9600&flow=hardware",
            ),
        ] {
            assert_eq!(url(text).to_string(), shown, "{text}");
        }
        assert_eq!(url("ws://shed/a").path, "");
        let u = url("unix://alice:secret@/run/sock");
        assert_eq!(
            (u.user.as_deref(), u.password.as_deref()),
            (Some("alice"), Some(&b"secret"[..]))
        );
        assert_eq!(error("unix://run/sock"), UrlError::NoPath("unix"));
        assert_eq!(error("unix:///"), UrlError::NoPath("unix"));
        assert_eq!(error("unix:///a%00"), UrlError::BadPath);
        assert_eq!(error("serial://"), UrlError::NoPath("serial"));
        assert_eq!(error("serial:///dev/ttyS0?baud=0"), UrlError::BadSetting("baud=0".into()));
        assert_eq!(error("serial:///dev/ttyS0?fish"), UrlError::BadSetting("fish".into()));
        assert_eq!(error("ws://shed/a b"), UrlError::BadPath);
        assert_eq!(error("wss://"), UrlError::Endpoint(EndpointError::NoHost));
    }

    #[test]
    #[cfg(all(unix, feature = "esp-at"))]
    fn a_modem_and_what_lies_behind_it() {
        use crate::modem::ModemTls;
        use crate::road::ModemReset;

        let u = url(
            "esp-at:///dev/ttyUSB0?baud=921600&flow=hardware&networks=/etc/a%26b&reset=rts&stable=5\
             &to=mqtts://alice:s%26cret@shed",
        );
        let Road::EspAt(road) = &u.road else { panic!("{u}") };
        assert_eq!(
            u.to_string(),
            "esp-at:///dev/ttyUSB0?baud=921600&flow=hardware&networks=/etc/a%26b&reset=rts&stable=5\
             &to=mqtts://shed:8883"
        );
        assert_eq!(url(&u.to_string()).road, u.road);
        assert_eq!(
            (u.user.as_deref(), u.password.as_deref()),
            (Some("alice"), Some(&b"s&cret"[..]))
        );
        assert_eq!(road.networks.as_deref(), Some("/etc/a&b"));
        assert_eq!((&road.reset, road.tls), (&ModemReset::Rts, ModemTls::Verified));
        assert_eq!(road.stable, core::time::Duration::from_secs(5));
        // What stands before the device comes first.
        let u = url("esp-at://bob@/dev/ttyUSB0?tls=unverified&to=mqtts://alice:x@shed/");
        assert_eq!((u.user.as_deref(), u.password), (Some("bob"), None));
        assert!(matches!(u.road, Road::EspAt(road) if road.tls == ModemTls::Unverified));
        let u = url("esp-at:///dev/ttyUSB0?reset=/usr/bin/pull&to=shed");
        let whole = "esp-at:///dev/ttyUSB0?baud=115200&reset=/usr/bin/pull&to=mqtt://shed:1883";
        assert_eq!(u.to_string(), whole);

        for (text, part) in [
            ("esp-at:///dev/ttyUSB0", "to="),
            ("esp-at:///dev/ttyUSB0?to=ws://shed", "to=..."),
            ("esp-at:///dev/ttyUSB0?to=mqtt://a:hunter2@", "to=..."),
            ("esp-at:///dev/ttyUSB0?baud=x&to=shed", "baud=x"),
            ("esp-at:///dev/ttyUSB0?tls=maybe&to=shed", "tls=maybe"),
            ("esp-at:///dev/ttyUSB0?reset=pull&to=shed", "reset=pull"),
            ("esp-at:///dev/ttyUSB0?stable=-1&to=shed", "stable=-1"),
            ("esp-at:///dev/ttyUSB0?ssid=shed&to=shed", "ssid=shed"),
            ("esp-at:///dev/ttyUSB0?fish&to=shed", "fish"),
            // Only TLS can be verified.
            ("esp-at:///dev/ttyUSB0?tls=verified&to=mqtt://shed", "tls="),
        ] {
            assert_eq!(error(text), UrlError::BadModem(part.into()), "{text}");
        }
        assert_eq!(error("esp-at://dev/ttyUSB0?to=shed"), UrlError::NoPath("esp-at"));
    }

    #[test]
    fn wrong_ones_are_named() {
        assert_eq!(error("UDP://shed"), UrlError::NotSupported("udp".into()));
        assert_eq!(error("http://shed"), UrlError::UnknownScheme("http".into()));
        assert_eq!(error(""), UrlError::Endpoint(EndpointError::NoHost));
        assert_eq!(error("mqtt://"), UrlError::Endpoint(EndpointError::NoHost));
        assert_eq!(error("mqtt://user@"), UrlError::Endpoint(EndpointError::NoHost));
        assert_eq!(error("mqtt://shed:x"), UrlError::Endpoint(EndpointError::BadPort));
        assert_eq!(error("://shed"), UrlError::Endpoint(EndpointError::BadPort));
        assert_eq!(error("mqtt://a%2:b@shed"), UrlError::BadPercent);
        assert_eq!(error("mqtt://a%zz@shed"), UrlError::BadPercent);
        assert_eq!(error("mqtt://%ff@shed"), UrlError::BadUser);
        assert_eq!(error("mqtt://%00@shed"), UrlError::BadUser);
    }

    #[test]
    fn nothing_shows_the_password() {
        let u = url("mqtt://alice:hunter2@shed");
        assert!(!format!("{u:?} {u}").contains("hunter2"));
        assert!(format!("{u:?}").contains("***"));
        for text in
            ["mqtt://alice:hunter2@", "mqtt://alice:hunter2/x@shed", "mqtt://a:hunter2%@shed"]
        {
            let e = error(text);
            assert!(!format!("{e:?} {e}").contains("hunter2"), "{text}: {e:?}");
        }
    }
}
