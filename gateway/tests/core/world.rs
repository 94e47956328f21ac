//! A gateway in memory of the test's own, and all it asks for, as a list.

use everlink_gateway::core::{
    Arrival, Busy, Close, Event, Gateway, Limits, Memory, Node, NodeId, NodeMemory, Open, Outside,
    Publication, Published, Receipt, Settings, Verdict, Will,
};
use everlink_proto::mem::Table;
use everlink_proto::sn::wire::{
    Connect, Filter, Message, Publish, PublishQoS, Register, Subscribe, Topic, Version,
};
use everlink_proto::time::{Duration, Instant};
use everlink_proto::wire::QoS;

/// Nodes that the gateway has room for, and messages for each.
pub(crate) const NODES: usize = 3;
pub(crate) const MESSAGES: usize = 4;
pub(crate) const RETRY: Duration = Duration::from_secs(10);

/// What the gateway asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Send(u8, Vec<u8>),
    Broadcast(Vec<u8>),
    Open {
        node: NodeId,
        client_id: String,
        clean: bool,
        will: Option<String>,
        filters: Vec<String>,
    },
    Close(NodeId, Close),
    Will(Option<String>),
    Publish {
        token: u16,
        topic: String,
        data: Vec<u8>,
        qos: QoS,
    },
    Unconnected {
        topic: String,
        data: Vec<u8>,
    },
    Subscribe {
        token: u16,
        filter: String,
        qos: QoS,
    },
    Unsubscribe {
        token: u16,
        filter: String,
    },
    Acknowledge(Receipt),
    Room,
    Event(String),
}

#[derive(Debug, Default)]
pub(crate) struct List {
    pub(crate) asked: Vec<Asked>,
    pub(crate) busy: bool,
    pub(crate) limits: Limits,
}

fn will(will: Option<Will<'_>>) -> Option<String> {
    will.map(|w| format!("{} {}", w.topic, String::from_utf8_lossy(w.message)))
}

impl Outside<u8> for List {
    fn send(&mut self, to: &u8, datagram: &[u8]) {
        self.asked.push(Asked::Send(*to, datagram.to_vec()));
    }

    fn broadcast(&mut self, _radius: u8, datagram: &[u8]) {
        self.asked.push(Asked::Broadcast(datagram.to_vec()));
    }

    fn admit(&mut self, _client_id: &str) -> Option<Limits> {
        Some(self.limits)
    }

    fn open(
        &mut self,
        node: NodeId,
        session: &Open<'_>,
        filters: &mut dyn Iterator<Item = (&str, QoS)>,
    ) {
        self.asked.push(Asked::Open {
            node,
            client_id: session.client_id.to_owned(),
            clean: session.clean,
            will: will(session.will),
            filters: filters.map(|(filter, _)| filter.to_owned()).collect(),
        });
    }

    fn close(&mut self, node: NodeId, how: Close) {
        self.asked.push(Asked::Close(node, how));
    }

    fn will(&mut self, _node: NodeId, changed: Option<Will<'_>>) {
        self.asked.push(Asked::Will(will(changed)));
    }

    fn publish(&mut self, _: NodeId, token: u16, message: &Publication<'_>) -> Result<(), Busy> {
        if self.busy {
            return Err(Busy);
        }
        let (topic, data, qos) = (message.topic.to_owned(), message.data.to_vec(), message.qos);
        self.asked.push(Asked::Publish { token, topic, data, qos });
        Ok(())
    }

    fn publish_unconnected(&mut self, message: &Publication<'_>) {
        let (topic, data) = (message.topic.to_owned(), message.data.to_vec());
        self.asked.push(Asked::Unconnected { topic, data });
    }

    fn subscribe(&mut self, _: NodeId, token: u16, filter: &str, qos: QoS) {
        self.asked.push(Asked::Subscribe { token, filter: filter.to_owned(), qos });
    }

    fn unsubscribe(&mut self, _: NodeId, token: u16, filter: &str) {
        self.asked.push(Asked::Unsubscribe { token, filter: filter.to_owned() });
    }

    fn acknowledge(&mut self, _: NodeId, receipt: Receipt) {
        self.asked.push(Asked::Acknowledge(receipt));
    }

    fn room(&mut self, _: NodeId) {
        self.asked.push(Asked::Room);
    }

    fn event(&mut self, event: Event<'_>) {
        self.asked.push(Asked::Event(event.to_string()));
    }
}

type Predefined = &'static [(u16, &'static str)];

/// The gateway, its world and its time.
pub(crate) struct World<'m> {
    pub(crate) gateway: Gateway<'m, u8, &'m mut [Node<'m, u8>], Predefined>,
    pub(crate) list: List,
    pub(crate) now: Instant,
}

