//! What CONNACK rules out.

use everlink_proto::time::Duration;
use everlink_proto::topic::TopicFilter;
use everlink_proto::wire::{Properties, Publish, QoS};

#[derive(Debug)]
pub(super) struct Limits {
    pub(super) keep_alive: Duration,
    pub(super) receive_maximum: usize,
    pub(super) maximum_packet_size: usize,
    pub(super) topic_alias_maximum: u16,
    maximum_qos: QoS,
    retain: bool,
    wildcards: bool,
    ids: bool,
    shared: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            keep_alive: Duration::ZERO,
            receive_maximum: usize::from(u16::MAX),
            maximum_packet_size: usize::MAX,
            topic_alias_maximum: 0,
            maximum_qos: QoS::ExactlyOnce,
            retain: true,
            wildcards: true,
            ids: true,
            shared: true,
        }
    }
}

impl Limits {
    pub(super) fn connected(&mut self, props: &Properties<'_>) {
        if let Some(seconds) = props.server_keep_alive() {
            self.keep_alive = Duration::from_secs(u64::from(seconds));
        }
        self.receive_maximum = usize::from(props.receive_maximum().unwrap_or(u16::MAX));
        self.maximum_packet_size = props.maximum_packet_size().map_or(usize::MAX, |n| n as usize);
        self.topic_alias_maximum = props.topic_alias_maximum().unwrap_or(0);
        self.maximum_qos = props.maximum_qos().unwrap_or(QoS::ExactlyOnce);
        self.retain = props.retain_available().unwrap_or(true);
        self.wildcards = props.wildcard_subscription_available().unwrap_or(true);
        self.ids = props.subscription_identifier_available().unwrap_or(true);
        self.shared = props.shared_subscription_available().unwrap_or(true);
    }

    /// Whether a message can surely be sent. What its head takes is not known exactly.
    pub(super) fn allows(&self, qos: QoS, retain: bool, len: usize) -> bool {
        const HEAD: usize = 64;
        qos <= self.maximum_qos
            && (self.retain || !retain)
            && len.saturating_add(HEAD) <= self.maximum_packet_size
    }

    pub(super) fn publication(&self, publish: &Publish<'_>) -> Result<(), &'static str> {
        if publish.qos > self.maximum_qos {
            Err("MQTT-3.2.2-11")
        } else if publish.retain && !self.retain {
            Err("MQTT-3.2.2-14")
        } else if publish.props.subscription_ids().next().is_some() {
            Err("MQTT-3.3.4-6")
        } else {
            Ok(())
        }
    }

    pub(super) fn subscription(&self, filter: &str, has_id: bool) -> Result<(), &'static str> {
        let shared = TopicFilter::new(filter).is_ok_and(|f| f.is_shared());
        if !self.wildcards && filter.contains(['+', '#']) {
            Err("3.2.2.3.11: no wildcard subscriptions")
        } else if !self.ids && has_id {
            Err("3.2.2.3.12: no subscription identifiers")
        } else if !self.shared && shared {
            Err("3.2.2.3.13: no shared subscriptions")
        } else {
            Ok(())
        }
    }
}
