//! ESP8266 and ESP32 modules with ESP-AT firmware: 1.7 and later.

mod answers;
mod flow;
mod lines;
mod said;
mod script;
#[cfg(test)]
mod tests;
mod trouble;

use core::net::Ipv4Addr;
use core::time::Duration;

use everlink_proto::engine::{Cause, Depth, Fault, Step};
use everlink_proto::time::Instant;

use super::plan::{ModemOptions, ModemTls, Plan};
use super::queue::Queue;
use lines::Lines;
use said::Name;
pub(super) use script::LONGEST_COMMAND;
use script::{Facts, Stage};
pub use trouble::Trouble;

/// Pause before a busy module is told again.
const BUSY: Duration = Duration::from_millis(100);
/// Questions without an answer before and after the module is rinsed.
const TRIES: u8 = 3;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The first so many bytes of the memory given are for the line.
    Send(usize),
    /// The reset pin is to be low, or not.
    Pin {
        /// Low: the module is held in reset.
        low: bool,
    },
    /// Nothing before this time, unless bytes come or something is wanted. `None`: for as long as it
    /// takes.
    Wait(Option<Instant>),
}

/// Where a modem stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is wanted, or what was wanted is done.
    Idle,
    /// On the way to a connection or down a rung: the present step.
    Busy(Step),
    /// Connected.
    Open,
    /// The connection could not be made.
    Failed(Fault),
    /// The connection has ended; `None` if the broker ended it. What came before can still be read.
    Ended(Option<Cause>),
}

/// What it is all for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    Connect,
    Leave,
    Reset,
}

/// A module with ESP-AT firmware, as a machine without input and output.
///
/// `B` is memory for bytes on their way: `[u8; N]`, `&mut [u8]`, a box. Drive it so: hand bytes of the line
/// to [`receive`](Self::receive); after that and after any other call, [`poll`](Self::poll) until it
/// answers [`Output::Wait`], carrying out each output before the next call. Nothing that the module
/// says can make it panic or take more memory.
#[derive(Debug)]
pub struct EspAt<B> {
    options: ModemOptions,
    state: State,
    goal: Goal,
    stage: Stage,
    /// The command is out, or the wait has begun.
    asked: bool,
    /// The module was given up with a command out: it may yet answer that.
    unsure: bool,
    /// It has fewer bytes than it waits for: whatever comes next, it takes for the rest of a message.
    starved: bool,
    /// The reset pin was not yet pulled in this attempt.
    may_pull: bool,
    due: Option<Instant>,
    not_before: Instant,
    busy_since: Option<Instant>,
    tries: u8,
    lines: Lines,
    /// TLS of the present attempt.
    tls: ModemTls,
    version: u8,
    address: Option<Ipv4Addr>,
    here: Option<Name>,
    /// Numbers of the network in hand, and of the one to begin with.
    network: usize,
    first: usize,
    tried: usize,
    remembered: Option<usize>,
    told: Option<(Cause, Trouble)>,
    trouble: Option<Trouble>,
    flow: flow::Flow<B>,
    restarts: u32,
    resets: u32,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> EspAt<B> {
    /// A modem with memory for bytes to the broker and from it: what one command moves, so more is
    /// faster up to 2048 bytes each.
    pub const fn new(options: ModemOptions, to_broker: B, from_broker: B) -> Self {
        Self {
            options,
            state: State::Idle,
            goal: Goal::Connect,
            stage: Stage::Off,
            asked: false,
            unsure: true,
            starved: false,
            may_pull: false,
            due: None,
            not_before: Instant::ZERO,
            busy_since: None,
            tries: 0,
            lines: Lines::new(),
            tls: ModemTls::Off,
            version: 2,
            address: None,
            here: None,
            network: 0,
            first: 0,
            tried: 0,
            remembered: None,
            told: None,
            trouble: None,
            flow: flow::Flow::new(Queue::new(to_broker), Queue::new(from_broker)),
            restarts: 0,
            resets: 0,
        }
    }

    /// Makes a connection, from wherever the module is. What an earlier one still held is dropped.
    pub fn open(&mut self) {
        self.begin(Goal::Connect);
    }

    /// Climbs a rung of the recovery ladder: [`Depth::Link`] leaves the network, [`Depth::Device`]
    /// resets the module. [`State::Idle`] follows in any case, within some seconds.
    pub fn cycle(&mut self, depth: Depth) {
        match depth {
            Depth::Pipe => {}
            Depth::Link => self.begin(Goal::Leave),
            Depth::Device => self.begin(Goal::Reset),
        }
    }

    /// Ends the connection in order: what was written goes out, then the connection is closed and
    /// [`State::Idle`] follows.
    pub fn close(&mut self) {
        self.flow.closing = true;
    }

    /// Nobody wants the connection any more. The module is told with the next one.
    pub fn abandon(&mut self) {
        if self.owes() {
            (self.state, self.flow.owing) = (State::Idle, true);
        } else {
            self.rest(State::Idle);
        }
    }

    /// The line to the module is gone, and with it what was under way.
    pub fn line_lost(&mut self, cause: Cause) {
        let state = match self.state {
            State::Open => State::Ended(Some(cause)),
            State::Busy(_) if self.goal == Goal::Connect => {
                State::Failed(Fault::new(Step::Link, cause))
            }
            State::Busy(_) => State::Idle,
            other => other,
        };
        self.trouble = None;
        self.rest(state);
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// What was wrong last, in the terms of the module.
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble
    }

    /// Number of the network that served last, to be kept over a loss of power.
    pub fn remembered(&self) -> Option<usize> {
        self.remembered
    }

    /// Begins with this network.
    pub fn remember(&mut self, network: usize) {
        (self.first, self.remembered) = (network, Some(network));
    }

    /// How often the module restarted by itself.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// How often it was reset or told to restart.
    pub fn resets(&self) -> u32 {
        self.resets
    }

    /// Takes as many bytes for the broker as there is room for.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        if self.state == State::Open && !self.flow.closing { self.flow.out.put(bytes) } else { 0 }
    }

