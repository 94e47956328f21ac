//! From a node to the broker (6.5, 6.6).

use everlink_proto::sn::wire::{
    Message, PubAck, Publish, RegAck, Register, ReturnCode, Topic as Target,
};
use everlink_proto::wire::QoS;

use super::node::Incoming;
use super::peer::hash;
use super::turn::Turn;
use super::{Event, Outside, Predefined, Publication, Published};

impl<A: Copy, O: Outside<A>, P: Predefined> Turn<'_, '_, A, O, P> {
    /// REGISTER.
    pub(crate) fn register(&mut self, register: &Register<'_>) {
        self.node.changed = true;
        self.rouse();
        let (topic_id, code) = match self.node.names.register(register.topic, true) {
            Ok(id) => (id, ReturnCode::ACCEPTED),
            Err(code) => (0, code),
        };
        if code == ReturnCode::CONGESTION {
            self.common.stats.congestion += 1;
        }
        self.send(&Message::RegAck(RegAck { topic_id, msg_id: register.msg_id, code }));
    }

    /// PUBLISH at QoS 0 to 2.
    pub(crate) fn publish(&mut self, publish: &Publish<'_>) {
        let qos = publish.qos.in_connection().unwrap_or_default();
        let content = hash(&(publish.topic.to_u16(), publish.data));
        if qos != QoS::AtMostOnce && self.came_before(publish, content) {
            self.common.stats.duplicates += 1;
            return;
        }
        self.rouse();
        let code = match self.hand_on(publish, qos) {
            Ok(()) if qos == QoS::AtMostOnce => return,
            Ok(()) => {
                if let Some(free) = self.node.incoming.iter_mut().find(|i| i.msg_id == 0) {
                    *free = Incoming {
                        msg_id: publish.msg_id,
                        topic_id: publish.topic.to_u16(),
                        twice: qos == QoS::ExactlyOnce,
                        received: false,
                        hash: content,
                    };
                }
                return;
            }
            Err(code) => code,
        };
        // Whatever the QoS: that something is wrong is always told (6.6).
        self.send(&Message::PubAck(PubAck::to(publish, code)));
    }

    /// The broker's answer to a publication.
    pub(crate) fn published(&mut self, msg_id: u16, how: Published) {
        let Some(at) = self.node.incoming.iter().position(|i| i.msg_id == msg_id && msg_id != 0)
        else {
            return;
        };
        let Some(incoming) = self.node.incoming.get_mut(at) else { return };
        if incoming.received {
            return;
        }
        let Incoming { topic_id, twice, .. } = *incoming;
        match how {
            Published::Delivered if twice => {
                incoming.received = true;
                self.node.changed = true;
                self.send(&Message::PubRec(msg_id));
            }
            Published::Delivered => {
                self.end(at);
                let code = ReturnCode::ACCEPTED;
                self.send(&Message::PubAck(PubAck { topic_id, msg_id, code }));
            }
            Published::Rejected { busy } => {
                // Nothing was published: the same again is not a duplicate.
                *incoming = Incoming::default();
                let code = if busy { ReturnCode::CONGESTION } else { ReturnCode::NOT_SUPPORTED };
                self.event(|node| Event::Rejected { node });
                self.send(&Message::PubAck(PubAck { topic_id, msg_id, code }));
            }
        }
    }

    /// PUBREL. One for what nobody knows is answered as well: PUBCOMP was lost.
    pub(crate) fn pub_rel(&mut self, msg_id: u16) {
        match self.node.incoming.iter().position(|i| i.msg_id == msg_id) {
            Some(at) if self.node.incoming.get(at).is_some_and(|i| i.received) => self.end(at),
            // It cannot know that it is the broker's.
            Some(_) => return,
            None => {}
        }
        self.send(&Message::PubComp(msg_id));
    }

    /// Whether a publication is under way, or ended and came again because the answer was lost.
    fn came_before(&mut self, publish: &Publish<'_>, content: u32) -> bool {
        let Publish { msg_id, dup, .. } = *publish;
        if let Some(known) = self.node.incoming.iter().find(|i| i.msg_id == msg_id) {
            if known.received {
                self.send(&Message::PubRec(msg_id));
            }
            return true;
        }
        // Only with DUP: a simple node may use one MsgId for everything.
        if !dup || !self.node.ended.contains(&(msg_id, content)) {
            return false;
        }
        match publish.qos.in_connection() {
            Some(QoS::ExactlyOnce) => self.send(&Message::PubRec(msg_id)),
            _ => self.send(&Message::PubAck(PubAck::to(publish, ReturnCode::ACCEPTED))),
        }
        true
    }

    fn hand_on(&mut self, publish: &Publish<'_>, qos: QoS) -> Result<(), ReturnCode> {
        let topic = match &publish.topic {
            Target::Short(name) => name.as_str(),
            Target::Predefined(id) => self
                .predefined
                .topic(self.node.client_id.as_str(), *id)
                .ok_or(ReturnCode::INVALID_TOPIC_ID)?,
            Target::Id(id) => {
                let topic = self.node.names.topic(*id).ok_or(ReturnCode::INVALID_TOPIC_ID)?;
                self.node.names.text(topic.name)
            }
        };
        let message = Publication { topic, data: publish.data, qos, retain: publish.retain };
        let room = qos == QoS::AtMostOnce || self.node.incoming.iter().any(|i| i.msg_id == 0);
        if !room || self.out.publish(self.id, publish.msg_id, &message).is_err() {
            self.common.stats.congestion += 1;
            return Err(ReturnCode::CONGESTION);
        }
        self.common.stats.published += 1;
        Ok(())
    }

    fn end(&mut self, at: usize) {
        let Some(incoming) = self.node.incoming.get_mut(at) else { return };
        let ended = (incoming.msg_id, incoming.hash);
        *incoming = Incoming::default();
        self.node.changed = true;
        self.node.ended.rotate_right(1);
        if let Some(first) = self.node.ended.first_mut() {
            *first = ended;
        }
    }
}
