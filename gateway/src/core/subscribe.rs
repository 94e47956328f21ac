//! SUBSCRIBE and UNSUBSCRIBE (6.9).

use everlink_proto::sn::wire::{Filter, Message, ReturnCode, SubAck, Subscribe, Unsubscribe};
use everlink_proto::topic::TopicName;
use everlink_proto::wire::QoS;

use super::node::Ask;
use super::turn::Turn;
use super::{Outside, Predefined};

impl<A: Copy, O: Outside<A>, P: Predefined> Turn<'_, '_, A, O, P> {
    /// SUBSCRIBE.
    pub(crate) fn subscribe(&mut self, subscribe: &Subscribe<'_>) {
        let Subscribe { qos, msg_id, .. } = *subscribe;
        if self.is_asked(msg_id, false) {
            return;
        }
        self.rouse();
        if let Err(code) = self.try_subscribe(subscribe) {
            if code == ReturnCode::CONGESTION {
                self.common.stats.congestion += 1;
            }
            self.send(&Message::SubAck(SubAck { qos, topic_id: 0, msg_id, code }));
        }
    }

    /// The broker's answer.
    pub(crate) fn subscribed(&mut self, token: u16, granted: Option<QoS>) {
        let Some(ask) = self.answer(token) else { return };
        let (qos, topic_id, code) = match granted {
            Some(qos) => (qos, ask.topic_id, ReturnCode::ACCEPTED),
            None => (QoS::AtMostOnce, 0, ReturnCode::NOT_SUPPORTED),
        };
        self.send(&Message::SubAck(SubAck { qos, topic_id, msg_id: ask.msg_id, code }));
    }

    /// UNSUBSCRIBE. There is no way to refuse one.
    pub(crate) fn unsubscribe(&mut self, unsubscribe: &Unsubscribe<'_>) {
        let msg_id = unsubscribe.msg_id;
        if self.is_asked(msg_id, true) {
            return;
        }
        let client_id = self.node.client_id;
        let filter = match &unsubscribe.filter {
            Filter::Name(filter) => Some(*filter),
            Filter::Short(name) => Some(name.as_str()),
            Filter::Predefined(id) => self.predefined.topic(client_id.as_str(), *id),
        };
        let ask = Ask { msg_id, leave: true, ..Ask::default() };
        match (filter, self.ask(ask)) {
            (Some(filter), Ok(token)) => {
                self.node.names.unsubscribe(filter);
                self.node.changed = true;
                self.out.unsubscribe(self.id, token, filter);
            }
            (None, Ok(token)) => self.unsubscribed(token),
            // It asks again.
            (_, Err(_)) => self.common.stats.congestion += 1,
        }
    }

    /// The broker's answer.
    pub(crate) fn unsubscribed(&mut self, token: u16) {
        if let Some(ask) = self.answer(token) {
            self.send(&Message::UnsubAck(ask.msg_id));
        }
    }

    fn try_subscribe(&mut self, subscribe: &Subscribe<'_>) -> Result<(), ReturnCode> {
        let Subscribe { qos, msg_id, .. } = *subscribe;
        let client_id = self.node.client_id;
        let (filter, predefined) = match &subscribe.filter {
            Filter::Name(filter) => (*filter, 0),
            Filter::Short(name) => (name.as_str(), 0),
            Filter::Predefined(id) => {
                let topic = self.predefined.topic(client_id.as_str(), *id);
                (topic.ok_or(ReturnCode::INVALID_TOPIC_ID)?, *id)
            }
        };
        // With wildcards, a REGISTER tells the id of each topic when it is needed.
        let plain = matches!(subscribe.filter, Filter::Name(_)) && TopicName::new(filter).is_ok();
        let topic_id = if plain { self.node.names.register(filter, true)? } else { predefined };
        self.node.names.subscribe(filter, qos, predefined)?;
        self.node.changed = true;
        let token = self.ask(Ask { msg_id, topic_id, ..Ask::default() })?;
        self.out.subscribe(self.id, token, filter, qos);
        Ok(())
    }

    fn is_asked(&self, msg_id: u16, leave: bool) -> bool {
        let same = |ask: &Ask| ask.token != 0 && (ask.msg_id, ask.leave) == (msg_id, leave);
        self.node.asks.iter().any(same)
    }

    fn ask(&mut self, ask: Ask) -> Result<u16, ReturnCode> {
        let token = self.node.new_msg_id();
        let free = self.node.asks.iter_mut().find(|a| a.token == 0);
        *free.ok_or(ReturnCode::CONGESTION)? = Ask { token, ..ask };
        Ok(token)
    }

    fn answer(&mut self, token: u16) -> Option<Ask> {
        let asked = self.node.asks.iter_mut().find(|ask| ask.token == token && token != 0)?;
        Some(core::mem::take(asked))
    }
}
