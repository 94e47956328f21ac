//! What is to survive a restart of the gateway: a node as octets, and back.

use core::hash::Hash;

use everlink_proto::time::Instant;
use everlink_proto::wire::QoS;

use super::node::{INCOMING, Incoming, Node, Phase};
use super::peer::{Peer, Wireless};
use super::turn::Turn;
use super::{Gateway, NodeId, Nodes, Outside, Predefined};

/// Says how the rest is to be read.
const FORMAT: u8 = 1;

impl<'m, A, N, P> Gateway<'m, A, N, P>
where
    A: Copy + Eq + Hash,
    N: Nodes<'m, A>,
    P: Predefined,
{
    /// Hands out, in pieces, what [`restore`](Self::restore) needs to know of the node at `slot`, and tells
    /// its address; `None` if nobody is there. To be asked for after each [`Outside::changed`].
    pub fn record(&self, slot: u32, write: &mut impl FnMut(&[u8])) -> Option<(NodeId, Option<A>)> {
        let node = self.nodes.nodes().get(slot as usize)?;
        let id = self.id(slot)?;
        write_node(node, write);
        Some((id, node.peer.map(|peer| peer.address)))
    }

    /// Puts a node back that was recorded, and asks for its session. `false`: the octets are no record, or there
    /// is no room.
    pub fn restore(
        &mut self,
        now: Instant,
        address: Option<A>,
        record: &[u8],
        out: &mut impl Outside<A>,
    ) -> bool {
        let mut reader = Reader(record);
        let client_id = match (reader.u8(), reader.text()) {
            (Some(FORMAT), Some(client_id)) => client_id,
            _ => return false,
        };
        if self.slot_of(client_id).is_some() {
            return false;
        }
        let Some(limits) = out.admit(client_id) else { return false };
        let Some(slot) = self.add(client_id) else { return false };
        let Some(node) = self.nodes.nodes_mut().get_mut(slot as usize) else { return false };
        node.limits = limits;
        let peer = read_node(node, &mut reader)
            .map(|wireless| address.map(|address| Peer { address, wireless }));
        let Some(peer) = peer else {
            if let Some(id) = self.id(slot) {
                self.sweep(id);
            }
            return false;
        };
        if let Some(peer) = peer {
            self.settle(slot, peer, out);
        }
        let Some(id) = self.id(slot) else { return false };
        self.with(now, id, out, |mut turn| turn.restored());
        self.sweep(id);
        true
    }
}

impl<A: Copy, O: Outside<A>, P: Predefined> Turn<'_, '_, A, O, P> {
    /// It goes on where it was: time begins anew.
    fn restored(&mut self) {
        if self.node.phase == Phase::Disconnected {
            self.node.silent = Some(self.now + self.common.settings.session_expiry);
        } else {
            self.heard();
            self.ask_for_session(false);
        }
    }
}

fn write_node<A>(node: &Node<'_, A>, write: &mut impl FnMut(&[u8])) {
    let text = |write: &mut dyn FnMut(&[u8]), octets: &[u8]| {
        write(&(octets.len() as u32).to_be_bytes());
        write(octets);
    };
    write(&[FORMAT]);
    text(write, node.client_id.as_str().as_bytes());
    let phase = match node.phase {
        Phase::Active => 1,
        Phase::Asleep | Phase::Awake => 2,
        // What was not accepted yet begins again.
        _ => 0,
    };
    write(&[phase, u8::from(node.clean)]);
    for number in [node.keep_alive, node.sleep, node.next_msg_id, node.names.next_topic_id] {
        write(&number.to_be_bytes());
    }
    let wireless = node.peer.as_ref().and_then(|peer| peer.wireless);
    write(&[u8::from(wireless.is_some())]);
    text(write, wireless.as_ref().map_or(&[], Wireless::octets));
    let will = node.names.will();
    write(&[will.map_or(0, |w| w.qos as u8), u8::from(will.is_some_and(|w| w.retain))]);
    text(write, will.map_or(&[], |w| w.topic.as_bytes()));
    text(write, will.map_or(&[], |w| w.message));
    write(&(node.names.topics.len() as u16).to_be_bytes());
    for topic in node.names.topics.as_slice() {
        write(&topic.id.to_be_bytes());
        write(&[u8::from(topic.known), u8::from(topic.wanted)]);
        text(write, node.names.text(topic.name).as_bytes());
    }
    write(&(node.names.subscriptions.len() as u16).to_be_bytes());
    for subscribed in node.names.subscriptions.as_slice() {
        write(&[subscribed.qos as u8]);
        write(&subscribed.predefined.to_be_bytes());
        text(write, node.names.text(subscribed.filter).as_bytes());
    }
    // Of the node's publications, those that the broker has: a further one is published again.
    for incoming in node.incoming.iter() {
        let msg_id = if incoming.received { incoming.msg_id } else { 0 };
        write(&msg_id.to_be_bytes());
        write(&incoming.topic_id.to_be_bytes());
        write(&incoming.hash.to_be_bytes());
    }
    for (msg_id, hash) in node.ended {
        write(&msg_id.to_be_bytes());
        write(&hash.to_be_bytes());
    }
}

/// Fills the node; tells its Wireless Node Id.
fn read_node<A>(node: &mut Node<'_, A>, reader: &mut Reader<'_>) -> Option<Option<Wireless>> {
    let phase = match reader.u8()? {
        0 => Phase::Disconnected,
        1 => Phase::Active,
        2 => Phase::Asleep,
        _ => return None,
    };
    node.clean = reader.u8()? != 0;
    (node.keep_alive, node.sleep) = (reader.u16()?, reader.u16()?);
    (node.next_msg_id, node.names.next_topic_id) = (reader.u16()?, reader.u16()?);
    let (is_wireless, wireless) = (reader.u8()? != 0, reader.octets()?);
    let wireless = if is_wireless { Some(Wireless::new(wireless)?) } else { None };
    let (qos, retain) = (QoS::try_from(reader.u8()?).ok()?, reader.u8()? != 0);
    let (topic, message) = (reader.text()?, reader.octets()?);
    if !topic.is_empty() {
        node.names.set_will_topic(topic, qos, retain).then_some(())?;
        node.names.set_will_message(message).then_some(())?;
    }
    for _ in 0..reader.u16()? {
        let (id, known, wanted) = (reader.u16()?, reader.u8()? != 0, reader.u8()? != 0);
        node.names.put_topic(id, reader.text()?, known, wanted).then_some(())?;
    }
    for _ in 0..reader.u16()? {
        let (qos, predefined) = (QoS::try_from(reader.u8()?).ok()?, reader.u16()?);
        node.names.subscribe(reader.text()?, qos, predefined).ok()?;
    }
    for at in 0..INCOMING {
        let (msg_id, topic_id, hash) = (reader.u16()?, reader.u16()?, reader.u32()?);
        let received = msg_id != 0;
        let incoming = Incoming { msg_id, topic_id, twice: received, received, hash };
        *node.incoming.get_mut(at)? = incoming;
    }
    for at in 0..INCOMING {
        *node.ended.get_mut(at)? = (reader.u16()?, reader.u32()?);
    }
    node.phase = phase;
    Some(wireless)
}

/// Takes octets from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn octets(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()?;
        self.take(usize::try_from(len).ok()?)
    }

    fn text(&mut self) -> Option<&'a str> {
        core::str::from_utf8(self.octets()?).ok()
    }
}
