//! The gateway's decisions: sans-IO, no clock, no allocator, fixed capacities given by the caller.
//!
//! Hand [`Gateway`] what happens: a datagram, an answer of the broker's side, the time. It calls
//! [`Outside`] for everything that is to be done, before it returns. Then ask for
//! [`Gateway::deadline`] and call [`Gateway::tick`] at that time.
//!
//! Acknowledgements are end to end: a node's PUBACK or PUBREC follows the broker's final
//! acknowledgement, and the broker's message is acknowledged when the node has it.

mod buffer;
mod connect;
mod deliver;
mod names;
mod node;
mod outside;
mod peer;
mod places;
mod publish;
mod record;
mod settings;
mod subscribe;
mod turn;

use core::hash::Hash;

use everlink_proto::mem::Table;
use everlink_proto::sn::wire::{Advertise, GwInfo, Message, PublishQoS, ReturnCode, Version};
use everlink_proto::time::Instant;
use everlink_proto::wire::QoS;

use node::Phase;
use peer::{Index, Peer, Wireless, hash};
use turn::Turn;

pub use buffer::Held;
pub use names::{Subscribed, Topic};
pub use node::{Node, NodeMemory};
pub use outside::{
    Arrival, Busy, Close, Event, NodeId, Open, Outside, Predefined, Publication, Published, Reason,
    Receipt, Verdict, Will,
};
pub use settings::{Limits, Settings, Stats, WhenFull};

/// The version of MQTT-SN that the gateway speaks.
const VERSION: Version = Version::V12;

/// A table of nodes: a slice of the caller's, or something that grows.
pub trait Nodes<'m, A> {
    /// All there are.
    fn nodes(&self) -> &[Node<'m, A>];
    /// All there are.
    fn nodes_mut(&mut self) -> &mut [Node<'m, A>];
    /// Makes room for one more; `false` if there can be no more.
    fn grow(&mut self) -> bool {
        false
    }
}

impl<'m, A> Nodes<'m, A> for &mut [Node<'m, A>] {
    fn nodes(&self) -> &[Node<'m, A>] {
        self
    }

    fn nodes_mut(&mut self) -> &mut [Node<'m, A>] {
        self
    }
}

/// Memory of a [`Gateway`] besides its nodes.
#[derive(Debug)]
pub struct Memory<'m> {
    /// Finds nodes by address: twice as many entries as nodes, and one.
    pub by_address: Table<'m, u32>,
    /// Finds nodes by client identifier: as many.
    pub by_client_id: Table<'m, u32>,
    /// For one datagram: the largest message and 19 octets for a forwarder.
    pub scratch: Table<'m, u8>,
}

/// What all nodes share.
#[derive(Debug)]
pub(crate) struct Common<'m> {
    pub(crate) settings: Settings,
    pub(crate) stats: Stats,
    pub(crate) scratch: Table<'m, u8>,
    /// Nothing is to be done before this time. It may be too early, never too late.
    pub(crate) earliest: Option<Instant>,
}

/// Decides for all nodes. `A` is the address of a datagram, `N` the table of nodes, `P` the
/// pre-defined topics.
#[derive(Debug)]
pub struct Gateway<'m, A, N, P> {
    nodes: N,
    by_address: Index<'m>,
    by_client_id: Index<'m>,
    common: Common<'m>,
    predefined: P,
    /// The broker is there, as far as the gateway's own client knows.
    broker: bool,
    next_advertise: Option<Instant>,
    address: core::marker::PhantomData<A>,
}

