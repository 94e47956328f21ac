//! One direction of one connection: read, frame, apply the rules, wait, write.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::frame::{Framer, PacketType, Piece};
use super::record::{Fate, Record};
use super::rule::Action;
use super::{Direction, Settings, Shared};

/// Reading stops while so many bytes wait to be written.
const QUEUE_BYTES: usize = 256 << 10;
/// Bytes handed to one write.
const WRITE_BYTES: usize = 64 << 10;

/// Why a direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The reader's FIN was passed on.
    Finished,
    /// A side reset the connection.
    Broken,
    /// The bytes before a cut are written.
    Cut,
}

/// Bytes that become due together.
struct Chunk {
    bytes: Vec<u8>,
    record: Option<Record>,
    then_cut: bool,
}

/// Bytes being written.
#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    written: usize,
    /// Records, and the position in `bytes` where the packet ends.
    records: VecDeque<(usize, Record)>,
    then_cut: bool,
}

impl Out {
    fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }
}

pub(super) struct Pump {
    direction: Direction,
    connection: u64,
    shared: Arc<Shared>,
    settings: watch::Receiver<Settings>,
    inject: mpsc::UnboundedReceiver<Vec<u8>>,
    rng: fastrand::Rng,
    framer: Framer,
    /// What waits, by the time it is due and then by arrival.
    queue: BTreeMap<(Instant, u64), Chunk>,
    queued_bytes: usize,
    arrivals: u64,
    last_due: Instant,
    out: Out,
    /// When the throttle lets the next byte pass.
    next_write: Instant,
    eof: bool,
}

impl Pump {
    pub(super) fn new(
        direction: Direction,
        connection: u64,
        shared: Arc<Shared>,
        inject: mpsc::UnboundedReceiver<Vec<u8>>,
    ) -> Self {
        let lane = connection << 1 | direction.index() as u64;
        let now = Instant::now();
        Self {
            direction,
            connection,
            settings: shared.settings.subscribe(),
            inject,
            // an odd factor spreads neighbouring lanes over all 64 bits
            rng: fastrand::Rng::with_seed(shared.seed ^ lane.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            shared,
            framer: Framer::default(),
            queue: BTreeMap::new(),
            queued_bytes: 0,
            arrivals: 0,
            last_due: now,
            out: Out::default(),
            next_write: now,
            eof: false,
        }
    }

    /// Forwards until the connection ends. Dropping it loses what it holds.
    pub(super) async fn run(
        mut self,
        mut reader: impl AsyncRead + Unpin,
        mut writer: impl AsyncWrite + Unpin,
    ) -> Stop {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let settings = *self.settings.borrow_and_update();
            let held = settings.hold[self.direction.index()];
            let now = Instant::now();
            if !held {
                self.fill(now);
                if self.cut_is_due() {
                    return Stop::Cut;
                }
                if self.eof && self.out.is_empty() && self.queue.is_empty() {
                    // an error: the peer is gone, which is what it was to be told
                    let _ = writer.shutdown().await;
                    return Stop::Finished;
                }
            }
            let allowed = if held { 0 } else { self.allowed(&settings, now) };
            let wake = self.wake(now);
            let piece = &self.out.bytes[self.out.written..self.out.written + allowed];
            tokio::select! {
                biased;
                changed = self.settings.changed() => {
                    if changed.is_err() { return Stop::Broken }
                }
                result = writer.write(piece), if allowed > 0 => match self.wrote(result, &settings) {
                    Ok(()) => {}
                    Err(stop) => return stop,
                },
                Some(bytes) = self.inject.recv() => self.injected(bytes, &settings),
                () = sleep_until(wake), if !held && wake > now => {}
                result = reader.read(&mut buffer), if !held && !self.eof && self.queued_bytes < QUEUE_BYTES => {
                    match result {
                        Ok(0) => self.ended(&settings),
                        Ok(n) => self.arrived(&buffer[..n], &settings),
                        Err(_) => return Stop::Broken,
                    }
                }
            }
        }
    }

    fn arrived(&mut self, bytes: &[u8], settings: &Settings) {
        self.framer.push(bytes);
        while let Some(piece) = self.framer.next() {
            match piece {
                Piece::Raw(bytes) => self.queue_in_order(bytes, None, false, settings),
                Piece::Packet(bytes) => self.packet(bytes, settings),
            }
        }
    }

    fn ended(&mut self, settings: &Settings) {
        self.eof = true;
        let rest = self.framer.rest();
        if !rest.is_empty() {
            self.queue_in_order(rest, None, false, settings);
        }
    }

