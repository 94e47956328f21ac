//! TLS over an open connection.

use std::boxed::Box;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::string::{String, ToString};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll};

use everlink_proto::engine::{Cause, Fault, Step};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::explain::{Context, explain};
use super::verify::{Anybody, Checked, Issuer};
use super::{Tls, TlsError, TlsFacts, Trust, provider};
use crate::road::Wire;
use crate::words::Words;

/// Asked before each attempt for other options; `None` keeps the present ones.
pub(crate) type Refresh = Box<dyn FnMut() -> Result<Option<Tls>, TlsError> + Send>;

/// How many brokers' session tickets are kept.
const TICKETS: usize = 32;

/// TLS for all endpoints of one link.
#[derive(Default)]
pub(crate) struct TlsLayer {
    options: Tls,
    refresh: Option<Refresh>,
    ready: Option<Ready>,
}

/// What the options came to. Session tickets live in the configuration: a resumed session is as good
/// as its first handshake, so other options begin without tickets.
struct Ready {
    config: Arc<ClientConfig>,
    refused: Arc<Mutex<Issuer>>,
}

impl fmt::Debug for TlsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsLayer").field("options", &self.options).finish_non_exhaustive()
    }
}

impl TlsLayer {
    /// Other options, which begin without tickets.
    pub(crate) fn replace(&mut self, options: Tls) {
        (self.options, self.ready) = (options, None);
    }

    pub(crate) fn refresh_with(&mut self, refresh: Refresh) {
        self.refresh = Some(refresh);
    }

    /// Shakes hands over `stream` with the broker at `host`. Cancel-safe: dropping it drops the stream.
    pub(crate) async fn open(
        &mut self,
        stream: TcpStream,
        host: &str,
        words: &Words,
    ) -> Result<TlsWire, Fault> {
        let failed = |cause, line: &str| {
            words.say(cause, line);
            Fault::new(Step::Tls, cause)
        };
        self.refresh().map_err(|error| failed(Cause::Tls, &error.to_string()))?;
        let name = match &self.options.server_name {
            Some(name) => name.clone(),
            None => server_name(host)
                .ok_or_else(|| failed(Cause::Tls, "the host cannot be a name in a certificate"))?,
        };
        let has_identity = self.options.identity.is_some();
        let ready = match self.ready.take() {
            Some(ready) => self.ready.insert(ready),
            None => {
                self.ready.insert(Ready::new(&self.options).map_err(|e| failed(Cause::Tls, &e))?)
            }
        };
        let connector = TlsConnector::from(Arc::clone(&ready.config));
        let shaken = connector.connect(name, stream).await;
        let context = ready.context(has_identity);
        match shaken {
            Ok(stream) => Ok(TlsWire { stream, context, words: words.clone() }),
            Err(error) => {
                let (cause, line) = explain(&error, &context);
                if cause == Cause::Tls && matches!(self.options.trust, Trust::System) {
                    // The system may know better the next time: authorities are updated.
                    self.ready = None;
                }
                let line = line.or_else(|| silent_end(cause));
                if let Some(line) = line {
                    words.say(cause, &line);
                }
                Err(Fault::new(Step::Tls, cause))
            }
        }
    }

    fn refresh(&mut self) -> Result<(), TlsError> {
        if let Some(refresh) = &mut self.refresh
            && let Some(options) = refresh()?
        {
            self.replace(options);
        }
        Ok(())
    }
}

/// A connection that is protected.
#[derive(Debug)]
pub(crate) struct TlsWire {
    stream: TlsStream<TcpStream>,
    context: Context,
    words: Words,
}

impl TlsWire {
    pub(crate) fn facts(&self) -> TlsFacts {
        TlsFacts::of(self.stream.get_ref().1)
    }
}

impl Wire for TlsWire {
    /// With TLS 1.3, what the broker thinks of our certificate comes when all seems well.
    fn cause(&self, error: &io::Error) -> Cause {
        let (cause, line) = explain(error, &self.context);
        if let Some(line) = line {
            self.words.say(cause, &line);
        }
        cause
    }

    fn forget(&mut self) {
        self.stream.get_mut().0.forget();
    }
}

impl AsyncRead for TlsWire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for TlsWire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A broker without TLS on its port closes as soon as it sees the first message.
fn silent_end(cause: Cause) -> Option<String> {
    let words =
        "the peer closed the connection during the handshake; perhaps there is no TLS on this port";
    matches!(cause, Cause::Eof | Cause::Reset).then(|| words.to_string())
}

/// The name that is asked for. The zone of an IPv6 address is our own affair.
fn server_name(host: &str) -> Option<ServerName<'static>> {
    let host = host.split('%').next().unwrap_or(host);
    // [RFC 6066, 3] without the dot that ends it.
    let host = host.strip_suffix('.').unwrap_or(host);
    ServerName::try_from(host.to_string()).ok()
}

impl Ready {
    fn new(options: &Tls) -> Result<Self, String> {
        let refused = Arc::new(Mutex::new(Issuer::default()));
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous();
        let builder = match &options.trust {
            Trust::Anybody => {
                builder.with_custom_certificate_verifier(Arc::new(Anybody(provider())))
            }
            trust => {
                let roots = match trust {
                    Trust::Only(roots) => Arc::clone(roots),
                    _ => system_roots(),
                };
                let checked = checked(roots, &refused)?;
                builder.with_custom_certificate_verifier(Arc::new(checked))
            }
        };
        let mut config = match &options.identity {
            Some(identity) => {
                let identity = SingleCertAndKey::from(identity.as_ref().clone());
                builder.with_client_cert_resolver(Arc::new(identity))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = options.protocols.clone();
        config.resumption = Resumption::in_memory_sessions(TICKETS);
        Ok(Self { config: Arc::new(config), refused })
    }

    fn context(&self, has_identity: bool) -> Context {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Context { has_identity, refused }
    }
}

fn checked(roots: Arc<RootCertStore>, refused: &Arc<Mutex<Issuer>>) -> Result<Checked, String> {
    if roots.is_empty() {
        return Err("no authority is trusted: the system has no certificates of authorities".into());
    }
    let inner = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
    Ok(Checked::new(inner.map_err(|error| error.to_string())?, Arc::clone(refused)))
}

/// What the system trusts. Single certificates that rustls does not understand are left out, as the
/// system has many.
fn system_roots() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
}
