//! The memory a session works in, given by the caller.

use super::Owed;
use super::alias::OutboundAlias;
use super::flights::Slot;
use super::received::{Ended, Entry};
use super::subs::Sub;
use crate::mem::{Table, Text};

/// Tables of a [`Session`](super::Session). On a board each borrows an array; with the `alloc`
/// feature `Memory::growing` makes all of them.
#[derive(Debug)]
pub struct Memory<'m> {
    /// Packet Identifiers in use: at least the window plus a few for subscriptions.
    pub flights: Table<'m, Slot>,
    /// Acknowledgements to be sent; at least 4.
    pub owed: Table<'m, Owed>,
    /// Received QoS 1 and 2 messages in progress: the Receive Maximum.
    pub received: Table<'m, Entry>,
    /// QoS 2 messages received last, to know them again after the broker crashed: the Receive
    /// Maximum, or nothing.
    pub ended: Table<'m, Ended>,
    /// Subscriptions.
    pub subs: Table<'m, Sub>,
    /// Bytes of their Topic Filters and properties.
    pub filters: Table<'m, u8>,
    /// Topic Aliases of the broker; its size is the Topic Alias Maximum.
    pub inbound_aliases: Table<'m, Text>,
    /// Bytes of their Topic Names.
    pub inbound_topics: Table<'m, u8>,
    /// Topic Aliases of ours.
    pub outbound_aliases: Table<'m, OutboundAlias>,
    /// Bytes of their Topic Names.
    pub outbound_topics: Table<'m, u8>,
}

#[cfg(feature = "alloc")]
impl Memory<'_> {
    /// Tables that grow as needed within the limits of `cfg`.
    pub fn growing(cfg: &super::Config) -> Self {
        const SUBSCRIPTIONS: usize = 65_535;
        let aliases_in = usize::from(cfg.topic_alias_maximum);
        let aliases_out = usize::from(cfg.topic_aliases);
        Self {
            flights: Table::growing(
                (usize::from(cfg.window) * 2 + 64).next_power_of_two().min(65_536),
            ),
            owed: Table::growing(65_536),
            received: Table::growing(65_535),
            ended: Table::growing(usize::from(cfg.receive_maximum)),
            subs: Table::growing(SUBSCRIPTIONS),
            filters: Table::growing(64 << 20),
            inbound_aliases: Table::growing(aliases_in),
            inbound_topics: Table::growing(aliases_in * 65_535),
            outbound_aliases: Table::growing(aliases_out),
            outbound_topics: Table::growing(aliases_out * 65_535),
        }
    }
}
