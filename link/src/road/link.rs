//! The link over any road.

mod ways;

use std::boxed::Box;
use std::format;
use std::string::{String, ToString};
use std::time::{Duration, Instant};
use std::vec::Vec;

use everlink_proto::engine::{Cause, Depth, Fault, Step};
use everlink_proto::sn::version::Version;

use super::Road;
use super::layers::Layers;
use super::pipe::{Kind, RoadPipe};
use crate::endpoint::{Endpoint, HTTP_PORT, HTTPS_PORT, MQTT_PORT, MQTTS_PORT};
#[cfg(feature = "proxy")]
use crate::proxy::Proxy;
use crate::tcp::{TcpOptions, TcpPipe};
#[cfg(feature = "tls")]
use crate::tls::{Tls, TlsError};
use crate::uplink::Uplink;
use crate::{Link, Progress, TcpLink, UdpLink, Words};

use ways::{Base, Way};

/// A pipe that was opened to see whether that works is of use for so long.
const FRESH: Duration = Duration::from_secs(5);

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
    layers: Box<Layers>,
    below: Box<Below>,
}

/// What most links do not need.
#[derive(Debug, Default)]
struct Below {
    tcp: TcpOptions,
    bases: Vec<Base>,
    /// About the connection in use, while `layers` may speak of one that is tried out.
    words: Words,
    /// It was tried out, and is open.
    spare: Option<Spare>,
}

#[derive(Debug)]
struct Spare {
    way: usize,
    pipe: RoadPipe,
    since: Instant,
}

impl RoadLink {
    /// A link over these roads; [`Link::open`] counts them from 0, and around. With none, every attempt
    /// fails with [`Cause::UnknownHost`].
    pub fn new(roads: impl IntoIterator<Item = Road>, tcp: TcpOptions) -> Self {
        let below = Box::new(Below { tcp, ..Below::default() });
        let mut link =
            Self { ways: Vec::new(), detour: None, last: 0, layers: Box::default(), below };
        link.ways = roads.into_iter().map(|road| link.way(road, None)).collect();
        link
    }

    /// Goes over these links below, in their order: all that is reached over the network over the first one,
    /// then all over the second one, and so on. Roads that do not go over the network keep their
    /// place among the others. There are then as many endpoints as [`roads`](Self::roads) has.
    #[must_use]
    pub fn uplinks(mut self, uplinks: impl IntoIterator<Item = Uplink>) -> Self {
        self.below.bases = uplinks.into_iter().map(Base::new).collect();
        let roads = self.ways.drain(..).map(|way| way.road).collect();
        let order = ways::order(roads, self.below.bases.len());
        self.ways = order.into_iter().map(|(road, base)| self.way(road, base)).collect();
        self
    }

    /// Which endpoints lie over the same link below as the one after them: bit `n` for endpoint `n`.
    pub fn shared_links(&self) -> u32 {
        let pairs = self.ways.windows(2).take(31).enumerate();
        pairs.fold(0, |bits, (n, pair)| bits | u32::from(pair[0].shares_link(&pair[1])) << n)
    }