/// Runs `test` with a gateway in fixed memory: nothing in it can grow.
pub(crate) fn with(settings: Settings, test: impl FnOnce(&mut World<'_>)) {
    let mut topics = [[Default::default(); 4]; NODES];
    let mut subscriptions = [[Default::default(); 4]; NODES];
    let mut names = [[0; 200]; NODES];
    let mut buffers = [[Default::default(); MESSAGES]; NODES];
    let mut data = [[0; 400]; NODES];
    let mut nodes: Vec<Node<'_, u8>> = topics
        .iter_mut()
        .zip(&mut subscriptions)
        .zip(&mut names)
        .zip(buffers.iter_mut().zip(&mut data))
        .map(|(((topics, subscriptions), names), (buffer, data))| {
            Node::new(NodeMemory {
                topics: Table::fixed(topics),
                subscriptions: Table::fixed(subscriptions),
                names: Table::fixed(names),
                buffer: Table::fixed(buffer),
                data: Table::fixed(data),
            })
        })
        .collect();
    let (mut addresses, mut ids, mut scratch) = ([0; 7], [0; 7], [0; 300]);
    let memory = Memory {
        by_address: Table::fixed(&mut addresses),
        by_client_id: Table::fixed(&mut ids),
        scratch: Table::fixed(&mut scratch),
    };
    let predefined: Predefined = &[(7, "known/seven")];
    let gateway = Gateway::new(&mut nodes[..], memory, predefined, settings);
    test(&mut World { gateway, list: List::default(), now: Instant::ZERO });
}

pub(crate) fn run(test: impl FnOnce(&mut World<'_>)) {
    with(Settings::default(), test);
}

pub(crate) fn octets(message: &Message<'_>) -> Vec<u8> {
    let mut room = [0; 2000];
    let len = message.encode(Version::V12, &mut room).expect("a message");
    room[..len].to_vec()
}

pub(crate) fn read(octets: &[u8]) -> Message<'_> {
    Message::decode(Version::V12, octets).expect("a message")
}

impl World<'_> {
    pub(crate) fn raw(&mut self, from: u8, octets: &[u8]) {
        self.gateway.datagram(self.now, from, octets, &mut self.list);
    }

    /// The node at `from` says this.
    pub(crate) fn say(&mut self, from: u8, message: &Message<'_>) {
        self.raw(from, &octets(message));
    }

    /// All that was asked for since the last look.
    pub(crate) fn asked(&mut self) -> Vec<Asked> {
        std::mem::take(&mut self.list.asked)
    }

    /// What was sent to `peer` since the last look; everything else is forgotten.
    pub(crate) fn sent(&mut self, peer: u8) -> Vec<Vec<u8>> {
        let sent = |asked| match asked {
            Asked::Send(to, octets) if to == peer => Some(octets),
            _ => None,
        };
        self.asked().into_iter().filter_map(sent).collect()
    }

    /// Exactly these were sent to `peer` since the last look.
    #[track_caller]
    pub(crate) fn expect(&mut self, peer: u8, messages: &[Message<'_>]) {
        let sent = self.sent(peer);
        let sent: Vec<_> = sent.iter().map(|octets| read(octets)).collect();
        assert_eq!(sent, messages);
    }

    pub(crate) fn after(&mut self, time: Duration) {
        self.now = self.now + time;
        self.gateway.tick(self.now, &mut self.list);
    }

    pub(crate) fn say_connect(&mut self, from: u8, client_id: &str, clean: bool, will: bool) {
        let connect = Connect { will, clean_session: clean, duration: 60, client_id };
        self.say(from, &Message::Connect(connect));
    }

    /// Connects, and the broker agrees.
    pub(crate) fn connect(&mut self, from: u8, client_id: &str, clean: bool) -> NodeId {
        self.say_connect(from, client_id, clean, false);
        let node = self.gateway.node(client_id).expect("a place");
        self.gateway.up(self.now, node, !clean, &mut self.list);
        let sent = self.sent(from);
        assert_eq!(sent.first().map(Vec::as_slice), Some(&[3, 5, 0][..]), "CONNACK: {sent:?}");
        node
    }

    pub(crate) fn register(&mut self, from: u8, topic: &str) -> u16 {
        self.say(from, &Message::Register(Register { topic_id: 0, msg_id: 1, topic }));
        match read(&self.sent(from)[0]) {
            Message::RegAck(ack) => ack.topic_id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn publish(&mut self, from: u8, topic: u16, qos: QoS, dup: bool, msg_id: u16) {
        let publish = Publish {
            dup,
            qos: PublishQoS::from(qos),
            retain: false,
            topic: Topic::Id(topic),
            msg_id,
            data: b"data",
        };
        self.say(from, &Message::Publish(publish));
    }

    pub(crate) fn published(&mut self, node: NodeId, token: u16, how: Published) {
        self.gateway.published(self.now, node, token, how, &mut self.list);
    }

    /// Subscribes, and the broker agrees.
    pub(crate) fn subscribe(&mut self, from: u8, node: NodeId, filter: &str) {
        let (qos, filter) = (QoS::ExactlyOnce, Filter::Name(filter));
        self.say(from, &Message::Subscribe(Subscribe { dup: false, qos, msg_id: 9, filter }));
        let token = self.asked().into_iter().find_map(|asked| match asked {
            Asked::Subscribe { token, .. } => Some(token),
            _ => None,
        });
        let token = token.expect("a subscription");
        self.gateway.subscribed(self.now, node, token, Some(qos), &mut self.list);
        self.asked();
    }

    pub(crate) fn arrive(&mut self, node: NodeId, message: &Arrival<'_>) -> Verdict {
        self.gateway.arrived(self.now, node, message, &mut self.list)
    }
}

/// A message for a node.
pub(crate) fn arrival(topic: &'static str, qos: QoS, receipt: Receipt) -> Arrival<'static> {
    Arrival { topic, data: b"data", qos, retain: false, dup: false, receipt }
}