    /// Whether all that was written has been sent, and acknowledged by the module.
    pub fn is_flushed(&self) -> bool {
        self.flow.out.ready().is_empty()
    }

    /// Hands out bytes from the broker, as many as there are and `to` holds.
    pub fn read(&mut self, to: &mut [u8]) -> usize {
        self.flow.inn.take(to)
    }

    /// How many bytes it would take.
    #[cfg(feature = "uart")]
    pub(in crate::modem) fn room(&self) -> usize {
        if self.flow.closing { 0 } else { self.flow.out.room() }
    }

    /// Bytes from the broker, where they lie.
    #[cfg(feature = "uart")]
    pub(in crate::modem) fn received(&self) -> &[u8] {
        self.flow.inn.ready()
    }

    #[cfg(feature = "uart")]
    pub(in crate::modem) fn has_received(&self) -> bool {
        !self.flow.inn.ready().is_empty()
    }

    #[cfg(feature = "uart")]
    pub(in crate::modem) fn consume(&mut self, n: usize) {
        self.flow.inn.skip(n);
    }

    /// What is to be done now. `out` is for bytes, [`MIN_OUT`](super::MIN_OUT) at least: with less, a
    /// long name or passphrase cannot be said.
    pub fn poll(&mut self, now: Instant, plan: &impl Plan, out: &mut [u8]) -> Output {
        // Each round goes to another stage or ends; most there can be in one go are the networks.
        for _ in 0..64 {
            if self.due.is_some_and(|due| now >= due) {
                self.late();
                continue;
            }
            if self.asked {
                return Output::Wait(self.due);
            }
            if now < self.not_before {
                return Output::Wait(Some(self.not_before));
            }
            if let Some(output) = self.act(now, plan, out) {
                return output;
            }
        }
        Output::Wait(Some(now + BUSY))
    }

    /// Does what the present stage begins with. `None` leads to another stage.
    fn act(&mut self, now: Instant, plan: &impl Plan, out: &mut [u8]) -> Option<Output> {
        match self.stage {
            Stage::Off => return Some(Output::Wait(None)),
            Stage::Ready => return self.choose_flow(now),
            Stage::Payload | Stage::Rinse => return self.pay(now, out),
            Stage::Choose => {
                self.choose_network(plan);
                return None;
            }
            Stage::PinLow => {
                self.ask(now);
                return Some(Output::Pin { low: true });
            }
            Stage::Boot if self.options.has_reset_pin => {
                self.ask(now);
                return Some(Output::Pin { low: false });
            }
            Stage::Boot | Stage::Settle | Stage::Hold => {
                self.ask(now);
                return None;
            }
            Stage::Hangup => {
                self.tls = plan.broker().tls;
                self.address = plan.broker().host.parse().ok();
            }
            Stage::Resolve if self.address.is_some() => {
                self.after_address();
                return None;
            }
            _ => {}
        }
        let facts = Facts {
            network: plan.network(self.network),
            broker: plan.broker(),
            address: self.address,
            version: self.version,
            bytes: self.flow.wanted(self.stage),
        };
        match self.stage.command(&facts, out) {
            Some(n) => {
                self.ask(now);
                Some(Output::Send(n))
            }
            None => {
                self.unspeakable();
                None
            }
        }
    }

