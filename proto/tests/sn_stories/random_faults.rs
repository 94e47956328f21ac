//! A node and a gateway that keeps its word, over a network that loses, copies and reorders datagrams, while
//! the gateway restarts and the link breaks. Whatever happens: nothing of QoS 1 and 2 is lost, nothing of
//! QoS 2 comes twice, and the order stays.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use everlink_proto::engine::*;
use everlink_proto::time::{Duration, Instant};
use fastrand::Rng;

use crate::support::*;

const SEEDS: u64 = 200;
const TROUBLE: u64 = 3_000;
const CALM: u64 = 3_000;
const TOPICS: [&str; 4] = ["up/one", "up/two", "ab", "site/door"];

/// A datagram under way.
#[derive(Debug)]
struct Network {
    rng: Rng,
    calm: bool,
    under_way: BTreeMap<(Instant, u64), (bool, Vec<u8>)>,
    number: u64,
}

impl Network {
    fn send(&mut self, now: Instant, to_node: bool, bytes: &[u8]) {
        if !self.calm && self.rng.u8(..100) < 15 {
            return;
        }
        let copies = if !self.calm && self.rng.u8(..100) < 15 { 2 } else { 1 };
        for copy in 0..copies {
            let delay = match (self.calm, copy) {
                (true, _) => 5,
                (false, 0) => self.rng.u64(5..3_000),
                // A copy may come when the exchange is long over.
                (false, _) => self.rng.u64(5..25_000),
            };
            self.number += 1;
            let at = now + Duration::from_millis(delay);
            self.under_way.insert((at, self.number), (to_node, bytes.to_vec()));
        }
    }
}

/// What the gateway does about its oldest message for the node.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Out {
    Idle,
    Registering(u16),
    Published(u16),
    Released(u16),
}

/// Durable as ours is to be: of a restart, only topic ids and connections are lost.
#[derive(Debug)]
struct Gateway {
    connected: bool,
    asleep: bool,
    /// PINGRESP is owed when nothing is left to be sent.
    awake: bool,
    ids: BTreeMap<String, u16>,
    told: BTreeSet<u16>,
    last_topic: u16,
    last_msg: u16,
    subscribed: bool,
    open: BTreeMap<u16, Vec<u8>>,
    ended: VecDeque<(u16, Vec<u8>)>,
    broker: Vec<(String, u32, QoS)>,
    queue: VecDeque<(String, u32, QoS)>,
    out: Out,
    dup: bool,
    sent: Instant,
    say: Vec<Vec<u8>>,
}

impl Gateway {
    fn new() -> Self {
        Self {
            connected: false,
            asleep: false,
            awake: false,
            ids: BTreeMap::new(),
            told: BTreeSet::new(),
            last_topic: 0,
            last_msg: 0,
            subscribed: false,
            open: BTreeMap::new(),
            ended: VecDeque::new(),
            broker: Vec::new(),
            queue: VecDeque::new(),
            out: Out::Idle,
            dup: false,
            sent: Instant::ZERO,
            say: Vec::new(),
        }
    }

    fn say(&mut self, message: Message<'_>) {
        let mut bytes = vec![0; message.encoded_len(V)];
        message.encode(V, &mut bytes).expect("a legal message");
        self.say.push(bytes);
    }

    fn restart(&mut self) {
        (self.connected, self.asleep, self.awake) = (false, false, false);
        self.ids.clear();
        self.told.clear();
    }

    fn id(&mut self, topic: &str) -> u16 {
        if let Some(id) = self.ids.get(topic) {
            return *id;
        }
        // Never used before, or a late copy would be published to another topic.
        self.last_topic += 1;
        self.ids.insert(topic.to_owned(), self.last_topic);
        self.last_topic
    }

    fn name(&self, topic: Topic) -> Option<String> {
        match topic {
            Topic::Id(id) => self.ids.iter().find(|(_, i)| **i == id).map(|(name, _)| name.clone()),
            Topic::Predefined(id) => {
                PREDEFINED.iter().find(|(i, _)| *i == id).map(|(_, name)| (*name).to_owned())
            }
            Topic::Short(name) => Some(name.as_str().to_owned()),
        }
    }

