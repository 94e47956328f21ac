//! UDP on a tokio runtime: MQTT-SN messages, a datagram for each.
//!
//! The names of gateways are resolved at every attempt, without blocking; of several addresses another one
//! is tried each time. Nothing is sent to open a pipe, so that it always succeeds if there is an address; a
//! port that nobody listens at shows when something is sent again. All futures are `Send`; they need a tokio
//! runtime with I/O enabled.

mod pipe;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec::Vec;

use everlink_proto::engine::{Cause, Fault, Step};
use everlink_proto::sn::version::Version;
use tokio::net::UdpSocket;

use crate::endpoint::Endpoint;
use crate::tcp::{Resolve, SystemResolver, cause_of_pipe};
use crate::{Link, Progress};

pub use pipe::UdpPipe;

/// UDP to one of a list of gateways.
#[derive(Debug)]
pub struct UdpLink {
    endpoints: Vec<Endpoint>,
    version: Version,
    /// Which address of a name is next.
    turn: usize,
    /// The last answer, of which endpoint: it serves while there is no other.
    known: Option<(usize, Vec<SocketAddr>)>,
    junk: Junk,
}

/// Counts datagrams that were dropped.
#[derive(Clone, Debug, Default)]
pub struct Junk(Arc<AtomicU64>);

impl Junk {
    /// How many there were, over all pipes of the link.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl UdpLink {
    /// A link to these gateways; [`Link::open`] counts them from 0, and around. With none, every
    /// attempt fails with [`Cause::UnknownHost`].
    pub fn new(version: Version, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        Self {
            endpoints: endpoints.into_iter().collect(),
            version,
            turn: 0,
            known: None,
            junk: Junk::default(),
        }
    }

    /// Datagrams that were dropped because they were no message.
    pub fn junk(&self) -> Junk {
        self.junk.clone()
    }

    /// The addresses of an endpoint; those of the last answer if there is none now.
    async fn addresses(&mut self, at: usize) -> Result<Vec<SocketAddr>, Cause> {
        let endpoint = self.endpoints.get(at).ok_or(Cause::UnknownHost)?;
        if let Some(address) = endpoint.literal() {
            return Ok(Vec::from([address]));
        }
        match SystemResolver.resolve(&endpoint.host, endpoint.port).await {
            Ok(addresses) if !addresses.is_empty() => {
                self.known = Some((at, addresses.clone()));
                Ok(addresses)
            }
            failed => match &self.known {
                Some((of, addresses)) if *of == at => Ok(addresses.clone()),
                _ => Err(failed.err().unwrap_or(Cause::UnknownHost)),
            },
        }
    }
}

impl Link for UdpLink {
    type Pipe = UdpPipe;

    /// Finds an address and a port of ours. Not bounded in time.
    async fn open(&mut self, endpoint: u16, progress: &Progress) -> Result<UdpPipe, Fault> {
        progress.set(Step::Resolve);
        let at = usize::from(endpoint) % self.endpoints.len().max(1);
        let addresses = self.addresses(at).await;
        let addresses = addresses.map_err(|cause| Fault::new(Step::Resolve, cause))?;
        progress.set(Step::Transport);
        let address = addresses.get(self.turn % addresses.len().max(1)).copied();
        self.turn = self.turn.wrapping_add(1);
        let address = address.ok_or(Fault::new(Step::Resolve, Cause::UnknownHost))?;
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let connected = async {
            let socket = UdpSocket::bind(any).await?;
            // Datagrams of others are not even shown to us.
            socket.connect(address).await?;
            Ok::<_, std::io::Error>(socket)
        };
        match connected.await {
            Ok(socket) => Ok(UdpPipe::new(socket, self.version, self.junk.clone())),
            Err(error) => Err(Fault::new(Step::Transport, cause_of_pipe(&error))),
        }
    }
}
