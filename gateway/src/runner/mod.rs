//! The gateway on tokio: UDP to the nodes, the `everlink` client to the broker.

mod announcer;
mod config;
mod file;
mod nodes;
mod session;
mod state;
mod streams;
mod world;

use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};

use everlink::{BuildError, Client, Driver, FirstConnect, Message, Subscription};
use everlink_proto::time::Instant;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::core::{Arrival, Event, Gateway, NodeId, Stats, Verdict};
use announcer::Announcer;
use nodes::GrowingNodes;
use session::Word;
use state::{Entry, State};
use world::{Address, World};

pub use config::{Config, Listen, Topics};
pub use file::FileError;

/// Datagrams and words that are handled before anything else gets its turn.
const BATCH: usize = 64;

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// It cannot listen.
    #[error("cannot listen at {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// Its client cannot be built.
    #[error("{0}")]
    Client(#[from] BuildError),
    /// The state cannot be read or written.
    #[error("state in {0}: {1}")]
    State(String, #[source] io::Error),
    /// There is nothing to listen at.
    #[error("there is no address to listen at")]
    NoListener,
}

/// A gateway that listens, and does nothing else until it [runs](Self::run).
pub struct Server {
    gateway: Gateway<'static, Address, GrowingNodes, Topics>,
    world: World,
    sockets: Vec<Arc<UdpSocket>>,
    words: UnboundedReceiver<(NodeId, Word)>,
    driver: Option<Driver>,
    changes: (UnboundedSender<Config>, UnboundedReceiver<Config>),
    start: tokio::time::Instant,
    state: Option<State>,
}

impl Server {
    /// Opens the sockets.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn bind(mut config: Config) -> Result<Self, StartError> {
        if config.listen.is_empty() {
            return Err(StartError::NoListener);
        }
        let mut sockets = Vec::new();
        for listen in &config.listen {
            let failed = |error| StartError::Listen(listen.address, error);
            let socket = UdpSocket::bind(listen.address).await.map_err(failed)?;
            if let Some(group) = listen.multicast {
                match group.ip() {
                    IpAddr::V4(ip) if ip.is_multicast() => {
                        let interface = match listen.address.ip() {
                            IpAddr::V4(ip) => ip,
                            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
                        };
                        socket.join_multicast_v4(ip, interface).map_err(failed)?;
                    }
                    IpAddr::V6(ip) if ip.is_multicast() => {
                        socket.join_multicast_v6(&ip, 0).map_err(failed)?;
                    }
                    _ => socket.set_broadcast(true).map_err(failed)?,
                }
            }
            sockets.push(Arc::new(socket));
        }
        let mut builder = Client::builder(config.broker.as_str())
            .client_id(config.name.as_str())
            .first_connect(FirstConnect::Forever);
        if let Some(will) = Announcer::new(&config).will() {
            builder = builder.will(will);
        }
        let (own, driver) = builder.build()?;
        if config.settings.first_topic_id == 0 {
            config.settings.first_topic_id = RandomState::new().build_hasher().finish() as u16;
        }
        let (sender, words) = unbounded_channel();
        let limits = config.limits;
        let nodes = GrowingNodes::new(config.nodes, limits.messages, limits.bytes);
        let memory = nodes.memory(config.settings.max_message);
        let gateway = Gateway::new(nodes, memory, config.predefined.clone(), config.settings);
        let directory = config.state.clone();
        let world = World::new(config, sockets.clone(), own, sender);
        let mut server = Self {
            gateway,
            world,
            sockets,
            words,
            driver: Some(driver),
            changes: unbounded_channel(),
            start: tokio::time::Instant::now(),
            state: None,
        };
        if let Some(directory) = directory {
            let failed = |error| StartError::State(directory.display().to_string(), error);
            server.restore(&directory).map_err(failed)?;
        }
        Ok(server)
    }

    /// Goes on where the gateway was.
    fn restore(&mut self, directory: &Path) -> io::Result<()> {
        let (mut state, entries) = State::open(directory)?;
        let now = self.now();
        for Entry { address, record } in entries {
            let address = address.filter(|address| address.socket < self.sockets.len());
            if !self.gateway.restore(now, address, &record, &mut self.world) {
                tracing::warn!("a node in the state may not connect any more, or cannot be read");
            }
        }
        self.world.changed.clear();
        for slot in 0..u32::try_from(self.gateway.places()).unwrap_or(u32::MAX) {
            state.put(slot, self.entry(slot))?;
        }
        state.compact()?;
        self.state = Some(state);
        Ok(())
    }

    fn entry(&self, slot: u32) -> Option<Entry> {
        let mut record = Vec::new();
        let write = &mut |octets: &[u8]| record.extend_from_slice(octets);
        let (_, address) = self.gateway.record(slot, write)?;
        Some(Entry { address, record })
    }

    /// What changed goes to the file, then what rests on it to the nodes.
    fn settle(&mut self) {
        while let Some(slot) = self.world.changed.pop() {
            let entry = self.entry(slot);
            if let Some(state) = &mut self.state
                && let Err(error) = state.put(slot, entry)
            {
                tracing::error!(%error, "the state cannot be written: a restart would forget");
            }
        }
        self.world.flush();
    }

    /// Where it listens.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// Tells `watcher` what happens from now on. It must not block.
    pub fn on_event(&mut self, watcher: impl FnMut(&Event<'_>) + Send + 'static) {
        self.world.watcher = Some(Box::new(watcher));
    }

    /// Changes the configuration while the gateway runs.
    pub fn control(&self) -> Control {
        Control(self.changes.0.clone())
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        self.gateway.stats()
    }

    /// Serves nodes until `stop` ends; then all sessions leave politely, so that no will is published.
    /// Dropping the future ends everything at once.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) {
        let own = self.driver.take().map(|driver| tokio::spawn(driver.run()));
        let mut state = self.world.own.watch();
        let sockets = self.sockets.clone();
        let mut datagram = vec![0; 65_536];
        let mut queries = self.world.announcer.queries(&self.world.own);
        tokio::pin!(stop);
        loop {
            let deadline = self.gateway.deadline();
            tokio::select! {
                () = &mut stop => break,
                (socket, peer, len) = receive(&sockets, &mut datagram) => {
                    self.datagram(Address { socket, peer }, datagram.get(..len).unwrap_or_default());
                    self.more_datagrams(socket, &mut datagram);
                }
                word = self.words.recv() => {
                    let Some((node, word)) = word else { break };
                    self.word(node, word);
                    for _ in 0..BATCH {
                        let Ok((node, word)) = self.words.try_recv() else { break };
                        self.word(node, word);
                    }
                }
                changed = state.changed() => {
                    let up = changed.is_ok() && state.borrow_and_update().is_up();
                    let now = self.now();
                    self.gateway.broker(now, up, &mut self.world);
                    if up {
                        self.world.announcer.online(&self.world.own);
                    }
                }
                Some(config) = self.changes.1.recv() => self.reload(config),
                () = asked(&mut queries) => {
                    let known = self.gateway.known();
                    let Self { gateway, world, .. } = self;
                    world.announcer.answer(&world.own, gateway.stats(), known);
                }
                () = until(self.start, deadline) => {
                    let now = self.now();
                    self.gateway.tick(now, &mut self.world);
                }
            }
            self.use_room();
            self.settle();
        }
        self.world.stop().await;
        self.world.announcer.offline(&self.world.own);
        self.world.own.drain(std::time::Duration::from_secs(2)).await;
        if let Some(own) = own {
            let _ = tokio::time::timeout(std::time::Duration::from_secs(2), own).await;
        }
    }

    fn reload(&mut self, config: Config) {
        self.gateway.set_predefined(config.predefined.clone());
        for name in self.world.config.reload(config) {
            tracing::warn!("`{name}` changes only when the gateway is started again");
        }
    }

    fn datagram(&mut self, from: Address, bytes: &[u8]) {
        let now = self.now();
        self.gateway.datagram(now, from, bytes, &mut self.world);
    }

    fn more_datagrams(&mut self, socket: usize, room: &mut [u8]) {
        let Some(receiver) = self.sockets.get(socket).cloned() else { return };
        for _ in 0..BATCH {
            let Ok((len, peer)) = receiver.try_recv_from(room) else { return };
            self.datagram(Address { socket, peer }, room.get(..len).unwrap_or_default());
        }
    }

    fn word(&mut self, node: NodeId, word: Word) {
        let (now, world) = (self.now(), &mut self.world);
        match word {
            Word::Up { resumed } => self.gateway.up(now, node, resumed, world),
            Word::Down => self.gateway.down(now, node, world),
            Word::Refused => self.gateway.refused(now, node, world),
            Word::Subscribed { token, granted } => {
                self.gateway.subscribed(now, node, token, granted, world);
            }
            Word::Unsubscribed { token } => self.gateway.unsubscribed(now, node, token, world),
            Word::Published { token, how } => {
                self.gateway.published(now, node, token, how, world);
            }
            Word::Arrived(message) if world.has_parked(node) => world.park(node, 0, message),
            Word::Arrived(message) => {
                if let Err((receipt, message)) = self.offer(node, message) {
                    self.world.park(node, receipt, message);
                }
            }
        }
    }

    /// Offers a message to the core; gives it back if there is no room.
    fn offer(&mut self, node: NodeId, message: Message) -> Result<(), (u64, Message)> {
        let receipt = self.world.keep(node, &message);
        let arrival = Arrival {
            topic: &message.topic,
            data: &message.payload,
            qos: message.qos,
            retain: message.retain,
            dup: message.dup,
            receipt,
        };
        let now = self.now();
        match self.gateway.arrived(now, node, &arrival, &mut self.world) {
            Verdict::Taken => {
                self.world.taken(node);
                Ok(())
            }
            Verdict::Busy => Err((receipt, message)),
        }
    }

    /// What the core had no room for, where there may be some now.
    fn use_room(&mut self) {
        while let Some(node) = self.world.roomy.pop() {
            while let Some(message) = self.world.unpark(node) {
                if let Err((receipt, message)) = self.offer(node, message) {
                    self.world.park_again(node, receipt, message);
                    break;
                }
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}

/// Changes the configuration of a gateway that runs.
#[derive(Clone, Debug)]
pub struct Control(UnboundedSender<Config>);

impl Control {
    /// The limits, the allow-list and the pre-defined topics are those of `config` from now on; nodes stay
    /// connected. What else differs is logged, and changes when the gateway is started again.
    pub fn reload(&self, config: Config) {
        // Nobody listens when it has stopped.
        let _ = self.0.send(config);
    }
}

async fn asked(queries: &mut Option<Subscription>) {
    if let Some(stream) = queries
        && stream.next().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

/// The next datagram of any socket. Cancel-safe.
async fn receive(sockets: &[Arc<UdpSocket>], room: &mut [u8]) -> (usize, SocketAddr, usize) {
    poll_fn(|cx| poll_receive(sockets, room, cx)).await
}

fn poll_receive(
    sockets: &[Arc<UdpSocket>],
    room: &mut [u8],
    cx: &mut Context<'_>,
) -> Poll<(usize, SocketAddr, usize)> {
    for (at, socket) in sockets.iter().enumerate() {
        let mut buffer = ReadBuf::new(room);
        // An error is about a datagram sent before, to somebody who is gone: look again.
        while let Poll::Ready(came) = socket.poll_recv_from(cx, &mut buffer) {
            if let Ok(from) = came {
                return Poll::Ready((at, from, buffer.filled().len()));
            }
        }
    }
    Poll::Pending
}

async fn until(start: tokio::time::Instant, deadline: Option<Instant>) {
    match deadline {
        Some(at) => {
            let at = start + std::time::Duration::from_micros(at.as_micros());
            tokio::time::sleep_until(at).await;
        }
        None => std::future::pending().await,
    }
}