    fn heard(&mut self, now: Instant, bytes: &[u8]) {
        let message = Message::decode(V, bytes).expect("the node speaks the protocol");
        match message {
            Message::Connect(connect) => {
                (self.connected, self.asleep, self.awake) = (true, false, false);
                self.subscribed &= !connect.clean_session;
                self.told.clear();
                self.out = match self.out {
                    Out::Registering(_) => Out::Idle,
                    other => other,
                };
                self.sent = Instant::ZERO;
                self.say(Message::ConnAck(OK));
            }
            _ if !self.connected => self.say(Message::Disconnect(None)),
            Message::Disconnect(Some(_)) => {
                self.asleep = true;
                self.say(Message::Disconnect(None));
            }
            Message::Disconnect(None) => {
                self.connected = false;
                self.say(Message::Disconnect(None));
            }
            Message::PingReq(Some(_)) => {
                (self.asleep, self.awake) = (false, true);
                self.go_on(now);
                self.close_transfer();
            }
            Message::PingReq(None) => {
                self.asleep = false;
                self.say(Message::PingResp);
            }
            message => self.heard_in_connection(now, &message),
        }
    }

    fn heard_in_connection(&mut self, now: Instant, message: &Message<'_>) {
        // A node says this, and pings without its identifier, only when active: the DISCONNECT that
        // says otherwise was a late copy.
        self.asleep &=
            !matches!(message, Message::Publish(_) | Message::Register(_) | Message::Subscribe(_));
        match message {
            Message::Register(r) => {
                let topic_id = self.id(r.topic);
                self.told.insert(topic_id);
                self.say(Message::RegAck(RegAck { topic_id, msg_id: r.msg_id, code: OK }));
            }
            Message::Publish(publish) => self.take(publish),
            Message::PubRel(id) => {
                if let Some(data) = self.open.remove(id) {
                    self.ended.push_back((*id, data));
                    self.ended.truncate(200);
                }
                self.say(Message::PubComp(*id));
            }
            Message::Subscribe(s) => {
                self.subscribed = true;
                self.say(suback(s.qos, 0, s.msg_id, OK));
            }
            Message::RegAck(ack) if self.out == Out::Registering(ack.msg_id) => {
                self.told.insert(ack.topic_id);
                self.out = Out::Idle;
                self.go_on(now);
            }
            Message::PubAck(ack) if self.out == Out::Published(ack.msg_id) => {
                let current = self.ids.get(&self.queue[0].0) == Some(&ack.topic_id);
                if ack.code == OK && self.queue[0].2 == Q1 {
                    self.done(now);
                } else if current && ack.code == ReturnCode::INVALID_TOPIC_ID {
                    self.told.remove(&ack.topic_id);
                    self.sent = Instant::ZERO;
                    self.go_on(now);
                }
            }
            Message::PubRec(id) if self.out == Out::Published(*id) => {
                (self.out, self.sent) = (Out::Released(*id), Instant::ZERO);
                self.go_on(now);
            }
            Message::PubComp(id) if self.out == Out::Released(*id) => self.done(now),
            _ => {}
        }
    }

    fn take(&mut self, publish: &Publish<'_>) {
        let Some(topic) = self.name(publish.topic) else {
            return self.say(Message::PubAck(PubAck::to(publish, ReturnCode::INVALID_TOPIC_ID)));
        };
        let number = u32::from_be_bytes(publish.data.try_into().expect("a number"));
        let qos = publish.qos.in_connection().expect("in a connection");
        if qos == Q2 {
            let ended = (publish.msg_id, publish.data.to_vec());
            let known = self.open.get(&publish.msg_id).is_some_and(|d| d == publish.data);
            if !known && !self.ended.contains(&ended) {
                self.open.insert(publish.msg_id, publish.data.to_vec());
                self.broker.push((topic, number, qos));
            }
            return self.say(Message::PubRec(publish.msg_id));
        }
        self.broker.push((topic, number, qos));
        if qos == Q1 {
            self.say(Message::PubAck(PubAck::to(publish, OK)));
        }
    }

    fn done(&mut self, now: Instant) {
        self.queue.pop_front();
        (self.out, self.dup) = (Out::Idle, false);
        self.go_on(now);
        self.close_transfer();
    }

