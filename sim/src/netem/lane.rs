//! One direction of a connection.

use std::collections::VecDeque;

use everlink_proto::time::{Duration, Instant};
use fastrand::Rng;

use super::Read;
use super::path::{Path, Way};

/// How a direction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// After all that was written.
    Eof,
    /// At once; what is on the way is lost.
    Reset,
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    flight: VecDeque<(Instant, Vec<u8>)>,
    flying: usize,
    arrived: VecDeque<u8>,
    /// When the last byte written so far leaves, and when it arrives.
    departs: Instant,
    lands: Instant,
    end: Option<(Instant, End)>,
    ended: Option<End>,
    /// The reader has left.
    pub(super) deaf: bool,
}

impl Lane {
    /// Takes as many of `bytes` as there is room for.
    pub(super) fn write(
        &mut self,
        now: Instant,
        path: &Path,
        way: &Way,
        rng: &mut Rng,
        bytes: &[u8],
    ) -> usize {
        if self.end.is_some() {
            return bytes.len();
        }
        let room = path.buffer.saturating_sub(self.flying + self.arrived.len());
        let mut n = bytes.len().min(room);
        if path.short_writes && n > 1 {
            n = rng.usize(1..=n);
        }
        let mut rest = &bytes[..n];
        while !rest.is_empty() {
            let (segment, tail) = rest.split_at(segment_len(path, way, rng, rest.len()));
            self.launch(now, way, rng, segment.to_vec());
            rest = tail;
        }
        n
    }

    fn launch(&mut self, now: Instant, way: &Way, rng: &mut Rng, segment: Vec<u8>) {
        let took = way.rate.map_or(Duration::ZERO, |rate| {
            Duration::from_micros(segment.len() as u64 * 1_000_000 / u64::from(rate.max(1)))
        });
        let jitter = match way.jitter.as_micros() as u64 {
            0 => Duration::ZERO,
            micros => Duration::from_micros(rng.u64(0..=micros)),
        };
        self.departs = self.departs.max(now) + took;
        self.lands = self.lands.max(self.departs + way.delay + jitter);
        self.flying += segment.len();
        self.flight.push_back((self.lands, segment));
    }

    /// No more is written.
    pub(super) fn finish(&mut self, now: Instant, way: &Way, end: End) {
        match (end, self.end) {
            (End::Eof, None) => self.end = Some((self.lands.max(now + way.delay), end)),
            (End::Reset, _) if self.ended.is_none() => {
                self.flight.clear();
                self.flying = 0;
                self.end = Some((now, end));
            }
            _ => {}
        }
    }

    /// What is due by `now` arrives. Whether the path's cut was reached.
    #[must_use]
    pub(super) fn advance(&mut self, now: Instant, way: &mut Way) -> bool {
        if way.held {
            return false;
        }
        while self.flight.front().is_some_and(|(lands, _)| *lands <= now) {
            let Some((_, segment)) = self.flight.pop_front() else { break };
            self.flying -= segment.len();
            let cut = way.cut.filter(|left| *left <= segment.len() as u64);
            let passed = cut.map_or(segment.len(), |left| left as usize);
            if !self.deaf {
                self.arrived.extend(&segment[..passed]);
            }
            if cut.is_some() {
                way.cut = None;
                return true;
            }
            way.cut = way.cut.map(|left| left - passed as u64);
        }
        if let Some((at, end)) = self.end
            && at <= now
            && self.flight.is_empty()
        {
            self.ended = Some(end);
        }
        false
    }

    pub(super) fn next_event(&self, way: &Way) -> Option<Instant> {
        if way.held {
            return None;
        }
        match self.flight.front() {
            Some((lands, _)) => Some(*lands),
            None => self.end.filter(|_| self.ended.is_none()).map(|(at, _)| at),
        }
    }

    pub(super) fn read(&mut self, buf: &mut [u8]) -> Read {
        if self.arrived.is_empty() {
            return match self.ended {
                None => Read::Nothing,
                Some(End::Eof) => Read::Eof,
                Some(End::Reset) => Read::Reset,
            };
        }
        let n = buf.len().min(self.arrived.len());
        for (slot, byte) in buf.iter_mut().zip(self.arrived.drain(..n)) {
            *slot = byte;
        }
        Read::Bytes(n)
    }

    pub(super) fn is_reset(&self) -> bool {
        self.ended == Some(End::Reset)
    }

    /// Bytes that were written and not yet read.
    pub(super) fn held_bytes(&self) -> usize {
        self.flying + self.arrived.len()
    }
}

fn segment_len(path: &Path, way: &Way, rng: &mut Rng, len: usize) -> usize {
    // A throttled direction trickles: a segment is what passes in 20 ms.
    let most = way.rate.map_or(len, |rate| (rate as usize / 50).max(1)).min(len);
    if path.segment == 0 { most } else { rng.usize(1..=path.segment.min(most)) }
}
