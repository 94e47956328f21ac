//! One world: an engine and a broker, and the packets between them.

use std::collections::{BTreeMap, VecDeque};

use everlink_proto::engine::{
    Cause, Engine as _, Fault, Handled, Input, Outgoing, Output, Step, Subscription, Tag,
};
use everlink_proto::session::{Record, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::{Duration, Instant};
use everlink_proto::topic::{TopicFilter, TopicName};
use everlink_proto::wire::{PacketType, Properties, QoS, SubscribeOptions, frame_len};

use super::Bounds;
use super::medium::engine;
use crate::broker::Broker;
use crate::check::Checker;
use crate::clock::Clock;
use crate::host::{Recorder, Template};
use crate::netem::PipeId;
use crate::pair::Server as _;
use crate::trace::describe;

pub(super) const OUT: &str = "out";
pub(super) const IN: &str = "in";
pub(super) const CLIENT: &str = "c";
/// Half of the response time.
const WAIT: Duration = Duration::from_secs(5);

/// What can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The application publishes its next message.
    Publish,
    /// The broker gets its next message for the client.
    Cast,
    /// The broker takes the next packet.
    Up,
    /// The client takes the next packet.
    Down,
    /// The connection breaks; what is under way is lost.
    Cut,
    /// The same, and the broker loses its sessions.
    Lose,
    /// The application acknowledges the message it got as number so many.
    Acknowledge(u8),
    /// The next record is written to the medium; if they are grouped, it is handed out.
    Save,
    /// The first record that was handed out is on the medium.
    Confirm,
    /// The client's host loses its power.
    Crash,
    /// Half of the response time passes.
    Wait,
    /// The broker forgets the acknowledgement that would come next.
    Forget,
}

pub(super) type Client = Session<'static, RamStore>;

/// Everything there is.
pub(super) struct World {
    pub(super) bounds: Bounds,
    pub(super) now: Instant,
    pub(super) engine: Client,
    pub(super) inbox: Recorder,
    pub(super) check: Checker,
    pub(super) broker: Broker,
    template: Template,
    pub(super) pipe: Option<u32>,
    pub(super) up: VecDeque<Vec<u8>>,
    pub(super) down: VecDeque<Vec<u8>>,
    /// The engine had no room for the next packet.
    pub(super) held: bool,
    pub(super) medium: BTreeMap<u16, Vec<u8>>,
    /// Records that were handed out and are not yet on the medium.
    pub(super) handed: VecDeque<(Record, Vec<u8>)>,
    pub(super) count: Count,
    /// Sessions the broker had lost when each message was taken by it, cast by it, got from it.
    pub(super) taken: Vec<u8>,
    pub(super) cast: Vec<u8>,
    pub(super) got: Vec<u8>,
    /// Messages got from the broker that the application has acknowledged.
    pub(super) acknowledged: Vec<bool>,
    /// Messages that were on the medium at the last crash, and those got when all was last saved.
    pub(super) kept: Vec<Tag>,
    pub(super) safe: usize,
    pub(super) heard: Option<usize>,
    /// Messages got before the last crash.
    pub(super) reborn: usize,
    pub(super) flaw: Option<String>,
    /// What happened, line by line, if that is wanted: it takes more time than all else.
    pub(super) told: Option<Vec<String>>,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(super) struct Count {
    pub(super) published: u8,
    pub(super) cuts: u8,
    pub(super) losses: u8,
    pub(super) crashes: u8,
    waits: u8,
    /// Messages published before the last crash.
    pub(super) before_crash: u8,
    /// PUBACK packets sent, and PUBREC packets.
    pub(super) acks: [u8; 2],
    /// Acknowledgements that the broker forgot.
    pub(super) forgotten: u8,
}

impl World {
    /// Connected to a new session, and subscribed.
    pub(super) fn new(bounds: &Bounds) -> Self {
        let mut broker = Broker::new(1);
        broker.cfg.take_at_release = bounds.take_at_release;
        broker.cfg.receive_maximum = bounds.window;
        let mut world = Self {
            bounds: *bounds,
            now: Clock::START,
            engine: engine(bounds),
            inbox: Recorder::default(),
            check: Checker::new(),
            broker,
            template: Template { client_id: CLIENT.to_owned(), ..Template::default() },
            pipe: None,
            up: VecDeque::new(),
            down: VecDeque::new(),
            held: false,
            medium: BTreeMap::new(),
            handed: VecDeque::new(),
            count: Count::default(),
            taken: Vec::new(),
            cast: Vec::new(),
            got: Vec::new(),
            acknowledged: Vec::new(),
            kept: Vec::new(),
            safe: 0,
            heard: None,
            reborn: 0,
            flaw: None,
            told: None,
        };
        world.inbox.manual = bounds.manual;
        world.start();
        while !world.up.is_empty() || !world.down.is_empty() {
            let next = if world.up.is_empty() { Action::Down } else { Action::Up };
            world.apply(next);
        }
        world
    }