    /// (6.14) "The transfer of messages to the client is closed by means of a PINGRESP."
    fn close_transfer(&mut self) {
        if self.awake && self.queue.is_empty() {
            (self.asleep, self.awake) = (true, false);
            self.say(Message::PingResp);
        }
    }

    fn next_id(&mut self) -> u16 {
        self.last_msg = self.last_msg.wrapping_add(1).max(1);
        self.last_msg
    }

    /// Sends what is due to the node: a new message, or the old one again.
    fn go_on(&mut self, now: Instant) {
        if !self.connected || self.asleep || !self.subscribed || self.queue.is_empty() {
            return;
        }
        let repeated = self.out != Out::Idle;
        if repeated && now < self.sent + secs(5) && self.sent != Instant::ZERO {
            return;
        }
        self.sent = now;
        let (topic, number, qos) = self.queue[0].clone();
        if let Out::Released(id) = self.out {
            return self.say(Message::PubRel(id));
        }
        let topic_id = self.id(&topic);
        if !self.told.contains(&topic_id) {
            let msg_id = match self.out {
                Out::Registering(id) => id,
                // The exchange goes on under its own MsgId afterwards.
                Out::Published(_) | Out::Released(_) | Out::Idle => self.next_id(),
            };
            let register = Register { topic_id, msg_id, topic: &topic };
            self.say(Message::Register(register));
            if !matches!(self.out, Out::Published(_)) {
                self.out = Out::Registering(msg_id);
            } else {
                // As good as acknowledged: if it was lost, the node says so again.
                self.told.insert(topic_id);
            }
            return;
        }
        let (msg_id, dup) = match self.out {
            Out::Published(id) => (id, true),
            _ => (self.next_id(), false),
        };
        self.out = Out::Published(msg_id);
        let data = number.to_be_bytes();
        let publish = Publish {
            dup,
            qos: qos.into(),
            retain: false,
            topic: Topic::Id(topic_id),
            msg_id,
            data: &data,
        };
        self.say(Message::Publish(publish));
    }
}

struct World {
    b: Bench,
    gateway: Gateway,
    net: Network,
    rng: Rng,
    /// What was accepted, by tag: topic, number, QoS.
    accepted: Vec<(Tag, &'static str, u32, QoS)>,
    down: Vec<(u32, QoS)>,
    next: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let cfg = Config { seed, first_msg_id: (seed as u16).wrapping_mul(4099), ..config() };
        let mut b = bench(cfg);
        b.subscribe("down/#", Q2);
        Self {
            b,
            gateway: Gateway::new(),
            net: Network {
                rng: Rng::with_seed(seed ^ 0x5eed),
                calm: false,
                under_way: BTreeMap::new(),
                number: 0,
            },
            rng: Rng::with_seed(seed),
            accepted: Vec::new(),
            down: Vec::new(),
            next: 0,
        }
    }

    /// What both sides have to say goes to the network.
    fn settle(&mut self) {
        let now = self.b.now;
        self.b.pump();
        while let Some(bytes) = self.b.sent.pop_front() {
            self.net.send(now, false, &bytes);
        }
        self.gateway.go_on(now);
        for bytes in std::mem::take(&mut self.gateway.say) {
            self.net.send(now, true, &bytes);
        }
    }

    /// Time goes on to `end`, event by event.
    fn run_until(&mut self, end: Instant) {
        self.settle();
        while self.b.now < end {
            let arrival = self.net.under_way.keys().next().map_or(Instant::MAX, |(at, _)| *at);
            let second = self.b.now + secs(1);
            let next = arrival.min(self.b.wait.unwrap_or(Instant::MAX)).min(second).min(end);
            self.b.now = next.max(self.b.now);
            let _ = self.b.node.handle(self.b.now, Input::Tick, &mut self.b.inbox);
            while let Some(entry) = self.net.under_way.first_entry() {
                if entry.key().0 > self.b.now {
                    break;
                }
                let (to_node, bytes) = entry.remove();
                if to_node {
                    let input = Input::Packet(&bytes);
                    let handled = self.b.node.handle(self.b.now, input, &mut self.b.inbox);
                    assert_eq!(handled, Handled::Done);
                } else {
                    self.gateway.heard(self.b.now, &bytes);
                }
                self.settle();
            }
            self.settle();
        }
    }

