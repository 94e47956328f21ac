//! The link over any road: layers, each on top of the one below.

use std::vec::Vec;

use everlink_proto::engine::{Cause, Fault, Step};

use super::Road;
use super::pipe::{Kind, RoadPipe, StreamPipe};
use crate::endpoint::{Endpoint, MQTT_PORT, MQTTS_PORT};
use crate::tcp::{TcpOptions, TcpPipe};
#[cfg(feature = "tls")]
use crate::tls::{Tls, TlsError, TlsLayer};
use crate::words::reason;
use crate::{Link, Progress, TcpLink, Words};

/// A link to one of a list of brokers, each over a [road](Road) of its own.
///
/// Each stage of opening shows in [`Progress`], and the one that fails is in the fault; what a fault
/// cannot hold is in [`words`](Link::words). Futures are `Send` and need a tokio runtime with I/O and
/// time enabled.
#[derive(Debug)]
pub struct RoadLink {
    ways: Vec<Way>,
    /// Where a broker sent us for once.
    detour: Option<Way>,
    /// The way that was tried last.
    last: usize,
    tcp: TcpOptions,
    #[cfg(feature = "tls")]
    tls: TlsLayer,
    words: Words,
}

/// A road, and what is known of it.
#[derive(Debug)]
struct Way {
    road: Road,
    tcp: TcpLink,
}

impl Way {
    fn new(road: Road, options: &TcpOptions) -> Self {
        let endpoint = match &road {
            Road::Net { endpoint, .. } => Some(endpoint.clone()),
            _ => None,
        };
        Self { tcp: TcpLink::new(endpoint).options(options.clone()), road }
    }
}

impl RoadLink {
    /// A link over these roads; [`Link::open`] counts them from 0, and around. With none, every attempt
    /// fails with [`Cause::UnknownHost`].
    pub fn new(roads: impl IntoIterator<Item = Road>, tcp: TcpOptions) -> Self {
        Self {
            ways: roads.into_iter().map(|road| Way::new(road, &tcp)).collect(),
            detour: None,
            last: 0,
            tcp,
            #[cfg(feature = "tls")]
            tls: TlsLayer::new(Tls::new()),
            words: Words::default(),
        }
    }

    /// How TLS is spoken where a road has it.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, options: Tls) -> Self {
        self.tls.replace(options);
        self
    }

    /// Asks before each TLS handshake for other options; `None` keeps the present ones and their session
    /// tickets. An error fails the attempt. Must be quick.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn refresh_tls(
        mut self,
        refresh: impl FnMut() -> Result<Option<Tls>, TlsError> + Send + 'static,
    ) -> Self {
        self.tls.refresh_with(Box::new(refresh));
        self
    }

    /// The present roads; a permanent redirect replaces them.
    pub fn roads(&self) -> impl ExactSizeIterator<Item = &Road> {
        self.ways.iter().map(|way| &way.road)
    }
}

impl Link for RoadLink {
    type Pipe = RoadPipe;

    /// Opens a connection. Not bounded in time but for the resolver. A dropped attempt leaves at
    /// most its look-up behind, which the next attempt takes over.
    async fn open(&mut self, endpoint: u16, progress: &Progress) -> Result<RoadPipe, Fault> {
        self.words.clear();
        self.last = usize::from(endpoint) % self.ways.len().max(1);
        let mut detour = self.detour.take();
        let listed = self.ways.get_mut(self.last);
        let no_way = Fault::new(Step::Resolve, Cause::UnknownHost);
        let way = detour.as_mut().or(listed).ok_or(no_way)?;
        let kind = match &way.road {
            Road::Net { endpoint, tls, .. } => {
                let (stream, heard) = way.tcp.connect(0, progress).await?;
                match tls {
                    #[cfg(feature = "tls")]
                    true => {
                        progress.set(Step::Tls);
                        let host = &endpoint.host;
                        let wire = self.tls.open(stream, host, &self.words).await?;
                        Kind::Tls(Box::new(StreamPipe::new(wire, Some(heard))))
                    }
                    // `Url` reads no such road in a build without TLS.
                    #[cfg(not(feature = "tls"))]
                    true => {
                        let _ = endpoint;
                        return Err(Fault::new(Step::Tls, Cause::Tls));
                    }
                    false => Kind::Tcp(TcpPipe::new(stream, heard)),
                }
            }
            #[cfg(unix)]
            Road::Unix(path) => {
                progress.set(Step::Link);
                Kind::Unix(unix(path, &self.words).await?)
            }
            _ => return Err(Fault::new(Step::Link, Cause::NotFound)),
        };
        Ok(RoadPipe(kind))
    }

    fn words(&self) -> Option<Words> {
        Some(self.words.clone())
    }

    /// Another server is reached over a road of the same kind: what was protected stays so.
    fn redirect(&mut self, server: &str, permanent: bool) -> bool {
        let Some(Way { road: Road::Net { tls, websocket, .. }, .. }) = self.ways.get(self.last)
        else {
            return false;
        };
        let port = match (self.tcp.default_port, tls) {
            (MQTT_PORT, true) => MQTTS_PORT,
            (port, _) => port,
        };
        let road = |endpoint| Road::Net { endpoint, tls: *tls, websocket: websocket.clone() };
        let usable = server.split_ascii_whitespace().filter_map(|s| Endpoint::parse(s, port).ok());
        let mut ways: Vec<Way> = usable.map(|e| Way::new(road(e), &self.tcp)).collect();
        if ways.is_empty() {
            return false;
        }
        if permanent {
            (self.ways, self.detour, self.last) = (ways, None, 0);
        } else {
            self.detour = Some(ways.swap_remove(0));
        }
        true
    }
}

#[cfg(unix)]
async fn unix(path: &str, words: &Words) -> Result<StreamPipe<tokio::net::UnixStream>, Fault> {
    match tokio::net::UnixStream::connect(path).await {
        Ok(stream) => Ok(StreamPipe::new(stream, None)),
        Err(error) => {
            let cause = local_cause(&error);
            words.say(cause, &std::format!("{path}: {}", reason(&error).to_lowercase()));
            Err(Fault::new(Step::Link, cause))
        }
    }
}

/// Why something of the file system could not be opened.
fn local_cause(error: &std::io::Error) -> Cause {
    match error.kind() {
        std::io::ErrorKind::NotFound => Cause::NotFound,
        std::io::ErrorKind::PermissionDenied => Cause::Denied,
        _ => crate::tcp::cause_of_pipe(error),
    }
}