    pub(super) fn start(&mut self) {
        let filter = TopicFilter::from_trusted(IN);
        let options = SubscribeOptions::new(QoS::ExactlyOnce);
        let (id, props, tag) = (0, Properties::EMPTY, Tag::NONE);
        let subscription = Subscription { filter, options, id, props, tag };
        self.engine.open(self.now);
        if self.engine.subscribe(self.now, &subscription, &mut self.inbox).is_err() {
            self.fail("the subscription is refused");
        }
        self.drive();
    }

    /// What can happen now.
    pub(super) fn enabled(&self) -> Vec<Action> {
        let (b, c) = (&self.bounds, &self.count);
        let unacknowledged = self.acknowledged.iter().enumerate().filter(|(_, done)| !**done);
        let fixed = [
            (usize::from(c.published) < b.out.len(), Action::Publish),
            (self.cast.len() < b.inbound.len() && self.is_subscribed(), Action::Cast),
            (!self.up.is_empty(), Action::Up),
            (!self.down.is_empty() && !self.held, Action::Down),
            (c.cuts < b.cuts, Action::Cut),
            (c.cuts < b.cuts && c.losses < b.losses, Action::Lose),
            (c.crashes < b.crashes, Action::Crash),
            (self.unsaved().is_some(), Action::Save),
            (!self.handed.is_empty(), Action::Confirm),
            (c.waits < b.waits, Action::Wait),
            (b.waits > 0 && c.forgotten == 0 && self.is_acknowledgement_next(), Action::Forget),
        ];
        let fixed = fixed.into_iter().filter(|(can, _)| *can).map(|(_, action)| action);
        fixed.chain(unacknowledged.map(|(at, _)| Action::Acknowledge(at as u8))).collect()
    }

    /// Whether all packets are taken some time if nothing else happens.
    pub(super) fn comes_to_rest(&mut self) -> bool {
        for _ in 0..200 {
            match (self.up.is_empty(), self.down.is_empty() || self.held) {
                (false, _) => self.apply(Action::Up),
                (true, false) => self.apply(Action::Down),
                (true, true) => return true,
            }
        }
        false
    }

    pub(super) fn is_subscribed(&self) -> bool {
        !self.broker.subscriptions(CLIENT).is_empty()
    }

    /// Lets `action` happen.
    pub(super) fn apply(&mut self, action: Action) {
        self.tell(|| format!("{action:?}"));
        self.held = false;
        match action {
            Action::Publish => self.publish(),
            Action::Cast => self.cast(),
            Action::Up => self.broker_takes(),
            Action::Down => self.client_takes(),
            Action::Cut => self.cut(false),
            Action::Lose => self.cut(true),
            Action::Acknowledge(at) => self.acknowledge(usize::from(at)),
            Action::Save => self.save(),
            Action::Confirm => self.confirm(),
            Action::Crash => self.crash(),
            Action::Forget => {
                self.count.forgotten += 1;
                self.down.pop_front();
            }
            Action::Wait => {
                self.count.waits += 1;
                self.now = self.now + WAIT;
                self.broker.advance(self.now);
                let _ = self.engine.handle(self.now, Input::Tick, &mut self.inbox);
            }
        }
        self.drive();
        self.fetch();
        self.note_progress();
    }

    fn publish(&mut self) {
        let n = self.count.published;
        self.count.published += 1;
        let Ok(topic) = TopicName::new(OUT) else { return };
        let (payload, qos) = ([b'0' + n], self.bounds.out[usize::from(n)]);
        let (props, expiry, tag) = (Properties::EMPTY, None, Tag(u32::from(n) + 1));
        let message = Outgoing { topic, payload: &payload, qos, retain: false, props, expiry, tag };
        if self.engine.publish(self.now, &message, &mut self.inbox).is_err() {
            self.fail("a message is refused");
        }
    }

    fn cast(&mut self) {
        let n = self.cast.len();
        self.cast.push(self.count.losses);
        let payload = [b'0' + n as u8];
        self.broker.publish(self.now, IN, &payload, self.bounds.inbound[n], false);
    }

    fn broker_takes(&mut self) {
        if let (Some(id), Some(packet)) = (self.pipe, self.up.pop_front()) {
            self.broker.received(self.now, PipeId(id), &packet);
        }
    }

    fn client_takes(&mut self) {
        let Some(packet) = self.down.pop_front() else { return };
        let heeds = self.engine.status().step;
        let handled = self.engine.handle(self.now, Input::Alive, &mut self.inbox);
        debug_assert_eq!(handled, Handled::Done);
        let handled = self.engine.handle(self.now, Input::Packet(&packet), &mut self.inbox);
        if handled == Handled::Busy {
            self.down.push_front(packet);
            self.held = true;
            return;
        }
        let version = self.bounds.version;
        self.tell(|| format!("  <- {}", describe(version, &packet)));
        // As on a simulated host: a CONNACK for which the engine leaves is not heeded.
        if heeds != Step::Handshake || self.engine.status().step > Step::Handshake {
            self.check.received(self.now, &packet);
        }
    }

