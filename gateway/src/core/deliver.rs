//! From the broker to a node (6.10, 6.14).

use everlink_proto::sn::wire::{
    Message, PubAck, Publish, RegAck, Register, ReturnCode, ShortTopic, Topic as Target,
};
use everlink_proto::topic::TopicName;
use everlink_proto::wire::QoS;

use super::buffer::Held;
use super::node::{Flight, Phase, Stage};
use super::turn::Turn;
use super::{Arrival, Event, Outside, Predefined, Reason, VERSION, Verdict, WhenFull};

impl<A: Copy, O: Outside<A>, P: Predefined> Turn<'_, '_, A, O, P> {
    /// A message for the node.
    pub(crate) fn arrived(&mut self, message: &Arrival<'_>) -> Verdict {
        if self.node.buffer.adopt(message) {
            return Verdict::Taken;
        }
        let limits = self.node.limits;
        if !self.node.buffer.could_hold(message, &limits) || TopicName::new(message.topic).is_err()
        {
            self.refuse(message, Reason::TooLong);
            return Verdict::Taken;
        }
        while !self.node.buffer.has_room(message, &limits) {
            let victim = match limits.when_full {
                WhenFull::Hold if message.qos != QoS::AtMostOnce => {
                    self.node.wanted = true;
                    return Verdict::Busy;
                }
                WhenFull::Hold | WhenFull::DropNewest => None,
                WhenFull::DropOldest => self.oldest(|_, _| true),
                WhenFull::Latest => self
                    .oldest(|turn, held| turn.node.buffer.message(held).0 == message.topic)
                    .or_else(|| self.oldest(|_, _| true)),
            };
            match victim {
                Some(at) => self.give_up(at, Reason::Full),
                None => {
                    self.refuse(message, Reason::Full);
                    return Verdict::Taken;
                }
            }
        }
        // There is room.
        let _ = self.node.buffer.push(message);
        self.pump();
        Verdict::Taken
    }

    /// Sends what can be sent.
    pub(crate) fn pump(&mut self) {
        while self.node.flight.is_none() {
            let Some(head) = self.node.buffer.all().first().copied() else { break };
            match self.node.phase {
                Phase::Active => {}
                Phase::Awake if self.node.awake > 0 => {}
                _ => break,
            }
            self.launch(&head);
        }
        if self.node.phase == Phase::Awake && self.node.flight.is_none() {
            // All that was kept when it woke has been sent: good night (6.14).
            self.node.phase = Phase::Asleep;
            self.heard();
            self.send(&Message::PingResp);
        }
    }

    /// REGACK.
    pub(crate) fn reg_ack(&mut self, ack: &RegAck) {
        let Some(Flight { stage: Stage::Register(id), msg_id, .. }) = self.node.flight else {
            return;
        };
        if ack.msg_id != msg_id {
            return;
        }
        self.node.flight = None;
        match ack.code {
            ReturnCode::ACCEPTED => {
                if let Some(topic) = self.node.names.topic_mut(id) {
                    topic.known = true;
                    self.node.changed = true;
                }
            }
            ReturnCode::CONGESTION => self.pause(),
            // "This corresponds to an unsubscribe" of that topic (6.10).
            _ => self.give_up(0, Reason::Refused),
        }
        self.pump();
    }

