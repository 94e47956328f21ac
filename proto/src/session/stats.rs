//! Counters.

use crate::engine::Outcome;
use crate::time::Duration;

/// What happened since the session was made. Counters never go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages accepted for publishing.
    pub accepted: u64,
    /// Of these, delivered: finally acknowledged, or at QoS 0 handed to the pipe.
    pub delivered: u64,
    /// Refused by the broker, or ruled out by its limits.
    pub rejected: u64,
    /// Expired before delivery.
    pub expired: u64,
    /// Dropped by the queue's policy.
    pub dropped: u64,
    /// Application messages received and handed to the inbox.
    pub received: u64,
    /// QoS 2 messages received again and suppressed.
    pub duplicates: u64,
    /// Packets sent again, with DUP or as PUBREL.
    pub repeats: u64,
    /// Acknowledgements that belonged to nothing.
    pub strays: u64,
    /// Packets too large for the receive buffer.
    pub skipped: u64,
    /// Attempts to connect.
    pub attempts: u64,
    /// Times the session came up.
    pub connections: u64,
    /// Times an established connection was lost.
    pub outages: u64,
    /// The longest time from losing a connection to the next one.
    pub longest_outage: Duration,
    /// PINGREQs sent.
    pub pings: u64,
    /// Bytes handed to the pipe.
    pub bytes_out: u64,
    /// Bytes of whole packets received.
    pub bytes_in: u64,
    /// Datagrams that were no message.
    pub junk: u64,
}

impl Stats {
    /// Counts the end of an accepted message.
    pub(crate) fn ended(&mut self, outcome: &Outcome<'_>) {
        let counter = match outcome {
            Outcome::Delivered(..) => &mut self.delivered,
            Outcome::Rejected(..) => &mut self.rejected,
            Outcome::Expired => &mut self.expired,
            Outcome::Dropped(_) | Outcome::Superseded => &mut self.dropped,
        };
        *counter += 1;
    }
}
