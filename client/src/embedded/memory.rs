//! All the memory of a client, in one piece of a size the application chooses.

use everlink_proto::mem::{Table, Text};
use everlink_proto::session::{
    self, Config, EndedSlot, FlightSlot, OutboundAlias, Owed, ReceivedSlot, SubscriptionSlot,
};
use everlink_proto::store::{FixedStore, MessageSlot};

use super::mailbox::MailSlot;
use super::route::FilterSlot;
use super::tasks::TaskSlot;
use super::waiters::WaiterSlot;

/// Acknowledgements that may wait to be sent; reading pauses while there are more.
const OWED: usize = 8;
/// Tasks that wait for one of: room in the queue, the end of all messages, a ping, a change of state.
const TASKS: usize = 4;
/// Bytes for each Topic Filter on average, its SUBSCRIBE properties included.
const FILTER: usize = 48;
/// Bytes for each Topic Name that has an alias, on average.
const TOPIC: usize = 32;

/// Memory for a [`Hub`](super::Hub), best in a static.
///
/// - `MESSAGES`, `BYTES`: messages accepted for publishing and not yet at their end, queued and under
///   way together; bytes of their topics, properties and payloads.
/// - `MAIL`, `MAIL_BYTES`: received messages that the application has not yet taken, and their bytes.
///   Half of it is kept for QoS 1 and 2 messages that are held back unacknowledged.
/// - `SUBSCRIPTIONS`: at a time, at most 32. Their filters have 48 bytes each, shared.
/// - `RECEIVED`: QoS 1 and 2 messages from the broker whose exchange is not over; it bounds the
///   Receive Maximum of MQTT 5. A 3.1.1 broker cannot be told: give as many as it sends (mosquitto 20).
/// - `ALIASES`: Topic Aliases of MQTT 5 each way, 32 bytes of Topic Name for each.
///
/// On a 32-bit processor a message slot takes about 100 bytes, a mail slot 32, a subscription 100.
#[derive(Debug)]
pub struct Memory<
    const MESSAGES: usize,
    const BYTES: usize,
    const MAIL: usize,
    const MAIL_BYTES: usize,
    const SUBSCRIPTIONS: usize,
    const RECEIVED: usize = 24,
    const ALIASES: usize = 0,
> {
    messages: [MessageSlot; MESSAGES],
    content: [u8; BYTES],
    waiters: [WaiterSlot; MESSAGES],
    flights: [FlightSlot; MESSAGES],
    owed: [Owed; OWED],
    received: [ReceivedSlot; RECEIVED],
    ended: [EndedSlot; RECEIVED],
    subscriptions: [SubscriptionSlot; SUBSCRIPTIONS],
    filters: [[u8; FILTER]; SUBSCRIPTIONS],
    inbound_aliases: [Text; ALIASES],
    inbound_topics: [[u8; TOPIC]; ALIASES],
    outbound_aliases: [OutboundAlias; ALIASES],
    outbound_topics: [[u8; TOPIC]; ALIASES],
    mail: [MailSlot; MAIL],
    mail_bytes: [u8; MAIL_BYTES],
    routes: [FilterSlot; SUBSCRIPTIONS],
    routed: [[u8; FILTER]; SUBSCRIPTIONS],
    tasks: [TaskSlot; TASKS],
}

impl<
    const MESSAGES: usize,
    const BYTES: usize,
    const MAIL: usize,
    const MAIL_BYTES: usize,
    const SUBSCRIPTIONS: usize,
    const RECEIVED: usize,
    const ALIASES: usize,
> Default for Memory<MESSAGES, BYTES, MAIL, MAIL_BYTES, SUBSCRIPTIONS, RECEIVED, ALIASES>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<
    const MESSAGES: usize,
    const BYTES: usize,
    const MAIL: usize,
    const MAIL_BYTES: usize,
    const SUBSCRIPTIONS: usize,
    const RECEIVED: usize,
    const ALIASES: usize,
