//! A peer played by the test: expects packets and replies, at given times.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use everlink_proto::engine::Engine;
use everlink_proto::time::{Duration, Instant};
use everlink_proto::wire::{
    ConnAck, Packet, PacketType, Properties, ReasonCode, Version, frame_len,
};

use crate::host::Buffers;
use crate::netem::PipeId;
use crate::pair::{Pair, Server};
use crate::trace::{describe, describe_packet};

/// How long a packet may take unless the call says otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// The far end: bytes in, bytes out, no mind of its own.
#[derive(Debug, Default)]
pub struct Peer {
    current: Option<PipeId>,
    output: BTreeMap<PipeId, Vec<u8>>,
    closing: Vec<PipeId>,
    partial: Vec<u8>,
    packets: VecDeque<(Instant, Vec<u8>)>,
    /// Connections made so far.
    pub connections: usize,
    ended: Option<Instant>,
}

impl Peer {
    /// Whether a connection is open.
    pub fn is_connected(&self) -> bool {
        self.current.is_some()
    }
}

impl Server for Peer {
    fn opened(&mut self, _: Instant, id: PipeId) {
        self.current = Some(id);
        self.output.insert(id, Vec::new());
        self.partial.clear();
        self.packets.clear();
        self.connections += 1;
        self.ended = None;
    }

    fn received(&mut self, now: Instant, id: PipeId, bytes: &[u8]) {
        if self.current != Some(id) {
            return;
        }
        self.partial.extend(bytes);
        while let Ok(Some(length)) = frame_len(&self.partial) {
            if self.partial.len() < length.total_len {
                break;
            }
            self.packets.push_back((now, self.partial.drain(..length.total_len).collect()));
        }
    }

    fn closed(&mut self, now: Instant, id: PipeId) {
        self.output.remove(&id);
        self.closing.retain(|c| *c != id);
        if self.current == Some(id) {
            self.current = None;
            self.ended = Some(now);
        }
    }

    fn transmit(&self, id: PipeId) -> &[u8] {
        self.output.get(&id).map_or(&[], Vec::as_slice)
    }

    fn transmitted(&mut self, _: Instant, id: PipeId, n: usize) {
        if let Some(output) = self.output.get_mut(&id) {
            output.drain(..n);
        }
    }

    fn is_closing(&self, id: PipeId) -> bool {
        self.closing.contains(&id)
    }

    fn advance(&mut self, _: Instant) {}

    fn next_event(&self) -> Option<Instant> {
        None
    }
}

/// An engine facing a [`Peer`]. Dereferences to the [`Pair`] that they are.
#[derive(Debug)]
pub struct Script<E> {
    pair: Pair<E, Peer>,
    version: Version,
}

impl<E: Engine> Script<E> {
    /// `engine`, which speaks `version`, opened and about to connect.
    pub fn new(version: Version, engine: E) -> Self {
        Self::with_buffers(version, engine, Buffers::default())
    }

    /// The same with buffers of these sizes.
    pub fn with_buffers(version: Version, engine: E, buffers: Buffers) -> Self {
        let mut pair = Pair::with_server(0, engine, buffers, Peer::default());
        pair.open();
        Self { pair, version }
    }

    /// Waits for the next connection and answers its CONNECT; the CONNECT.
    pub fn accept(&mut self, session_present: bool) -> Vec<u8> {
        let connect = self.connect();
        let (reason, props) = (ReasonCode::SUCCESS, Properties::EMPTY);
        self.reply(ConnAck { session_present, reason, props });
        connect
    }

    /// Refuses the connection whose CONNECT came.
    pub fn refuse(&mut self, reason: ReasonCode) {
        self.reply(ConnAck { session_present: false, reason, props: Properties::EMPTY });
        self.hang_up();
    }

    /// Waits for the next connection and its CONNECT, which is not answered.
    pub fn connect(&mut self) -> Vec<u8> {
        self.pair.run_until(Duration::from_secs(3600), "CONNECT", |pair| {
            let peer = &pair.servers[0];
            peer.current.is_some() && !peer.packets.is_empty()
        });
        self.expect_kind(PacketType::Connect)
    }

    /// The next packet, whatever it is, and when it came; `None` if none comes within `time`.
    pub fn next_within(&mut self, time: Duration) -> Option<(Instant, Vec<u8>)> {
        self.pair.try_until(time, |pair| !pair.servers[0].packets.is_empty());
        self.pair.servers[0].packets.pop_front()
    }

