//! What this build can do. Cargo features become constants here, so that everywhere else they are plain
//! conditions, and what cannot happen is left out by the compiler.

use crate::wire::{QoS, Version};

/// Judging silence by measured round trips.
pub(super) const ADAPTIVE: bool = cfg!(feature = "adaptive");
/// Topic Aliases.
pub(super) const ALIASES: bool = cfg!(feature = "aliases");
/// Enhanced authentication.
pub(super) const AUTHENTICATION: bool = cfg!(all(feature = "auth", feature = "v5"));
/// Records for a medium that survives a loss of power.
pub(super) const DURABLE: bool = cfg!(feature = "durable");
/// Coming back to the first endpoint, and heeding changes of the network.
pub(super) const FAILOVER: bool = cfg!(feature = "failover");
/// Answering packets that are larger than the receive buffer.
pub(super) const OVERSIZED: bool = cfg!(feature = "oversized");
/// Queues that drop messages accepted before.
pub(super) const POLICIES: bool = cfg!(feature = "policies");
/// QoS 1 messages.
pub(super) const QOS_1: bool = cfg!(feature = "qos1");
/// QoS 2 messages.
pub(super) const QOS_2: bool = cfg!(feature = "qos2");

/// Whether messages of this QoS can be sent and received.
pub(super) const fn offers(qos: QoS) -> bool {
    match qos {
        QoS::AtMostOnce => true,
        QoS::AtLeastOnce => QOS_1,
        QoS::ExactlyOnce => QOS_2,
    }
}

/// The version to speak: the one asked for, if there is a choice.
pub(super) const fn speaks(asked: Version) -> Version {
    match (cfg!(feature = "v311"), cfg!(feature = "v5")) {
        (true, true) => asked,
        (false, true) => Version::V5,
        _ => Version::V311,
    }
}
