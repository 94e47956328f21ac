//! What the broker offers, and how it authenticates.

use everlink_proto::wire::{QoS, ReasonCode};

/// What a [`Broker`](super::Broker) offers. Changes apply to the next connection.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Receive Maximum, and the most it really takes; 65 535 is not announced.
    pub receive_maximum: u16,
    /// Maximum Packet Size.
    pub maximum_packet_size: Option<u32>,
    /// Topic Alias Maximum towards the broker.
    pub topic_alias_maximum: u16,
    /// Whether the broker uses the aliases that clients offer.
    pub use_aliases: bool,
    /// Maximum QoS.
    pub maximum_qos: QoS,
    /// Retain Available.
    pub retain_available: bool,
    /// Wildcard Subscription Available.
    pub wildcards_available: bool,
    /// Subscription Identifier Available.
    pub subscription_ids_available: bool,
    /// Shared Subscription Available.
    pub shared_available: bool,
    /// Server Keep Alive, in seconds.
    pub server_keep_alive: Option<u16>,
    /// Session Expiry Interval in place of the one asked for, in seconds.
    pub session_expiry: Option<u32>,
    /// Most messages that wait for one client; further ones are dropped.
    pub queue: usize,
    /// Enhanced authentication.
    pub auth: Option<AuthPlan>,
    /// User Name and Password to insist on.
    pub login: Option<(String, Vec<u8>)>,
    /// Whether a QoS 2 message is passed on only when its PUBREL comes, instead of at its first
    /// PUBLISH: the other way that 4.3.3 allows. Until then it is lost with the session.
    pub take_at_release: bool,
    /// Whether a 3.1.1 client whose publication is refused loses its connection; otherwise it
    /// gets the acknowledgement and the message is dropped, as 3.1.1 leaves no other way.
    pub close_on_refused_publish: bool,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            receive_maximum: u16::MAX,
            maximum_packet_size: None,
            topic_alias_maximum: 0,
            use_aliases: false,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            wildcards_available: true,
            subscription_ids_available: true,
            shared_available: true,
            server_keep_alive: None,
            session_expiry: None,
            queue: 100_000,
            auth: None,
            login: None,
            take_at_release: false,
            close_on_refused_publish: false,
        }
    }
}

/// A challenge-response authentication with fixed answers.
#[derive(Clone, Debug, Default)]
pub struct AuthPlan {
    /// Authentication Method.
    pub method: String,
    /// Challenges, and the answer each must get.
    pub rounds: Vec<(Vec<u8>, Vec<u8>)>,
    /// Authentication Data of the success.
    pub last: Vec<u8>,
}

/// A CONNACK that refuses.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Why.
    pub reason: ReasonCode,
    /// Server Reference.
    pub server: Option<String>,
}

impl From<ReasonCode> for Refusal {
    fn from(reason: ReasonCode) -> Self {
        Self { reason, server: None }
    }
}
