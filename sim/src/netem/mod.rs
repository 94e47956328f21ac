//! A simulated network: connections that delay, throttle, stall, go silent, and break at any byte.
//!
//! Clients and servers are numbers: a client has a [`Path`], a server a [`Listener`]. All that
//! happens by itself happens in [`Netem::advance`]; [`Netem::next_event`] says when next.

mod lane;
mod path;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use everlink_proto::engine::Cause;
use everlink_proto::time::Instant;
use fastrand::Rng;

use lane::{End, Lane};
pub use path::{Listen, Listener, Path, Way};

/// Names a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipeId(pub u32);

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that connected.
    Client = 0,
    /// The one that accepted.
    Server = 1,
}

/// What reading gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes.
    Bytes(usize),
    /// None yet.
    Nothing,
    /// The peer closed, after all it wrote.
    Eof,
    /// The connection was reset.
    Reset,
}

/// How far an attempt to connect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Under way.
    Pending,
    /// Open.
    Open,
    /// Failed.
    Failed(Cause),
}

#[derive(Debug)]
struct Pipe {
    client: usize,
    server: usize,
    state: Opening,
    /// When the attempt ends, and how: open with or without somebody at the other end, or failed.
    outcome: (Instant, Result<bool, Cause>),
    lanes: [Lane; 2],
    left: [bool; 2],
}

/// The network. See the [module](self).
#[derive(Debug)]
pub struct Netem {
    rng: Rng,
    paths: Vec<Path>,
    listeners: Vec<Listener>,
    pipes: BTreeMap<PipeId, Pipe>,
    accepted: VecDeque<(PipeId, usize)>,
    opened: u32,
}

