//! Plays a recording to the engine again.

use std::path::Path;
use std::time::{Duration, SystemTime};

use everlink_link::Frame;
use everlink_link::tap::{Described, Secrets};
use everlink_proto::engine::{
    Engine, Handled, Input, Outgoing, Output, Receipt, Refused, Step, Subscription, Tag,
};
use everlink_proto::session::{Memory, Session, Stats};
use everlink_proto::store::RamStore;
use everlink_proto::time::Instant;
use everlink_proto::topic::{TopicFilter, TopicName};
use everlink_proto::wire::{
    Disconnect, Packet, Properties, QoS, ReasonCode, SubscribeOptions, Version,
};

use super::codes::{call, input as inputs, malformed};
use super::format::{FRAME, Get};
use super::inbox::Answers;
use super::read::{Frames, RecordError};
use super::setup::Setup;
use super::tape::{cut, hide};
use crate::WhenFull;

/// A recording that is played to a new engine, call by call, on the clock of then.
#[derive(Debug)]
pub struct Replay {
    frames: Frames,
    frame: Vec<u8>,
    /// Where the next call begins in it.
    at: usize,
    setup: Setup,
    engine: Session<'static, RamStore>,
    now: Instant,
    step: Step,
    /// Of a packet that is being sent: bytes to come, then and now.
    rest: (usize, usize),
    tx: Vec<u8>,
}

/// One call of the engine: what it was told, and what it made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moment {
    /// Since the client was built.
    pub at: Duration,
    /// Which call: `open`, `packet`, `poll`, `publish` ...
    pub call: &'static str,
    /// With what, in words; packets as a trace shows them.
    pub with: String,
    /// What the engine told the application meanwhile, and what that answered.
    pub told: Vec<String>,
    /// What the engine answered, in words; empty where there is nothing to tell.
    pub answer: String,
    /// The step the connection is at, if the call changed it.
    pub step: Option<Step>,
    /// What was recorded, where the engine says something else today.
    pub difference: Option<String>,
}

