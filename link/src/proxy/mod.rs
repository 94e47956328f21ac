//! Ways through a proxy: HTTP CONNECT [RFC 9110, 9.3.6] and SOCKS5 [RFC 1928].
//!
//! The proxy is asked for the broker by its name, so that no name server is needed on this side. What
//! goes through is what would go over TCP: with TLS above, the proxy sees nothing of it.

mod http;
mod socks;

use std::fmt;
use std::str::FromStr;
use std::string::{String, ToString};
use std::vec::Vec;

use everlink_proto::engine::{Cause, Fault, Step};
use tokio::net::TcpStream;

use crate::endpoint::{Endpoint, EndpointError};
use crate::url::{UrlError, credentials};
use crate::words::Words;

/// The port of a SOCKS proxy.
const SOCKS_PORT: u16 = 1080;

/// A proxy: `http://[user[:password]@]host:port` or `socks5://[user[:password]@]host[:port]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    endpoint: Endpoint,
    credentials: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Socks5,
}

/// What is wrong with the address of a proxy. It repeats nothing of the text but the scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyError {
    /// Not the scheme of a proxy that is supported.
    Scheme(String),
    /// Host or port are wrong.
    Endpoint(EndpointError),
    /// User name or password are wrong.
    Credentials(UrlError),
    /// A SOCKS proxy takes at most 255 bytes of each, and an HTTP proxy no colon in the user name.
    LongCredentials,
    /// There is something behind the host.
    Path,
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme(scheme) => {
                write!(f, "{scheme:?} is no proxy; write http://HOST:PORT or socks5://HOST[:PORT]")
            }
            Self::Endpoint(error) => error.fmt(f),
            Self::Credentials(error) => error.fmt(f),
            Self::LongCredentials => {
                f.write_str("no proxy of this kind can be told this user name or password")
            }
            Self::Path => f.write_str("a proxy has a host and a port, and nothing behind"),
        }
    }
}

impl std::error::Error for ProxyError {}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let (kind, port) = match scheme.to_ascii_lowercase().as_str() {
            // There is no usual port; 0 is none.
            "http" => (Kind::Http, 0),
            "socks5" | "socks5h" => (Kind::Socks5, SOCKS_PORT),
            other => return Err(ProxyError::Scheme(other.to_string())),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user_info, host) = match rest.rsplit_once('@') {
            Some((user_info, host)) => (Some(user_info), host),
            None => (None, rest),
        };
        if host.contains(['/', '?', '#']) {
            return Err(ProxyError::Path);
        }
        let endpoint = Endpoint::parse(host, port).map_err(ProxyError::Endpoint)?;
        if endpoint.port == 0 {
            return Err(ProxyError::Endpoint(EndpointError::BadPort));
        }
        let given = user_info.map(credentials).transpose().map_err(ProxyError::Credentials)?;
        let credentials = match given {
            Some((None, None)) | None => None,
            Some((user, password)) => {
                Some((user.unwrap_or_default().into_bytes(), password.unwrap_or_default()))
            }
        };
        let fits = match (&credentials, kind) {
            (None, _) => true,
            (Some((user, _)), Kind::Http) => !user.contains(&b':'),
            // [RFC 1929, 2] lengths are one byte, and not 0.
            (Some((user, password)), Kind::Socks5) => {
                (1..=255).contains(&user.len()) && (1..=255).contains(&password.len())
            }
        };
        if fits {
            Ok(Self { kind, endpoint, credentials })
        } else {
            Err(ProxyError::LongCredentials)
        }
    }
}

impl fmt::Display for Proxy {
    /// Without user name and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::Http => "http",
            Kind::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}", self.endpoint)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl Proxy {
    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks over `stream`, which leads to the proxy, for a way to `broker`. Afterwards the stream
    /// leads there. Cancel-safe in that the stream must then be dropped.
    pub(crate) async fn tunnel(
        &self,
        stream: &mut TcpStream,
        broker: &Endpoint,
        words: &Words,
    ) -> Result<(), Fault> {
        let broker = Endpoint {
            // The zone of an IPv6 address means nothing elsewhere.
            host: broker.host.split('%').next().unwrap_or_default().to_string(),
            port: broker.port,
        };
        let credentials = self.credentials.as_ref().map(|(user, pw)| (&user[..], &pw[..]));
        let done = match self.kind {
            Kind::Http => http::connect(stream, &broker, credentials).await,
            Kind::Socks5 => socks::connect(stream, &broker, credentials).await,
        };
        done.map_err(|(cause, line)| {
            if let Some(line) = line {
                words.say(cause, &line);
            }
            Fault::new(Step::Proxy, cause)
        })
    }
}

/// Cause, and one line unless the cause says it all.
type Refusal = (Cause, Option<String>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, shown) in [
            ("http://gate:3128", "http://gate:3128"),
            ("HTTP://a:b@[::1]:80/", "http://[::1]:80"),
            ("socks5://gate", "socks5://gate:1080"),
            ("socks5h://u:p%40@gate:9", "socks5://gate:9"),
        ] {
            let proxy = text.parse::<Proxy>().unwrap();
            assert_eq!(
                (proxy.to_string(), format!("{proxy:?}")),
                (shown.into(), format!("Proxy({shown})"))
            );
        }
        let error = |text: &str| text.parse::<Proxy>().unwrap_err();
        assert_eq!(error("gate:3128"), ProxyError::Scheme(String::new()));
        assert_eq!(error("https://gate:1"), ProxyError::Scheme("https".into()));
        assert_eq!(error("http://gate"), ProxyError::Endpoint(EndpointError::BadPort));
        assert_eq!(error("socks5://"), ProxyError::Endpoint(EndpointError::NoHost));
        assert_eq!(error("http://gate:1/path"), ProxyError::Path);
        assert_eq!(error("socks5://u@gate"), ProxyError::LongCredentials);
        let long = "x".repeat(256);
        assert_eq!(error(&format!("socks5://u:{long}@gate")), ProxyError::LongCredentials);
        assert_eq!(error("http://a%3Ab:c@gate:1"), ProxyError::LongCredentials);
        assert!(!format!("{:?}", error("http://a:hunter2%@gate:1")).contains("hunter2"));
    }
}
