//! Hosts, network and servers together, on one stepped clock.

mod advance;
#[cfg(test)]
mod tests;

use std::ops::{Deref, DerefMut};

use everlink_proto::engine::{Engine, Event, Refused, Tag};
use everlink_proto::time::{Duration, Instant};
use everlink_proto::wire::{QoS, SubscribeOptions};

use crate::broker::Broker;
use crate::check::Violation;
use crate::clock::Clock;
use crate::host::{Buffers, Fate, Host, Post};
use crate::netem::{Listen, Netem, PipeId};

/// Whatever answers at the far end: a state machine over bytes.
pub trait Server {
    /// A client connected.
    fn opened(&mut self, now: Instant, id: PipeId);
    /// Bytes came.
    fn received(&mut self, now: Instant, id: PipeId, bytes: &[u8]);
    /// The connection is gone.
    fn closed(&mut self, now: Instant, id: PipeId);
    /// Bytes to be sent.
    fn transmit(&self, id: PipeId) -> &[u8];
    /// The first `n` of them were.
    fn transmitted(&mut self, now: Instant, id: PipeId, n: usize);
    /// The connection is to be closed once everything is sent.
    fn is_closing(&self, id: PipeId) -> bool;
    /// Time passed.
    fn advance(&mut self, now: Instant);
    /// When something will happen by itself.
    fn next_event(&self) -> Option<Instant>;
}

/// One or more hosts, the network, one or more servers. Dereferences to the first host.
///
/// Nothing happens until a method is called that moves on: [`settle`](Self::settle) lets happen
/// what can happen now, [`drive`](Self::drive) what is under way, [`run_for`](Self::run_for) and
/// [`run_until`](Self::run_until) let time pass.
#[derive(Debug)]
pub struct Pair<E, S = Broker> {
    /// The network; host `n` is its client `n`, server `n` its server `n`.
    pub net: Netem,
    /// The hosts.
    pub hosts: Vec<Host<E>>,
    /// The servers.
    pub servers: Vec<S>,
    clock: Clock,
    seed: u64,
    conns: Vec<(PipeId, usize)>,
    /// Moments in a row at which time did not pass.
    stuck: u32,
}

impl<E: Engine> Pair<E> {
    /// An engine and a broker.
    pub fn new(seed: u64, engine: E) -> Self {
        Self::with_server(seed, engine, Buffers::default(), Broker::new(seed))
    }

    /// An engine with buffers of these sizes, and a broker.
    pub fn with_buffers(seed: u64, engine: E, buffers: Buffers) -> Self {
        Self::with_server(seed, engine, buffers, Broker::new(seed))
    }

    /// The first broker.
    pub fn broker(&mut self) -> &mut Broker {
        &mut self.servers[0]
    }

    /// The broker publishes as if a further client did.
    pub fn broker_publishes(&mut self, topic: &str, payload: &[u8], qos: QoS) {
        let now = self.now();
        self.broker().publish(now, topic, payload, qos, false);
    }

    /// The broker dies; nobody listens any more.
    pub fn kill_broker(&mut self) {
        self.net.listener(0).mode = Listen::Fail(everlink_proto::engine::Cause::Refused);
        self.net.reset_server(self.clock.now(), 0);
        self.conns.retain(|(_, server)| *server != 0);
    }

    /// The broker comes back, with or without its sessions; it dies first if it lives.
    pub fn restart_broker(&mut self, keep_sessions: bool) {
        self.kill_broker();
        self.net.listener(0).mode = Listen::Accept;
        self.broker().restart(keep_sessions);
    }

    /// Every breach of the protocol by a host, as seen at its end and by the brokers.
    pub fn violations(&self) -> Vec<Violation> {
        let hosts = self.hosts.iter().flat_map(|h| h.check.violations());
        let brokers = self.servers.iter().flat_map(Broker::violations);
        hosts.chain(brokers).cloned().collect()
    }

