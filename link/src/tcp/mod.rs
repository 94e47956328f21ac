//! TCP on a tokio runtime: bytes in order and without loss `[MQTT-4.2.0-1]`.
//!
//! Names are resolved at every attempt, without blocking and with at most one look-up under way;
//! when no answer comes, the addresses of the last answer serve. Addresses are raced (RFC 8305), the
//! last good one first. All futures are `Send`; they need a tokio runtime with I/O and time enabled.

mod address;
mod cause;
mod lookup;
mod pipe;
mod race;
mod resolve;
mod route;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::string::String;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use std::vec::Vec;

use everlink_proto::engine::{Cause, Fault, Step};
use tokio::net::{TcpSocket, TcpStream};

use crate::endpoint::{Endpoint, MQTT_PORT};
use crate::{Link, Progress};

use lookup::Lookup;
use route::Route;

pub(crate) use cause::of_pipe as cause_of_pipe;
pub use pipe::TcpPipe;
pub use resolve::{Answer, Resolve, SystemResolver};

/// How [`TcpLink`] opens connections.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TcpOptions {
    /// How long an address is tried alone before the next one joins. Default 250 ms; RFC 8305 wants
    /// 100 ms to 2 s.
    pub stagger: Duration,
    /// How long to wait for the resolver before the last known addresses are tried. Default 5 s.
    pub resolve_timeout: Duration,
    /// The port of a [redirect](Link::redirect) that names none. Default [`MQTT_PORT`].
    pub default_port: u16,
    /// Connect from this address; remote addresses of the other family are not tried.
    pub local_address: Option<IpAddr>,
    /// Connect through this network interface only (Linux and Android). Some systems ask for
    /// privileges.
    pub interface: Option<String>,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            stagger: Duration::from_millis(250),
            resolve_timeout: Duration::from_secs(5),
            default_port: MQTT_PORT,
            local_address: None,
            interface: None,
        }
    }
}

/// TCP to one of a list of endpoints.
#[derive(Debug)]
pub struct TcpLink {
    routes: Vec<Route>,
    /// Where a broker sent us for once.
    detour: Option<Route>,
    lookup: Lookup,
    options: TcpOptions,
    /// What was in the way of the last attempt.
    #[cfg(all(target_os = "linux", feature = "netlink"))]
    obstacle: Option<std::boxed::Box<crate::netlink::Obstacle>>,
}

/// How long to wait for the resolver when no interface is up: a name of this machine needs no more.
#[cfg(all(target_os = "linux", feature = "netlink"))]
const HOPELESS: Duration = Duration::from_millis(300);

impl TcpLink {
    /// A link to these endpoints; [`Link::open`] counts them from 0, and around. With none, every
    /// attempt fails with [`Cause::UnknownHost`].
    pub fn new(endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        Self {
            routes: endpoints.into_iter().map(Route::new).collect(),
            detour: None,
            lookup: Lookup::new(SystemResolver),
            options: TcpOptions::default(),
            #[cfg(all(target_os = "linux", feature = "netlink"))]
            obstacle: None,
        }
    }

    /// Replaces the options.
    #[must_use]
    pub fn options(mut self, options: TcpOptions) -> Self {
        self.options = options;
        self
    }

    /// Replaces the system's resolver.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolve + 'static) -> Self {
        self.lookup = Lookup::new(resolver);
        self
    }

    /// The present endpoints; a permanent redirect replaces them.
    pub fn endpoints(&self) -> impl ExactSizeIterator<Item = &Endpoint> {
        self.routes.iter().map(Route::endpoint)
    }

    /// Opens a connection, and gives what is to be told when a byte came over it.
    pub(crate) async fn connect(
        &mut self,
        endpoint: u16,
        progress: &Progress,
    ) -> Result<(TcpStream, Heard), Fault> {
        progress.set(Step::Resolve);
        let patience = self.before()?;
        let mut detour = self.detour.take();
        let count = self.routes.len().max(1);
        let number = usize::from(endpoint) % count;
        let no_route = Fault::new(Step::Resolve, Cause::UnknownHost);
        let route = detour.as_mut().or(self.routes.get_mut(number)).ok_or(no_route)?;

        route.judge();
        let looked_up = self.lookup.refresh(route, patience).await;
        let addresses = route.candidates(self.options.local_address);
        if addresses.is_empty() {
            let unreachable = Fault::new(Step::Transport, Cause::Unreachable);
            let fault = looked_up.err().unwrap_or(unreachable);
            return Err(self.in_the_way(&[]).filter(|_| fault != unreachable).unwrap_or(fault));
        }
        if let Some(fault) = self.in_the_way(&addresses) {
            return Err(fault);
        }
        progress.set(Step::Transport);
        let route = detour.as_mut().or(self.routes.get_mut(number)).ok_or(no_route)?;
        let options = &self.options;
        match race::race(addresses, options.stagger, |address| dial(address, options)).await {
            Ok((address, stream)) => Ok((stream, route.trust(address))),
            // Without a fresh answer the addresses may be old ones: the name is what to repair.
            Err(cause) => Err(looked_up.err().unwrap_or(Fault::new(Step::Transport, cause))),
        }
    }
}

