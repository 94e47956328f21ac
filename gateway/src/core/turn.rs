//! One node's turn: something happened to it.

use everlink_proto::sn::wire::{Forward, Message};
use everlink_proto::time::{Duration, Instant};

use super::node::{Node, Phase};
use super::peer::Peer;
use super::{Common, Event, NodeId, Outside, Predefined, VERSION};

pub(crate) struct Turn<'a, 'm, A, O, P> {
    pub(crate) id: NodeId,
    pub(crate) node: &'a mut Node<'m, A>,
    pub(crate) common: &'a mut Common<'m>,
    pub(crate) predefined: &'a P,
    pub(crate) out: &'a mut O,
    pub(crate) now: Instant,
}

/// Sends a message, in the capsule of a forwarder if the peer is behind one.
pub(crate) fn send<A>(
    common: &mut Common<'_>,
    to: &Peer<A>,
    message: &Message<'_>,
    out: &mut impl Outside<A>,
) {
    let Some((capsule, room)) = common.scratch.as_mut_slice().split_at_mut_checked(CAPSULE) else {
        return;
    };
    let Ok(len) = message.encode(VERSION, room) else { return };
    let Some(wireless) = &to.wireless else {
        common.stats.datagrams_out += 1;
        return out.send(&to.address, room.get(..len).unwrap_or_default());
    };
    // The capsule is written with an inner message of two octets, whose place the real one has.
    let stand_in = [2, 0x17];
    let shell = Forward { radius: 0, node: wireless.octets(), message: &stand_in };
    let mut head = [0; CAPSULE + 2];
    let Ok(total) = Message::Forward(shell).encode(VERSION, &mut head) else { return };
    let head = head.get(..total - 2).unwrap_or_default();
    let start = capsule.len() - head.len();
    capsule.iter_mut().skip(start).zip(head).for_each(|(to, from)| *to = *from);
    common.stats.datagrams_out += 1;
    let datagram = common.scratch.as_slice().get(start..CAPSULE + len).unwrap_or_default();
    out.send(&to.address, datagram);
}

/// Length, MsgType, Ctrl, and a Wireless Node Id.
const CAPSULE: usize = 19;

pub(crate) fn broadcast<A>(
    common: &mut Common<'_>,
    radius: u8,
    message: &Message<'_>,
    out: &mut impl Outside<A>,
) {
    let room = common.scratch.as_mut_slice();
    if let Ok(len) = message.encode(VERSION, room) {
        common.stats.datagrams_out += 1;
        out.broadcast(radius, room.get(..len).unwrap_or_default());
    }
}

impl<A: Copy, O: Outside<A>, P: Predefined> Turn<'_, '_, A, O, P> {
    /// A message from the node; CONNECT, and PINGREQ with a client identifier, went another way.
    pub(crate) fn message(&mut self, message: &Message<'_>) {
        self.heard();
        match message {
            Message::WillTopic(will) => return self.will_topic(will.as_ref()),
            Message::WillMsg(data) => return self.will_message(data),
            Message::Disconnect(duration) => return self.disconnect(*duration),
            // While it connects, nothing else is looked at.
            _ if !self.node.phase.is_connected() => {
                if self.node.phase == Phase::Disconnected {
                    self.common.stats.strangers += 1;
                    self.send(&Message::Disconnect(None));
                }
                return;
            }
            _ => {}
        }
        match message {
            Message::Register(register) => self.register(register),
            Message::RegAck(ack) => self.reg_ack(ack),
            Message::Publish(publish) => self.publish(publish),
            Message::PubAck(ack) => self.pub_ack(ack),
            Message::PubRec(id) => self.pub_rec(*id),
            Message::PubRel(id) => self.pub_rel(*id),
            Message::PubComp(id) => self.pub_comp(*id),
            Message::Subscribe(subscribe) => self.subscribe(subscribe),
            Message::Unsubscribe(unsubscribe) => self.unsubscribe(unsubscribe),
            Message::PingReq(_) => {
                self.rouse();
                self.send(&Message::PingResp);
            }
            Message::PingResp => {}
            Message::WillTopicUpd(will) => self.will_topic_update(will.as_ref()),
            Message::WillMsgUpd(data) => self.will_message_update(data),
            // What only a gateway sends.
            _ => self.common.stats.malformed += 1,
        }
    }

    /// Something is due.
    pub(crate) fn tick(&mut self) {
        if self.node.flight.is_some_and(|flight| flight.due <= self.now) {
            self.retransmit();
        }
        if self.node.silent.is_some_and(|at| at <= self.now) {
            self.node.silent = None;
            self.fell_silent();
        }
    }

    /// The node says what only an active one says. If it was taken for asleep, that was a late copy of a
    /// DISCONNECT; or this is a late copy, and it sleeps. Until it is known it has the benefit of both.
    pub(crate) fn rouse(&mut self) {
        if matches!(self.node.phase, Phase::Asleep | Phase::Awake) {
            (self.node.phase, self.node.roused, self.node.changed) = (Phase::Active, true, true);
            self.heard();
            self.event(|node| Event::Active { node });
            self.pump();
        }
    }

    pub(crate) fn send(&mut self, message: &Message<'_>) {
        if let Some(peer) = &self.node.peer {
            send(self.common, peer, message, self.out);
        }
    }

    pub(crate) fn event<'e>(&'e mut self, make: impl FnOnce(&'e str) -> Event<'e>) {
        self.out.event(make(self.node.client_id.as_str()));
    }

    /// The node is alive.
    pub(crate) fn heard(&mut self) {
        let seconds = match self.node.phase {
            Phase::Active if self.node.roused => self.node.keep_alive.max(self.node.sleep),
            Phase::Active => self.node.keep_alive,
            Phase::Asleep | Phase::Awake => self.node.sleep,
            _ => return,
        };
        self.node.silent = (seconds > 0).then(|| self.now + tolerance(seconds));
    }
}

/// 10 % more than a minute or longer, 50 % more if less (7.2).
fn tolerance(seconds: u16) -> Duration {
    let millis = u64::from(seconds) * 1000;
    Duration::from_millis(if seconds > 60 { millis * 11 / 10 } else { millis * 3 / 2 })
}
