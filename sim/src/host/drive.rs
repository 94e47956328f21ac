//! The drive rule, on simulated connections.

use everlink_link::framer::Frame;
use everlink_proto::engine::{Cause, Depth, Engine, Fault, Handled, Input, Output, Step};
use everlink_proto::time::Instant;
use everlink_proto::wire::Version;

use super::{Connection, Host};
use crate::netem::{Listen, Netem, Opening, PipeId, Read, Side};

/// Outputs in a row without a wait between them, beyond which the engine is taken to spin.
const OUTPUTS: usize = 100_000;

impl<E: Engine> Host<E> {
    /// Does everything that can be done at `now`; whether there was anything.
    pub(crate) fn step(&mut self, now: Instant, net: &mut Netem) -> bool {
        let before = self.activity;
        self.inbox.now = now;
        self.watch_opening(now, net);
        self.read(now, net);
        self.flush(now, net);
        self.pump(now, net);
        if self.wait.is_some_and(|at| at <= now) {
            let before = self.activity;
            self.input(now, Input::Tick);
            self.pump(now, net);
            self.idle_wakes += u64::from(self.activity == before);
        }
        self.activity != before
    }

    /// Gives the engine what happened.
    fn input(&mut self, now: Instant, input: Input<'_>) {
        // Only packets can be refused.
        let _ = self.engine.handle(now, input, &mut self.inbox);
        self.dirty = true;
    }

    /// Polls and writes until there is nothing more to say or the network takes no more.
    fn pump(&mut self, now: Instant, net: &mut Netem) {
        loop {
            if self.dirty {
                self.poll(now, net);
                self.flush(now, net);
            } else if self.held && self.retry {
                self.offer(now);
            } else {
                return;
            }
        }
    }

    fn poll(&mut self, now: Instant, net: &mut Netem) {
        let mut tx = std::mem::take(&mut self.scratch);
        for _ in 0..OUTPUTS {
            let room = tx.len().saturating_sub(self.unsent.len());
            let output = self.engine.poll(now, &mut tx[..room], &mut self.inbox);
            if let Output::Wait(until) = output {
                (self.wait, self.dirty) = (until, false);
                self.scratch = tx;
                return;
            }
            self.activity += 1;
            self.retry = true;
            match output {
                Output::Send(n) => self.send(now, &tx[..n]),
                Output::Connect => self.send_connect(now, &mut tx[..room]),
                Output::Open { endpoint } => self.open_pipe(now, endpoint, net),
                Output::Close(depth) => self.close_pipe(now, depth, net),
                Output::Event(event) => {
                    self.trace.note(now, format!("{event:?}"));
                    self.events.push((now, event));
                }
                Output::Try { endpoint } => self.try_out(now, endpoint, net),
                Output::Wait(_) => {}
            }
        }
        panic!("the engine never waits\n{}", self.trace);
    }

    fn send(&mut self, now: Instant, bytes: &[u8]) {
        if !self.unsent.is_empty() {
            // It was not silent: it could not send.
            self.check.wrote(now);
        }
        self.unsent.extend(bytes);
        let trace = &mut self.trace;
        self.check.sent(now, bytes, |version, packet| trace.packet(now, true, version, packet));
    }

    fn send_connect(&mut self, now: Instant, tx: &mut [u8]) {
        let engine = &mut self.engine;
        let written = self.template.with(|connect| engine.connect(now, connect, tx));
        match written {
            Ok(n) => self.send(now, &tx[..n]),
            Err(refused) => self.trace.note(now, format!("CONNECT: {refused}")),
        }
    }

    fn open_pipe(&mut self, now: Instant, endpoint: u16, net: &mut Netem) {
        assert!(self.pipe.is_none(), "a second connection is opened\n{}", self.trace);
        let configured = self.endpoints[usize::from(endpoint) % self.endpoints.len()];
        let server = self.inbox.redirect.take().unwrap_or(configured);
        self.trace.note(now, format!("open endpoint {endpoint}, server {server}"));
        self.opens.push((now, endpoint));
        self.framer.reset();
        self.unsent.clear();
        (self.held, self.retry, self.deaf) = (false, false, false);
        let id = net.connect(now, self.client, server);
        self.pipe = Some(Connection { id, open: false });
        self.input(now, Input::Opening(Step::Transport));
    }

    /// A real driver would open a second pipe; here it is enough to ask whether that would work.
    fn try_out(&mut self, now: Instant, endpoint: u16, net: &mut Netem) {
        let server = self.endpoints[usize::from(endpoint) % self.endpoints.len()];
        let open = matches!(net.listener(server).mode, Listen::Accept);
        self.trace.note(now, format!("try endpoint {endpoint}, server {server}: {open}"));
        self.trials.push((now, endpoint));
        self.input(now, Input::Tried { open });
    }

