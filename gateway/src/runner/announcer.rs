//! What the gateway tells the world, as messages: its own state, that of its nodes, and errors.

use everlink::{Client, QoS, Subscription, Will};

use super::config::Config;
use crate::core::{Event, Stats};

/// Topics below `STATUS/NAME`. An empty status silences all of them.
#[derive(Clone, Debug)]
pub(super) struct Announcer {
    prefix: Option<String>,
}

impl Announcer {
    pub(super) fn new(config: &Config) -> Self {
        let status = config.status.as_str();
        Self { prefix: (!status.is_empty()).then(|| format!("{status}/{}", level(&config.name))) }
    }

    /// "offline", when the gateway vanishes.
    pub(super) fn will(&self) -> Option<Will> {
        let will = Will::new(self.topic("status")?, "offline").ok()?;
        Some(will.qos(QoS::AtLeastOnce).retain(true))
    }

    pub(super) fn online(&self, client: &Client) {
        self.tell(client, "status", "online", true);
    }

    pub(super) fn offline(&self, client: &Client) {
        self.tell(client, "status", "offline", true);
    }

    pub(super) fn event(&self, client: &Client, event: &Event<'_>) {
        let (node, state) = match event {
            Event::Active { node } => (node, "active"),
            Event::Asleep { node, .. } => (node, "asleep"),
            Event::Disconnected { node } => (node, "disconnected"),
            Event::Lost { node } => (node, "lost"),
            Event::Dropped { .. } | Event::Rejected { .. } | Event::NotAllowed { .. } => {
                return self.tell(client, "errors", &event.to_string(), false);
            }
            Event::Moved { .. } => return,
        };
        self.tell(client, &format!("node/{}", level(node)), state, true);
    }

    /// Requests for the counters.
    pub(super) fn queries(&self, client: &Client) -> Option<Subscription> {
        client.subscribe(&self.topic("query")?, QoS::AtMostOnce).open().ok()
    }

    /// The counters, for who asked.
    pub(super) fn answer(&self, client: &Client, stats: &Stats, known: usize) {
        let Stats { datagrams_in, datagrams_out, malformed, strangers, published, .. } = stats;
        let Stats { duplicates, delivered, retransmissions, dropped, .. } = stats;
        let Stats { congestion, lost_nodes, .. } = stats;
        let text = format!(
            "{{\"nodes\":{known},\"datagrams_in\":{datagrams_in},\"datagrams_out\":{datagrams_out},\
             \"malformed\":{malformed},\"strangers\":{strangers},\"published\":{published},\
             \"duplicates\":{duplicates},\"delivered\":{delivered},\
             \"retransmissions\":{retransmissions},\"dropped\":{dropped},\
             \"congestion\":{congestion},\"lost_nodes\":{lost_nodes}}}"
        );
        self.tell(client, "answer", &text, false);
    }

    fn topic(&self, name: &str) -> Option<String> {
        self.prefix.as_ref().map(|prefix| format!("{prefix}/{name}"))
    }

    fn tell(&self, client: &Client, name: &str, text: &str, retain: bool) {
        let Some(topic) = self.topic(name) else { return };
        let publish = client.publish(&topic, text).qos(QoS::AtLeastOnce).retain(retain);
        if let Err(error) = publish.send() {
            tracing::debug!(%error, topic, "not told");
        }
    }
}

/// A name as one level of a topic.
fn level(name: &str) -> String {
    name.replace(['/', '+', '#', '\0'], "_")
}
