//! A TCP proxy between a client and a broker that breaks the path on command.
//!
//! The peers are real and so is the time; what is simulated is a bad network. All randomness comes
//! from the seed. A [`Proxy`] is a cheap handle: clone it into the task that causes the outages.
//!
//! ```no_run
//! # async fn f(broker: std::net::SocketAddr) -> std::io::Result<()> {
//! use everlink_sim::proxy::{Direction, PacketType, Proxy};
//! let proxy = Proxy::start(broker).await?;
//! // connect the client to proxy.addr(), then:
//! proxy.swallow(Direction::ToClient, PacketType::Puback, Some(3));
//! proxy.refuse(true).await?;
//! # Ok(()) }
//! ```

mod connection;
mod frame;
mod listen;
mod pump;
mod record;
mod rule;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

pub use frame::PacketType;
pub use record::{Counters, Fate, Record};
pub use rule::{Action, Rule, RuleId};

/// How many records are kept unless [`Proxy::keep`] says otherwise.
const RECORDS: usize = 100_000;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the broker.
    ToBroker,
    /// From the broker to the client.
    ToClient,
    /// Both ways.
    Both,
}

impl Direction {
    fn includes(self, other: Self) -> bool {
        self == Self::Both || self == other
    }

    /// The values of a pair (to the broker, to the client) that this direction names.
    fn of<T>(self, pair: &mut [T; 2]) -> &mut [T] {
        match self {
            Self::ToBroker => &mut pair[..1],
            Self::ToClient => &mut pair[1..],
            Self::Both => pair,
        }
    }

    /// Where the value of a single direction is in such a pair.
    fn index(self) -> usize {
        usize::from(self == Self::ToClient)
    }
}

/// How a black hole ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heal {
    /// The path only paused: what was held arrives.
    Forward,
    /// Existing connections are reset, what was held is lost.
    Drop,
}

/// The state of the path; each connection obeys it at once.
#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    hold: [bool; 2],
    silent: bool,
    /// Bytes a second.
    throttle: [Option<NonZeroU32>; 2],
    /// Fixed delay and the range of the jitter added to it.
    delay: [(Duration, Duration); 2],
    /// One bit is flipped in one of so many bytes.
    corrupt: [Option<NonZeroU32>; 2],
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Reset,
    Close,
}

/// What the proxy knows of a living connection.
struct Live {
    kill: oneshot::Sender<(End, oneshot::Sender<()>)>,
    inject: [mpsc::UnboundedSender<Vec<u8>>; 2],
}

struct State {
    live: BTreeMap<u64, Live>,
    rules: rule::Rules,
    /// Bytes that may still be forwarded before the cut.
    cut: [Option<u64>; 2],
    counters: Counters,
    log: record::Log,
}

struct Shared {
    upstream: SocketAddr,
    seed: u64,
    started: Instant,
    settings: watch::Sender<Settings>,
    /// Counts records, to wake who waits for one.
    logged: watch::Sender<u64>,
    state: Mutex<State>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // every change under the lock is complete in itself
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, mut record: Record) {
        record.at = self.started.elapsed();
        let mut state = self.state();
        match record.fate {
            Fate::Swallowed(_) => state.counters.swallowed += 1,
            Fate::Doubled(_) => state.counters.doubled += 1,
            Fate::Passed | Fate::Injected => {}
        }
        state.log.push(record);
        let end = state.log.end();
        drop(state);
        self.logged.send_replace(end);
    }
}

/// Ends the listener and all connections with the last handle.
struct Guard {
    listener: listen::Listener,
    shared: Arc<Shared>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // connections whose kill switch is gone reset themselves
        self.shared.state().live.clear();
    }
}

