//! One run: an engine, a broker and a network, driven by a seed.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use everlink_proto::engine::{Cause, Engine, Event, Receipt, Step, Tag};
use everlink_proto::session::{Backoff, Config, Session};
use everlink_proto::store::{Stage, Store};
use everlink_proto::time::{Duration, Instant};
use everlink_proto::wire::Version;
use fastrand::Rng;

use super::ledger::Ledger;
use super::setup::{self, Arrays, millis, secs};
use super::store::SimStore;
use super::{Counts, Plan};
use crate::netem::Listen;
use crate::pair::Pair;

/// Client Identifier of the simulated host.
pub(super) const CLIENT: &str = "host-0";
/// Server References: the broker itself, and a server that cannot be reached.
pub(super) const HERE: &str = "here";
pub(super) const NOWHERE: &str = "nowhere";
/// No message of the campaign is larger.
const LARGEST: usize = 2_700;
/// No schedule is longer.
pub(super) const MOST_STEPS: usize = 60;

pub(super) struct World<'m> {
    pub(super) pair: Pair<Session<'m, SimStore<'m>>>,
    pub(super) rng: Rng,
    pub(super) cfg: Config,
    pub(super) ledger: Ledger,
    /// What was asked of the session last, for each filter.
    pub(super) wanted: BTreeMap<&'static str, bool>,
    /// SUBSCRIBEs and UNSUBSCRIBEs accepted.
    pub(super) operations: Vec<Tag>,
    /// Messages received when, and not yet acknowledged by the application; how many it has seen.
    pub(super) unacknowledged: Vec<(Receipt, Instant)>,
    pub(super) looked_at: usize,
    pub(super) closed: bool,
    /// The store takes nothing.
    pub(super) broken: Rc<Cell<bool>>,
    /// The broker takes QoS 2 messages only at PUBREL.
    pub(super) take_at_release: bool,
    /// The broker exceeded the client's limits.
    pub(super) overrun: bool,
    /// The broker did not see an acknowledgement, so that it waits for the next connection.
    pub(super) broker_waits: bool,
    /// Connections made because the application asked.
    pub(super) requested: usize,
    faults: BTreeMap<&'static str, u64>,
    verbose: bool,
}

/// One run; what it had in it.
pub(super) fn run(plan: &Plan) -> Counts {
    let mut rng = Rng::with_seed(plan.seed);
    let version = if rng.bool() { Version::V5 } else { Version::V311 };
    let take_at_release = rng.bool();
    let cfg = setup::config(&mut rng, version);
    let mut arrays = Arrays::new(&mut rng, &cfg);
    let broken = Rc::new(Cell::new(false));
    let (store, memory) = arrays.split(&mut rng, &cfg, broken.clone());
    let session = Session::new(cfg.clone(), store, memory);
    let mut pair = Pair::with_buffers(plan.seed, session, setup::buffers(&cfg));
    pair.check.remember_publishes();
    pair.endpoints = vec![0; usize::from(cfg.endpoints)];
    pair.inbox.servers = [(HERE.to_owned(), 0), (NOWHERE.to_owned(), 1)].into();
    pair.net.listener(1).mode = Listen::Fail(Cause::Unreachable);
    if plan.verbose {
        pair.trace.keep(1_000_000);
    }
    let mut world = World {
        pair,
        rng,
        cfg,
        ledger: Ledger::default(),
        wanted: BTreeMap::new(),
        operations: Vec::new(),
        unacknowledged: Vec::new(),
        looked_at: 0,
        closed: false,
        broken,
        take_at_release,
        overrun: false,
        broker_waits: false,
        requested: 0,
        faults: BTreeMap::new(),
        verbose: plan.verbose,
    };
    world.note(|w| format!("{:?}", w.cfg));
    world.live(plan);
    world.mend();
    world.judge();
    let counts = world.counts();
    if plan.verbose {
        println!("{}", world.pair.trace);
    }
    counts
}