    /// The engine closes: what is written and still fits goes out first.
    fn close_pipe(&mut self, now: Instant, depth: Depth, net: &mut Netem) {
        self.trace.note(now, format!("close {depth:?}"));
        self.closes.push((now, depth));
        if let Some(Connection { id, open }) = self.pipe.take() {
            if open {
                net.write(now, id, Side::Client, &self.unsent);
            }
            net.close(now, id, Side::Client);
        }
        self.check.closed(now);
        self.held = false;
    }

    fn watch_opening(&mut self, now: Instant, net: &mut Netem) {
        let Some(pipe) = self.pipe.filter(|pipe| !pipe.open) else { return };
        match net.opening(pipe.id) {
            Opening::Pending => return,
            Opening::Open => {
                self.pipe = Some(Connection { open: true, ..pipe });
                self.trace.note(now, "open");
                self.check.opened(now);
                self.input(now, Input::Opened);
            }
            Opening::Failed(cause) => self.lost(now, cause, net),
        }
        self.activity += 1;
    }

    /// The connection is gone, or was never made.
    fn lost(&mut self, now: Instant, cause: Cause, net: &mut Netem) {
        let Some(pipe) = self.pipe.take() else { return };
        net.close(now, pipe.id, Side::Client);
        self.trace.note(now, format!("lost: {cause}"));
        self.check.closed(now);
        self.activity += 1;
        self.held = false;
        let step = if pipe.open { Step::Up } else { Step::Transport };
        self.input(now, Input::Closed(Fault::new(step, cause)));
    }

    fn live(&self) -> Option<PipeId> {
        self.pipe.filter(|pipe| pipe.open).map(|pipe| pipe.id)
    }

    /// Reads until there is nothing, the engine is busy, or the connection ends.
    fn read(&mut self, now: Instant, net: &mut Netem) {
        while let Some(id) = self.live().filter(|_| !self.held && !self.deaf) {
            match net.read(id, Side::Client, self.framer.space()) {
                Read::Bytes(n) => {
                    self.activity += 1;
                    self.framer.filled(n);
                    self.input(now, Input::Alive);
                    self.offer(now);
                    // The engine may close at what it got.
                    self.pump(now, net);
                }
                Read::Nothing => return,
                Read::Eof => self.lost(now, Cause::Eof, net),
                Read::Reset => self.lost(now, Cause::Reset, net),
            }
        }
    }

    /// Hands over what was received, packet by packet.
    fn offer(&mut self, now: Instant) {
        let was_held = std::mem::replace(&mut self.held, false);
        self.retry = false;
        while let Some(frame) = self.framer.peek() {
            let (input, shown) = match frame {
                Frame::Packet(bytes) => (Input::Packet(bytes), Ok(bytes)),
                Frame::Skipped { head, total } => (Input::Skipped { head, total }, Err(head)),
                Frame::Rest { bytes, left } => (Input::Rest { bytes, left }, Err(&[][..])),
                Frame::Malformed(fault) => {
                    self.trace.note(now, format!("malformed: {fault}"));
                    self.deaf = true;
                    self.activity += 1;
                    return self.input(now, Input::Malformed(fault));
                }
            };
            let before = self.engine.status().step;
            let handled = self.engine.handle(now, input, &mut self.inbox);
            // After it decided to close, an engine takes everything and heeds nothing; nor does it
            // heed a CONNACK for which it closes.
            let heeds = match before {
                Step::Up | Step::Closing => true,
                Step::Handshake => self.engine.status().step > Step::Handshake,
                _ => false,
            };
            self.dirty |= !was_held;
            if handled == Handled::Busy {
                self.held = true;
                return;
            }
            self.dirty = true;
            self.activity += 1;
            match shown {
                _ if !heeds => {}
                Ok(bytes) => {
                    self.trace.packet(now, false, self.check.version(), bytes);
                    self.check.received(now, bytes);
                }
                Err([]) => {}
                Err(head) => {
                    self.trace.note(now, "a packet was skipped");
                    self.check.skipped(now, head);
                }
            }
            self.framer.consume();
        }
    }

    fn flush(&mut self, now: Instant, net: &mut Netem) {
        let Some(id) = self.live() else { return };
        let mut wrote = false;
        while !self.unsent.is_empty() {
            match net.write(now, id, Side::Client, &self.unsent) {
                Some(0) => break,
                Some(n) => {
                    self.unsent.drain(..n);
                    wrote = true;
                }
                None => return self.lost(now, Cause::Reset, net),
            }
        }
        if wrote {
            self.activity += 1;
            self.retry = true;
            self.check.wrote(now);
            let pending = self.unsent.len();
            self.input(now, Input::Wrote { pending });
        }
    }

    /// The protocol version of its last CONNECT.
    pub fn version(&self) -> Version {
        self.check.version()
    }
}
