//! How a [`Pair`] moves on.

use everlink_proto::engine::Engine;
use everlink_proto::time::{Duration, Instant};

use super::{Pair, Server};
use crate::netem::{PipeId, Read, Side};
use crate::trace::stamp;

/// Rounds at one moment beyond which somebody is taken to spin.
const ROUNDS: usize = 100_000;
/// Moments in a row without time passing: an engine that wants to be woken in the past.
const STUCK: u32 = 10;
/// Idle wake-ups of an engine in one run, on top of ten a second, beyond which it is taken to spin.
const IDLE_WAKES: u64 = 1000;

impl<E: Engine, S: Server> Pair<E, S> {
    /// Lets everything happen that can happen now.
    ///
    /// # Panics
    /// If it never ends.
    pub fn settle(&mut self) {
        for _ in 0..ROUNDS {
            if !self.round() {
                return;
            }
        }
        self.fail("at one moment there is always something more to do");
    }

    fn round(&mut self) -> bool {
        let now = self.clock.now();
        self.net.advance(now);
        let mut busy = false;
        while let Some((id, server)) = self.net.accept() {
            self.servers[server].opened(now, id);
            self.conns.push((id, server));
            busy = true;
        }
        for server in &mut self.servers {
            server.advance(now);
        }
        for (id, server) in std::mem::take(&mut self.conns) {
            let (active, alive) = self.serve(now, id, server);
            busy |= active;
            if alive {
                self.conns.push((id, server));
            }
        }
        for host in &mut self.hosts {
            busy |= host.step(now, &mut self.net);
        }
        busy
    }

    /// Reads and writes for a server. Whether something happened, and whether the connection goes on.
    fn serve(&mut self, now: Instant, id: PipeId, server: usize) -> (bool, bool) {
        let (server, mut active) = (&mut self.servers[server], false);
        let mut buf = [0; 16 * 1024];
        let mut gone = false;
        while !gone {
            match self.net.read(id, Side::Server, &mut buf) {
                Read::Bytes(n) => {
                    server.received(now, id, &buf[..n]);
                    active = true;
                }
                Read::Nothing => break,
                Read::Eof | Read::Reset => gone = true,
            }
        }
        while !gone && !server.transmit(id).is_empty() {
            match self.net.write(now, id, Side::Server, server.transmit(id)) {
                Some(0) => break,
                Some(n) => {
                    server.transmitted(now, id, n);
                    active = true;
                }
                None => gone = true,
            }
        }
        gone |= server.is_closing(id) && server.transmit(id).is_empty();
        if gone {
            self.net.close(now, id, Side::Server);
            server.closed(now, id);
        }
        (active || gone, !gone)
    }

    /// When something will happen by itself.
    pub fn next_event(&self) -> Option<Instant> {
        let hosts = self.hosts.iter().filter_map(|h| h.next_event());
        let servers = self.servers.iter().filter_map(|s| s.next_event());
        hosts.chain(servers).chain(self.net.next_event()).min()
    }

    /// Settles, then moves on to the next event, at most to `until`; `false` if there is none
    /// before it.
    ///
    /// # Panics
    /// If time does not pass: an engine that asks to be woken in the past spins a real driver.
    pub fn step(&mut self, until: Instant) -> bool {
        self.settle();
        let now = self.clock.now();
        let next = self.next_event().unwrap_or(Instant::MAX);
        if next > until {
            self.clock.advance_to(until);
            self.settle();
            return false;
        }
        self.stuck = if next <= now { self.stuck + 1 } else { 0 };
        if self.stuck > STUCK {
            self.fail("somebody wants to be woken in the past, again and again");
        }
        self.clock.advance_to(next);
        self.settle();
        true
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.clock.now() + time;
        let wakes: u64 = self.hosts.iter().map(|h| h.idle_wakes).sum();
        while self.step(until) {
            self.check_wakes(wakes, time);
        }
    }

    /// Lets time pass until `done`, and says whether it came to that within `limit`.
    pub fn try_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let until = self.clock.now() + limit;
        let wakes: u64 = self.hosts.iter().map(|h| h.idle_wakes).sum();
        self.settle();
        while !done(self) {
            if !self.step(until) {
                return done(self);
            }
            self.check_wakes(wakes, limit);
        }
        true
    }

    /// Lets time pass until `done`.
    ///
    /// # Panics
    /// If it does not come to that within `limit`; `what` was waited for.
    pub fn run_until(&mut self, limit: Duration, what: &str, done: impl FnMut(&Self) -> bool) {
        if !self.try_until(limit, done) {
            self.fail(&format!("waited {limit:?} in vain for {what}"));
        }
    }

    /// Runs until nothing is on the way any more and nobody has anything to say; timers that lie
    /// beyond that stay where they are. At most an hour.
    pub fn drive(&mut self) {
        let until = self.clock.now() + Duration::from_secs(3600);
        self.settle();
        while let Some(at) = self.net.next_event().filter(|at| *at <= until) {
            self.step(at);
        }
    }

    fn check_wakes(&self, before: u64, time: Duration) {
        let wakes: u64 = self.hosts.iter().map(|h| h.idle_wakes).sum::<u64>() - before;
        let allowed = IDLE_WAKES + time.as_secs() * 10 * self.hosts.len() as u64;
        if wakes > allowed {
            self.fail(&format!("an engine was woken {wakes} times with nothing to do"));
        }
    }

    /// Fails the test, with all there is to say.
    ///
    /// # Panics
    /// Always.
    pub fn fail(&self, why: &str) -> ! {
        let mut lines: Vec<_> = self
            .hosts
            .iter()
            .enumerate()
            .flat_map(|(n, host)| host.trace.lines().map(move |(at, line)| (at, n, line)))
            .collect();
        lines.sort_by_key(|(at, ..)| *at);
        let trace: Vec<_> =
            lines.iter().map(|(at, n, line)| format!("{} host-{n} {line}", stamp(*at))).collect();
        let (seed, now) = (self.seed, stamp(self.clock.now()));
        panic!("{why}\nseed {seed}, at {now}, after this:\n{}\n", trace.join("\n"));
    }
}