#[cfg(all(target_os = "linux", feature = "netlink"))]
impl TcpLink {
    /// How long to wait for the resolver, unless the link is down that everything has to go over.
    fn before(&mut self) -> Result<Duration, Fault> {
        use crate::netlink::{Obstacle, way_out};
        let obstacle = way_out(self.options.interface.as_deref());
        match obstacle {
            Some(obstacle) if self.options.interface.is_some() => Err(self.obstructed(obstacle)),
            Some(Obstacle::Nothing) => Ok(self.options.resolve_timeout.min(HOPELESS)),
            _ => Ok(self.options.resolve_timeout),
        }
    }

    /// Whether it is the link that keeps us from all of these addresses, or from the resolver if there is none.
    fn in_the_way(&mut self, addresses: &[SocketAddr]) -> Option<Fault> {
        use crate::netlink::{obstacle, way_out};
        let interface = self.options.interface.as_deref();
        let found = match addresses {
            [] => way_out(interface),
            _ => obstacle(&addresses.iter().map(SocketAddr::ip).collect::<Vec<_>>(), interface),
        };
        found.map(|found| self.obstructed(found))
    }

    fn obstructed(&mut self, by: crate::netlink::Obstacle) -> Fault {
        let cause = match by {
            crate::netlink::Obstacle::Missing(_) => Cause::NotFound,
            _ => Cause::Unreachable,
        };
        self.obstacle = Some(std::boxed::Box::new(by));
        Fault::new(Step::Link, cause)
    }

    /// Says in words what was in the way, if that was it.
    pub(crate) fn explain(&self, fault: &Fault, words: &crate::Words) {
        if let Some(obstacle) = self.obstacle.as_deref().filter(|_| fault.step == Step::Link) {
            words.say(fault.cause, &std::string::ToString::to_string(obstacle));
        }
    }
}

#[cfg(not(all(target_os = "linux", feature = "netlink")))]
impl TcpLink {
    fn before(&mut self) -> Result<Duration, Fault> {
        Ok(self.options.resolve_timeout)
    }

    fn in_the_way(&mut self, _: &[SocketAddr]) -> Option<Fault> {
        None
    }

    /// There is nothing to say.
    pub(crate) fn explain(&self, _: &Fault, _: &crate::Words) {}
}

/// Set when a byte came over a connection.
pub(crate) type Heard = Arc<AtomicBool>;

impl Link for TcpLink {
    type Pipe = TcpPipe;

    /// Opens a connection. Not bounded in time but for the resolver. A dropped attempt leaves at
    /// most its look-up behind, which the next attempt takes over.
    async fn open(&mut self, endpoint: u16, progress: &Progress) -> Result<TcpPipe, Fault> {
        let (stream, heard) = self.connect(endpoint, progress).await?;
        Ok(TcpPipe::new(stream, heard))
    }

    fn redirect(&mut self, server: &str, permanent: bool) -> bool {
        let port = self.options.default_port;
        let mut usable =
            server.split_ascii_whitespace().filter_map(|s| Endpoint::parse(s, port).ok());
        let Some(first) = usable.next() else {
            return false;
        };
        if permanent {
            let mut routes = Vec::from([Route::new(first)]);
            routes.extend(usable.map(Route::new));
            self.routes = routes;
            self.detour = None;
        } else {
            self.detour = Some(Route::new(first));
        }
        true
    }
}

async fn dial(address: SocketAddr, options: &TcpOptions) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(interface) = &options.interface {
        bind_interface(&socket, interface)?;
    }
    if let Some(ip) = options.local_address {
        socket.bind(SocketAddr::new(ip, 0))?;
    }
    // The driver writes whole batches; waiting for more would only delay the last one.
    socket.set_nodelay(true)?;
    let stream = socket.connect(address).await?;
    if is_own_echo(&stream)? { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(stream) }
}

/// A port of the ephemeral range where nobody listens may be given to the very socket that connects
/// to it: TCP then connects it to itself, and it would keep the broker from its port.
fn is_own_echo(stream: &TcpStream) -> io::Result<bool> {
    Ok(stream.local_addr()? == stream.peer_addr()?)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn bind_interface(socket: &TcpSocket, interface: &str) -> io::Result<()> {
    socket.bind_device(Some(interface.as_bytes()))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn bind_interface(_: &TcpSocket, _: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_connected_to_itself_is_recognised() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(any).unwrap();
        let own = socket.local_addr().unwrap();
        assert!(is_own_echo(&socket.connect(own).await.unwrap()).unwrap());

        let listener = tokio::net::TcpListener::bind(any).await.unwrap();
        let options = TcpOptions::default();
        let stream = dial(listener.local_addr().unwrap(), &options).await.unwrap();
        assert!(!is_own_echo(&stream).unwrap());
    }
}
