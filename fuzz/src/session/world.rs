//! The engine, what it was told, and what it said.

use std::collections::BTreeSet;

use everlink_proto::engine::{
    Cause, Engine, Fault, Handled, Input, Outgoing, Output, Step, Subscription, Tag,
};
use everlink_proto::session::{Config, Session};
use everlink_proto::store::Store;
use everlink_proto::time::{Duration, Instant};
use everlink_proto::topic::{TopicFilter, TopicName};
use everlink_proto::wire::{
    Ack, AckKind, ConnAck, Connect, Disconnect, Packet, PacketId, Properties, Property, Publish,
    QoS, ReasonCode, SubscribeOptions, Version, WireError, frame_len,
};
use everlink_sim::clock::Clock;
use everlink_sim::host::Recorder;

use super::op::Op;

const TOPICS: [&str; 4] = ["t", "t/1", "a/long/topic/name", "x"];
const FILTERS: [&str; 4] = ["t", "t/+", "#", "$share/g/x"];
const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
/// Outputs in a row beyond which the engine is taken to spin.
const OUTPUTS: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pipe {
    Closed,
    Opening,
    Open,
}

pub(super) struct World<'m, S> {
    engine: Session<'m, S>,
    inbox: Recorder,
    version: Version,
    now: Instant,
    wait: Option<Instant>,
    tx: Vec<u8>,
    pipe: Pipe,
    /// Bytes the pipe has not taken.
    pending: usize,
    /// Sent bytes of this connection that are no whole packet yet; whether CONNECT was among those before.
    stream: Vec<u8>,
    connected: bool,
    /// A packet the engine did not take.
    held: Option<Vec<u8>>,
    closed: bool,
    tags: u32,
    messages: BTreeSet<u32>,
    first_pid: u16,
}

impl<'m, S: Store> World<'m, S> {
    pub(super) fn new(engine: Session<'m, S>, cfg: &Config) -> Self {
        Self {
            engine,
            inbox: Recorder::default(),
            version: cfg.version,
            now: Clock::START,
            wait: None,
            tx: vec![0; cfg.transmit_buffer],
            pipe: Pipe::Closed,
            pending: 0,
            stream: Vec::new(),
            connected: false,
            held: None,
            closed: true,
            tags: 0,
            messages: BTreeSet::new(),
            first_pid: cfg.first_packet_id,
        }
    }

    pub(super) fn take(&mut self, op: &Op) {
        self.application(op);
        self.network(op);
        self.broker(op);
        self.settle();
        self.check();
    }

    fn tag(&mut self) -> Tag {
        self.tags += 1;
        Tag(self.tags)
    }

    fn application(&mut self, op: &Op) {
        let now = self.now;
        match *op {
            Op::Open => {
                self.engine.open(now);
                self.closed = false;
            }
            Op::Close => {
                self.engine.close(now, Disconnect::default());
                self.closed = true;
            }
            Op::Reconnect => self.engine.reconnect(now),
            Op::Ping => self.engine.ping(),
            Op::Publish { topic, qos, len, retain, expiry } => {
                self.publish(topic, qos, len, retain, expiry);
            }
            Op::Subscribe(n) => {
                let tag = self.tag();
                let Ok(filter) = TopicFilter::new(FILTERS[usize::from(n) % 4]) else { return };
                let options = SubscribeOptions::new(QOS[usize::from(n / 4) % 3]);
                let props = Properties::EMPTY;
                let subscription = Subscription { filter, options, id: 0, props, tag };
                let _ = self.engine.subscribe(now, &subscription, &mut self.inbox);
            }
            Op::Unsubscribe(n) => {
                let tag = self.tag();
                let Ok(filter) = TopicFilter::new(FILTERS[usize::from(n) % 4]) else { return };
                let _ = self.engine.unsubscribe(now, filter, tag, &mut self.inbox);
            }
            Op::Acknowledge(n) => {
                if let Some(message) = self.inbox.messages.iter().rev().nth(usize::from(n)) {
                    let _ = self.engine.acknowledge(now, message.receipt);
                }
            }
            Op::Room(room) => self.inbox.room = room.map(usize::from),
            Op::Manual(manual) => self.inbox.manual = manual,
            Op::Distrust(distrusts) => self.inbox.distrusts = distrusts,
            _ => {}
        }
    }

    fn publish(&mut self, topic: u8, qos: u8, len: u8, retain: bool, expiry: Option<u8>) {
        let tag = self.tag();
        let Ok(topic) = TopicName::new(TOPICS[usize::from(topic) % 4]) else { return };
        let payload = vec![b'x'; usize::from(len)];
        let message = Outgoing {
            topic,
            payload: &payload,
            qos: QOS[usize::from(qos) % 3],
            retain,
            props: Properties::EMPTY,
            expiry: expiry.map(|n| Duration::from_millis(u64::from(n) * 50)),
            tag,
        };
        if self.engine.publish(self.now, &message, &mut self.inbox).is_ok() {
            self.messages.insert(tag.0);
        }
    }