    /// The connection is gone.
    fn cut(&mut self, forget: bool) {
        self.count.cuts += 1;
        self.end_connection();
        if forget {
            self.count.losses += 1;
            self.broker.restart(false);
        }
        let fault = Fault::new(Step::Up, Cause::Reset);
        let _ = self.engine.handle(self.now, Input::Closed(fault), &mut self.inbox);
    }

    pub(super) fn end_connection(&mut self) {
        if let Some(id) = self.pipe.take() {
            self.broker.closed(self.now, PipeId(id));
            self.check.closed(self.now);
        }
        self.up.clear();
        self.down.clear();
    }

    fn acknowledge(&mut self, at: usize) {
        self.acknowledged[at] = true;
        // What came on an earlier connection may be stale.
        let _ = self.engine.acknowledge(self.now, self.inbox.messages[at].receipt);
    }

    fn is_acknowledgement_next(&self) -> bool {
        let first = self.down.front().and_then(|packet| packet.first());
        let kinds = [PacketType::PubAck, PacketType::PubRec, PacketType::PubComp];
        kinds.into_iter().any(|kind| Some(&kind.first_byte()) == first)
    }

    /// The drive rule.
    fn drive(&mut self) {
        let mut tx = vec![0; 4096];
        for _ in 0..1000 {
            match self.engine.poll(self.now, &mut tx, &mut self.inbox) {
                Output::Send(n) => self.send(&tx[..n]),
                Output::Connect => {
                    let (engine, now) = (&mut self.engine, self.now);
                    match self.template.with(|connect| engine.connect(now, connect, &mut tx)) {
                        Ok(n) => self.send(&tx[..n]),
                        Err(_) => self.fail("CONNECT is refused"),
                    }
                }
                Output::Open { .. } => self.open(),
                Output::Close(_) => self.close(),
                Output::Try { .. } => self.fail("there is but one endpoint"),
                Output::Event(event) => self.tell(|| format!("  {event:?}")),
                Output::Wait(until) => {
                    let step = self.engine.status().step;
                    if until.is_none() && step != Step::Idle {
                        self.fail("timer: none runs");
                    }
                    if step != Step::Backoff {
                        return;
                    }
                    // Time stands still, so the pause is cut short.
                    self.engine.reconnect(self.now);
                }
            }
        }
        self.fail("the engine never waits");
    }

    fn send(&mut self, bytes: &[u8]) {
        let (up, told, acks) = (&mut self.up, &mut self.told, &mut self.count.acks);
        self.check.sent(self.now, bytes, |version, packet| {
            if let Some(told) = told {
                told.push(format!("  -> {}", describe(version, packet)));
            }
            up.push_back(packet.to_vec());
            let kinds = [PacketType::PubAck, PacketType::PubRec].map(PacketType::first_byte);
            let of = |(kind, n): (u8, &mut u8)| *n += u8::from(packet[0] == kind);
            kinds.into_iter().zip(acks.iter_mut()).for_each(of);
        });
        let _ = self.engine.handle(self.now, Input::Wrote { pending: 0 }, &mut self.inbox);
    }

    fn open(&mut self) {
        let id = u32::from(self.count.cuts + self.count.crashes) * 8 + 1;
        let id = self.pipe.map_or(id, |last| last + 1);
        self.pipe = Some(id);
        self.broker.opened(self.now, PipeId(id));
        self.check.opened(self.now);
        for input in [Input::Opening(Step::Transport), Input::Opened] {
            let _ = self.engine.handle(self.now, input, &mut self.inbox);
        }
    }

    /// The engine leaves; what it has said arrives.
    fn close(&mut self) {
        while !self.up.is_empty() {
            self.broker_takes();
        }
        self.end_connection();
    }

    /// What the broker says goes on its way.
    fn fetch(&mut self) {
        let Some(id) = self.pipe else { return };
        let bytes = self.broker.transmit(PipeId(id)).to_vec();
        let mut rest = &bytes[..];
        while let Ok(Some(frame)) = frame_len(rest) {
            let (packet, more) = rest.split_at(frame.total_len);
            self.down.push_back(packet.to_vec());
            rest = more;
        }
        self.broker.transmitted(self.now, PipeId(id), bytes.len());
    }

    fn note_progress(&mut self) {
        let losses = self.count.losses;
        self.taken.resize(self.broker.accepted().len().max(self.taken.len()), losses);
        self.got.resize(self.inbox.messages.len(), losses);
        self.acknowledged.resize(self.inbox.messages.len(), !self.bounds.manual);
        if self.engine.is_saved() {
            self.safe = self.inbox.messages.len();
        }
    }

    pub(super) fn fail(&mut self, why: &str) {
        self.flaw.get_or_insert_with(|| why.to_owned());
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(told) = &mut self.told {
            told.push(line());
        }
    }
}