    /// An endpoint as a person calls it: its address, and the link below it if there are several.
    pub fn describe(&self, endpoint: u16) -> Option<String> {
        let way = self.ways.get(usize::from(endpoint) % self.ways.len().max(1))?;
        let base = way.base.and_then(|n| self.below.bases.get(n));
        Some(match base {
            Some(base) => format!("{} over {}", way.road, base.uplink.name()),
            None => way.road.to_string(),
        })
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
        self.layers.proxy = Some(Box::new(proxy));
        let ways: Vec<Way> = self.ways.drain(..).collect();
        self.ways = ways.into_iter().map(|way| self.way(way.road, way.base)).collect();
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

    /// The way over a road and a link below.
    fn way(&self, road: Road, base: Option<usize>) -> Way {
        let uplink = base.and_then(|n| self.below.bases.get(n)).map(|base| &base.uplink);
        let options = match uplink {
            Some(uplink) => uplink.options(&self.below.tcp),
            None => self.below.tcp.clone(),
        };
        let first = match &road {
            #[cfg(feature = "proxy")]
            Road::Net { endpoint, .. } => {
                Some(self.layers.proxy.as_ref().map_or(endpoint, |proxy| proxy.endpoint()))
            }
            #[cfg(not(feature = "proxy"))]
            Road::Net { endpoint, .. } => Some(endpoint),
            _ => None,
        };
        let tcp = TcpLink::new(first.cloned()).options(options);
        let udp = match &road {
            Road::Sn(endpoint) => Some(UdpLink::new(Version::V12, [endpoint.clone()]).into()),
            _ => None,
        };
        Way {
            udp,
            #[cfg(all(unix, feature = "esp-at"))]
            modem: None,
            road,
            tcp,
            base,
        }
    }

    /// Opens the way with this number, or the detour.
    async fn reach(
        &mut self,
        number: usize,
        mut detour: Option<Box<Way>>,
        progress: &Progress,
    ) -> Result<RoadPipe, Fault> {
        let listed = self.ways.get_mut(number);
        let no_way = Fault::new(Step::Resolve, Cause::UnknownHost);
        let way = detour.as_deref_mut().or(listed).ok_or(no_way)?;
        #[cfg(all(unix, feature = "esp-at"))]
        if let Some(modem) = way.modem(&self.below.words) {
            progress.set(Step::Link);
            return Ok(RoadPipe(Kind::Modem(Box::new(Box::pin(modem.open(progress)).await?))));
        }
        if let Some(base) = way.base.and_then(|n| self.below.bases.get_mut(n)) {
            progress.set(Step::Link);
            base.ready(&self.layers.words).await?;
        }
        if let Some(udp) = &mut way.udp {
            return Ok(RoadPipe(Kind::Udp(Box::new(Box::pin(udp.open(0, progress)).await?))));
        }
        let Way { road, tcp, .. } = way;
        // What only some roads need is boxed: the driver has room for this future as long as it lives.
        let kind = match road {
            Road::Net { tls: false, websocket: None, .. } if self.layers.is_direct() => {
                let opened = tcp.connect(0, progress).await;
                let (stream, heard) = opened.inspect_err(|f| tcp.explain(f, &self.layers.words))?;
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
            // Opened above, or `Url` reads no such road in a build without it.
            _ => return Err(Fault::new(Step::Link, Cause::NotFound)),
        };
        Ok(RoadPipe(kind))
    }

    /// Tells what is to be known of a connection that will be used.
    fn opened(&self, pipe: RoadPipe) -> RoadPipe {
        #[cfg(feature = "tls")]
        self.below.words.set_tls(pipe.tls());
        pipe
    }
}

impl Link for RoadLink {
    type Pipe = RoadPipe;

    /// Opens a connection. Not bounded in time but for the resolver. A dropped attempt leaves at
    /// most its look-up behind, which the next attempt takes over.
    async fn open(&mut self, endpoint: u16, progress: &Progress) -> Result<RoadPipe, Fault> {
        self.below.words.clear();
        self.layers.words = self.below.words.clone();
        let number = usize::from(endpoint) % self.ways.len().max(1);
        #[cfg(all(unix, feature = "esp-at"))]
        if self.last != number
            && let Some(Way { modem: Some(modem), .. }) = self.ways.get(self.last)
        {
            // Another road may go through the same module.
            modem.release();
        }
        self.last = number;
        let detour = self.detour.take();
        let spare = self.below.spare.take().filter(|spare| spare.since.elapsed() < FRESH);
        if let Some(spare) = spare.filter(|spare| detour.is_none() && spare.way == self.last) {
            progress.set(Step::Transport);
            return Ok(self.opened(spare.pipe));
        }
        let pipe = self.reach(self.last, detour, progress).await?;
        Ok(self.opened(pipe))
    }

    /// Takes the link below the last attempt, or the device that makes it, down and up again, by its
    /// programs, which are not waited for: attempts over that link wait for them.
    async fn cycle(&mut self, depth: Depth) {
        #[cfg(all(unix, feature = "esp-at"))]
        if let Some(way) = self.ways.get_mut(self.last)
            && let Some(modem) = way.modem(&self.below.words)
        {
            Box::pin(modem.cycle(depth)).await;
        }
        let base = self.ways.get(self.last).and_then(|way| way.base);
        if let Some(base) = base.and_then(|n| self.below.bases.get_mut(n)) {
            base.cycle(depth);
        }
    }

    async fn try_out(&mut self, endpoint: u16) -> bool {
        let way = usize::from(endpoint) % self.ways.len().max(1);
        if way == self.last {
            return false;
        }
        self.layers.words = Words::default();
        let progress = Progress::new();
        let opened = Box::pin(self.reach(way, None, &progress)).await;
        self.below.spare = opened.ok().map(|pipe| Spare { way, pipe, since: Instant::now() });
        self.below.spare.is_some()
    }

    fn words(&self) -> Option<Words> {
        Some(self.below.words.clone())
    }

    /// Another server is reached over a road of the same kind and the same link: what was protected stays so.
    fn redirect(&mut self, server: &str, permanent: bool) -> bool {
        let Some(Way { road: Road::Net { tls, websocket, .. }, base, .. }) =
            self.ways.get(self.last)
        else {
            return false;
        };
        let port = match (self.below.tcp.default_port, tls, websocket) {
            (MQTT_PORT, false, Some(_)) => HTTP_PORT,
            (MQTT_PORT, true, Some(_)) => HTTPS_PORT,
            (MQTT_PORT, true, None) => MQTTS_PORT,
            (port, ..) => port,
        };
        let road = |endpoint| Road::Net { endpoint, tls: *tls, websocket: websocket.clone() };
        let usable = server.split_ascii_whitespace().filter_map(|s| Endpoint::parse(s, port).ok());
        let roads: Vec<Road> = usable.map(road).collect();
        let Some(first) = roads.first().cloned() else {
            return false;
        };
        if permanent {
            let order = ways::order(roads, self.below.bases.len());
            self.ways = order.into_iter().map(|(road, base)| self.way(road, base)).collect();
            (self.detour, self.last, self.below.spare) = (None, 0, None);
        } else {
            self.detour = Some(Box::new(self.way(first, *base)));
        }
        true
    }
}