    /// The next packet must be this one.
    ///
    /// # Panics
    /// If another comes, or none.
    pub fn expect<'a>(&mut self, packet: impl Into<Packet<'a>>) {
        self.expect_within(PATIENCE, packet);
    }

    /// The next packet must be this one and come within `time`.
    ///
    /// # Panics
    /// If another comes, or none.
    pub fn expect_within<'a>(&mut self, time: Duration, packet: impl Into<Packet<'a>>) {
        let wanted = packet.into();
        let got = self.next_within(time);
        self.compare(&wanted, got.as_ref().map(|(_, bytes)| bytes.as_slice()));
    }

    /// The next packet must be this one and come `time` from now, to the millisecond.
    ///
    /// # Panics
    /// If another comes, or none, or at another time.
    pub fn expect_after<'a>(&mut self, time: Duration, packet: impl Into<Packet<'a>>) {
        let (start, wanted) = (self.pair.now(), packet.into());
        let got = self.next_within(time + PATIENCE);
        self.compare(&wanted, got.as_ref().map(|(_, bytes)| bytes.as_slice()));
        let took = got.map_or(Duration::ZERO, |(at, _)| at.since(start));
        if took.abs_diff(time) > Duration::from_millis(1) {
            let wanted = describe_packet(&wanted);
            self.pair.fail(&format!("expected {wanted}\nafter {time:?}, it came after {took:?}"));
        }
    }

    /// The next packet must be of this type; its bytes.
    ///
    /// # Panics
    /// If another comes, or none.
    pub fn expect_kind(&mut self, kind: PacketType) -> Vec<u8> {
        let got = self.next_within(PATIENCE).map(|(_, bytes)| bytes);
        match got {
            Some(bytes) if bytes[0] >> 4 == kind as u8 => bytes,
            other => {
                let got = self.shown(other.as_deref());
                self.pair.fail(&format!("expected {kind:?}\n     got {got}"))
            }
        }
    }

    fn compare(&self, wanted: &Packet<'_>, got: Option<&[u8]>) {
        let same = got
            .and_then(|bytes| Packet::decode(self.version, bytes).ok())
            .is_some_and(|packet| packet == *wanted);
        if !same {
            let (wanted, got) = (describe_packet(wanted), self.shown(got));
            self.pair.fail(&format!("expected {wanted}\n     got {got}"));
        }
    }

    fn shown(&self, got: Option<&[u8]>) -> String {
        got.map_or("nothing".to_owned(), |bytes| describe(self.version, bytes))
    }

    /// For so long no packet may come.
    ///
    /// # Panics
    /// If one does.
    pub fn silence(&mut self, time: Duration) {
        if let Some((_, bytes)) = self.next_within(time) {
            let got = describe(self.version, &bytes);
            self.pair.fail(&format!("expected silence for {time:?}\n     got {got}"));
        }
    }

    /// The engine must end the connection within `time`; how long it took.
    ///
    /// # Panics
    /// If it does not.
    pub fn expect_end(&mut self, time: Duration) -> Duration {
        let start = self.pair.now();
        self.pair
            .run_until(time, "the end of the connection", |pair| pair.servers[0].ended.is_some());
        self.pair.servers[0].ended.map_or(Duration::ZERO, |at| at.since(start))
    }

    /// Sends a packet.
    pub fn reply<'a>(&mut self, packet: impl Into<Packet<'a>>) {
        let packet = packet.into();
        let mut bytes = vec![0; packet.encoded_len(self.version)];
        match packet.encode(self.version, &mut bytes) {
            Ok(n) => self.reply_raw(&bytes[..n]),
            Err(fault) => panic!("{packet:?}: {fault}"),
        }
    }

    /// Sends bytes.
    pub fn reply_raw(&mut self, bytes: &[u8]) {
        let peer = &mut self.pair.servers[0];
        if let Some(output) = peer.current.and_then(|id| peer.output.get_mut(&id)) {
            output.extend(bytes);
        }
        self.pair.drive();
    }

    /// Closes the connection.
    pub fn hang_up(&mut self) {
        let peer = &mut self.pair.servers[0];
        peer.closing.extend(peer.current);
        self.pair.settle();
    }

    /// Resets the connection.
    pub fn reset(&mut self) {
        let now = self.pair.now();
        self.pair.net.reset_client(now, 0);
        self.pair.settle();
    }
}

impl<E> std::ops::Deref for Script<E> {
    type Target = Pair<E, Peer>;

    fn deref(&self) -> &Pair<E, Peer> {
        &self.pair
    }
}

impl<E> std::ops::DerefMut for Script<E> {
    fn deref_mut(&mut self) -> &mut Pair<E, Peer> {
        &mut self.pair
    }
}
