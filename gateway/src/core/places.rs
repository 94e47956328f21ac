//! Who is at which place and address: nodes come, move and go.

use core::hash::Hash;

use everlink_proto::sn::wire::{Connect, Message, Publish, ReturnCode};
use everlink_proto::time::Instant;
use everlink_proto::wire::QoS;

use super::node::{ClientId, Phase};
use super::peer::{Peer, hash};
use super::{Event, Gateway, NodeId, Nodes, Outside, Predefined, Publication, turn};

impl<'m, A, N, P> Gateway<'m, A, N, P>
where
    A: Copy + Eq + Hash,
    N: Nodes<'m, A>,
    P: Predefined,
{
    /// QoS -1 (6.8): nobody is told what becomes of it.
    pub(super) fn unconnected(
        &mut self,
        from: Peer<A>,
        publish: &Publish<'_>,
        out: &mut impl Outside<A>,
    ) {
        use everlink_proto::sn::wire::Topic as Target;
        let nodes = self.nodes.nodes();
        let sender = self.slot_at(&from).and_then(|slot| nodes.get(slot as usize));
        let client_id = sender.map_or("", |node| node.client_id.as_str());
        let topic = match &publish.topic {
            Target::Short(name) => Some(name.as_str()),
            Target::Predefined(id) => self.predefined.topic(client_id, *id),
            Target::Id(_) => None,
        };
        let Some(topic) = topic else {
            self.common.stats.malformed += 1;
            return;
        };
        self.common.stats.published += 1;
        out.publish_unconnected(&Publication {
            topic,
            data: publish.data,
            qos: QoS::AtMostOnce,
            retain: publish.retain,
        });
    }

    pub(super) fn connect(
        &mut self,
        now: Instant,
        from: Peer<A>,
        connect: &Connect<'_>,
        out: &mut impl Outside<A>,
    ) {
        let refuse = |gateway: &mut Self, code, out: &mut _| {
            turn::send(&mut gateway.common, &from, &Message::ConnAck(code), out);
        };
        let Some(limits) = out.admit(connect.client_id) else {
            out.event(Event::NotAllowed { node: connect.client_id });
            return refuse(self, ReturnCode::NOT_SUPPORTED, out);
        };
        let Some(slot) = self.slot_of(connect.client_id).or_else(|| self.add(connect.client_id))
        else {
            self.common.stats.congestion += 1;
            return refuse(self, ReturnCode::CONGESTION, out);
        };
        self.settle(slot, from, out);
        let Some(id) = self.id(slot) else { return };
        let mut ended = id;
        self.with(now, id, out, |mut turn| {
            turn.node.limits = limits;
            ended = turn.connect(connect);
        });
        self.note_due(ended.slot);
        self.sweep(ended);
    }

    /// A sleeping node asks for its messages, from wherever it is now.
    pub(super) fn wake(
        &mut self,
        now: Instant,
        from: Peer<A>,
        client_id: &str,
        out: &mut impl Outside<A>,
    ) {
        let Some(id) = self.node(client_id) else {
            return self.stranger(from, &Message::PingReq(None), out);
        };
        let phase = self.nodes.nodes().get(id.slot as usize).map(|node| node.phase);
        if !phase.is_some_and(Phase::is_connected) {
            return self.stranger(from, &Message::PingReq(None), out);
        }
        self.settle(id.slot, from, out);
        self.with(now, id, out, |mut turn| turn.wake());
    }

    /// A place for a new node.
    pub(super) fn add(&mut self, client_id: &str) -> Option<u32> {
        let name = ClientId::new(client_id)?;
        let free = |nodes: &N| nodes.nodes().iter().position(|node| node.phase == Phase::Free);
        let slot = match free(&self.nodes) {
            Some(slot) => slot,
            None if self.nodes.grow() => free(&self.nodes)?,
            None => return None,
        };
        if !self.by_client_id.insert(hash(client_id), slot as u32) {
            return None;
        }
        let first_topic_id = self.common.settings.first_topic_id;
        let node = self.nodes.nodes_mut().get_mut(slot)?;
        node.generation = node.generation.wrapping_add(1);
        node.client_id = name;
        (node.names.next_topic_id, node.next_msg_id) = (first_topic_id, first_topic_id);
        node.phase = Phase::Disconnected;
        (node.peer, node.silent, node.open, node.up) = (None, None, false, false);
        node.clean = true;
        node.clear();
        Some(slot as u32)
    }

    /// The node is at this address from now on, and nobody else is.
    pub(super) fn settle(&mut self, slot: u32, at: Peer<A>, out: &mut impl Outside<A>) {
        if let Some(other) = self.slot_at(&at) {
            if other == slot {
                return;
            }
            self.unsettle(other);
        }
        let before = self.nodes.nodes().get(slot as usize).and_then(|node| node.peer);
        self.unsettle(slot);
        if let Some(node) = self.nodes.nodes_mut().get_mut(slot as usize) {
            node.peer = Some(at);
            node.changed = true;
            if before.is_some() {
                out.event(Event::Moved { node: node.client_id.as_str() });
            }
        }
        self.by_address.insert(hash(&at), slot);
    }

    fn unsettle(&mut self, slot: u32) {
        let nodes = self.nodes.nodes();
        let Some(peer) = nodes.get(slot as usize).and_then(|node| node.peer) else { return };
        let hash_of = |slot: u32| {
            nodes.get(slot as usize).and_then(|node| node.peer.as_ref()).map_or(0, hash_of_peer)
        };
        self.by_address.remove(hash_of_peer(&peer), slot, hash_of);
        if let Some(node) = self.nodes.nodes_mut().get_mut(slot as usize) {
            node.peer = None;
        }
    }

    /// Frees the place of a node that nobody comes back to.
    pub(super) fn sweep(&mut self, id: NodeId) {
        let Some(node) = self.nodes.nodes().get(id.slot as usize) else { return };
        if node.phase != Phase::Disconnected || !node.clean || node.open {
            return;
        }
        self.unsettle(id.slot);
        let nodes = self.nodes.nodes();
        let client_id =
            |slot: u32| nodes.get(slot as usize).map_or(0, |node| hash(node.client_id.as_str()));
        self.by_client_id.remove(client_id(id.slot), id.slot, client_id);
        if let Some(node) = self.nodes.nodes_mut().get_mut(id.slot as usize) {
            node.phase = Phase::Free;
            node.silent = None;
            node.clear();
        }
    }
}

fn hash_of_peer<A: Hash>(peer: &Peer<A>) -> u32 {
    hash(peer)
}