    /// PUBACK: the end at QoS 1, or what is wrong at any.
    pub(crate) fn pub_ack(&mut self, ack: &PubAck) {
        let head = self.node.buffer.all().first().copied();
        if ack.code == ReturnCode::INVALID_TOPIC_ID
            && let Some(topic) = self.node.names.topic_mut(ack.topic_id)
        {
            topic.known = false;
        }
        let Some(Flight { stage: Stage::Publish, msg_id, tries, .. }) = self.node.flight else {
            return;
        };
        let Some(head) = head.filter(|_| ack.msg_id == msg_id) else { return };
        match ack.code {
            ReturnCode::ACCEPTED if head.qos == QoS::AtLeastOnce => self.delivered(),
            // At QoS 2 the answer is PUBREC.
            ReturnCode::ACCEPTED => return,
            ReturnCode::CONGESTION => self.pause(),
            ReturnCode::INVALID_TOPIC_ID if self.can_name_anew(&head) && tries == 0 => {
                // Counts as a try, so that a node that knows no topic at all is not asked for ever.
                self.node.flight = None;
                self.launch(&head);
                if let Some(flight) = &mut self.node.flight {
                    flight.tries = 1;
                }
                return;
            }
            _ => {
                self.node.flight = None;
                self.give_up(0, Reason::Refused);
            }
        }
        self.pump();
    }

    /// PUBREC: the node has the message.
    pub(crate) fn pub_rec(&mut self, msg_id: u16) {
        let head = self.node.buffer.all_mut().first_mut();
        match (head, self.node.flight) {
            (Some(head), Some(flight))
                if head.qos == QoS::ExactlyOnce
                    && flight.msg_id == msg_id
                    && matches!(flight.stage, Stage::Publish | Stage::Release) =>
            {
                let receipt = core::mem::take(&mut head.receipt);
                head.released = true;
                self.acknowledge(receipt);
                self.fly(Stage::Release, msg_id);
                self.send(&Message::PubRel(msg_id));
            }
            // Of an earlier connection: it waits for PUBREL to be done with it.
            _ => self.send(&Message::PubRel(msg_id)),
        }
    }

    /// PUBCOMP.
    pub(crate) fn pub_comp(&mut self, msg_id: u16) {
        let Some(Flight { stage: Stage::Release, msg_id: ours, .. }) = self.node.flight else {
            return;
        };
        if ours == msg_id {
            self.delivered();
            self.pump();
        }
    }

    /// The node did not answer in time.
    pub(crate) fn retransmit(&mut self) {
        let Some(flight) = self.node.flight else { return };
        if flight.stage == Stage::Pause {
            self.node.flight = None;
            return self.pump();
        }
        if flight.tries >= self.common.settings.retries {
            self.node.flight = None;
            if self.node.phase == Phase::Awake || self.node.roused {
                // It is supervised by its sleep timer (6.14).
                (self.node.phase, self.node.roused) = (Phase::Asleep, false);
                return;
            }
            return self.lost();
        }
        let Some(head) = self.node.buffer.all().first().copied() else {
            self.node.flight = None;
            return;
        };
        self.common.stats.retransmissions += 1;
        self.node.flight = None;
        self.launch(&head);
        if let Some(again) = &mut self.node.flight {
            again.tries = flight.tries + 1;
        }
    }

    /// Sends the first message, or what has to go before it. After it, there is a flight, or the message
    /// is gone.
    fn launch(&mut self, head: &Held) {
        if head.released {
            self.fly(Stage::Release, head.sent);
            return self.send(&Message::PubRel(head.sent));
        }
        let target = match self.target(head) {
            Ok(target) => target,
            Err(Some(topic_id)) => return self.announce(head, topic_id),
            Err(None) => return self.give_up(0, Reason::TooLong),
        };
        let (dup, msg_id) = match head.qos {
            QoS::AtMostOnce => (false, 0),
            _ if head.sent != 0 => (true, head.sent),
            _ => (false, self.node.new_msg_id()),
        };
        let publish = Publish {
            dup,
            qos: head.qos.into(),
            retain: head.retain,
            topic: target,
            msg_id,
            data: self.node.buffer.message(head).1,
        };
        let message = Message::Publish(publish);
        if message.encoded_len(VERSION) > self.common.settings.max_message {
            // "The gateway silently aborts" (6.10); here whoever watches is told.
            return self.give_up(0, Reason::TooLong);
        }
        if let Some(peer) = &self.node.peer {
            super::turn::send(self.common, peer, &message, self.out);
        }
        if head.qos == QoS::AtMostOnce {
            return self.delivered();
        }
        if let Some(first) = self.node.buffer.all_mut().first_mut() {
            first.sent = msg_id;
        }
        self.fly(Stage::Publish, msg_id);
    }

