//! A node facing a gateway played by the test, on fake time.

use std::collections::VecDeque;

use everlink_proto::engine::*;
pub(crate) use everlink_proto::session::FirstConnect;
pub(crate) use everlink_proto::sn::node::{Config, Memory, Node};
pub(crate) use everlink_proto::sn::wire::*;
use everlink_proto::store::RamStore;
use everlink_proto::time::{Duration, Instant};
use everlink_proto::topic::{TopicFilter, TopicName};
use everlink_proto::wire::{
    Connect as MqttConnect, Disconnect, Properties, ReasonCode, SubscribeOptions, Will,
};

pub(crate) const V: Version = Version::V12;
pub(crate) const Q0: QoS = QoS::AtMostOnce;
pub(crate) const Q1: QoS = QoS::AtLeastOnce;
pub(crate) const Q2: QoS = QoS::ExactlyOnce;
pub(crate) const OK: ReturnCode = ReturnCode::ACCEPTED;

/// Known to both sides beforehand.
pub(crate) const PREDEFINED: &[(u16, &str)] = &[(7, "site/door"), (8, "site/lamp")];

pub(crate) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Delivered(u8),
    Rejected(ReasonCode),
    Expired,
    Dropped,
    Superseded,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) receipt: Receipt,
}

#[derive(Debug)]
pub(crate) struct Box_ {
    pub(crate) got: Vec<Got>,
    pub(crate) fates: Vec<(Tag, Fate)>,
    pub(crate) verdict: Verdict,
    pub(crate) pongs: usize,
    pub(crate) rooms: usize,
    pub(crate) refusals: Vec<ReasonCode>,
}

impl Inbox for Box_ {
    fn message(&mut self, m: &Incoming<'_>) -> Verdict {
        if self.verdict != Verdict::Busy {
            let (topic, payload) = (m.topic.to_owned(), m.payload.to_vec());
            self.got.push(Got { topic, payload, qos: m.qos, receipt: m.receipt });
        }
        self.verdict
    }

    fn done(&mut self, tag: Tag, outcome: Outcome<'_>) {
        let fate = match outcome {
            Outcome::Delivered(reason, _) => Fate::Delivered(reason.0),
            Outcome::Rejected(reason, _) => Fate::Rejected(reason),
            Outcome::Expired => Fate::Expired,
            Outcome::Dropped(_) => Fate::Dropped,
            Outcome::Superseded => Fate::Superseded,
        };
        self.fates.push((tag, fate));
    }

    fn room(&mut self) {
        self.rooms += 1;
    }

    fn pong(&mut self) {
        self.pongs += 1;
    }

    fn refused(&mut self, reason: ReasonCode, _: Properties<'_>) {
        self.refusals.push(reason);
    }
}

/// The node, its link, and what the test tells and hears.
pub(crate) struct Bench {
    pub(crate) node: Node<'static, RamStore>,
    pub(crate) now: Instant,
    pub(crate) inbox: Box_,
    pub(crate) sent: VecDeque<Vec<u8>>,
    pub(crate) events: Vec<Event>,
    pub(crate) opened: Vec<u16>,
    pub(crate) closed: usize,
    pub(crate) will: Option<(&'static str, &'static [u8])>,
    pub(crate) client_id: &'static str,
    pub(crate) wait: Option<Instant>,
    next_tag: u32,
}

/// Never gives up at the first connection.
pub(crate) fn config() -> Config {
    Config { first_connect: FirstConnect::Forever, clean_start: false, ..Config::default() }
}

/// A node that is about to connect.
pub(crate) fn bench(cfg: Config) -> Bench {
    bench_with(cfg, Memory::growing(PREDEFINED))
}

pub(crate) fn bench_with(cfg: Config, memory: Memory<'static>) -> Bench {
    let inbox = Box_ {
        got: Vec::new(),
        fates: Vec::new(),
        verdict: Verdict::Taken,
        pongs: 0,
        rooms: 0,
        refusals: Vec::new(),
    };
    let mut bench = Bench {
        node: Node::new(cfg, RamStore::new(), memory),
        now: Instant::ZERO,
        inbox,
        sent: VecDeque::new(),
        events: Vec::new(),
        opened: Vec::new(),
        closed: 0,
        will: None,
        client_id: "node",
        wait: None,
        next_tag: 0,
    };
    bench.node.open(bench.now);
    bench
}

