//! From an accepted message to its subscribers.

use std::collections::BTreeMap;

use everlink_proto::topic::TopicFilter;
use everlink_proto::wire::{Ack, AckKind, PacketId, Properties, Property, Publish};

use super::message::{Delivery, Sub};
use super::session::{Flight, Stage};
use super::*;

impl Broker {
    /// Retains a message if it asks for it, and queues it for every subscriber.
    pub(super) fn route(&mut self, from: Option<&str>, mut message: Message) {
        message.published(self.now);
        if message.retain {
            self.retain(&message);
        }
        let mut shares: BTreeMap<String, Vec<(String, Sub)>> = BTreeMap::new();
        let mut direct = Vec::new();
        for (client, session) in &self.sessions {
            let mut own = Vec::new();
            for (filter, sub) in &session.subs {
                let Ok(parsed) = TopicFilter::new(filter) else { continue };
                let own_message = sub.options.no_local && from == Some(client);
                if own_message || !parsed.matches(&message.topic) {
                    continue;
                }
                if parsed.is_shared() {
                    shares.entry(filter.clone()).or_default().push((client.clone(), *sub));
                } else {
                    own.push(*sub);
                }
            }
            if !own.is_empty() {
                direct.push((client.clone(), own));
            }
        }
        for members in shares.into_values() {
            direct.push(self.choose(members));
        }
        for (client, subs) in direct {
            self.queue(&client, delivery(&message, &subs));
            self.pump(&client);
        }
    }

    /// The member of a Shared Subscription whose turn it is; connected ones first.
    fn choose(&mut self, members: Vec<(String, Sub)>) -> (String, Vec<Sub>) {
        let present: Vec<_> =
            members.iter().filter(|(client, _)| self.is_connected(client)).cloned().collect();
        let candidates = if present.is_empty() { members } else { present };
        self.turn += 1;
        let (client, sub) = candidates[self.turn % candidates.len()].clone();
        (client, vec![sub])
    }

    pub(super) fn queue(&mut self, client: &str, delivery: Delivery) {
        let most = self.cfg.queue;
        let Some(session) = self.sessions.get_mut(client) else { return };
        let wanted = session.conn.is_some() || delivery.qos > QoS::AtMostOnce;
        if wanted && session.queue.len() < most {
            session.queue.push_back(delivery);
        }
    }

    /// Sends the client what it can take: first what an earlier connection left unacknowledged,
    /// in its first order [MQTT-4.4.0-1], [MQTT-4.6.0-1].
    pub(super) fn pump(&mut self, client: &str) {
        while let Some(id) = self.connection(client) {
            let Some(conn) = self.conns.get(&id).filter(|c| c.is_up()) else { return };
            if conn.is_crowded() {
                return;
            }
            let quota = if self.faults.overrun { usize::MAX } else { conn.receive_maximum };
            let Some(session) = self.sessions.get_mut(client) else { return };
            let under_way = session.flights.iter().filter(|f| f.sent).count();
            // [MQTT-3.3.4-8] Only PUBLISH waits for the quota.
            let full = under_way >= quota;
            let may_go = |f: &Flight| !f.sent && (!full || f.stage == Stage::Released);
            let resend = session.flights.iter().position(may_go);
            let left = session.flights.iter().any(|f| !f.sent);
            match (resend, session.queue.front()) {
                (Some(at), _) => self.resend(client, id, at),
                (None, _) if left => return,
                (None, Some(next)) if next.qos == QoS::AtMostOnce || under_way < quota => {
                    self.send_next(client, id);
                }
                _ => return,
            }
        }
    }

    fn resend(&mut self, client: &str, id: PipeId, at: usize) {
        let Some(session) = self.sessions.get_mut(client) else { return };
        let flight = &mut session.flights[at];
        flight.sent = true;
        let (pid, delivery) = (flight.pid, flight.delivery.clone());
        match flight.stage {
            Stage::Released => self.send(id, Ack::new(AckKind::PubRel, pid)),
            Stage::Published => self.send_publish(client, id, &delivery, Some(pid), true),
        }
    }

    fn send_next(&mut self, client: &str, id: PipeId) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(client) else { return };
        let Some(delivery) = session.queue.pop_front() else { return };
        // [MQTT-3.3.2-5]
        if delivery.message.is_expired(now) {
            return;
        }
        let mut pid = None;
        if delivery.qos > QoS::AtMostOnce {
            pid = session.allocate();
            let Some(pid) = pid else { return };
            let (delivery, stage) = (delivery.clone(), Stage::Published);
            session.flights.push_back(Flight { pid, delivery, stage, sent: true });
        }
        self.send_publish(client, id, &delivery, pid, false);
    }

    fn send_publish(
        &mut self,
        client: &str,
        id: PipeId,
        delivery: &Delivery,
        pid: Option<PacketId>,
        dup: bool,
    ) {
        let message = &delivery.message;
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let mut list: Vec<_> =
            delivery.ids.iter().map(|id| Property::SubscriptionIdentifier(*id)).collect();
        list.extend(message.remaining(self.now).map(Property::MessageExpiryInterval));
        let mut topic = message.topic.as_str();
        if self.cfg.use_aliases && conn.alias_maximum > 0 {
            let known = conn.aliases_out.get(topic).copied();
            let next = conn.aliases_out.len() as u16 + 1;
            if let Some(alias) = known.or((next <= conn.alias_maximum).then_some(next)) {
                list.push(Property::TopicAlias(alias));
                conn.aliases_out.insert(topic.to_owned(), alias);
            }
            if known.is_some() {
                topic = "";
            }
        }
        let props = Properties::from_trusted_raw(&message.props).with_list(&list);
        let (qos, retain, payload) = (delivery.qos, delivery.retain, message.payload.as_slice());
        let publish = Publish { dup, qos, retain, topic, pid, props, payload };
        if publish.encoded_len(conn.version) > conn.maximum_packet_size && !self.faults.overrun {
            // [MQTT-3.1.2-25] as if it had been sent.
            if let (Some(session), Some(pid)) = (self.sessions.get_mut(client), pid) {
                session.finish(pid);
            }
            return;
        }
        self.send(id, publish);
    }
}

/// One message for all subscriptions of a client that match: with the highest QoS of them
/// [MQTT-3.3.4-2] and all their identifiers [MQTT-3.3.4-3].
fn delivery(message: &Message, subs: &[Sub]) -> Delivery {
    let highest = subs.iter().map(|s| s.options.qos).max().unwrap_or_default();
    Delivery {
        message: message.clone(),
        qos: highest.min(message.qos),
        retain: message.retain && subs.iter().any(|s| s.options.retain_as_published),
        ids: subs.iter().filter_map(|s| s.id).collect(),
    }
}