    fn begin(&mut self, goal: Goal) {
        let owes = self.owes();
        (self.goal, self.told, self.tried, self.here) = (goal, None, 0, None);
        self.flow.restart(owes);
        self.may_pull = self.options.has_reset_pin;
        if owes && !(goal == Goal::Reset && self.options.has_reset_pin) {
            self.state = State::Busy(Step::Link);
            return;
        }
        self.rest(State::Busy(Step::Link));
        self.lines.clear();
        if self.options.has_reset_pin && (goal == Goal::Reset || self.starved) {
            self.pull();
        } else {
            self.go(Stage::Attention);
        }
    }

    /// Half a message has to be sent to its end, or else the module takes what follows for it.
    fn owes(&self) -> bool {
        match self.stage {
            Stage::Payload => true,
            Stage::Announce => self.asked,
            Stage::Confirm => !self.flow.received,
            _ => false,
        }
    }

    /// By the reset pin.
    fn pull(&mut self) {
        self.resets = self.resets.saturating_add(1);
        self.may_pull = false;
        self.go(Stage::PinLow);
    }

    /// Goes on with another stage.
    fn go(&mut self, stage: Stage) {
        (self.stage, self.asked, self.due, self.tries) = (stage, false, None, 0);
        (self.not_before, self.busy_since) = (Instant::ZERO, None);
        if let State::Busy(_) = self.state {
            self.state = State::Busy(stage.step(self.tls));
        }
    }

    /// The command goes out now, or the wait begins.
    fn ask(&mut self, now: Instant) {
        self.asked = true;
        // A busy module is told again, but not for ever.
        let due = now + self.stage.bound(&self.options);
        self.due = Some(self.due.unwrap_or(due));
    }

    /// Does nothing more, for now.
    fn rest(&mut self, state: State) {
        let awaited = self.asked && !self.stage.is_wait();
        self.unsure |= awaited || self.stage == Stage::Payload;
        self.starved |= match self.stage {
            Stage::Announce => awaited && !self.flow.closed,
            Stage::Confirm => !self.flow.received,
            _ => false,
        };
        (self.stage, self.asked, self.due) = (Stage::Off, false, None);
        self.state = state;
    }

    /// The attempt failed, or the connection broke.
    fn fail(&mut self, cause: Cause, trouble: Trouble) {
        self.trouble = Some(trouble);
        let step = self.stage.step(self.tls);
        let state = match self.state {
            State::Open => State::Ended(Some(cause)),
            _ if self.goal != Goal::Connect => State::Idle,
            _ => State::Failed(Fault::new(step, cause)),
        };
        self.rest(state);
    }

    /// There is no way to say it.
    fn unspeakable(&mut self) {
        match self.stage {
            Stage::Join => self.next_network(Cause::WrongProtocol, Trouble::Unspeakable),
            _ => self.fail(Cause::WrongProtocol, Trouble::Unspeakable),
        }
    }

    /// Finds the next network, or stays where it is.
    fn choose_network(&mut self, plan: &impl Plan) {
        let count = (0..).take_while(|n| plan.network(*n).is_some() && *n < 64).count();
        if count == 0 {
            return match self.here {
                Some(_) => self.go(Stage::Hangup),
                None => self.go(Stage::Await),
            };
        }
        if let Some(here) = self.here.take() {
            let known = |n: &usize| plan.network(*n).is_some_and(|known| here.is(known.ssid));
            if let Some(at) = (0..count).find(known) {
                (self.network, self.first, self.remembered) = (at, at, Some(at));
                return self.go(Stage::Hangup);
            }
        }
        if self.tried == count {
            let (cause, trouble) = self.told.unwrap_or((Cause::Unreachable, Trouble::NoNetwork));
            return self.fail(cause, trouble);
        }
        self.network = self.first % count;
        // If we are not given the time to finish, the next attempt begins with another one.
        self.first = (self.network + 1) % count;
        (self.tried, self.told) = (self.tried + 1, None);
        self.go(Stage::Join);
    }

    fn next_network(&mut self, cause: Cause, trouble: Trouble) {
        self.told = Some((cause, trouble));
        self.go(Stage::Choose);
    }

    fn after_address(&mut self) {
        self.go(match self.tls {
            ModemTls::Off => Stage::Start,
            _ => Stage::Certificate,
        });
    }
}
