//! A simulated host: one engine, driven as a real driver drives it.

mod call;
mod drive;
mod inbox;
mod template;

use everlink_link::framer::{Framer, MIN_BUFFER};
use everlink_proto::engine::{Depth, Engine, Event};
use everlink_proto::time::Instant;

pub use call::Post;
pub use inbox::{Fate, Message, Recorder};
pub use template::{Template, WillTemplate};

use crate::check::Checker;
use crate::netem::PipeId;
use crate::trace::Trace;

/// Sizes of a host's buffers, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Buffers {
    /// Receive buffer: a larger packet is skipped.
    pub receive: usize,
    /// Transmit buffer.
    pub transmit: usize,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { receive: 64 * 1024, transmit: 64 * 1024 }
    }
}

/// An engine, its inbox and its connection.
#[derive(Debug)]
pub struct Host<E> {
    /// The engine. After a call to it from outside, call [`Host::touch`].
    pub engine: E,
    /// What it was told.
    pub inbox: Recorder,
    /// What it says in CONNECT.
    pub template: Template,
    /// Watches what it sends.
    pub check: Checker,
    /// What happened here.
    pub trace: Trace,
    /// The engine's events.
    pub events: Vec<(Instant, Event)>,
    /// Each time the engine closed a connection, and how deep it cut.
    pub closes: Vec<(Instant, Depth)>,
    /// Each time the engine opened a connection, and to which endpoint.
    pub opens: Vec<(Instant, u16)>,
    /// Each time the engine wanted to know whether an endpoint can be reached, and which.
    pub trials: Vec<(Instant, u16)>,
    /// Times the engine was woken by its deadline and had nothing to send.
    pub idle_wakes: u64,
    /// Numbers of the servers that the engine's endpoints stand for.
    pub endpoints: Vec<usize>,
    client: usize,
    framer: Framer<Vec<u8>>,
    /// Bytes from the engine that the network has not taken.
    unsent: Vec<u8>,
    scratch: Vec<u8>,
    pipe: Option<Connection>,
    /// When the engine wants to be woken.
    wait: Option<Instant>,
    /// The engine must be polled.
    dirty: bool,
    /// The engine did not take the packet at the front of the framer; offer it again if `retry`.
    held: bool,
    retry: bool,
    /// What arrives makes no sense any more.
    deaf: bool,
    /// Counts what was done, to know when nothing is left to do.
    activity: u64,
    next_tag: u32,
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    id: PipeId,
    open: bool,
}

impl<E: Engine> Host<E> {
    /// Host number `client` on the network, with one endpoint: server 0.
    pub fn new(client: usize, engine: E, buffers: Buffers) -> Self {
        Self {
            engine,
            inbox: Recorder::default(),
            template: Template { client_id: format!("host-{client}"), ..Template::default() },
            check: Checker::new(),
            trace: Trace::default(),
            events: Vec::new(),
            closes: Vec::new(),
            opens: Vec::new(),
            trials: Vec::new(),
            idle_wakes: 0,
            endpoints: vec![0],
            client,
            framer: Framer::new(vec![0; buffers.receive.max(MIN_BUFFER)]),
            unsent: Vec::new(),
            scratch: vec![0; buffers.transmit],
            pipe: None,
            wait: None,
            dirty: false,
            held: false,
            retry: false,
            deaf: false,
            activity: 0,
            next_tag: 0,
        }
    }

    /// The engine was called from outside: it will be polled.
    pub fn touch(&mut self) {
        (self.dirty, self.retry) = (true, true);
        self.activity += 1;
    }

    /// The power fails: engine, buffers and connection state are gone; what the network took
    /// is on its way. The new engine starts from what the caller gave it.
    pub fn reboot(&mut self, engine: E) {
        self.engine = engine;
        self.framer.reset();
        self.unsent.clear();
        (self.pipe, self.wait, self.held, self.deaf) = (None, None, false, false);
        self.check = Checker::new();
        self.touch();
    }

    /// When the engine wants to be woken.
    pub fn next_event(&self) -> Option<Instant> {
        self.wait
    }

    /// Whether a packet waits because the inbox or the engine had no room for it.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Makes room in the inbox for so many further messages.
    pub fn make_room(&mut self, messages: usize) {
        self.inbox.room = Some(self.inbox.room.unwrap_or(0) + messages);
        self.touch();
    }
}