/// Handle to a running proxy; it stops, and resets its connections, with the last clone.
#[derive(Clone)]
pub struct Proxy {
    guard: Arc<Guard>,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and forwards to `upstream`. The seed is 0.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        Self::start_seeded(upstream, 0).await
    }

    /// As [`Proxy::start`], with the seed of the jitter and of the corrupted bits.
    pub async fn start_seeded(upstream: SocketAddr, seed: u64) -> io::Result<Self> {
        let state = State {
            live: BTreeMap::new(),
            rules: rule::Rules::default(),
            cut: [None; 2],
            counters: Counters::default(),
            log: record::Log::new(RECORDS),
        };
        let shared = Arc::new(Shared {
            upstream,
            seed,
            started: Instant::now(),
            settings: watch::Sender::new(Settings::default()),
            logged: watch::Sender::new(0),
            state: Mutex::new(state),
        });
        let listener = listen::Listener::start(shared.clone())?;
        Ok(Self { guard: Arc::new(Guard { listener, shared: shared.clone() }), shared })
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.guard.listener.addr
    }

    /// Resets all connections (RST to both sides). When it returns the sockets are gone.
    pub async fn reset(&self) {
        self.end(End::Reset).await;
    }

    /// Closes all connections in order (FIN to both sides), without a DISCONNECT.
    pub async fn close(&self) {
        self.end(End::Close).await;
    }

    /// While on, connects get ECONNREFUSED; existing connections are reset. The port stays ours.
    pub async fn refuse(&self, on: bool) -> io::Result<()> {
        self.guard.listener.refuse(on).await?;
        if on {
            self.reset().await;
        }
        Ok(())
    }

    /// From now on nothing passes in `direction`, until [`Proxy::heal`]. Connections stay open; new
    /// ones are accepted, but with [`Direction::ToBroker`] held the broker does not hear of them.
    /// A peer that closes is not noticed by the other side.
    pub fn black_hole(&self, direction: Direction) {
        self.set(|s| direction.of(&mut s.hold).fill(true));
    }

    /// Ends a black hole. Connections that were opened and given up meanwhile never reach the broker.
    pub async fn heal(&self, how: Heal) {
        if how == Heal::Drop {
            self.reset().await;
        }
        self.set(|s| s.hold = [false; 2]);
    }

    /// While on, new connections are accepted and never answered, even after it is turned off.
    pub fn accept_silently(&self, on: bool) {
        self.set(|s| s.silent = on);
    }

    /// Resets the connection that forwards the `n`th byte from now in `direction` (each of the two,
    /// if both), right after that byte.
    pub fn cut_after(&self, direction: Direction, n: u64) {
        direction.of(&mut self.shared.state().cut).fill(Some(n));
        self.set(|_| {}); // wakes the pumps: nothing left to forward is a cut at once
    }

    /// Limits each connection to `bytes_per_sec` in `direction`; `None` lifts the limit.
    pub fn throttle(&self, direction: Direction, bytes_per_sec: Option<NonZeroU32>) {
        self.set(|s| direction.of(&mut s.throttle).fill(bytes_per_sec));
    }

    /// Delays what arrives from now on by `fixed` plus a random part of `jitter`. Order is kept.
    pub fn delay(&self, direction: Direction, fixed: Duration, jitter: Duration) {
        self.set(|s| direction.of(&mut s.delay).fill((fixed, jitter)));
    }

    /// Flips one bit in one of `one_in` bytes on average; `None` stops it.
    pub fn corrupt(&self, direction: Direction, one_in: Option<NonZeroU32>) {
        self.set(|s| direction.of(&mut s.corrupt).fill(one_in));
    }

    /// Adds a rule; of several that match a packet the first decides.
    pub fn rule(&self, rule: Rule) -> RuleId {
        self.shared.state().rules.add(rule)
    }

    /// Drops the next `times` packets of a type (`None`: all, until lifted).
    pub fn swallow(&self, direction: Direction, packet: PacketType, times: Option<u32>) -> RuleId {
        self.rule(Rule::new(direction, packet, Action::Swallow).times(times.unwrap_or(u32::MAX)))
    }

    /// Forwards the next `times` packets of a type twice (`None`: all, until lifted).
    pub fn double(&self, direction: Direction, packet: PacketType, times: Option<u32>) -> RuleId {
        self.rule(Rule::new(direction, packet, Action::Double).times(times.unwrap_or(u32::MAX)))
    }

    /// How often a rule has applied; 0 once it is lifted.
    pub fn hits(&self, rule: RuleId) -> u64 {
        self.shared.state().rules.hits(rule)
    }

    /// Removes a rule.
    pub fn lift(&self, rule: RuleId) {
        self.shared.state().rules.lift(rule);
    }

    /// Sends `bytes` into every connection, between two packets. Returns how many connections.
    pub fn inject(&self, direction: Direction, bytes: &[u8]) -> usize {
        let mut state = self.shared.state();
        for live in state.live.values_mut() {
            for sender in direction.of(&mut live.inject) {
                // a connection that is ending no longer listens
                let _ = sender.send(bytes.to_vec());
            }
        }
        state.live.len()
    }

    /// Makes the path good: no rule, no cut, no delay, nothing held, connects served.
    pub async fn clear(&self) -> io::Result<()> {
        {
            let mut state = self.shared.state();
            state.rules.clear();
            state.cut = [None; 2];
        }
        self.set(|s| *s = Settings::default());
        self.refuse(false).await
    }

    /// Keeps the newest `limit` records from now on, and forgets those before.
    pub fn keep(&self, limit: usize) {
        self.shared.state().log = record::Log::new(limit.max(1));
    }

    /// The position after the newest record, for [`Proxy::since`] and [`Proxy::wait_for`].
    pub fn position(&self) -> u64 {
        self.shared.state().log.end()
    }

    /// The packets recorded from `position` on (0: all that are still kept), oldest first.
    pub fn since(&self, position: u64) -> Vec<Record> {
        self.shared.state().log.since(position).cloned().collect()
    }

    /// The first record from `position` on that satisfies `wanted`, or `None` after `limit`.
    pub async fn wait_for(
        &self,
        position: u64,
        limit: Duration,
        wanted: impl Fn(&Record) -> bool,
    ) -> Option<Record> {
        let mut logged = self.shared.logged.subscribe();
        let search = async {
            loop {
                logged.borrow_and_update();
                let found = self.shared.state().log.since(position).find(|r| wanted(r)).cloned();
                if found.is_some() || logged.changed().await.is_err() {
                    return found;
                }
            }
        };
        tokio::time::timeout(limit, search).await.ok().flatten()
    }

    /// Totals since the start.
    pub fn counters(&self) -> Counters {
        let state = self.shared.state();
        Counters { open: state.live.len() as u64, ..state.counters }
    }

    fn set(&self, change: impl FnOnce(&mut Settings)) {
        self.shared.settings.send_modify(change);
    }

    async fn end(&self, how: End) {
        let live = std::mem::take(&mut self.shared.state().live);
        let mut done = Vec::new();
        for (_, connection) in live {
            let (ack, acked) = oneshot::channel();
            if connection.kill.send((how, ack)).is_ok() {
                done.push(acked);
            }
        }
        self.shared.state().counters.killed += done.len() as u64;
        for acked in done {
            // an error: the connection ended by itself meanwhile
            let _ = acked.await;
        }
    }
}