impl Replay {
    /// Opens a recording.
    ///
    /// # Errors
    /// If the file cannot be read or is no recording.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let mut frames = Frames::open(path)?;
        let mut frame = Vec::new();
        if !frames.next(&mut frame)? {
            return Err(RecordError::Torn(frames.position()));
        }
        let mut get = Get(&frame);
        let setup = (get.byte() == Some(call::SETUP)).then(|| get.signed()).flatten();
        let setup = setup.and_then(|_| Setup::get(&mut get));
        let setup = setup.ok_or(RecordError::Damaged(frames.position()))?;
        let at = frame.len() - get.0.len();
        let store = match setup.config.queue.when_full {
            WhenFull::Latest => RamStore::indexed(),
            _ => RamStore::new(),
        };
        let memory = Memory::growing(&setup.config);
        let engine = Session::new(setup.config.clone(), store, memory);
        let step = engine.status().step;
        let (now, rest) = (Instant::ZERO, (0, 0));
        Ok(Self { frames, frame, at, setup, engine, now, step, rest, tx: Vec::new() })
    }

    /// When the client was built.
    pub fn began(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.setup.began)
    }

    /// The version of everlink that wrote it.
    pub fn by(&self) -> &str {
        &self.setup.by
    }

    /// The version of MQTT that was spoken.
    pub fn version(&self) -> Version {
        self.setup.config.version
    }

    /// Whether secrets were written over when it was recorded.
    pub fn is_masked(&self) -> bool {
        self.setup.masked
    }

    /// The engine's counters, as far as it was played.
    pub fn stats(&self) -> Stats {
        *self.engine.stats()
    }

    /// Plays the next call; `None` at the end.
    ///
    /// # Errors
    /// If the recording is torn or damaged from here on.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would have to go on after an error"
    )]
    pub fn next(&mut self) -> Result<Option<Moment>, RecordError> {
        if self.at >= self.frame.len() {
            self.at = 0;
            if !self.frames.next(&mut self.frame)? {
                self.frame.clear();
                return Ok(None);
            }
        }
        let frame = std::mem::take(&mut self.frame);
        let mut get = Get(&frame[self.at..]);
        let moment = self.play(&mut get);
        self.at = frame.len() - get.0.len();
        self.frame = frame;
        // Its checksum is right: whoever wrote it meant something else.
        moment.map(Some).ok_or(RecordError::Damaged(self.frames.position()))
    }

    /// `None`: it makes no sense.
    fn play(&mut self, get: &mut Get<'_>) -> Option<Moment> {
        let code = get.byte()?;
        let passed = get.signed()?;
        self.now = Instant::from_micros(self.now.as_micros().checked_add_signed(passed)?);
        let mut moment = Moment {
            at: self.now.since(Instant::ZERO),
            call: "",
            with: String::new(),
            told: Vec::new(),
            answer: String::new(),
            step: None,
            difference: None,
        };
        match code {
            call::OPEN | call::CLOSE | call::RECONNECT | call::PING => {
                self.simple(code, get, &mut moment)?;
            }
            call::HANDLE => self.handle(get, &mut moment)?,
            call::POLL => self.poll(get, &mut moment)?,
            call::CONNECT => self.connect(get, &mut moment)?,
            call::PUBLISH => self.publish(get, &mut moment)?,
            call::SUBSCRIBE => self.subscribe(get, &mut moment)?,
            call::UNSUBSCRIBE => self.unsubscribe(get, &mut moment)?,
            call::ACKNOWLEDGE | call::REAUTHENTICATE => self.plain(code, get, &mut moment)?,
            _ => return None,
        }
        let step = self.engine.status().step;
        moment.step = (step != self.step).then_some(step);
        self.step = step;
        Some(moment)
    }

    /// Calls without an answer.
    fn simple(&mut self, code: u8, get: &mut Get<'_>, moment: &mut Moment) -> Option<()> {
        match code {
            call::OPEN => {
                moment.call = "open";
                self.engine.open(self.now);
            }
            call::CLOSE => {
                moment.call = "close";
                let reason = ReasonCode(get.byte()?);
                let props = Properties::from_raw(get.bytes()?).ok()?;
                moment.with = reason.to_string();
                self.engine.close(self.now, Disconnect { reason, props });
            }
            call::RECONNECT => {
                moment.call = "reconnect";
                self.engine.reconnect(self.now);
            }
            _ => {
                moment.call = "ping";
                self.engine.ping();
            }
        }
        Some(())
    }

    fn handle(&mut self, get: &mut Get<'_>, moment: &mut Moment) -> Option<()> {
        let (input, name, with) = self.input(get)?;
        (moment.call, moment.with) = (name, with);
        if matches!(input, Input::Opened) {
            self.rest = (0, 0);
        }
        let mut inbox = Answers::read(get)?;
        let handled = self.engine.handle(self.now, input, &mut inbox);
        let busy = get.flag()?;
        let was = if busy { Handled::Busy } else { Handled::Done };
        if handled == Handled::Busy {
            moment.answer = "busy, to be offered again".into();
        }
        if handled != was {
            moment.difference = Some(if busy { "busy" } else { "taken" }.into());
        }
        inbox.end(moment);
        Some(())
    }

    fn input<'g>(&self, get: &mut Get<'g>) -> Option<(Input<'g>, &'static str, String)> {
        Some(match get.byte()? {
            inputs::OPENING => {
                let step = get.step()?;
                (Input::Opening(step), "opening", step.name().into())
            }
            inputs::OPENED => (Input::Opened, "opened", String::new()),
            inputs::ALIVE => (Input::Alive, "alive", String::new()),
            inputs::PACKET => {
                let bytes = get.bytes()?;
                (Input::Packet(bytes), "packet", self.describe(Frame::Packet(bytes)))
            }
            inputs::SKIPPED => {
                let total = get.small()?;
                let head = get.bytes()?;
                let words = self.describe(Frame::Skipped { head, total });
                (Input::Skipped { head, total }, "skipped", words)
            }
            inputs::REST => {
                let left = get.small()?;
                let bytes = get.bytes()?;
                (Input::Rest { bytes, left }, "rest", self.describe(Frame::Rest { bytes, left }))
            }
            inputs::MALFORMED => {
                let reason = ReasonCode(get.byte()?);
                (Input::Malformed(malformed(reason)), "malformed", reason.to_string())
            }
            inputs::WROTE => {
                let pending = get.small()?;
                (Input::Wrote { pending }, "wrote", format!("{pending} bytes wait"))
            }
            inputs::CLOSED => {
                let fault = get.fault()?;
                (Input::Closed(fault), "closed", fault.to_string())
            }
            inputs::TICK => (Input::Tick, "tick", String::new()),
            inputs::TRIED => {
                let open = get.flag()?;
                (Input::Tried { open }, "tried", if open { "it is open" } else { "in vain" }.into())
            }
            inputs::NETWORK_CHANGED => (Input::NetworkChanged, "network changed", String::new()),
            _ => return None,
        })
    }

    fn poll(&mut self, get: &mut Get<'_>, moment: &mut Moment) -> Option<()> {
        moment.call = "poll";
        self.make_room(get)?;
        let mut inbox = Answers::read(get)?;
        let mut tx = std::mem::take(&mut self.tx);
        let output = self.engine.poll(self.now, &mut tx, &mut inbox);
        let was = get.output(self.now)?;
        let sent = match was {
            Output::Send(_) => get.bytes()?,
            _ => &[],
        };
        let now = match output {
            Output::Send(n) => tx.get_mut(..n).unwrap_or_default(),
            _ => &mut [],
        };
        let then = self.sent(sent, now, moment);
        if !matches!(output, Output::Send(_)) {
            moment.answer = self.words(output);
        }
        if let Some(then) = then {
            moment.difference = Some(then);
        }
        if output != was && !(matches!((output, was), (Output::Send(_), Output::Send(_)))) {
            moment.difference = Some(self.words(was));
        }
        self.tx = tx;
        inbox.end(moment);
        Some(())
    }

    /// As much room as the driver had.
    fn make_room(&mut self, get: &mut Get<'_>) -> Option<()> {
        let room = get.small().filter(|room| *room <= FRAME)?;
        self.tx.resize(room, 0);
        Some(())
    }

    /// Puts into words what is sent, and gives what was sent then if that is not the same.
    fn sent(&mut self, then: &[u8], now: &mut [u8], moment: &mut Moment) -> Option<String> {
        let version = self.version();
        let mut rest = self.rest.1;
        if self.setup.masked {
            hide(version, now, &mut rest);
        }
        let (was, is) = (self.packets(then, true), self.packets(now, false));
        if !now.is_empty() {
            moment.answer = format!("send {}", is.join("; "));
        }
        (then != now).then(|| match was.join("; ") {
            words if words.is_empty() => "nothing sent".into(),
            words => format!("send {words}"),
        })
    }

    fn packets(&mut self, bytes: &[u8], then: bool) -> Vec<String> {
        let rest = if then { &mut self.rest.0 } else { &mut self.rest.1 };
        let parts = cut(bytes, rest);
        parts.into_iter().map(|(range, part)| self.describe(part.frame(&bytes[range]))).collect()
    }

    fn connect(&mut self, get: &mut Get<'_>, moment: &mut Moment) -> Option<()> {
        moment.call = "connect";
        let (_, connect) = Packet::decode_connect(get.bytes()?).ok()?;
        moment.with = connect.client_id.to_owned();
        self.make_room(get)?;
        Answers::read(get)?;
        let mut tx = std::mem::take(&mut self.tx);
        let result = self.engine.connect(self.now, &connect, &mut tx);
        let was = get.result()?;
        let sent = if was.is_ok() { get.bytes()? } else { &[] };
        let n = *result.as_ref().unwrap_or(&0);
        let then = self.sent(sent, tx.get_mut(..n).unwrap_or_default(), moment);
        moment.difference = then;
        compare(result.map(|_| ()), was, moment);
        self.tx = tx;
        Some(())
    }

    fn publish(&mut self, get: &mut Get<'_>, moment: &mut Moment) -> Option<()> {
        moment.call = "publish";
        let tag = Tag(get.small()?);
        let qos = QoS::try_from(get.byte()?).ok()?;
        let retain = get.flag()?;
        let expiry = get.option()?.map(Duration::from_micros);
        let topic = TopicName::new(get.text()?).ok()?;
        let payload = get.bytes()?;
        let props = Properties::from_raw(get.bytes()?).ok()?;
        moment.with = format!("{:?} QoS {}, {} bytes", topic.as_str(), qos as u8, payload.len());
        moment.with += if retain { ", retain" } else { "" };
        let message = Outgoing { topic, payload, qos, retain, props, expiry, tag };
        let mut inbox = Answers::read(get)?;
        let result = self.engine.publish(self.now, &message, &mut inbox);
        compare(result, get.result()?, moment);
        inbox.end(moment);
        Some(())
    }

    fn subscribe(&mut self, get: &mut Get<'_>, moment: &mut Moment) -> Option<()> {
        moment.call = "subscribe";
        let tag = Tag(get.small()?);
        let options = SubscribeOptions::from_byte(get.byte()?).ok()?;
        let id = get.small()?;
        let filter = TopicFilter::new(get.text()?).ok()?;
        let props = Properties::from_raw(get.bytes()?).ok()?;
        moment.with = format!("{:?} QoS {}", filter.as_str(), options.qos as u8);
        let subscription = Subscription { filter, options, id, props, tag };
        let mut inbox = Answers::read(get)?;
        let result = self.engine.subscribe(self.now, &subscription, &mut inbox);
        compare(result, get.result()?, moment);
        inbox.end(moment);
        Some(())
    }

    fn unsubscribe(&mut self, get: &mut Get<'_>, moment: &mut Moment) -> Option<()> {
        moment.call = "unsubscribe";
        let tag = Tag(get.small()?);
        let filter = TopicFilter::new(get.text()?).ok()?;
        moment.with = format!("{:?}", filter.as_str());
        let mut inbox = Answers::read(get)?;
        let result = self.engine.unsubscribe(self.now, filter, tag, &mut inbox);
        compare(result, get.result()?, moment);
        inbox.end(moment);
        Some(())
    }

    /// Calls that tell the inbox nothing.
    fn plain(&mut self, code: u8, get: &mut Get<'_>, moment: &mut Moment) -> Option<()> {
        let result = if code == call::ACKNOWLEDGE {
            moment.call = "acknowledge";
            let receipt = Receipt::from_bits(get.number()?);
            moment.with = format!("#{}", receipt.packet_identifier());
            self.engine.acknowledge(self.now, receipt)
        } else {
            moment.call = "reauthenticate";
            self.engine.reauthenticate()
        };
        Answers::read(get)?;
        compare(result, get.result()?, moment);
        Some(())
    }

    /// What is masked needs no second mask, and what is not was asked for.
    fn describe(&self, frame: Frame<'_>) -> String {
        let secrets = if self.setup.masked { Secrets::Masked } else { Secrets::Shown };
        Described { frame, version: self.version(), secrets }.to_string()
    }

    fn words(&self, output: Output) -> String {
        match output {
            Output::Open { endpoint } => format!("open road {endpoint}"),
            Output::Try { endpoint } => format!("try out road {endpoint}"),
            Output::Connect => "ask for CONNECT".into(),
            Output::Send(n) => format!("send {n} bytes"),
            Output::Close(depth) => format!("close: {depth:?}").to_lowercase(),
            Output::Event(event) => format!("{event:?}"),
            Output::Wait(None) => "wait".into(),
            Output::Wait(Some(at)) => match at.since(self.now) {
                Duration::ZERO => "wait no longer".into(),
                time => format!("wait {:.6} s", time.as_secs_f64()),
            },
        }
    }
}

fn compare(now: Result<(), Refused>, then: Result<(), Refused>, moment: &mut Moment) {
    let words = |result: Result<(), Refused>| match result {
        Ok(()) => "accepted".to_owned(),
        Err(refused) => format!("refused: {refused}"),
    };
    if now.is_err() || moment.answer.is_empty() {
        moment.answer = words(now);
    }
    if now != then {
        moment.difference = Some(words(then));
    }
}
