//! SUBSCRIBE and UNSUBSCRIBE.

use everlink_proto::topic::TopicFilter;
use everlink_proto::wire::{ReasonCode, SubAck, Subscribe, UnsubAck, Unsubscribe};

use super::message::Sub;
use super::*;

impl Broker {
    pub(super) fn on_subscribe(&mut self, id: PipeId, subscribe: &Subscribe<'_>) {
        let client = self.client_of(id);
        let sub_id = subscribe.props.subscription_ids().next();
        let mut codes = Vec::new();
        let mut made = Vec::new();
        for (filter, options) in subscribe.filters {
            self.subscribes.push((self.now, filter.to_owned()));
            let refused = self.subscription_refused(id, filter, sub_id.is_some());
            codes.push(refused.map_or(options.qos as u8, |reason| reason.0));
            let Some(session) = self.sessions.get_mut(&client) else { return };
            if refused.is_none() {
                let sub = Sub { options, id: sub_id };
                let new = session.subs.insert(filter.to_owned(), sub).is_none();
                made.push((filter, sub, new));
            }
        }
        let (pid, props) = (subscribe.pid, Default::default());
        self.send(id, SubAck { pid, props, codes: &codes });
        for (filter, sub, new) in made {
            self.queue_retained(&client, filter, sub, new);
        }
        self.pump(&client);
    }

    /// Why a subscription is refused. To ask for what CONNACK ruled out is a breach as well.
    fn subscription_refused(
        &mut self,
        id: PipeId,
        filter: &str,
        has_id: bool,
    ) -> Option<ReasonCode> {
        let shared = TopicFilter::new(filter).is_ok_and(|f| f.is_shared());
        let cfg = self.conns.get(&id).map(|c| &c.offer)?;
        let flaw = if !cfg.wildcards_available && filter.contains(['+', '#']) {
            Some(ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED)
        } else if !cfg.shared_available && shared {
            Some(ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED)
        } else if !cfg.subscription_ids_available && has_id {
            Some(ReasonCode::SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED)
        } else {
            None
        };
        if let Some(reason) = flaw {
            self.violation(id, "3.2.2.3: not available", format!("{filter:?}: {reason}"));
        }
        flaw.or_else(|| self.faults.subscribe_refused(filter))
    }

    pub(super) fn on_unsubscribe(&mut self, id: PipeId, unsubscribe: &Unsubscribe<'_>) {
        let client = self.client_of(id);
        let Some(session) = self.sessions.get_mut(&client) else { return };
        let mut codes = Vec::new();
        for filter in unsubscribe.filters {
            let known = session.subs.remove(filter).is_some();
            let code =
                if known { ReasonCode::SUCCESS } else { ReasonCode::NO_SUBSCRIPTION_EXISTED };
            codes.push(code.0);
        }
        let (pid, props) = (unsubscribe.pid, Default::default());
        self.send(id, UnsubAck { pid, props, codes: &codes });
    }
}
