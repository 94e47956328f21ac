//! The link over any road.

use std::boxed::Box;
use std::vec::Vec;

use everlink_proto::engine::{Cause, Depth, Fault, Step};

use super::Road;
use super::layers::Layers;
use super::pipe::{Kind, RoadPipe};
use crate::endpoint::{Endpoint, HTTP_PORT, HTTPS_PORT, MQTT_PORT, MQTTS_PORT};
#[cfg(feature = "proxy")]
use crate::proxy::Proxy;
use crate::tcp::{TcpOptions, TcpPipe};
#[cfg(feature = "tls")]
use crate::tls::{Tls, TlsError};
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
    detour: Option<Box<Way>>,
    /// The way that was tried last.
    last: usize,
    tcp: TcpOptions,
    layers: Box<Layers>,
}

/// A road, and what is known of it.
#[derive(Debug)]
struct Way {
    road: Road,
    tcp: TcpLink,
    #[cfg(all(unix, feature = "esp-at"))]
    modem: Option<super::modem::Modem>,
}

impl Way {
    fn new(road: Road, options: &TcpOptions) -> Self {
        let endpoint = match &road {
            Road::Net { endpoint, .. } => Some(endpoint.clone()),
            _ => None,
        };
        Self {
            tcp: TcpLink::new(endpoint).options(options.clone()),
            #[cfg(all(unix, feature = "esp-at"))]
            modem: None,
            road,
        }
    }

    /// The module of this way, if it goes through one.
    #[cfg(all(unix, feature = "esp-at"))]
    fn modem(&mut self, words: &Words) -> Option<&super::modem::Modem> {
        let Road::EspAt(road) = &self.road else { return None };
        Some(self.modem.get_or_insert_with(|| super::modem::Modem::new(road, words)))
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
            layers: Box::default(),
        }
    }

    /// How TLS is spoken where a road has it.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, options: Tls) -> Self {
        self.layers.tls.replace(options);
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
        self.layers.tls.refresh_with(Box::new(refresh));
        self
    }

    /// Goes through this proxy wherever a road goes over the network.
    #[cfg(feature = "proxy")]
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        let tcp = TcpLink::new([proxy.endpoint().clone()]).options(self.tcp.clone());
        self.layers.proxy = Some(Box::new((proxy, tcp)));
        self
    }

    /// Sends this header with each WebSocket request, besides those it must have.
    #[cfg(feature = "ws")]
    #[must_use]
    pub fn websocket_header(mut self, header: crate::ws::Header) -> Self {
        self.layers.headers.push(header);
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
        self.layers.words.clear();
        let number = usize::from(endpoint) % self.ways.len().max(1);
        #[cfg(all(unix, feature = "esp-at"))]
        if self.last != number
            && let Some(Way { modem: Some(modem), .. }) = self.ways.get(self.last)
        {
            // Another road may go through the same module.
            modem.release();
        }
        self.last = number;
        let mut detour = self.detour.take();
        let listed = self.ways.get_mut(self.last);
        let no_way = Fault::new(Step::Resolve, Cause::UnknownHost);
        let way = detour.as_deref_mut().or(listed).ok_or(no_way)?;
        #[cfg(all(unix, feature = "esp-at"))]
        if let Some(modem) = way.modem(&self.layers.words) {
            progress.set(Step::Link);
            return Ok(RoadPipe(Kind::Modem(Box::new(Box::pin(modem.open(progress)).await?))));
        }
        let Way { road, tcp, .. } = way;
        // What only some roads need is boxed: the driver has room for this future as long as it lives.
        let kind = match road {
            Road::Net { tls: false, websocket: None, .. } if self.layers.is_direct() => {
                let (stream, heard) = tcp.connect(0, progress).await?;
                Kind::Tcp(TcpPipe::new(stream, heard))
            }
            Road::Net { endpoint, tls, websocket } => {
                let above = (*tls, websocket.as_deref());
                Box::pin(self.layers.open(tcp, endpoint, above, progress)).await?
            }
            #[cfg(unix)]
            Road::Unix(path) => {
                progress.set(Step::Link);
                Kind::Unix(Box::pin(super::local::unix(path, &self.layers.words)).await?)
            }
            #[cfg(all(unix, feature = "serial"))]
            Road::Serial(port) => {
                progress.set(Step::Link);
                let opening = super::serial::serial(port, &self.layers.words);
                Kind::Serial(Box::new(Box::pin(opening).await?))
            }
            // `Url` reads no such road in a build without it.
            #[cfg(any(feature = "esp-at", not(all(unix, feature = "serial"))))]
            _ => return Err(Fault::new(Step::Link, Cause::NotFound)),
        };
        Ok(RoadPipe(kind))
    }

    /// Takes down what the way that was tried last has below it, and up again.
    async fn cycle(&mut self, depth: Depth) {
        #[cfg(all(unix, feature = "esp-at"))]
        if let Some(way) = self.ways.get_mut(self.last)
            && let Some(modem) = way.modem(&self.layers.words)
        {
            Box::pin(modem.cycle(depth)).await;
        }
        let _ = depth;
    }

    fn words(&self) -> Option<Words> {
        Some(self.layers.words.clone())
    }

    /// Another server is reached over a road of the same kind: what was protected stays so.
    fn redirect(&mut self, server: &str, permanent: bool) -> bool {
        let Some(Way { road: Road::Net { tls, websocket, .. }, .. }) = self.ways.get(self.last)
        else {
            return false;
        };
        let port = match (self.tcp.default_port, tls, websocket) {
            (MQTT_PORT, false, Some(_)) => HTTP_PORT,
            (MQTT_PORT, true, Some(_)) => HTTPS_PORT,
            (MQTT_PORT, true, None) => MQTTS_PORT,
            (port, ..) => port,
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
            self.detour = Some(Box::new(ways.swap_remove(0)));
        }
        true
    }
}
