//! The session between an application and a broker that may do anything at any time.

mod op;
mod world;

use arbitrary::{Arbitrary, Unstructured};
use everlink_proto::engine::WhenFull;
use everlink_proto::mem::{Table, Text};
use everlink_proto::session::{
    Config, EndedSlot, FirstConnect, FlightSlot, Memory, OutboundAlias, Owed, Queue, ReceivedSlot,
    Session, SubscriptionSlot,
};
use everlink_proto::store::{FixedStore, MessageSlot, RamStore};
use everlink_proto::time::Duration;
use everlink_proto::wire::Version;

use op::Op;
use world::World;

/// Calls and bytes in any order: the engine does not panic and does not spin, what it sends are
/// packets of a client, it never opens a second connection, wants to be woken in the past, or tells
/// an outcome twice; its counters add up after every step; left alone, it connects again.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(setup) = Setup::arbitrary(&mut input) else { return };
    let cfg = setup.config();
    if !setup.fixed {
        let session = Session::new(cfg.clone(), RamStore::indexed(), Memory::growing(&cfg));
        return drive(World::new(session, &cfg), &mut input);
    }
    let mut slots = [MessageSlot::FREE; 6];
    let mut bytes = [0; 700];
    let mut flights = [FlightSlot::default(); 5];
    let mut owed = [Owed::default(); 3];
    let mut received = [ReceivedSlot::default(); 3];
    let mut ended = [EndedSlot::default(); 3];
    let mut subs: [SubscriptionSlot; 3] = Default::default();
    let mut inbound_aliases = [Text::default(); 2];
    let mut outbound_aliases = [OutboundAlias::default(); 2];
    let (mut filters, mut inbound_topics, mut outbound_topics) = ([0; 24], [0; 16], [0; 16]);
    let memory = Memory {
        flights: Table::fixed(&mut flights),
        owed: Table::fixed(&mut owed),
        received: Table::fixed(&mut received),
        ended: Table::fixed(&mut ended),
        subs: Table::fixed(&mut subs),
        filters: Table::fixed(&mut filters),
        inbound_aliases: Table::fixed(&mut inbound_aliases),
        inbound_topics: Table::fixed(&mut inbound_topics),
        outbound_aliases: Table::fixed(&mut outbound_aliases),
        outbound_topics: Table::fixed(&mut outbound_topics),
    };
    let store = FixedStore::new(&mut slots, &mut bytes);
    drive(World::new(Session::new(cfg.clone(), store, memory), &cfg), &mut input);
}

fn drive<S: everlink_proto::store::Store>(mut world: World<'_, S>, input: &mut Unstructured<'_>) {
    while !input.is_empty()
        && let Ok(op) = Op::arbitrary(input)
    {
        world.take(&op);
    }
    world.end();
}

/// How the session is made.
#[derive(Arbitrary, Debug)]
struct Setup {
    v5: bool,
    fixed: bool,
    clean_start: bool,
    ephemeral: bool,
    adaptive: bool,
    expiry: bool,
    window: u8,
    receive_maximum: u8,
    queue: u8,
    policy: u8,
    transmit: u8,
}

impl Setup {
    fn config(&self) -> Config {
        let policies = [
            WhenFull::Wait,
            WhenFull::Reject,
            WhenFull::DropOldest,
            WhenFull::DropNewest,
            WhenFull::Latest,
        ];
        Config {
            version: if self.v5 { Version::V5 } else { Version::V311 },
            clean_start: self.clean_start,
            ephemeral: self.ephemeral,
            adaptive: self.adaptive,
            session_expiry: if self.expiry { 3600 } else { 0 },
            window: u16::from(self.window % 5) + 1,
            receive_maximum: u16::from(self.receive_maximum % 3) + 1,
            queue: Queue {
                messages: usize::from(self.queue % 8) + 1,
                bytes: 600,
                when_full: policies[usize::from(self.policy) % policies.len()],
            },
            transmit_buffer: 128 + usize::from(self.transmit),
            maximum_packet_size: 512,
            first_connect: FirstConnect::Forever,
            response_time: Duration::from_secs(4),
            topic_alias_maximum: 2,
            topic_aliases: 2,
            ..Config::default()
        }
    }
}
