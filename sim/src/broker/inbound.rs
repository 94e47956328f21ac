//! What clients publish, and how they acknowledge what they got.

use everlink_proto::wire::{Ack, AckKind, PacketId, Publish, ReasonCode, Version};

use super::message::{Accepted, RefusedPublish};
use super::session::Stage;
use super::*;

impl Broker {
    pub(super) fn on_publish(&mut self, id: PipeId, publish: &Publish<'_>) {
        let Some(topic) = self.resolve_topic(id, publish) else { return };
        if !self.publish_allowed(id, publish) {
            return;
        }
        if let Some(reason) = self.faults.publish_refused(&topic) {
            return self.refuse_publish(id, publish, topic, reason);
        }
        match publish.pid {
            None => self.take(id, publish, &topic),
            Some(pid) if publish.qos == QoS::AtLeastOnce => {
                self.take(id, publish, &topic);
                self.send(id, Ack::new(AckKind::PubAck, pid));
            }
            Some(pid) => self.on_exactly_once(id, publish, &topic, pid),
        }
    }

    /// [MQTT-4.3.3-10] A message is taken at its first PUBLISH; until PUBREL, further ones with
    /// the same identifier are the same message.
    fn on_exactly_once(&mut self, id: PipeId, publish: &Publish<'_>, topic: &str, pid: PacketId) {
        let client = self.client_of(id);
        let Some(session) = self.sessions.get_mut(&client) else { return };
        let known = session.received.contains_key(&pid.get());
        if !known && self.cfg.take_at_release {
            let (accepted, message) = self.message(id, publish, topic);
            self.arrived.push(accepted.clone());
            self.keep(&client, pid, Some((accepted, message)));
        } else if !known {
            self.keep(&client, pid, None);
            self.take(id, publish, topic);
        } else if !publish.dup {
            self.violation(id, "MQTT-2.2.1-3", format!("#{pid} used again before its PUBREL"));
        }
        self.send(id, Ack::new(AckKind::PubRec, pid));
    }

    /// Remembers a Packet Identifier until its PUBREL.
    fn keep(&mut self, client: &str, pid: PacketId, message: Option<(Accepted, Message)>) {
        if let Some(session) = self.sessions.get_mut(client) {
            session.received.insert(pid.get(), message);
        }
    }

    fn take(&mut self, id: PipeId, publish: &Publish<'_>, topic: &str) {
        let (accepted, message) = self.message(id, publish, topic);
        if self.cfg.take_at_release {
            self.arrived.push(accepted.clone());
        }
        self.accept_message(accepted, message);
    }

    fn accept_message(&mut self, accepted: Accepted, message: Message) {
        let client = accepted.client.clone();
        self.accepted.push(Accepted { at: self.now, ..accepted });
        self.route(Some(&client), message);
    }

    fn message(&self, id: PipeId, publish: &Publish<'_>, topic: &str) -> (Accepted, Message) {
        let accepted = Accepted {
            at: self.now,
            client: self.client_of(id),
            topic: topic.to_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            expiry: publish.props.message_expiry(),
            pid: publish.pid.map_or(0, PacketId::get),
        };
        let message = Message::new(topic, publish.payload, publish.qos, publish.retain);
        (accepted, message.with_props(publish.props))
    }

    /// The Topic Name, behind its alias if it has one; `None` if the connection ended for it.
    fn resolve_topic(&mut self, id: PipeId, publish: &Publish<'_>) -> Option<String> {
        let conn = self.conns.get_mut(&id)?;
        let Some(alias) = publish.props.topic_alias() else {
            return Some(publish.topic.to_owned());
        };
        if alias <= conn.offer.topic_alias_maximum {
            if !publish.topic.is_empty() {
                conn.aliases_in.insert(alias, publish.topic.to_owned());
            }
            if let Some(topic) = conn.aliases_in.get(&alias) {
                return Some(topic.clone());
            }
        }
        let what = format!("alias {alias}");
        self.offend(id, "MQTT-3.3.2-9", what, ReasonCode::TOPIC_ALIAS_INVALID);
        None
    }

