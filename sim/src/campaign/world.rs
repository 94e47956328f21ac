//! One run: an engine, a broker and a network, driven by a seed.

use std::collections::BTreeMap;

use everlink_proto::engine::{Engine, Event, Receipt, Step, Tag};
use everlink_proto::session::{Backoff, Config, Session};
use everlink_proto::time::{Duration, Instant};
use everlink_proto::wire::Version;
use everlink_sim::netem::Listen;
use everlink_sim::pair::Pair;
use fastrand::Rng;

use crate::Counts;
use crate::ledger::Ledger;
use crate::setup::{self, Arrays, millis, secs};
use crate::store::AnyStore;

/// Client Identifier of the simulated host.
pub(crate) const CLIENT: &str = "host-0";

pub(crate) struct World<'m> {
    pub(crate) pair: Pair<Session<'m, AnyStore<'m>>>,
    pub(crate) rng: Rng,
    pub(crate) cfg: Config,
    pub(crate) ledger: Ledger,
    /// What was asked of the session last, for each filter.
    pub(crate) wanted: BTreeMap<&'static str, bool>,
    /// SUBSCRIBEs and UNSUBSCRIBEs accepted.
    pub(crate) operations: Vec<Tag>,
    /// Messages received when, and not yet acknowledged by the application; how many it has seen.
    pub(crate) unacknowledged: Vec<(Receipt, Instant)>,
    pub(crate) looked_at: usize,
    pub(crate) closed: bool,
    /// The broker did not see an acknowledgement, so that it waits for the next connection.
    pub(crate) broker_waits: bool,
    /// Connections made because the application asked.
    pub(crate) requested: usize,
    verbose: bool,
}

/// One run; what it had in it.
pub(crate) fn run(seed: u64, verbose: bool) -> Counts {
    let mut rng = Rng::with_seed(seed);
    let version = if rng.bool() { Version::V5 } else { Version::V311 };
    let cfg = setup::config(&mut rng, version);
    let mut arrays = Arrays::new(&mut rng, &cfg);
    let (store, memory) = arrays.split(&mut rng, &cfg);
    let session = Session::new(cfg.clone(), store, memory);
    let mut pair = Pair::with_buffers(seed, session, setup::buffers(&cfg));
    pair.endpoints = vec![0; usize::from(cfg.endpoints)];
    if verbose {
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
        broker_waits: false,
        requested: 0,
        verbose,
    };
    world.note(|w| format!("{:?}", w.cfg));
    world.live();
    world.mend();
    world.judge();
    let counts = world.counts();
    if verbose {
        println!("{}\n{counts:?}", world.pair.trace);
    }
    counts
}

impl World<'_> {
    pub(crate) fn note(&mut self, text: impl FnOnce(&Self) -> String) {
        if self.verbose {
            let (now, text) = (self.pair.now(), text(self));
            self.pair.trace.note(now, format!("       * {text}"));
        }
    }

    fn live(&mut self) {
        self.change_offer();
        self.change_path();
        self.pair.inbox.manual = self.rng.u8(..4) == 0;
        self.subscribe("in/#");
        self.pair.open();
        for _ in 0..self.rng.usize(5..60) {
            self.pause();
            self.act();
            self.look();
            self.check_accounts();
        }
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
        let waiting = self.unacknowledged.iter().filter(|(_, at)| at >= up).count();
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
        self.pair.inbox.room = None;
        self.pair.inbox.manual = false;
        self.pair.inbox.distrusts = false;
        self.pair.touch();
        self.acknowledge_all();
        if self.broker_waits {
            self.pair.net.reset_client(now, 0);
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
        let is_up = |pair: &Pair<Session<'_, AnyStore<'_>>>| pair.engine.status().step == Step::Up;
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

    /// Left alone, a good connection stays.
    fn stay_up(&mut self) {
        self.pair.run_for(secs(10));
        let before = self.pair.engine.stats().attempts;
        let time = if self.rng.u8(..4) == 0 { 400 } else { 40 };
        self.pair.run_for(secs(time));
        if self.pair.engine.stats().attempts != before {
            self.pair.fail("an idle connection was lost");
        }
    }

    fn judge(&mut self) {
        self.check_accounts();
        self.pair.assert_conforms();
        self.ledger.judge(&self.pair);
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
        let mut first = 0;
        for (n, at) in opens.iter().enumerate() {
            while at.since(opens[first]) > secs(60) {
                first += 1;
            }
            let most = 60 + 3 * self.requested;
            if n - first >= most {
                self.pair.fail(&format!("{} attempts in a minute", n - first + 1));
            }
        }
    }

    fn counts(&self) -> Counts {
        let s = self.pair.engine.stats();
        Counts {
            accepted: s.accepted,
            delivered: s.delivered,
            received: s.received,
            connections: s.connections,
            attempts: s.attempts,
            repeats: s.repeats,
            duplicates: s.duplicates,
            strays: s.strays,
            simulated_secs: self.pair.elapsed().as_secs(),
        }
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        if self.verbose && std::thread::panicking() {
            eprintln!("{}", self.pair.trace);
        }
    }
}