/// A node that is connected.
pub(crate) fn connected(cfg: Config) -> Bench {
    let mut b = bench(cfg);
    b.accept();
    b
}

impl Bench {
    /// Carries out what the node wants until it waits.
    pub(crate) fn pump(&mut self) {
        let mut tx = [0; 2048];
        for _ in 0..10_000 {
            match self.node.poll(self.now, &mut tx, &mut self.inbox) {
                Output::Try { .. } => unreachable!("a node tries nothing out"),
                Output::Open { endpoint } => {
                    self.opened.push(endpoint);
                    let handled = self.node.handle(self.now, Input::Opened, &mut self.inbox);
                    assert_eq!(handled, Handled::Done);
                }
                Output::Connect => {
                    let will = self.will.map(|(topic, payload)| Will {
                        topic,
                        payload,
                        qos: Q1,
                        retain: true,
                        props: Properties::EMPTY,
                    });
                    let with =
                        MqttConnect { client_id: self.client_id, will, ..MqttConnect::default() };
                    if let Ok(n) = self.node.connect(self.now, &with, &mut tx) {
                        self.sent.push_back(tx[..n].to_vec());
                    }
                }
                Output::Send(n) => self.sent.push_back(tx[..n].to_vec()),
                Output::Close(_) => self.closed += 1,
                Output::Event(event) => self.events.push(event),
                Output::Wait(at) => {
                    self.wait = at;
                    return;
                }
            }
        }
        panic!("the node never waits");
    }

    /// Lets time pass until `end`, or until something is sent.
    pub(crate) fn run_until(&mut self, end: Instant) {
        for _ in 0..100_000 {
            self.pump();
            if !self.sent.is_empty() || self.now >= end {
                return;
            }
            let next = self.wait.unwrap_or(Instant::MAX).min(end);
            assert!(next > self.now || next == end, "a deadline that has passed: {next:?}");
            self.now = next;
            let _ = self.node.handle(self.now, Input::Tick, &mut self.inbox);
        }
        panic!("time does not pass");
    }

    /// The next message within `time`.
    pub(crate) fn next_within(&mut self, time: Duration) -> Option<Vec<u8>> {
        self.run_until(self.now + time);
        self.sent.pop_front()
    }

    /// The next message, within an hour, must be this one.
    #[track_caller]
    pub(crate) fn expect(&mut self, wanted: Message<'_>) {
        let got = self.next_within(secs(3600));
        let got = got.as_deref().map(|bytes| Message::decode(V, bytes));
        assert_eq!(got, Some(Ok(wanted)), "at {:?}", self.now);
    }

    /// It must come `time` from now.
    #[track_caller]
    pub(crate) fn expect_after(&mut self, time: Duration, wanted: Message<'_>) {
        let at = self.now + time;
        self.expect(wanted);
        assert_eq!(self.now, at, "of {wanted:?}");
    }

    #[track_caller]
    pub(crate) fn silence(&mut self, time: Duration) {
        let got = self.next_within(time);
        let got = got.as_deref().map(|bytes| Message::decode(V, bytes));
        assert_eq!(got, None, "at {:?}", self.now);
    }

    /// The gateway says something.
    pub(crate) fn reply(&mut self, message: Message<'_>) {
        assert_eq!(self.offer(message), Handled::Done);
    }

    pub(crate) fn offer(&mut self, message: Message<'_>) -> Handled {
        let mut bytes = vec![0; message.encoded_len(V)];
        message.encode(V, &mut bytes).expect("a legal message");
        let handled = self.node.handle(self.now, Input::Packet(&bytes), &mut self.inbox);
        self.pump();
        handled
    }

    /// The next message must be CONNECT; it is accepted.
    #[track_caller]
    pub(crate) fn accept(&mut self) {
        self.connect();
        self.reply(Message::ConnAck(OK));
    }

    /// The next message must be CONNECT; whether it says CleanSession.
    #[track_caller]
    pub(crate) fn connect(&mut self) -> bool {
        let got = self.next_within(secs(3600)).expect("CONNECT");
        match Message::decode(V, &got) {
            Ok(Message::Connect(connect)) => connect.clean_session,
            other => panic!("CONNECT expected, {other:?} came"),
        }
    }