    fn packet(&mut self, mut bytes: Vec<u8>, settings: &Settings) {
        let kind = PacketType::of(bytes[0]);
        let verdict = self.shared.state().rules.apply(self.direction, kind);
        let record = |fate| Record::new(self.connection, self.direction, &bytes, fate);
        let passed = record(Fate::Passed);
        match verdict {
            None => self.queue_in_order(bytes, Some(passed), false, settings),
            Some((rule, Action::Swallow)) => self.shared.log(record(Fate::Swallowed(rule))),
            Some((rule, Action::Double)) => {
                let second = record(Fate::Doubled(rule));
                self.queue_in_order(bytes.clone(), Some(passed), false, settings);
                self.queue_in_order(bytes, Some(second), false, settings);
            }
            Some((_, Action::Late(by))) => {
                let due = Instant::now() + by;
                self.queue_at(due, bytes, Some(passed), false, settings);
            }
            Some((_, Action::Cut(n))) => {
                bytes.truncate(n);
                self.queue_in_order(bytes, None, true, settings);
            }
        }
    }

    fn injected(&mut self, bytes: Vec<u8>, settings: &Settings) {
        let record = (!bytes.is_empty())
            .then(|| Record::new(self.connection, self.direction, &bytes, Fate::Injected));
        self.queue_in_order(bytes, record, false, settings);
    }

    fn queue_in_order(
        &mut self,
        bytes: Vec<u8>,
        record: Option<Record>,
        then_cut: bool,
        settings: &Settings,
    ) {
        let (fixed, jitter) = settings.delay[self.direction.index()];
        let jitter = match u64::try_from(jitter.as_micros()) {
            Ok(0) => Duration::ZERO,
            Ok(micros) => Duration::from_micros(self.rng.u64(..=micros)),
            Err(_) => jitter,
        };
        self.last_due = self.last_due.max(Instant::now() + fixed + jitter);
        self.queue_at(self.last_due, bytes, record, then_cut, settings);
    }

    fn queue_at(
        &mut self,
        due: Instant,
        mut bytes: Vec<u8>,
        record: Option<Record>,
        then_cut: bool,
        settings: &Settings,
    ) {
        if let Some(one_in) = settings.corrupt[self.direction.index()] {
            for byte in &mut bytes {
                if self.rng.u32(..one_in.get()) == 0 {
                    *byte ^= 1 << self.rng.u32(..8);
                }
            }
        }
        self.arrivals += 1;
        self.queued_bytes += bytes.len();
        self.queue.insert((due, self.arrivals), Chunk { bytes, record, then_cut });
    }

    /// Moves what is due to the writer, once the writer is done with the last load.
    fn fill(&mut self, now: Instant) {
        if !self.out.is_empty() || self.out.then_cut {
            return;
        }
        self.out.bytes.clear();
        self.out.written = 0;
        while self.out.bytes.len() < WRITE_BYTES && !self.out.then_cut {
            match self.queue.first_entry() {
                Some(entry) if entry.key().0 <= now => {
                    let chunk = entry.remove();
                    self.queued_bytes -= chunk.bytes.len();
                    self.out.bytes.extend_from_slice(&chunk.bytes);
                    self.out.then_cut = chunk.then_cut;
                    let end = self.out.bytes.len();
                    self.out.records.extend(chunk.record.map(|r| (end, r)));
                }
                _ => break,
            }
        }
    }

    fn cut_is_due(&self) -> bool {
        if self.out.then_cut && self.out.is_empty() {
            return true;
        }
        let mut state = self.shared.state();
        let budget = &mut state.cut[self.direction.index()];
        // taken by the connection that used it up, so that the next one lives
        *budget == Some(0) && budget.take().is_some()
    }

    /// How many bytes may be written now.
    fn allowed(&self, settings: &Settings, now: Instant) -> usize {
        let mut n = self.out.bytes.len() - self.out.written;
        if let Some(left) = self.shared.state().cut[self.direction.index()] {
            n = n.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        if let Some(rate) = settings.throttle[self.direction.index()] {
            if self.next_write > now {
                return 0;
            }
            n = n.min((rate.get() as usize / 50).max(1)); // some 20 ms worth
        }
        n
    }

    /// When there may be something to write; now or earlier if only the peer can tell.
    fn wake(&self, now: Instant) -> Instant {
        if !self.out.is_empty() {
            return self.next_write;
        }
        self.queue.first_key_value().map_or(now, |((due, _), _)| *due)
    }

    fn wrote(&mut self, result: io::Result<usize>, settings: &Settings) -> Result<(), Stop> {
        let n = match result {
            Ok(n) if n > 0 => n,
            _ => return Err(Stop::Broken),
        };
        self.out.written += n;
        if let Some(rate) = settings.throttle[self.direction.index()] {
            let took = Duration::from_secs(n as u64) / rate.get();
            self.next_write = self.next_write.max(Instant::now()) + took;
        }
        let mut state = self.shared.state();
        match self.direction {
            Direction::ToBroker => state.counters.to_broker += n as u64,
            _ => state.counters.to_client += n as u64,
        }
        if let Some(left) = &mut state.cut[self.direction.index()] {
            *left = left.saturating_sub(n as u64);
        }
        drop(state);
        while self.out.records.front().is_some_and(|(end, _)| *end <= self.out.written) {
            self.out.records.pop_front().into_iter().for_each(|(_, r)| self.shared.log(r));
        }
        Ok(())
    }
}
