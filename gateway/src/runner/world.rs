//! The world around the core: sockets, and a client for each node.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use everlink::{
    Ack, Client, FirstConnect, Message, Outcome, QoS, ReasonCode, RetainHandling, TopicName,
};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::announcer::Announcer;
use super::config::Config;
use super::session::{LastWords, Order, Session, Word, Words};
use super::streams::Streams;
use crate::core::{
    Busy, Close, Event, Limits, NodeId, Open, Outside, Publication, Published, Receipt,
    Will as NodeWill,
};

/// How long the broker keeps a session that a node wants to come back to, and one that it does not:
/// that one only outlives a gateway that is started again.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
const CLEAN: Duration = Duration::from_secs(5 * 60);

/// Messages of QoS 1 and 2 that the broker has under way to one node.
const RECEIVE_MAXIMUM: u16 = 64;
/// Publications of one node that wait for the broker.
const QUEUE: usize = 1000;

/// A node's address, and which of the gateway's sockets it talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub(super) socket: usize,
    pub(super) peer: SocketAddr,
}

/// Somebody who wants to know what happens.
pub(super) type Watcher = Box<dyn FnMut(&Event<'_>) + Send>;

pub(super) struct World {
    pub(super) config: Config,
    pub(super) announcer: Announcer,
    pub(super) watcher: Option<Watcher>,
    sockets: Vec<Arc<UdpSocket>>,
    words: Words,
    /// By the node's place.
    sessions: HashMap<u32, Handle>,
    /// The gateway's own.
    pub(super) own: Client,
    /// Datagrams that the socket did not take.
    pub(super) unsent: u64,
    /// Nodes whose state changed, and datagrams that wait until it is in the file.
    pub(super) changed: Vec<u32>,
    waiting: Vec<(Address, Vec<u8>)>,
    /// What was refused for want of room, and may be offered again.
    pub(super) roomy: Vec<NodeId>,
}

struct Handle {
    node: NodeId,
    client: Client,
    orders: UnboundedSender<Order>,
    task: JoinHandle<()>,
    /// Messages that the core has, to be acknowledged.
    receipts: HashMap<Receipt, Message>,
    last_receipt: Receipt,
    /// Messages that the core had no room for, in order.
    parked: VecDeque<Message>,
    /// It says goodbye, and ends by itself.
    leaving: bool,
}

impl World {
    pub(super) fn new(
        config: Config,
        sockets: Vec<Arc<UdpSocket>>,
        own: Client,
        words: Words,
    ) -> Self {
        Self {
            announcer: Announcer::new(&config),
            watcher: None,
            config,
            sockets,
            words,
            sessions: HashMap::new(),
            own,
            unsent: 0,
            changed: Vec::new(),
            waiting: Vec::new(),
            roomy: Vec::new(),
        }
    }

    /// Remembers a message of a session, to acknowledge it by the receipt; 0 at QoS 0.
    pub(super) fn keep(&mut self, node: NodeId, message: &Message) -> Receipt {
        let Some(session) = self.session_mut(node).filter(|_| message.qos != QoS::AtMostOnce)
        else {
            return 0;
        };
        let mut kept = message.clone();
        kept.payload = Default::default();
        session.last_receipt += 1;
        session.receipts.insert(session.last_receipt, kept);
        session.last_receipt
    }

    /// The core had no room for a message.
    pub(super) fn park(&mut self, node: NodeId, receipt: Receipt, message: Message) {
        if let Some(session) = self.session_mut(node) {
            session.receipts.remove(&receipt);
            session.parked.push_back(message);
        }
    }

    /// The first message that the core had no room for.
    pub(super) fn unpark(&mut self, node: NodeId) -> Option<Message> {
        self.session_mut(node)?.parked.pop_front()
    }

    /// A message that is to be offered before any newer one goes back to the front.
    pub(super) fn park_again(&mut self, node: NodeId, receipt: Receipt, message: Message) {
        if let Some(session) = self.session_mut(node) {
            session.receipts.remove(&receipt);
            session.parked.push_front(message);
        }
    }

    pub(super) fn has_parked(&self, node: NodeId) -> bool {
        self.session(node).is_some_and(|session| !session.parked.is_empty())
    }

    /// The core took a message: the session may tell a further one.
    pub(super) fn taken(&self, node: NodeId) {
        self.order(node, Order::Taken);
    }

    /// All sessions leave politely, so that no will is published.
    pub(super) async fn stop(&mut self) {
        for session in self.sessions.values() {
            let _ = session.orders.send(Order::Close(Close { will: false, forget: false }));
        }
        let deadline = tokio::time::Instant::now() + Duration::from_secs(2);
        for session in self.sessions.values() {
            let mut watch = session.client.watch();
            let left = watch.wait_for(|state| state.stopped);
            let _ = tokio::time::timeout_at(deadline, left).await;
        }
        self.sessions.clear();
    }

    /// What changed is in the file: what rests on it may go.
    pub(super) fn flush(&mut self) {
        for (to, datagram) in std::mem::take(&mut self.waiting) {
            self.transmit(&to, &datagram);
        }
    }

    fn transmit(&mut self, to: &Address, datagram: &[u8]) {
        let sent = self.sockets.get(to.socket).map(|s| s.try_send_to(datagram, to.peer));
        if !matches!(sent, Some(Ok(_))) {
            self.unsent += 1;
        }
    }

    fn session(&self, node: NodeId) -> Option<&Handle> {
        self.sessions.get(&node.slot).filter(|session| session.node == node)
    }

    fn session_mut(&mut self, node: NodeId) -> Option<&mut Handle> {
        self.sessions.get_mut(&node.slot).filter(|session| session.node == node)
    }

    fn order(&self, node: NodeId, order: Order) {
        if let Some(session) = self.session(node) {
            let _ = session.orders.send(order);
        }
    }

    fn begin(
        &self,
        node: NodeId,
        open: &Open<'_>,
        filters: &mut dyn Iterator<Item = (&str, QoS)>,
    ) -> Option<Handle> {
        let mut builder = Client::builder(self.config.broker.as_str())
            .client_id(open.client_id)
            .clean_start(open.clean)
            .session_expiry(if open.clean { CLEAN } else { KEPT })
            .ephemeral(false)
            .receive_maximum(RECEIVE_MAXIMUM)
            .queue(QUEUE, self.config.limits.bytes.max(QUEUE))
            .first_connect(FirstConnect::Forever);
        let last_words = open.will.as_ref().and_then(will);
        let survives = self.config.state.is_some();
        if let Some(will) = last_words.as_ref().and_then(|words| words.will(survives)) {
            builder = builder.will(will);
        }
        let (client, driver) = match builder.build() {
            Ok(built) => built,
            Err(error) => {
                tracing::error!(node = open.client_id, %error, "no MQTT session");
                return None;
            }
        };
        let mut streams = Streams::default();
        for (filter, qos) in filters {
            // The broker knows it, unless the session is gone; retained messages came already.
            let stream = client.subscribe(filter, qos).retain_handling(RetainHandling::IfNew);
            if let Ok(stream) = stream.manual_ack().open() {
                streams.add(filter.to_owned(), stream, None);
            }
        }
        let (orders, inbox) = unbounded_channel();
        let words = self.words.clone();
        let session = Session {
            node,
            client: client.clone(),
            orders: inbox,
            words,
            streams,
            last_words,
            survives,
        };
        let task = tokio::spawn(session.run(driver));
        Some(Handle {
            node,
            client,
            orders,
            task,
            receipts: HashMap::new(),
            last_receipt: 0,
            parked: VecDeque::new(),
            leaving: false,
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.leaving {
            self.task.abort();
        }
    }
}

impl Outside<Address> for World {
    fn send(&mut self, to: &Address, datagram: &[u8]) {
        if self.config.state.is_some() {
            self.waiting.push((*to, datagram.to_vec()));
        } else {
            self.transmit(to, datagram);
        }
    }

    fn changed(&mut self, node: NodeId) {
        if self.config.state.is_some() {
            self.changed.push(node.slot);
        }
    }

    fn broadcast(&mut self, _radius: u8, datagram: &[u8]) {
        for (socket, group) in self.sockets.iter().zip(&self.config.listen) {
            if let Some(group) = group.multicast
                && socket.try_send_to(datagram, group).is_err()
            {
                self.unsent += 1;
            }
        }
    }

    fn admit(&mut self, client_id: &str) -> Option<Limits> {
        self.config.admit(client_id)
    }

    fn open(
        &mut self,
        node: NodeId,
        open: &Open<'_>,
        filters: &mut dyn Iterator<Item = (&str, QoS)>,
    ) {
        if let Some(session) = self.session(node) {
            let _ = session.orders.send(Order::Will(open.will.as_ref().and_then(will)));
            let _ = session.orders.send(Order::Open);
            return;
        }
        match self.begin(node, open, filters) {
            Some(session) => drop(self.sessions.insert(node.slot, session)),
            None => drop(self.words.send((node, Word::Refused))),
        }
    }

    fn close(&mut self, node: NodeId, how: Close) {
        self.order(node, Order::Close(how));
        if how.forget
            && self.session(node).is_some()
            && let Some(mut session) = self.sessions.remove(&node.slot)
        {
            session.leaving = true;
        }
    }

    fn will(&mut self, node: NodeId, changed: Option<NodeWill<'_>>) {
        self.order(node, Order::Will(changed.as_ref().and_then(will)));
    }

    fn publish(&mut self, node: NodeId, token: u16, message: &Publication<'_>) -> Result<(), Busy> {
        let session = self.session(node).ok_or(Busy)?;
        let publish = session.client.publish(message.topic, message.data);
        let sent = publish.qos(message.qos).retain(message.retain).send();
        let delivery = sent.map_err(|error| {
            tracing::debug!(%error, topic = message.topic, "not accepted");
            Busy
        })?;
        if message.qos != QoS::AtMostOnce {
            let words = self.words.clone();
            tokio::spawn(async move {
                if let Some(how) = fate(&delivery.await) {
                    let _ = words.send((node, Word::Published { token, how }));
                }
            });
        }
        Ok(())
    }

    fn publish_unconnected(&mut self, message: &Publication<'_>) {
        let publish = self.own.publish(message.topic, message.data);
        if let Err(error) = publish.qos(message.qos).retain(message.retain).send() {
            tracing::debug!(%error, topic = message.topic, "a message of QoS -1 is lost");
        }
    }

    fn subscribe(&mut self, node: NodeId, token: u16, filter: &str, qos: QoS) {
        let Some(session) = self.session(node) else { return };
        let order = match session.client.subscribe(filter, qos).manual_ack().open() {
            Ok(stream) => Order::Subscribe { token, filter: filter.to_owned(), stream },
            Err(error) => {
                tracing::debug!(%error, filter, "not subscribed");
                let _ = self.words.send((node, Word::Subscribed { token, granted: None }));
                return;
            }
        };
        let _ = session.orders.send(order);
    }

    fn unsubscribe(&mut self, node: NodeId, token: u16, filter: &str) {
        self.order(node, Order::Unsubscribe { token, filter: filter.to_owned() });
    }

    fn acknowledge(&mut self, node: NodeId, receipt: Receipt) {
        let message = self.session_mut(node).and_then(|s| s.receipts.remove(&receipt));
        if let Some(mut message) = message {
            // Stale if the connection was lost since: the broker sends it again.
            let _ = message.ack();
        }
    }

    fn room(&mut self, node: NodeId) {
        self.roomy.push(node);
    }

    fn event(&mut self, event: Event<'_>) {
        tracing::debug!(?event);
        self.announcer.event(&self.own, &event);
        if let Some(watcher) = &mut self.watcher {
            watcher(&event);
        }
    }
}

fn will(will: &NodeWill<'_>) -> Option<LastWords> {
    TopicName::new(will.topic).ok()?;
    Some(LastWords {
        topic: will.topic.to_owned(),
        message: will.message.to_vec(),
        qos: will.qos,
        retain: will.retain,
    })
}

/// What the node is told; `None`: nothing yet, it goes on when the session does.
fn fate(outcome: &Outcome) -> Option<Published> {
    let busy =
        |ack: &Ack| matches!(ack.reason, ReasonCode::QUOTA_EXCEEDED | ReasonCode::SERVER_BUSY);
    match outcome {
        Outcome::Delivered(_) => Some(Published::Delivered),
        Outcome::Rejected(ack) => Some(Published::Rejected { busy: busy(ack) }),
        Outcome::Expired | Outcome::Dropped(_) | Outcome::Superseded => {
            Some(Published::Rejected { busy: true })
        }
        Outcome::Held => None,
    }
}