    fn network(&mut self, op: &Op) {
        match *op {
            Op::Opened if self.pipe == Pipe::Opening => {
                self.pipe = Pipe::Open;
                self.input(Input::Opened);
            }
            Op::OpenFailed if self.pipe == Pipe::Opening => self.lost(Step::Transport),
            Op::Lost if self.pipe != Pipe::Closed => self.lost(Step::Up),
            Op::Wrote(n) if self.pipe == Pipe::Open => self.wrote(usize::from(n)),
            Op::Time(n) => {
                // Up to a minute.
                self.now = self.now + Duration::from_millis(u64::from(n) * u64::from(n));
                self.input(Input::Tick);
            }
            Op::NextTimer => {
                if let Some(at) = self.wait {
                    self.now = self.now.max(at);
                    self.input(Input::Tick);
                }
            }
            _ => {}
        }
    }

    fn input(&mut self, input: Input<'_>) {
        let _ = self.engine.handle(self.now, input, &mut self.inbox);
    }

    fn lost(&mut self, step: Step) {
        self.pipe_gone();
        self.input(Input::Closed(Fault::new(step, Cause::Reset)));
    }

    fn pipe_gone(&mut self) {
        self.pipe = Pipe::Closed;
        (self.pending, self.connected, self.held) = (0, false, None);
        self.stream.clear();
    }

    fn wrote(&mut self, n: usize) {
        if self.pending > 0 {
            self.pending = self.pending.saturating_sub(n.max(1));
            let pending = self.pending;
            self.input(Input::Wrote { pending });
        }
    }

    fn broker(&mut self, op: &Op) {
        match *op {
            Op::ConnAck { present, refused, receive_maximum, packet_size, qos1, alias } => {
                let mut list = Vec::new();
                if self.version == Version::V5 {
                    list.extend(receive_maximum.map(|n| Property::ReceiveMaximum(n.into())));
                    list.extend(packet_size.map(|n| Property::MaximumPacketSize(n.into())));
                    list.extend(qos1.then_some(Property::MaximumQoS(QoS::AtLeastOnce)));
                    list.extend(alias.then_some(Property::TopicAliasMaximum(3)));
                }
                let reason =
                    if refused { ReasonCode::SERVER_UNAVAILABLE } else { ReasonCode::SUCCESS };
                let props = Properties::from_list(&list);
                self.receive(ConnAck { session_present: present && !refused, reason, props });
            }
            Op::Ack { kind, pid, reason } => {
                let kinds = [AckKind::PubAck, AckKind::PubRec, AckKind::PubRel, AckKind::PubComp];
                let Some(pid) = self.pid(pid) else { return };
                let reasons = [ReasonCode::SUCCESS, ReasonCode::SUCCESS, ReasonCode(reason)];
                let ack = Ack::new(kinds[usize::from(kind) % 4], pid);
                self.receive(Ack { reason: reasons[usize::from(reason) % 3], ..ack });
            }
            Op::Message { topic, qos, pid, dup, len, alias } => {
                self.message((topic, qos, pid), dup, len, alias);
            }
            Op::Answer { unsubscribe, pid, code } => self.answer(unsubscribe, pid, code),
            Op::Pong => self.receive(Packet::PingResp),
            Op::Disconnect(reason) => {
                let (reason, props) = (ReasonCode(reason), Properties::EMPTY);
                self.receive(Packet::Disconnect(Disconnect { reason, props }));
            }
            Op::Bytes(ref bytes) => self.receive_bytes(bytes.clone()),
            Op::Skipped(n) if self.reads() => {
                let head = [0x32, 0x80, 0x08, 0, 1, b't', 0, n];
                self.input(Input::Skipped { head: &head, total: 1027 });
            }
            Op::Malformed if self.reads() => self.input(Input::Malformed(WireError::BadLength)),
            _ => {}
        }
    }

    fn reads(&self) -> bool {
        self.pipe == Pipe::Open && self.held.is_none()
    }

    /// One that may be in use.
    fn pid(&self, n: u8) -> Option<PacketId> {
        PacketId::new(self.first_pid.wrapping_add(u16::from(n % 16)))
    }

    fn message(&mut self, (topic, qos, pid): (u8, u8, u8), dup: bool, len: u8, alias: Option<u8>) {
        let qos = QOS[usize::from(qos) % 3];
        let payload = vec![b'y'; usize::from(len)];
        let list = alias.map(|n| Property::TopicAlias(u16::from(n % 4)));
        let list = if self.version == Version::V5 { list.as_slice() } else { &[] };
        let named = topic % 8 < 4 || self.version == Version::V311;
        let publish = Publish {
            dup: dup && qos > QoS::AtMostOnce,
            qos,
            retain: topic > 200,
            topic: if named { TOPICS[usize::from(topic) % 4] } else { "" },
            pid: PacketId::new(u16::from(pid % 8) + 1).filter(|_| qos > QoS::AtMostOnce),
            props: Properties::from_list(list),
            payload: &payload,
        };
        self.receive(publish);
    }