impl World<'_> {
    pub(super) fn note(&mut self, text: impl FnOnce(&Self) -> String) {
        if self.verbose {
            let (now, text) = (self.pair.now(), text(self));
            self.pair.trace.note(now, format!("       * {text}"));
        }
    }

    pub(super) fn fault(&mut self, name: &'static str) {
        self.note(|_| name.to_owned());
        *self.faults.entry(name).or_default() += 1;
    }

    fn live(&mut self, plan: &Plan) {
        self.change_offer();
        self.change_path();
        self.pair.inbox.manual = self.rng.u8(..4) == 0;
        self.subscribe("in/#");
        self.pair.open();
        for step in 0..self.rng.usize(5..MOST_STEPS) {
            // A seed of its own: what is left out changes nothing else.
            let mut draw = Rng::with_seed(plan.seed ^ (step as u64 + 1) << 40);
            self.rng = Rng::with_seed(draw.u64(..));
            if plan.takes(step) {
                self.step(step);
            }
        }
        self.rng = Rng::with_seed(!plan.seed);
    }

    fn step(&mut self, step: usize) {
        self.note(|_| format!("step {step}"));
        self.pause();
        self.check_timer();
        self.act();
        self.look();
        self.check_accounts();
        self.check_memory();
    }

    fn pause(&mut self) {
        let most = setup::one_of(&mut self.rng, &[0, 50, 300, 300, 3_000, 3_000, 30_000]);
        let time = self.rng.u64(..=most);
        self.pair.run_for(millis(time));
    }

    /// The application looks at what came.
    fn look(&mut self) {
        let messages = &self.pair.hosts[0].inbox.messages[self.looked_at..];
        let later = messages.iter().filter(|m| m.later);
        self.unacknowledged.extend(later.map(|m| (m.receipt, m.at)));
        self.looked_at += messages.len();
        self.check_owed();
    }

    /// What the application has not acknowledged is not acknowledged to the broker.
    fn check_owed(&self) {
        let ups = self.pair.events.iter().rev().find(|(_, e)| matches!(e, Event::Up { .. }));
        let Some((up, _)) = ups.filter(|_| self.pair.engine.status().step == Step::Up) else {
            return;
        };
        let waiting = self.unacknowledged.iter().filter(|(_, at)| at > up).count();
        let owed = self.pair.check.owed();
        if owed < waiting {
            self.pair.fail(&format!("{waiting} messages wait for the application, {owed} owed"));
        }
    }

    /// Every message accepted is in exactly one place.
    fn check_accounts(&self) {
        let (s, held) = (self.pair.engine.stats(), self.pair.engine.held() as u64);
        if s.accepted != s.delivered + s.rejected + s.expired + s.dropped + held {
            self.pair.fail(&format!("accounts: {s:?}, held {held}"));
        }
    }

    /// Bounded memory: the limits of queue and window hold.
    fn check_memory(&self) {
        let (store, queue) = (self.pair.engine.store(), &self.cfg.queue);
        let window = usize::from(self.cfg.window);
        let under_way = store.len(Stage::Sent) + store.len(Stage::Released);
        // A lost session puts what was under way back into the queue.
        let queued = store.len(Stage::Queued);
        if under_way > window || queued + under_way > queue.messages + window {
            self.pair.fail(&format!("memory: {queued} queued, {under_way} under way"));
        }
        let bytes = store.bytes(Stage::Queued);
        if bytes > queue.bytes + window * LARGEST {
            self.pair.fail(&format!("memory: {bytes} bytes queued"));
        }
    }

    /// While the client is open, a timer runs, and it lies no further ahead than any time it could
    /// be for.
    fn check_timer(&self) {
        let step = self.pair.engine.status().step;
        if step == Step::Idle {
            return;
        }
        let Config { backoff, ladder, keep_alive, open_timeout, response_time, .. } = &self.cfg;
        let ping = millis(250) * u32::from((*keep_alive).max(80));
        let times = [
            *open_timeout,
            *response_time,
            backoff.max,
            backoff.refused,
            ladder.pipe_hold,
            ladder.link_hold,
            ladder.device_hold,
            ping,
        ];
        let mut longest = times.into_iter().max().unwrap_or_default() + Backoff::FLOOR;
        let (host, store) = (&self.pair.hosts[0], self.pair.engine.store());
        let under_way = store.len(Stage::Sent) + store.len(Stage::Released);
        if step == Step::Up && under_way > 0 && !host.is_held() {
            // An acknowledgement is awaited, and nothing keeps the client from seeing it.
            longest = *response_time;
        }
        let now = self.pair.now();
        match self.pair.hosts[0].next_event() {
            None => self.pair.fail(&format!("no timer runs in {step:?}")),
            Some(at) if at.since(now) > longest => {
                self.pair.fail(&format!("a timer in {step:?} fires only in {:?}", at.since(now)));
            }
            Some(_) => {}
        }
    }

    /// All that is broken is mended; from then on everything must come right in bounded time.
    fn mend(&mut self) {
        self.note(|_| "mend".to_owned());
        self.pair.settle();
        let now = self.pair.now();
        let path = self.pair.net.path(0);
        path.heal();
        path.set_delay(millis(2), millis(2));
        (path.to_server.rate, path.to_client.rate) = (None, None);
        (path.to_server.cut, path.to_client.cut) = (None, None);
        path.buffer = 64 * 1024;
        // A CONNECT still on its way would take the session over.
        self.pair.net.drop_closed(now, 0);
        self.pair.net.listener(0).mode = Listen::Accept;
        self.pair.net.listener(0).delay = Duration::ZERO;
        self.pair.broker().faults.clear();
        self.pair.broker().faults.refuse_connect.clear();
        self.pair.broker().faults.send_away.clear();
        self.broken.set(false);
        self.pair.inbox.servers.clear();
        self.pair.inbox.room = None;
        self.pair.inbox.manual = false;
        self.pair.inbox.distrusts = false;
        self.pair.touch();
        self.acknowledge_all();
        if self.broker_waits {
            self.pair.net.reset_client(now, 0);
        }
        if self.overrun {
            // What it sent in excess found no room, and what it may send now need not be that.
            self.pair.restart_broker(false);
        }
        if self.closed {
            self.open();
        }
        self.come_up();
        self.drain();
        self.stay_up();
    }

    /// The longest time to be connected again once nothing is in the way.
    fn recovery_bound(&self) -> Duration {
        let Config { backoff, ladder, .. } = &self.cfg;
        let pause = backoff.max.max(backoff.refused).max(ladder.device_hold).max(ladder.link_hold);
        // What is under way when the path heals may have to fail first. The 3.1.1 detour takes
        // two connections more.
        self.cfg.open_timeout.max(self.cfg.response_time) * 2 + pause + Backoff::FLOOR + secs(1)
    }

    fn come_up(&mut self) {
        let bound = self.recovery_bound();
        let is_up = |pair: &Pair<Session<'_, SimStore<'_>>>| pair.engine.status().step == Step::Up;
        // A reset is noticed when the network moves on.
        self.pair.run_for(millis(10));
        self.pair.run_until(bound, "the session to come up", is_up);
    }

    fn drain(&mut self) {
        let mut quiet = false;
        for _ in 0..400 {
            self.look();
            self.acknowledge_all();
            let told =
                self.operations.iter().filter(|tag| self.pair.inbox.fate(**tag).is_none()).count();
            let backlog = self.pair.servers[0].backlog(CLIENT);
            quiet = self.pair.engine.held() == 0 && told == 0 && backlog == 0;
            if quiet {
                break;
            }
            self.pair.run_for(millis(500));
        }
        if !quiet {
            let (held, backlog) = (self.pair.engine.held(), self.pair.servers[0].backlog(CLIENT));
            self.pair.fail(&format!("not drained: held {held}, the broker's backlog {backlog}"));
        }
    }

    /// Attempts but for those by which it came back to the first choice.
    fn unwanted_attempts(&self) -> u64 {
        let returned =
            |event: &Event| matches!(event, Event::Down(f) if f.cause == Cause::Returning);
        let returns = self.pair.events.iter().filter(|(_, event)| returned(event)).count();
        self.pair.engine.stats().attempts - returns as u64
    }

    /// Left alone, a good connection stays.
    fn stay_up(&mut self) {
        self.pair.run_for(secs(10));
        let before = self.unwanted_attempts();
        let time = if self.rng.u8(..4) == 0 { 400 } else { 40 };
        self.pair.run_for(secs(time));
        if self.unwanted_attempts() != before {
            self.pair.fail("an idle connection was lost");
        }
    }

    fn judge(&mut self) {
        self.check_accounts();
        // Of what was sent in excess the new is left for the next connection, the known is answered.
        let excused = |rule: &str| self.overrun && rule.starts_with("MQTT-4.6.0-3");
        if let Some(found) = self.pair.violations().iter().find(|v| !excused(v.rule)) {
            self.pair.fail(&format!("the protocol was broken:\n{found}"));
        }
        self.ledger.judge(&self.pair, self.overrun);
        self.check_subscriptions();
        self.check_attempts();
        self.check_wakes();
    }

    fn check_subscriptions(&self) {
        let mut has = self.pair.servers[0].subscriptions(CLIENT);
        has.sort();
        let wanted: Vec<_> =
            self.wanted.iter().filter(|(f, on)| **on && **f != "no/#").map(|(f, _)| *f).collect();
        if has != wanted {
            self.pair.fail(&format!("the broker has {has:?}, wanted are {wanted:?}"));
        }
    }

    /// The engine is not woken for nothing.
    fn check_wakes(&self) {
        let (wakes, secs) = (self.pair.idle_wakes, self.pair.elapsed().as_secs());
        if wakes > 30 + secs {
            self.pair.fail(&format!("{wakes} times awake for nothing in {secs} s"));
        }
    }

    /// No more attempts in any minute than backoff and the application's own requests explain.
    fn check_attempts(&self) {
        let opens: Vec<Instant> = self.pair.opens.iter().map(|(at, _)| *at).collect();
        // Pauses are drawn between the least one and at least twice the first bound.
        let mean = (self.cfg.backoff.min * 2 + Backoff::FLOOR) / 2;
        let expected = 40 + (secs(80).as_millis() / mean.as_millis()) as usize;
        // A few redirects in a row are followed at once.
        let per_pause = if self.faults.contains_key("broker redirects") { 4 } else { 1 };
        let mut first = 0;
        for (n, at) in opens.iter().enumerate() {
            while at.since(opens[first]) > secs(60) {
                first += 1;
            }
            let most = expected * per_pause + 3 * self.requested;
            if n - first >= most {
                self.pair.fail(&format!("{} attempts in a minute", n - first + 1));
            }
        }
    }

    fn counts(&mut self) -> Counts {
        let s = self.pair.engine.stats();
        Counts {
            seeds: 1,
            accepted: s.accepted,
            delivered: s.delivered,
            received: s.received,
            connections: s.connections,
            attempts: s.attempts,
            repeats: s.repeats,
            duplicates: s.duplicates,
            strays: s.strays,
            seconds: self.pair.elapsed().as_secs(),
            faults: std::mem::take(&mut self.faults),
        }
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        if self.verbose && std::thread::panicking() {
            println!("{}", self.pair.trace);
        }
    }
}
