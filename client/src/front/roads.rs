//! The roads to the brokers, as the builder is told of them.

use std::fmt;

use everlink_link::tcp::TcpOptions;
#[cfg(feature = "tls")]
use everlink_link::tls::{Tls, TlsError};
use everlink_link::{Road, RoadLink, Url};

use super::builder::{BuildError, Builder};
use super::connect::{ConnectOptions, Credentials};

#[cfg(feature = "tls")]
type RefreshTls = Box<dyn FnMut() -> Result<Option<Tls>, TlsError> + Send>;

/// Where the brokers are and how to get there.
#[derive(Default)]
pub(crate) struct Roads {
    urls: Vec<String>,
    tcp: TcpOptions,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    #[cfg(feature = "tls")]
    refresh_tls: Option<RefreshTls>,
    #[cfg(feature = "proxy")]
    proxy: Option<String>,
    #[cfg(feature = "ws")]
    headers: Vec<String>,
}

impl fmt::Debug for Roads {
    /// Without the addresses: they may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roads").field("tcp", &self.tcp).finish_non_exhaustive()
    }
}

impl Roads {
    pub(crate) fn new(url: String) -> Self {
        Self { urls: vec![url], ..Self::default() }
    }
}

impl Builder {
    /// A further broker, tried when those before it cannot be reached. The first is the first choice: when
    /// it can be reached again the session [goes back](Self::return_after) there. The session itself moves
    /// along only if the brokers share it; else what was under way starts anew.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.roads.urls.push(url.into());
        self
    }

    /// How TCP connections are made.
    pub fn tcp(mut self, options: TcpOptions) -> Self {
        self.roads.tcp = options;
        self
    }

    /// How TLS is spoken with brokers at `mqtts://` and `wss://`. Without this they must show a
    /// certificate that the system's authorities vouch for.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, options: Tls) -> Self {
        self.roads.tls = Some(options);
        self
    }

    /// Asks before each TLS handshake for other options, for certificates and keys that are replaced
    /// while the client runs; [`TlsFiles::changed`](crate::TlsFiles::changed) does that for files.
    /// `None` keeps the present ones. An error fails that attempt, and is its fault's
    /// [explanation](crate::Client::explain). Must be quick.
    #[cfg(feature = "tls")]
    pub fn refresh_tls(
        mut self,
        refresh: impl FnMut() -> Result<Option<Tls>, TlsError> + Send + 'static,
    ) -> Self {
        self.roads.refresh_tls = Some(Box::new(refresh));
        self
    }

    /// Goes through a proxy to brokers on the network: `http://[user[:password]@]host:port` or
    /// `socks5://[user[:password]@]host[:port]`. It is asked for the broker by name. No environment
    /// variable is looked at.
    #[cfg(feature = "proxy")]
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.roads.proxy = Some(url.into());
        self
    }

    /// Sends a header, written `Name: value`, with each WebSocket request besides those it must have.
    /// May be called several times.
    #[cfg(feature = "ws")]
    pub fn websocket_header(mut self, header: impl Into<String>) -> Self {
        self.roads.headers.push(header.into());
        self
    }
}

impl Roads {
    /// The link. Credentials in a URL take second place.
    pub(crate) fn link(self, options: &mut ConnectOptions) -> Result<RoadLink, BuildError> {
        let mut roads = Vec::with_capacity(self.urls.len());
        for url in &self.urls {
            if url.is_empty() {
                return Err(BuildError::NoBroker);
            }
            let url: Url = url.parse()?;
            if options.credentials == Credentials::default() {
                options.credentials = Credentials { username: url.user, password: url.password };
            }
            roads.push(url.road);
        }
        #[cfg(feature = "modem")]
        warn_of_modems(&roads);
        let has_tls = roads.iter().any(Road::is_tls);
        let link = RoadLink::new(roads, self.tcp);
        #[cfg(feature = "tls")]
        let link = tls(link, has_tls, self.tls, self.refresh_tls)?;
        #[cfg(not(feature = "tls"))]
        let _ = has_tls;
        #[cfg(feature = "proxy")]
        let link = match self.proxy {
            Some(proxy) => link.proxy(proxy.parse().map_err(BuildError::Proxy)?),
            None => link,
        };
        #[cfg(feature = "ws")]
        let link = self.headers.iter().try_fold(link, |link, header| {
            Ok::<_, BuildError>(link.websocket_header(header.parse()?))
        })?;
        Ok(link)
    }
}

#[cfg(feature = "modem")]
fn warn_of_modems(roads: &[Road]) {
    let believes = |r: &Road| matches!(r, Road::EspAt(r) if r.tls == everlink_link::modem::ModemTls::Unverified);
    if roads.iter().any(believes) {
        tracing::warn!("tls=unverified: the module takes anybody for the broker");
    }
}

#[cfg(feature = "tls")]
fn tls(
    mut link: RoadLink,
    has_tls: bool,
    options: Option<Tls>,
    refresh: Option<RefreshTls>,
) -> Result<RoadLink, BuildError> {
    if !has_tls && (options.is_some() || refresh.is_some()) {
        return Err(BuildError::NoTls);
    }
    if let Some(options) = options {
        if options.accepts_any_certificate() {
            tracing::warn!(
                "TLS accepts any certificate: whoever is in between can read everything"
            );
        }
        link = link.tls(options);
    }
    Ok(match refresh {
        Some(refresh) => link.refresh_tls(refresh),
        None => link,
    })
}