    /// SUBACK or UNSUBACK, by hand: their constructors want what is right.
    fn answer(&mut self, unsubscribe: bool, pid: u8, code: u8) {
        let Some(pid) = self.pid(pid) else { return };
        let [high, low] = pid.get().to_be_bytes();
        let first = if unsubscribe { 0xb0 } else { 0x90 };
        let body = match (self.version, unsubscribe) {
            (Version::V5, _) => vec![high, low, 0, code],
            (Version::V311, false) => vec![high, low, code],
            (Version::V311, true) => vec![high, low],
        };
        self.receive_bytes([&[first, body.len() as u8], &body[..]].concat());
    }

    fn receive<'a>(&mut self, packet: impl Into<Packet<'a>>) {
        let packet = packet.into();
        let mut bytes = vec![0; packet.encoded_len(self.version)];
        // What the version has no words for is not said.
        if let Ok(n) = packet.encode(self.version, &mut bytes) {
            bytes.truncate(n);
            self.receive_bytes(bytes);
        }
    }

    fn receive_bytes(&mut self, bytes: Vec<u8>) {
        if self.reads() {
            self.input(Input::Alive);
            self.held = Some(bytes);
            self.offer();
        }
    }

    fn offer(&mut self) {
        if let Some(bytes) = self.held.take()
            && self.engine.handle(self.now, Input::Packet(&bytes), &mut self.inbox) == Handled::Busy
        {
            self.held = Some(bytes);
        }
    }

    /// Polls until the engine waits.
    fn settle(&mut self) {
        if self.pipe == Pipe::Open {
            self.offer();
        }
        for _ in 0..OUTPUTS {
            let mut tx = std::mem::take(&mut self.tx);
            let room = tx.len().saturating_sub(self.pending);
            let output = self.engine.poll(self.now, &mut tx[..room], &mut self.inbox);
            if let Output::Send(n) = output {
                assert!(n > 0 && n <= room, "sends {n} of {room}");
                self.sent(&tx[..n]);
            }
            self.tx = tx;
            match output {
                Output::Open { .. } => {
                    assert_eq!(self.pipe, Pipe::Closed, "a second connection");
                    self.pipe = Pipe::Opening;
                }
                Output::Connect => self.connect(),
                Output::Close(_) => self.pipe_gone(),
                Output::Wait(at) => {
                    assert!(at.is_none_or(|at| at > self.now), "wants to be woken in the past");
                    self.wait = at;
                    return;
                }
                Output::Try { endpoint } => self.input(Input::Tried { open: endpoint == 0 }),
                Output::Send(_) | Output::Event(_) => {}
            }
        }
        panic!("the engine never waits");
    }

    fn connect(&mut self) {
        let mut tx = std::mem::take(&mut self.tx);
        let connect = Connect { client_id: "fuzz", ..Connect::default() };
        if let Ok(n) = self.engine.connect(self.now, &connect, &mut tx) {
            self.sent(&tx[..n]);
        }
        self.tx = tx;
    }

    /// What the client sends are packets, CONNECT first.
    fn sent(&mut self, bytes: &[u8]) {
        assert_eq!(self.pipe, Pipe::Open, "sends without a connection");
        self.pending += bytes.len();
        self.stream.extend(bytes);
        while let Some(length) = frame_len(&self.stream).expect("what the client sends is framed")
            && self.stream.len() >= length.total_len
        {
            let packet: Vec<u8> = self.stream.drain(..length.total_len).collect();
            if self.connected {
                Packet::decode(self.version, &packet).expect("what the client sends is a packet");
            } else {
                Packet::decode_connect(&packet).expect("CONNECT comes first");
                self.connected = true;
            }
        }
    }

    fn check(&self) {
        let (s, held) = (self.engine.stats(), self.engine.held() as u64);
        assert_eq!(s.accepted, s.delivered + s.rejected + s.expired + s.dropped + held, "{s:?}");
    }

    /// Left alone, it connects again, unless it was closed; nothing was told twice.
    pub(super) fn end(mut self) {
        self.inbox.distrusts = false;
        for _ in 0..100 {
            if self.closed || self.pipe == Pipe::Open && self.connected {
                break;
            }
            if self.pipe == Pipe::Opening {
                self.pipe = Pipe::Open;
                self.input(Input::Opened);
                self.settle();
                continue;
            }
            self.now = self.wait.expect("a timer runs while there is no connection");
            self.input(Input::Tick);
            self.settle();
        }
        assert!(self.closed || self.connected, "it does not connect again");
        self.check();
        let mut told = BTreeSet::new();
        for (_, tag, fate) in self.inbox.done.iter().filter(|d| self.messages.contains(&d.1.0)) {
            assert!(told.insert(tag.0), "{tag:?} ended once more: {fate:?}");
        }
        let held = self.messages.len() - told.len();
        assert_eq!(held, self.engine.held(), "messages without an outcome");
    }
}