impl<'m, A, N, P> Gateway<'m, A, N, P>
where
    A: Copy + Eq + Hash,
    N: Nodes<'m, A>,
    P: Predefined,
{
    /// A gateway that knows nobody.
    pub fn new(nodes: N, memory: Memory<'m>, predefined: P, settings: Settings) -> Self {
        let mut scratch = memory.scratch;
        scratch.extend_to(scratch.limit());
        Self {
            nodes,
            by_address: Index::new(memory.by_address),
            by_client_id: Index::new(memory.by_client_id),
            common: Common { settings, stats: Stats::default(), scratch, earliest: None },
            predefined,
            broker: false,
            next_advertise: None,
            address: core::marker::PhantomData,
        }
    }

    /// A datagram came.
    pub fn datagram(&mut self, now: Instant, from: A, bytes: &[u8], out: &mut impl Outside<A>) {
        self.common.stats.datagrams_in += 1;
        let message = match Message::decode(VERSION, bytes) {
            Ok(Message::Forward(capsule)) => {
                let inner = Message::decode(VERSION, capsule.message);
                match (Wireless::new(capsule.node), inner) {
                    (Some(wireless), Ok(inner)) => {
                        let peer = Peer { address: from, wireless: Some(wireless) };
                        return self.message(now, peer, &inner, out);
                    }
                    _ => None,
                }
            }
            Ok(message) => Some(message),
            Err(_) => None,
        };
        match message {
            Some(message) => {
                let peer = Peer { address: from, wireless: None };
                self.message(now, peer, &message, out);
            }
            None => self.common.stats.malformed += 1,
        }
    }

    /// The MQTT session of a node is connected; the broker kept it, or made a new one.
    pub fn up(&mut self, now: Instant, node: NodeId, resumed: bool, out: &mut impl Outside<A>) {
        self.with(now, node, out, |mut turn| turn.up(resumed));
    }

    /// It lost its connection, and is to come back.
    pub fn down(&mut self, now: Instant, node: NodeId, out: &mut impl Outside<A>) {
        self.with(now, node, out, |mut turn| turn.down());
    }

    /// The broker refused the session for good.
    pub fn refused(&mut self, now: Instant, node: NodeId, out: &mut impl Outside<A>) {
        self.with(now, node, out, |mut turn| turn.refused(ReturnCode::NOT_SUPPORTED));
        self.sweep(node);
    }

    /// A publication came to its end.
    pub fn published(
        &mut self,
        now: Instant,
        node: NodeId,
        token: u16,
        how: Published,
        out: &mut impl Outside<A>,
    ) {
        self.with(now, node, out, |mut turn| turn.published(token, how));
    }

    /// The broker granted a subscription, or refused it.
    pub fn subscribed(
        &mut self,
        now: Instant,
        node: NodeId,
        token: u16,
        granted: Option<QoS>,
        out: &mut impl Outside<A>,
    ) {
        self.with(now, node, out, |mut turn| turn.subscribed(token, granted));
    }

    /// A subscription was ended.
    pub fn unsubscribed(
        &mut self,
        now: Instant,
        node: NodeId,
        token: u16,
        out: &mut impl Outside<A>,
    ) {
        self.with(now, node, out, |mut turn| turn.unsubscribed(token));
    }

    /// A message for a node.
    pub fn arrived(
        &mut self,
        now: Instant,
        node: NodeId,
        message: &Arrival<'_>,
        out: &mut impl Outside<A>,
    ) -> Verdict {
        let mut verdict = Verdict::Taken;
        self.with(now, node, out, |mut turn| verdict = turn.arrived(message));
        verdict
    }

    /// Whether the broker is there: only then does the gateway advertise itself (6.1).
    pub fn broker(&mut self, now: Instant, there: bool, out: &mut impl Outside<A>) {
        self.broker = there;
        if there && self.next_advertise.is_none() {
            self.advertise(now, out);
        }
    }

    /// What is due is done.
    pub fn tick(&mut self, now: Instant, out: &mut impl Outside<A>) {
        if self.next_advertise.is_some_and(|at| at <= now) {
            self.advertise(now, out);
        }
        if self.common.earliest.is_none_or(|at| at > now) {
            return;
        }
        self.common.earliest = None;
        for slot in 0..self.nodes.nodes().len() {
            let Some(node) = self.id(slot as u32) else { continue };
            self.with(now, node, out, |mut turn| turn.tick());
            self.sweep(node);
        }
    }

    /// When to call [`tick`](Self::tick). It may be earlier than something is to be done.
    pub fn deadline(&self) -> Option<Instant> {
        [self.common.earliest, self.next_advertise].into_iter().flatten().min()
    }

    /// Other pre-defined topics from now on.
    pub fn set_predefined(&mut self, predefined: P) {
        self.predefined = predefined;
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.common.stats
    }

    /// The node of a client identifier.
    pub fn node(&self, client_id: &str) -> Option<NodeId> {
        let slot = self.slot_of(client_id)?;
        self.id(slot)
    }

    /// Nodes in the table, connected or not.
    pub fn known(&self) -> usize {
        self.nodes.nodes().iter().filter(|node| node.phase != Phase::Free).count()
    }

    /// Places in the table, free ones included.
    pub fn places(&self) -> usize {
        self.nodes.nodes().len()
    }

    /// Messages kept for a node.
    pub fn buffered(&self, node: NodeId) -> usize {
        let place = self.nodes.nodes().get(node.slot as usize);
        place.filter(|found| found.generation == node.generation).map_or(0, |n| n.buffer.len())
    }

    fn id(&self, slot: u32) -> Option<NodeId> {
        let node = self.nodes.nodes().get(slot as usize)?;
        (node.phase != Phase::Free).then_some(NodeId { slot, generation: node.generation })
    }

    fn slot_of(&self, client_id: &str) -> Option<u32> {
        let nodes = self.nodes.nodes();
        self.by_client_id.find(hash(client_id), |slot| {
            nodes.get(slot as usize).is_some_and(|node| node.client_id.as_str() == client_id)
        })
    }

    fn slot_at(&self, peer: &Peer<A>) -> Option<u32> {
        let nodes = self.nodes.nodes();
        self.by_address.find(hash(peer), |slot| {
            nodes.get(slot as usize).is_some_and(|node| node.peer.as_ref() == Some(peer))
        })
    }

    fn with<O: Outside<A>>(
        &mut self,
        now: Instant,
        id: NodeId,
        out: &mut O,
        act: impl FnOnce(Turn<'_, 'm, A, O, P>),
    ) {
        let Some(node) = self.nodes.nodes_mut().get_mut(id.slot as usize) else { return };
        if node.generation != id.generation || node.phase == Phase::Free {
            return;
        }
        act(Turn {
            id,
            node: &mut *node,
            common: &mut self.common,
            predefined: &self.predefined,
            out: &mut *out,
            now,
        });
        if core::mem::take(&mut node.changed) {
            out.changed(NodeId { slot: id.slot, generation: node.generation });
        }
        self.note_due(id.slot);
    }

    fn note_due(&mut self, slot: u32) {
        let due = self.nodes.nodes().get(slot as usize).and_then(Node::due);
        self.common.earliest = [self.common.earliest, due].into_iter().flatten().min();
    }

    /// A message with its capsule taken off.
    fn message(
        &mut self,
        now: Instant,
        from: Peer<A>,
        message: &Message<'_>,
        out: &mut impl Outside<A>,
    ) {
        match message {
            Message::SearchGw(radius) => return self.search(from, *radius, out),
            Message::Connect(connect) => return self.connect(now, from, connect, out),
            Message::PingReq(Some(client_id)) => return self.wake(now, from, client_id, out),
            Message::Publish(publish) if publish.qos == PublishQoS::MinusOne => {
                return self.unconnected(from, publish, out);
            }
            // Those of other gateways.
            Message::Advertise(_) | Message::GwInfo(_) => return,
            _ => {}
        }
        let Some(id) = self.slot_at(&from).and_then(|slot| self.id(slot)) else {
            return self.stranger(from, message, out);
        };
        self.with(now, id, out, |mut turn| turn.message(message));
        self.sweep(id);
    }

    /// Of somebody who is not connected, after a restart perhaps (6.12): to begin again.
    fn stranger(&mut self, from: Peer<A>, message: &Message<'_>, out: &mut impl Outside<A>) {
        self.common.stats.strangers += 1;
        // Answers of a node are not answered, lest two who do not know each other go on for ever.
        let answer = matches!(
            message,
            Message::PingResp
                | Message::RegAck(_)
                | Message::PubAck(_)
                | Message::PubRec(_)
                | Message::PubComp(_)
        );
        if !answer {
            turn::send(&mut self.common, &from, &Message::Disconnect(None), out);
        }
    }

    fn search(&mut self, from: Peer<A>, radius: u8, out: &mut impl Outside<A>) {
        if self.broker {
            let gateway = self.common.settings.gateway;
            let answer = Message::GwInfo(GwInfo { gateway, address: &[] });
            if from.wireless.is_some() {
                return turn::send(&mut self.common, &from, &answer, out);
            }
            // "Broadcast with the same radius" (6.1), and to who asks, whom a broadcast may not reach.
            turn::send(&mut self.common, &from, &answer, out);
            turn::broadcast(&mut self.common, radius, &answer, out);
        }
    }

    fn advertise(&mut self, now: Instant, out: &mut impl Outside<A>) {
        let Settings { gateway, advertise, .. } = self.common.settings;
        if advertise.is_zero() {
            return;
        }
        self.next_advertise = Some(now + advertise);
        if self.broker {
            let duration = u16::try_from(advertise.as_secs()).unwrap_or(u16::MAX);
            let message = Message::Advertise(Advertise { gateway, duration });
            turn::broadcast(&mut self.common, 0, &message, out);
        }
    }
}