    /// # Panics
    /// If there was a breach of the protocol.
    pub fn assert_conforms(&self) {
        let violations = self.violations();
        if !violations.is_empty() {
            let list: Vec<_> = violations.iter().map(ToString::to_string).collect();
            self.fail(&format!("the protocol was broken:\n{}", list.join("\n")));
        }
    }

    /// Payloads that the broker accepted, as text, in order.
    pub fn accepted(&self) -> Vec<String> {
        self.servers[0].accepted().iter().map(|a| a.text()).collect()
    }
}

impl<E: Engine, S: Server> Pair<E, S> {
    /// An engine and whatever server.
    pub fn with_server(seed: u64, engine: E, buffers: Buffers, server: S) -> Self {
        let mut net = Netem::new(seed);
        net.path(0);
        Self {
            net,
            hosts: vec![Host::new(0, engine, buffers)],
            servers: vec![server],
            clock: Clock::new(),
            seed,
            conns: Vec::new(),
            stuck: 0,
        }
    }

    /// Adds a host; its number.
    pub fn add_host(&mut self, engine: E) -> usize {
        let client = self.hosts.len();
        self.net.path(client);
        self.hosts.push(Host::new(client, engine, Buffers::default()));
        client
    }

    /// Adds a server; its number.
    pub fn add_server(&mut self, server: S) -> usize {
        self.servers.push(server);
        self.servers.len() - 1
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Starts the first host.
    pub fn open(&mut self) {
        let now = self.now();
        self.hosts[0].open(now);
    }

    /// Closes the first host.
    pub fn close(&mut self) {
        let now = self.now();
        self.hosts[0].close(now);
    }

    /// Publishes from the first host.
    ///
    /// # Panics
    /// If the engine refuses.
    pub fn publish(&mut self, topic: &str, payload: &[u8], qos: QoS) -> Tag {
        match self.try_post(Post::new(topic, payload, qos)) {
            Ok(tag) => tag,
            Err(refused) => self.fail(&format!("publish: {refused}")),
        }
    }

    /// Publishes from the first host.
    ///
    /// # Errors
    /// What the engine says.
    pub fn try_post(&mut self, post: Post<'_>) -> Result<Tag, Refused> {
        let now = self.now();
        self.hosts[0].post(now, post)
    }

    /// Subscribes the first host.
    ///
    /// # Panics
    /// If the engine refuses.
    pub fn subscribe(&mut self, filter: &str, qos: QoS) -> Tag {
        let now = self.now();
        match self.hosts[0].subscribe_with(now, filter, SubscribeOptions::new(qos), 0) {
            Ok(tag) => tag,
            Err(refused) => self.fail(&format!("subscribe: {refused}")),
        }
    }

    /// Runs until the operation ends.
    ///
    /// # Panics
    /// If it does not within `limit`.
    pub fn fate(&mut self, tag: Tag, limit: Duration) -> Fate {
        let what = format!("an outcome of {tag:?}");
        self.run_until(limit, &what, |pair| pair.inbox.fate(tag).is_some());
        match self.inbox.fate(tag) {
            Some(fate) => fate,
            None => self.fail(&what),
        }
    }

    /// Runs until the first host says that it is up once more than it did so far.
    ///
    /// # Panics
    /// If it does not within `limit`.
    pub fn run_until_up(&mut self, limit: Duration) {
        let ups =
            |pair: &Self| pair.events.iter().filter(|(_, e)| matches!(e, Event::Up { .. })).count();
        let before = ups(self);
        self.run_until(limit, "the session to come up", |pair| ups(pair) > before);
    }
}

impl<E, S> Deref for Pair<E, S> {
    type Target = Host<E>;

    fn deref(&self) -> &Host<E> {
        &self.hosts[0]
    }
}

impl<E, S> DerefMut for Pair<E, S> {
    fn deref_mut(&mut self) -> &mut Host<E> {
        &mut self.hosts[0]
    }
}