    fn act(&mut self) {
        self.next += 1;
        let (n, qos) = (self.next, [Q0, Q1, Q2][self.rng.usize(..3)]);
        match self.rng.u8(..100) {
            0..45 => {
                let topic = TOPICS[self.rng.usize(..TOPICS.len())];
                let tag = self.b.publish(topic, &n.to_be_bytes(), qos);
                self.accepted.push((tag, topic, n, qos));
            }
            45..75 if qos != Q0 => {
                let topic = ["down/one", "down/two"][self.rng.usize(..2)];
                self.gateway.queue.push_back((topic.to_owned(), n, qos));
                self.down.push((n, qos));
            }
            75..80 => self.gateway.restart(),
            80..83 => {
                let fault = Fault::new(Step::Up, Cause::Reset);
                let _ = self.b.node.handle(self.b.now, Input::Closed(fault), &mut self.b.inbox);
            }
            83..86 => self.b.node.sleep(120, secs(30)),
            86..92 => self.b.node.wake(self.b.now),
            _ => {}
        }
    }

    fn judge(&self, seed: u64) {
        assert!(self.b.is_up(), "seed {seed}: {:?}", self.b.faults().last());
        assert_eq!(self.b.node.held(), 0, "seed {seed}: held");
        assert!(self.gateway.queue.is_empty(), "seed {seed}: {:?}", self.gateway);
        for (tag, _, n, qos) in &self.accepted {
            assert_eq!(self.b.fate(*tag), Some(Fate::Delivered(0)), "seed {seed}: {n}");
            let times = self.gateway.broker.iter().filter(|m| m.1 == *n).count();
            match qos {
                QoS::AtMostOnce => {}
                QoS::AtLeastOnce => assert!(times >= 1, "seed {seed}: {n} is lost"),
                QoS::ExactlyOnce => assert_eq!(times, 1, "seed {seed}: {n}"),
            }
        }
        for (_, topic, n, _) in &self.accepted {
            let other = self.gateway.broker.iter().find(|m| m.1 == *n && m.0 != *topic);
            assert_eq!(other, None, "seed {seed}: to another topic");
        }
        let numbers = self.gateway.broker.iter().filter(|m| m.2 != Q0).map(|m| m.1);
        assert_in_order(seed, numbers);
        let got: Vec<u32> = self.b.inbox.got.iter().map(|m| number(&m.payload)).collect();
        for (n, qos) in &self.down {
            let times = got.iter().filter(|m| *m == n).count();
            match qos {
                QoS::ExactlyOnce => assert_eq!(times, 1, "seed {seed}: {n} to the node"),
                _ => assert!(times >= 1, "seed {seed}: {n} to the node is lost"),
            }
        }
        assert_in_order(seed, got.into_iter());
    }
}

fn number(data: &[u8]) -> u32 {
    u32::from_be_bytes(data.try_into().expect("a number"))
}

/// The first copy of each comes in order.
fn assert_in_order(seed: u64, numbers: impl Iterator<Item = u32>) {
    let mut seen = BTreeSet::new();
    for n in numbers {
        if seen.insert(n) {
            assert_eq!(seen.last(), Some(&n), "seed {seed}: out of order");
        }
    }
}

#[test]
fn nothing_is_lost_doubled_or_out_of_order() {
    let (mut accepted, mut down, mut outages, mut duplicates) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        let mut w = World::new(seed);
        for _ in 0..TROUBLE / 10 {
            w.act();
            let end = w.b.now + secs(w.rng.u64(1..20));
            w.run_until(end);
        }
        w.net.calm = true;
        w.b.node.wake(w.b.now);
        let end = w.b.now + secs(CALM);
        w.run_until(end);
        w.judge(seed);
        accepted += w.accepted.len();
        down += w.down.len();
        outages += w.b.node.stats().outages;
        duplicates += w.b.node.stats().duplicates;
    }
    println!("{accepted} up, {down} down, {outages} outages, {duplicates} suppressed");
    // The trouble was real.
    assert!(outages > SEEDS * 5 && duplicates > SEEDS, "{outages} outages, {duplicates} copies");
}