    /// Whether the publication keeps to what CONNACK said; otherwise the connection ends.
    fn publish_allowed(&mut self, id: PipeId, publish: &Publish<'_>) -> bool {
        let Some(conn) = self.conns.get_mut(&id) else { return false };
        let v5 = conn.version == Version::V5;
        let mut flaw = None;
        if let Some(pid) = publish.pid {
            if !conn.unacked.insert(pid.get()) && !publish.dup {
                flaw = Some(("MQTT-2.2.1-3", ReasonCode::PACKET_IDENTIFIER_IN_USE));
            } else if v5 && conn.unacked.len() > usize::from(conn.offer.receive_maximum) {
                flaw = Some(("MQTT-3.3.4-7", ReasonCode::RECEIVE_MAXIMUM_EXCEEDED));
            }
        }
        if publish.qos > conn.offer.maximum_qos {
            flaw = Some(("MQTT-3.2.2-11", ReasonCode::QOS_NOT_SUPPORTED));
        } else if publish.retain && !conn.offer.retain_available {
            flaw = Some(("MQTT-3.2.2-14", ReasonCode::RETAIN_NOT_SUPPORTED));
        } else if publish.props.subscription_ids().next().is_some() {
            flaw = Some(("MQTT-3.3.4-6", ReasonCode::PROTOCOL_ERROR));
        }
        if let Some((rule, reason)) = flaw {
            self.offend(id, rule, crate::trace::describe_packet(&(*publish).into()), reason);
        }
        flaw.is_none()
    }

    fn refuse_publish(
        &mut self,
        id: PipeId,
        publish: &Publish<'_>,
        topic: String,
        reason: ReasonCode,
    ) {
        self.refused.push(RefusedPublish { topic, reason });
        let v5 = self.conns.get(&id).is_some_and(|c| c.version == Version::V5);
        if !v5 && self.cfg.close_on_refused_publish {
            return self.end(id, None, true);
        }
        let Some(pid) = publish.pid else { return };
        let kind = match publish.qos {
            QoS::ExactlyOnce => AckKind::PubRec,
            _ => AckKind::PubAck,
        };
        if !v5 && kind == AckKind::PubRec {
            self.keep(&self.client_of(id), pid, None);
        }
        self.send(id, Ack { reason, ..Ack::new(kind, pid) });
    }

    pub(super) fn on_ack(&mut self, id: PipeId, ack: &Ack<'_>) {
        let client = self.client_of(id);
        let Some(session) = self.sessions.get_mut(&client) else { return };
        match ack.kind {
            AckKind::PubAck | AckKind::PubComp => session.finish(ack.pid),
            AckKind::PubRec if ack.reason.is_error() => session.finish(ack.pid),
            AckKind::PubRec => {
                let known = session.flight(ack.pid).map(|f| f.stage = Stage::Released).is_some();
                let reason = outcome(known);
                self.send(id, Ack { reason, ..Ack::new(AckKind::PubRel, ack.pid) });
            }
            AckKind::PubRel => {
                // Unknown after a PUBCOMP that got lost, so no breach.
                let known = session.received.remove(&ack.pid.get());
                let reason = outcome(known.is_some());
                if let Some((accepted, message)) = known.flatten() {
                    self.accept_message(accepted, message);
                }
                self.send(id, Ack { reason, ..Ack::new(AckKind::PubComp, ack.pid) });
            }
        }
        self.pump(&client);
    }

    pub(super) fn client_of(&self, id: PipeId) -> String {
        self.conns.get(&id).map_or(String::new(), |c| c.client.clone())
    }
}

fn outcome(known: bool) -> ReasonCode {
    if known { ReasonCode::SUCCESS } else { ReasonCode::PACKET_IDENTIFIER_NOT_FOUND }
}