> Memory<MESSAGES, BYTES, MAIL, MAIL_BYTES, SUBSCRIPTIONS, RECEIVED, ALIASES>
{
    /// Unused memory. In a `StaticCell` use `init_with(Memory::new)`, which spares a copy, but not
    /// all: whoever makes it needs as much room on the stack, once.
    #[inline]
    pub fn new() -> Self {
        const { assert!(SUBSCRIPTIONS <= 32, "at most 32 subscriptions") };
        const { assert!(MESSAGES > 0 && MESSAGES < 1024, "1 to 1023 messages") };
        Self {
            messages: [MessageSlot::FREE; MESSAGES],
            content: [0; BYTES],
            waiters: [const { WaiterSlot::FREE }; MESSAGES],
            flights: [FlightSlot::default(); MESSAGES],
            owed: [Owed::default(); OWED],
            received: [ReceivedSlot::default(); RECEIVED],
            ended: [EndedSlot::default(); RECEIVED],
            subscriptions: [SubscriptionSlot::default(); SUBSCRIPTIONS],
            filters: [[0; FILTER]; SUBSCRIPTIONS],
            inbound_aliases: [Text::default(); ALIASES],
            inbound_topics: [[0; TOPIC]; ALIASES],
            outbound_aliases: [OutboundAlias::default(); ALIASES],
            outbound_topics: [[0; TOPIC]; ALIASES],
            mail: [MailSlot::default(); MAIL],
            mail_bytes: [0; MAIL_BYTES],
            routes: [const { FilterSlot::FREE }; SUBSCRIPTIONS],
            routed: [[0; FILTER]; SUBSCRIPTIONS],
            tasks: [const { TaskSlot::FREE }; TASKS],
        }
    }

    /// The store, and everything else, as slices.
    pub fn split(&mut self) -> (FixedStore<'_>, Parts<'_>) {
        let store = FixedStore::new(&mut self.messages, &mut self.content);
        let session = session::Memory {
            flights: Table::fixed(&mut self.flights),
            owed: Table::fixed(&mut self.owed),
            received: Table::fixed(&mut self.received),
            ended: Table::fixed(&mut self.ended),
            subs: Table::fixed(&mut self.subscriptions),
            filters: Table::fixed(self.filters.as_flattened_mut()),
            inbound_aliases: Table::fixed(&mut self.inbound_aliases),
            inbound_topics: Table::fixed(self.inbound_topics.as_flattened_mut()),
            outbound_aliases: Table::fixed(&mut self.outbound_aliases),
            outbound_topics: Table::fixed(self.outbound_topics.as_flattened_mut()),
        };
        let parts = Parts {
            messages: MESSAGES,
            bytes: BYTES,
            session,
            mail: &mut self.mail,
            mail_bytes: &mut self.mail_bytes,
            routes: &mut self.routes,
            filters: self.routed.as_flattened_mut(),
            waiters: &mut self.waiters,
            tasks: &mut self.tasks,
        };
        (store, parts)
    }
}

/// The memory of a [`Hub`](super::Hub) besides its store, part by part, for those who want to give
/// each its own size or place.
#[derive(Debug)]
pub struct Parts<'m> {
    /// Messages that the store holds.
    pub messages: usize,
    /// Bytes of content that the store holds.
    pub bytes: usize,
    /// The engine's tables.
    pub session: session::Memory<'m>,
    /// Received messages.
    pub mail: &'m mut [MailSlot],
    /// Their content.
    pub mail_bytes: &'m mut [u8],
    /// Subscriptions, at most 32.
    pub routes: &'m mut [FilterSlot],
    /// Their Topic Filters.
    pub filters: &'m mut [u8],
    /// Deliveries that somebody may wait for, at most 1023.
    pub waiters: &'m mut [WaiterSlot],
    /// Tasks that wait for something else; with more of them than slots they wake each other.
    pub tasks: &'m mut [TaskSlot],
}

impl Parts<'_> {
    /// Brings a configuration down to what there is memory for.
    pub(super) fn limit(&self, config: &mut Config) {
        let window = self.messages.min(self.session.flights.limit());
        config.window = config.window.min(count(window));
        config.queue.messages = config.queue.messages.min(self.messages);
        config.queue.bytes = config.queue.bytes.min(self.bytes);
        // As many as can be held back unacknowledged.
        let held = self.session.received.limit().min(self.mail.len() / 2);
        config.receive_maximum = config.receive_maximum.min(count(held).max(1));
    }
}

fn count(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}
