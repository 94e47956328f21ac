//! Two ends and what lies between them, on a clock of its own.
#![allow(dead_code, reason = "not every test uses everything")]

use std::collections::BTreeMap;

use everlink_proto::time::{Duration, Instant};
use everlink_tether::{Channel, Config, Event, Memory, Output, Tether};

/// How the link treats frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Air {
    /// Of a hundred frames, how many are lost.
    pub(crate) loss: u32,
    /// Of a hundred frames, how many come twice.
    pub(crate) doubles: u32,
    /// A frame takes from this long
    pub(crate) quickest: Duration,
    /// to this long, so that one overtakes another.
    pub(crate) slowest: Duration,
}

impl Air {
    pub(crate) fn clear() -> Self {
        let ms = Duration::from_millis(2);
        Self { loss: 0, doubles: 0, quickest: ms, slowest: ms }
    }
}

pub(crate) type Small = Memory<2048, 256, 4, 32>;

/// Which end.
pub(crate) type End = usize;

pub(crate) struct Pair<'m> {
    pub(crate) now: Instant,
    pub(crate) ends: [Tether<'m>; 2],
    pub(crate) air: Air,
    /// Frames go nowhere.
    pub(crate) cut: bool,
    /// Received messages, by the end that got them.
    pub(crate) got: [Vec<(Channel, Vec<u8>)>; 2],
    pub(crate) events: [Vec<Event>; 2],
    /// Whether the end takes its messages.
    pub(crate) takes: [bool; 2],
    pub(crate) frames: u64,
    pub(crate) frame_len: usize,
    flying: BTreeMap<(Instant, u64), (End, Vec<u8>)>,
    wakes: [Option<Instant>; 2],
    random: fastrand::Rng,
}

impl<'m> Pair<'m> {
    pub(crate) fn new(air: Air, seed: u64, ends: [Tether<'m>; 2]) -> Self {
        Self {
            now: Instant::from_millis(1),
            ends,
            air,
            cut: false,
            got: Default::default(),
            events: Default::default(),
            takes: [true; 2],
            frames: 0,
            frame_len: 32,
            flying: BTreeMap::new(),
            wakes: [None; 2],
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Asks an end until it waits.
    pub(crate) fn poll(&mut self, end: End) {
        let mut frame = vec![0; self.frame_len];
        for _ in 0..1000 {
            match self.ends[end].poll(self.now, &mut frame) {
                Output::Frame(len) => self.fly(1 - end, &frame[..len]),
                Output::Message if self.takes[end] => self.take(end),
                Output::Message => {}
                Output::Event(event) => self.events[end].push(event),
                Output::Wait(at) => {
                    assert!(at.is_none_or(|at| at > self.now), "waits for the past");
                    self.wakes[end] = at;
                    return;
                }
            }
        }
        panic!("it never waits");
    }

    pub(crate) fn take(&mut self, end: End) {
        if let Some((channel, message)) = self.ends[end].message() {
            self.got[end].push((channel, message.to_vec()));
            self.ends[end].take();
        }
    }

    fn fly(&mut self, to: End, frame: &[u8]) {
        self.frames += 1;
        let lost = self.random.u32(0..100) < self.air.loss;
        if self.cut || lost {
            return;
        }
        let copies = if self.random.u32(0..100) < self.air.doubles { 2 } else { 1 };
        for _ in 0..copies {
            let (least, most) = (self.air.quickest.as_micros(), self.air.slowest.as_micros());
            let takes = Duration::from_micros(self.random.u64(least as u64..=most as u64));
            self.flying.insert(
                (self.now + takes, self.frames * 2 + u64::from(self.random.bool())),
                (to, frame.to_vec()),
            );
        }
    }

    /// Everything that happens until `end`, or until `done`.
    pub(crate) fn run_until(&mut self, end: Instant, done: impl Fn(&Self) -> bool) -> bool {
        self.poll(0);
        self.poll(1);
        while !done(self) {
            let arrival = self.flying.keys().next().map(|(at, _)| *at);
            let next = [arrival, self.wakes[0], self.wakes[1]].into_iter().flatten().min();
            let Some(next) = next.filter(|at| *at <= end) else {
                self.now = end;
                return false;
            };
            self.now = self.now.max(next);
            while let Some(entry) = self.flying.first_entry().filter(|e| e.key().0 <= self.now) {
                let (to, frame) = entry.remove();
                self.ends[to].received(self.now, &frame);
                self.poll(to);
            }
            for end in [0, 1] {
                if self.wakes[end].is_some_and(|at| at <= self.now) {
                    self.poll(end);
                }
            }
        }
        true
    }

    pub(crate) fn run(&mut self, time: Duration) {
        self.run_until(self.now + time, |_| false);
    }

    pub(crate) fn both_up(&mut self) {
        let up = |pair: &Self| pair.ends.iter().all(Tether::is_up);
        assert!(self.run_until(self.now + Duration::from_secs(60), up), "never up");
        self.poll(0);
        self.poll(1);
    }

    /// The end starts anew, with another epoch.
    pub(crate) fn restart(&mut self, end: End, tether: Tether<'m>) {
        self.ends[end] = tether;
        self.poll(end);
    }
}

/// Two ends that use frames of 32 bytes.
pub(crate) fn small<'m>(
    config: Config,
    air: Air,
    seed: u64,
    memory: &'m mut [Small; 2],
) -> Pair<'m> {
    let [a, b] = memory;
    Pair::new(air, seed, [Tether::new(config, 11, a), Tether::new(config, 22, b)])
}