    /// The link breaks.
    pub(crate) fn cut(&mut self) {
        let fault = Fault::new(Step::Up, Cause::Reset);
        let _ = self.node.handle(self.now, Input::Closed(fault), &mut self.inbox);
        self.sent.clear();
    }

    pub(crate) fn try_publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        qos: QoS,
    ) -> Result<Tag, Refused> {
        self.next_tag += 1;
        let tag = Tag(self.next_tag);
        let message = Outgoing {
            topic: TopicName::new(topic).unwrap(),
            payload,
            qos,
            retain: false,
            props: Properties::EMPTY,
            expiry: None,
            tag,
        };
        self.node.publish(self.now, &message, &mut self.inbox).map(|()| tag)
    }

    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8], qos: QoS) -> Tag {
        self.try_publish(topic, payload, qos).expect("accepted")
    }

    pub(crate) fn try_subscribe(&mut self, filter: &str, qos: QoS) -> Result<Tag, Refused> {
        self.next_tag += 1;
        let tag = Tag(self.next_tag);
        let subscription = Subscription {
            filter: TopicFilter::new(filter).unwrap(),
            options: SubscribeOptions { qos, ..SubscribeOptions::default() },
            id: 0,
            props: Properties::EMPTY,
            tag,
        };
        self.node.subscribe(self.now, &subscription, &mut self.inbox).map(|()| tag)
    }

    pub(crate) fn subscribe(&mut self, filter: &str, qos: QoS) -> Tag {
        self.try_subscribe(filter, qos).expect("accepted")
    }

    pub(crate) fn unsubscribe(&mut self, filter: &str) -> Tag {
        self.next_tag += 1;
        let tag = Tag(self.next_tag);
        let filter = TopicFilter::new(filter).unwrap();
        self.node.unsubscribe(self.now, filter, tag, &mut self.inbox).expect("accepted");
        tag
    }

    pub(crate) fn close(&mut self) {
        let disconnect = Disconnect { reason: ReasonCode::SUCCESS, props: Properties::EMPTY };
        self.node.close(self.now, disconnect);
    }

    /// What `tag` was last told.
    pub(crate) fn fate(&self, tag: Tag) -> Option<Fate> {
        self.inbox.fates.iter().rev().find(|(t, _)| *t == tag).map(|(_, fate)| fate.clone())
    }

    /// The topic is registered as `id` in answer to the REGISTER with MsgId `msg_id`.
    #[track_caller]
    pub(crate) fn give_id(&mut self, topic: &str, msg_id: u16, topic_id: u16) {
        self.expect(register(msg_id, topic));
        self.reply(Message::RegAck(RegAck { topic_id, msg_id, code: OK }));
    }

    pub(crate) fn faults(&self) -> Vec<Fault> {
        let down = |e: &Event| match e {
            Event::Down(fault) => Some(*fault),
            _ => None,
        };
        self.events.iter().filter_map(down).collect()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.node.status().step == Step::Up
    }
}

pub(crate) fn register(msg_id: u16, topic: &str) -> Message<'_> {
    Message::Register(Register { topic_id: 0, msg_id, topic })
}

/// A PUBLISH with the data "a".
pub(crate) fn publish(topic: Topic, qos: QoS, msg_id: u16) -> Publish<'static> {
    Publish { dup: false, qos: qos.into(), retain: false, topic, msg_id, data: b"a" }
}

pub(crate) fn again(topic: Topic, qos: QoS, msg_id: u16) -> Publish<'static> {
    Publish { dup: true, ..publish(topic, qos, msg_id) }
}

pub(crate) fn puback(topic_id: u16, msg_id: u16, code: ReturnCode) -> Message<'static> {
    Message::PubAck(PubAck { topic_id, msg_id, code })
}

pub(crate) fn suback(qos: QoS, topic_id: u16, msg_id: u16, code: ReturnCode) -> Message<'static> {
    Message::SubAck(SubAck { qos, topic_id, msg_id, code })
}

pub(crate) fn subscribe(qos: QoS, msg_id: u16, filter: Filter<'_>) -> Message<'_> {
    Message::Subscribe(Subscribe { dup: false, qos, msg_id, filter })
}

pub(crate) fn short(name: &str) -> Topic {
    Topic::Short(ShortTopic::new(name).expect("two octets"))
}
