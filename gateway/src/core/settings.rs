//! What the gateway is told beforehand.

use everlink_proto::time::Duration;

/// Times and counts of a gateway. The defaults are the text's recommendations (7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// GwId, in ADVERTISE and GWINFO.
    pub gateway: u8,
    /// Tretry: an answer of a node that takes longer is asked for again; 10 s.
    pub retry: Duration,
    /// Nretry: as often; a connected node that does not answer then is lost; 3.
    pub retries: u8,
    /// A node is told "congestion" if the broker is not there within this time after its CONNECT; 5 s.
    pub patience: Duration,
    /// How long a session is kept that nobody comes back to; a day.
    pub session_expiry: Duration,
    /// Tadv: between two ADVERTISE; zero is never; 15 min.
    pub advertise: Duration,
    /// Largest message, in octets; 1400, which Ethernet carries in one piece.
    pub max_message: usize,
    /// Where topic ids and the gateway's MsgIds start, so that those of an earlier run mean nothing else
    /// now: something random. (The runner chooses by itself, unless it is told.)
    pub first_topic_id: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            gateway: 1,
            retry: Duration::from_secs(10),
            retries: 3,
            patience: Duration::from_secs(5),
            session_expiry: Duration::from_secs(24 * 60 * 60),
            advertise: Duration::from_secs(15 * 60),
            max_message: 1400,
            first_topic_id: 0,
        }
    }
}

/// What one node may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Messages kept for it while it sleeps or does not answer; 100.
    pub messages: usize,
    /// Their octets, topics included; 65 536.
    pub bytes: usize,
    /// What a full buffer does.
    pub when_full: WhenFull,
}

impl Default for Limits {
    fn default() -> Self {
        Self { messages: 100, bytes: 65_536, when_full: WhenFull::Hold }
    }
}

/// What a node's full buffer does with a further message. What is dropped is reported, and
/// acknowledged to the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The broker keeps it: nothing more is taken until there is room. A message of QoS 0 goes.
    #[default]
    Hold,
    /// The oldest goes.
    DropOldest,
    /// The new one goes.
    DropNewest,
    /// An older message of the same topic goes, or else the oldest.
    Latest,
}

/// Counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names say it")]
pub struct Stats {
    pub datagrams_in: u64,
    pub datagrams_out: u64,
    /// What was no message, or none that a gateway takes.
    pub malformed: u64,
    /// Of somebody who is not connected.
    pub strangers: u64,
    /// Publications of nodes handed on.
    pub published: u64,
    /// Those that came again and were not.
    pub duplicates: u64,
    /// Messages that nodes have.
    pub delivered: u64,
    pub retransmissions: u64,
    /// Messages given up.
    pub dropped: u64,
    /// Refused for want of room.
    pub congestion: u64,
    pub lost_nodes: u64,
}