    /// How the node knows the topic; `Err(Some)`: it must be told of this id first.
    fn target(&mut self, head: &Held) -> Result<Target, Option<u16>> {
        let names = &mut self.node.names;
        let (topic, _) = self.node.buffer.message(head);
        if let Some(id) = names.predefined(topic) {
            return Ok(Target::Predefined(id));
        }
        if let Some(known) = names.named(topic).filter(|known| known.known) {
            return Ok(Target::Id(known.id));
        }
        if let Some(short) = ShortTopic::new(topic) {
            return Ok(Target::Short(short));
        }
        self.node.changed = true;
        Err(names.register(topic, false).ok())
    }

    /// REGISTER goes first (6.10).
    fn announce(&mut self, head: &Held, topic_id: u16) {
        let msg_id = self.node.new_msg_id();
        let (topic, _) = self.node.buffer.message(head);
        let message = Message::Register(Register { topic_id, msg_id, topic });
        if message.encoded_len(VERSION) > self.common.settings.max_message {
            return self.give_up(0, Reason::TooLong);
        }
        if let Some(peer) = &self.node.peer {
            super::turn::send(self.common, peer, &message, self.out);
        }
        self.fly(Stage::Register(topic_id), msg_id);
    }

    /// Whether the topic has an id that was taken back. Others cannot be named any other way.
    fn can_name_anew(&self, head: &Held) -> bool {
        let (topic, _) = self.node.buffer.message(head);
        self.node.names.predefined(topic).is_none() && ShortTopic::new(topic).is_none()
    }

    fn fly(&mut self, stage: Stage, msg_id: u16) {
        let due = self.now + self.common.settings.retry;
        self.node.flight = Some(Flight { stage, msg_id, tries: 0, due });
    }

    fn pause(&mut self) {
        self.fly(Stage::Pause, 0);
    }

    /// The node has the first message.
    fn delivered(&mut self) {
        self.common.stats.delivered += 1;
        self.node.flight = None;
        let receipt = self.node.buffer.all().first().map_or(0, |held| held.receipt);
        self.remove(0);
        self.acknowledge(receipt);
    }

    /// The oldest that is not under way, and of which `is` is true.
    fn oldest(&self, is: impl Fn(&Self, &Held) -> bool) -> Option<usize> {
        let all = self.node.buffer.all();
        all.iter().position(|held| held.sent == 0 && is(self, held))
    }

    /// A message ends here, and not at the node.
    fn give_up(&mut self, at: usize, reason: Reason) {
        let Some(held) = self.node.buffer.all().get(at).copied() else { return };
        self.common.stats.dropped += 1;
        let (topic, _) = self.node.buffer.message(&held);
        let node = self.node.client_id.as_str();
        self.out.event(Event::Dropped { node, topic, qos: held.qos, reason });
        if at == 0 {
            self.node.flight = None;
        }
        self.remove(at);
        self.acknowledge(held.receipt);
    }

    fn refuse(&mut self, message: &Arrival<'_>, reason: Reason) {
        self.common.stats.dropped += 1;
        let Arrival { topic, qos, .. } = *message;
        self.out.event(Event::Dropped { node: self.node.client_id.as_str(), topic, qos, reason });
        self.acknowledge(message.receipt);
    }

    fn remove(&mut self, at: usize) {
        self.node.buffer.remove(at);
        self.node.awake = self.node.awake.saturating_sub(1);
        if core::mem::take(&mut self.node.wanted) {
            self.out.room(self.id);
        }
    }

    fn acknowledge(&mut self, receipt: u64) {
        if receipt != 0 {
            self.out.acknowledge(self.id, receipt);
        }
    }
}
