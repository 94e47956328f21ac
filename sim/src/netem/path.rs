//! The state of the network between a client and the servers; tests set the fields.

use everlink_proto::engine::Cause;
use everlink_proto::time::Duration;

/// How bytes travel in one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Way {
    /// Travel time.
    pub delay: Duration,
    /// Up to so much more, drawn anew for each segment; order is kept.
    pub jitter: Duration,
    /// Bytes a second; `None` is no limit.
    pub rate: Option<u32>,
    /// Nothing arrives while this is set; once it is not, what was held does.
    pub held: bool,
    /// After so many more bytes the connection that carries them is reset.
    pub cut: Option<u64>,
}

/// The network as one client sees it.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// From the client.
    pub to_server: Way,
    /// To the client.
    pub to_client: Way,
    /// Bytes a connection holds in each direction, on the way or not yet read.
    pub buffer: usize,
    /// Bytes are cut into segments of a random length up to this; 0 keeps writes whole.
    pub segment: usize,
    /// Writes take a random part of what they are given.
    pub short_writes: bool,
}

impl Default for Path {
    fn default() -> Self {
        Self {
            to_server: Way::default(),
            to_client: Way::default(),
            buffer: 64 * 1024,
            segment: 0,
            short_writes: false,
        }
    }
}

impl Path {
    /// Sets the same travel time both ways.
    pub fn set_delay(&mut self, delay: Duration, jitter: Duration) {
        for way in [&mut self.to_server, &mut self.to_client] {
            (way.delay, way.jitter) = (delay, jitter);
        }
    }

    /// Half-open: nothing arrives any more, neither way.
    pub fn hold(&mut self) {
        (self.to_server.held, self.to_client.held) = (true, true);
    }

    /// Ends [`hold`](Self::hold), of whichever direction.
    pub fn heal(&mut self) {
        (self.to_server.held, self.to_client.held) = (false, false);
    }

    pub(super) fn is_held(&self) -> bool {
        self.to_server.held || self.to_client.held
    }
}

/// What becomes of attempts to connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listen {
    /// A server answers.
    #[default]
    Accept,
    /// The attempt fails with this.
    Fail(Cause),
    /// Nothing ever comes back.
    Hang,
    /// The connection opens, but nobody reads it or writes to it.
    Silent,
}

/// Where clients connect to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listener {
    /// What becomes of attempts to connect.
    pub mode: Listen,
    /// Time until an attempt ends, besides a round trip.
    pub delay: Duration,
}