impl Netem {
    /// A network without faults or delays whose randomness comes from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            paths: Vec::new(),
            listeners: Vec::new(),
            pipes: BTreeMap::new(),
            accepted: VecDeque::new(),
            opened: 0,
        }
    }

    /// The path of a client.
    pub fn path(&mut self, client: usize) -> &mut Path {
        if self.paths.len() <= client {
            self.paths.resize(client + 1, Path::default());
        }
        &mut self.paths[client]
    }

    /// The listener of a server.
    pub fn listener(&mut self, server: usize) -> &mut Listener {
        if self.listeners.len() <= server {
            self.listeners.resize(server + 1, Listener::default());
        }
        &mut self.listeners[server]
    }

    /// Starts to connect.
    pub fn connect(&mut self, now: Instant, client: usize, server: usize) -> PipeId {
        let path = *self.path(client);
        let listener = *self.listener(server);
        let at = now + path.to_server.delay + path.to_client.delay + listener.delay;
        let outcome = match listener.mode {
            Listen::Accept => (at, Ok(true)),
            Listen::Silent => (at, Ok(false)),
            Listen::Fail(cause) => (at, Err(cause)),
            Listen::Hang => (Instant::MAX, Ok(false)),
        };
        let id = PipeId(self.opened);
        self.opened += 1;
        let (lanes, left) = ([Lane::default(), Lane::default()], [false; 2]);
        let state = Opening::Pending;
        self.pipes.insert(id, Pipe { client, server, state, outcome, lanes, left });
        id
    }

    /// How far an attempt to connect is.
    pub fn opening(&self, pipe: PipeId) -> Opening {
        self.pipes.get(&pipe).map_or(Opening::Failed(Cause::Reset), |p| p.state)
    }

    /// The next new connection and the server it is for.
    pub fn accept(&mut self) -> Option<(PipeId, usize)> {
        self.accepted.pop_front()
    }

    /// Writes as many of `bytes` as the connection takes; `None` if it is gone.
    pub fn write(&mut self, now: Instant, pipe: PipeId, side: Side, bytes: &[u8]) -> Option<usize> {
        let p = self.pipes.get_mut(&pipe)?;
        let path = &self.paths[p.client];
        if p.lanes[other(side)].is_reset() || p.state != Opening::Open {
            return None;
        }
        let way = if side == Side::Client { &path.to_server } else { &path.to_client };
        Some(p.lanes[side as usize].write(now, path, way, &mut self.rng, bytes))
    }

    /// Reads into `buf`.
    pub fn read(&mut self, pipe: PipeId, side: Side, buf: &mut [u8]) -> Read {
        self.pipes.get_mut(&pipe).map_or(Read::Reset, |p| p.lanes[other(side)].read(buf))
    }

    /// Bytes written from `side` that the other has not read.
    pub fn unread(&self, pipe: PipeId, side: Side) -> usize {
        self.pipes.get(&pipe).map_or(0, |p| p.lanes[side as usize].held_bytes())
    }

    /// Closes one side: the other reads what was written, then the end.
    pub fn close(&mut self, now: Instant, pipe: PipeId, side: Side) {
        let Some(p) = self.pipes.get_mut(&pipe) else { return };
        let path = &self.paths[p.client];
        let way = if side == Side::Client { &path.to_server } else { &path.to_client };
        p.lanes[side as usize].finish(now, way, End::Eof);
        p.lanes[other(side)].deaf = true;
        p.left[side as usize] = true;
        if p.left == [true; 2] || p.state != Opening::Open {
            self.pipes.remove(&pipe);
        }
    }

    /// Resets every connection of a client. What is on the way is lost.
    pub fn reset_client(&mut self, now: Instant, client: usize) {
        self.reset(now, |p| p.client == client);
    }

    /// Resets every connection of a server, as if it were killed. A client whose path is held
    /// does not notice.
    pub fn reset_server(&mut self, now: Instant, server: usize) {
        self.reset(now, |p| p.server == server);
    }

    /// What a client wrote to connections it has closed since is lost.
    pub fn drop_closed(&mut self, now: Instant, client: usize) {
        self.reset(now, |p| p.client == client && p.left[Side::Client as usize]);
    }

    fn reset(&mut self, now: Instant, which: impl Fn(&Pipe) -> bool) {
        for pipe in self.pipes.values_mut().filter(|p| which(p)) {
            let path = &self.paths[pipe.client];
            pipe.reset(now, path);
        }
    }

    /// Lets everything happen that is due by `now`.
    pub fn advance(&mut self, now: Instant) {
        for (id, pipe) in &mut self.pipes {
            let path = &mut self.paths[pipe.client];
            if pipe.state == Opening::Pending && pipe.outcome.0 <= now && !path.is_held() {
                pipe.state = match pipe.outcome.1 {
                    Ok(_) => Opening::Open,
                    Err(cause) => Opening::Failed(cause),
                };
                match pipe.outcome.1 {
                    Ok(true) => self.accepted.push_back((*id, pipe.server)),
                    _ => pipe.left[Side::Server as usize] = true,
                }
            }
            let [up, down] = &mut pipe.lanes;
            if up.advance(now, &mut path.to_server) | down.advance(now, &mut path.to_client) {
                pipe.reset(now, path);
                let [up, down] = &mut pipe.lanes;
                let _ = up.advance(now, &mut path.to_server);
                let _ = down.advance(now, &mut path.to_client);
            }
        }
    }

    /// When something will happen by itself.
    pub fn next_event(&self) -> Option<Instant> {
        self.pipes.values().filter_map(|p| p.next_event(&self.paths[p.client])).min()
    }
}

impl Pipe {
    fn reset(&mut self, now: Instant, path: &Path) {
        self.lanes[0].finish(now, &path.to_server, End::Reset);
        self.lanes[1].finish(now, &path.to_client, End::Reset);
    }

    fn next_event(&self, path: &Path) -> Option<Instant> {
        match self.state {
            Opening::Pending => {
                Some(self.outcome.0).filter(|at| *at != Instant::MAX && !path.is_held())
            }
            Opening::Failed(_) => None,
            Opening::Open => {
                let [up, down] = &self.lanes;
                let times = [up.next_event(&path.to_server), down.next_event(&path.to_client)];
                times.into_iter().flatten().min()
            }
        }
    }
}

fn other(side: Side) -> usize {
    1 - side as usize
}
