//! The engine without an allocator: small arrays, a small store, a small transmit buffer.

use everlink_proto::engine::WhenFull;
use everlink_proto::mem::{Table, Text};
use everlink_proto::session::{
    Config, EndedSlot, FlightSlot, Memory, OutboundAlias, Owed, Queue, ReceivedSlot, Session,
    SubscriptionSlot,
};
use everlink_proto::store::{FixedStore, MessageSlot};
use everlink_proto::wire::Version;
use everlink_sim::host::{Buffers, Fate};
use everlink_sim::pair::Pair;

use crate::support::*;

/// What a board would have in statics.
struct Statics {
    slots: [MessageSlot; 8],
    bytes: [u8; 600],
    flights: [FlightSlot; 5],
    owed: [Owed; 4],
    received: [ReceivedSlot; 4],
    ended: [EndedSlot; 4],
    subs: [SubscriptionSlot; 2],
    filters: [u8; 32],
    inbound_aliases: [Text; 2],
    inbound_topics: [u8; 64],
    outbound_aliases: [OutboundAlias; 2],
    outbound_topics: [u8; 24],
}

impl Statics {
    fn new() -> Self {
        Self {
            slots: [MessageSlot::FREE; 8],
            bytes: [0; 600],
            flights: Default::default(),
            owed: Default::default(),
            received: Default::default(),
            ended: Default::default(),
            subs: Default::default(),
            filters: [0; 32],
            inbound_aliases: Default::default(),
            inbound_topics: [0; 64],
            outbound_aliases: Default::default(),
            outbound_topics: [0; 24],
        }
    }

    fn session(&mut self, version: Version) -> Pair<Session<'_, FixedStore<'_>>> {
        let cfg = Config {
            window: 2,
            receive_maximum: 4,
            transmit_buffer: 128,
            maximum_packet_size: 256,
            topic_aliases: 2,
            queue: Queue { messages: 5, bytes: 400, when_full: WhenFull::Wait },
            ..config(version)
        };
        let memory = Memory {
            flights: Table::fixed(&mut self.flights),
            owed: Table::fixed(&mut self.owed),
            received: Table::fixed(&mut self.received),
            ended: Table::fixed(&mut self.ended),
            subs: Table::fixed(&mut self.subs),
            filters: Table::fixed(&mut self.filters),
            inbound_aliases: Table::fixed(&mut self.inbound_aliases),
            inbound_topics: Table::fixed(&mut self.inbound_topics),
            outbound_aliases: Table::fixed(&mut self.outbound_aliases),
            outbound_topics: Table::fixed(&mut self.outbound_topics),
        };
        let store = FixedStore::new(&mut self.slots, &mut self.bytes);
        let buffers = Buffers { receive: 256, transmit: 128 };
        let mut pair = Pair::with_buffers(1, Session::new(cfg, store, memory), buffers);
        pair.broker().cfg.topic_alias_maximum = 4;
        pair.broker().cfg.use_aliases = true;
        pair
    }
}

#[test]
fn all_that_a_board_does() {
    for version in VERSIONS {
        let mut statics = Statics::new();
        let mut pair = statics.session(version);
        pair.open();
        pair.run_until_up(secs(1));
        let tag = pair.subscribe("in/#", Q2);
        assert!(matches!(pair.fate(tag, secs(1)), Fate::Delivered(_)));
        for n in 0..300 {
            if n % 50 == 49 {
                pair.restart_broker(true);
            }
            let payload = format!("{n}:{}", "x".repeat(n % 200));
            let tag =
                pair.publish(["a/topic", "b/topic"][n % 2], payload.as_bytes(), [Q1, Q2][n % 2]);
            pair.broker_publishes("in/1", n.to_string().as_bytes(), [Q1, Q2][n % 2]);
            assert_eq!(pair.fate(tag, secs(10)), OK);
            pair.run_for(secs(2));
        }
        pair.run_for(secs(30));
        assert_eq!(pair.accepted().len(), 300);
        let mut got = pair.inbox.texts();
        got.dedup();
        assert_eq!(got, (0..300).map(|n| n.to_string()).collect::<Vec<_>>());
        pair.assert_conforms();
    }
}

#[test]
fn full_tables_refuse_and_recover() {
    for version in VERSIONS {
        let mut statics = Statics::new();
        let mut pair = statics.session(version);
        let mut accepted = 0;
        while pair.try_post(everlink_sim::host::Post::new("t", b"x", Q2)).is_ok() {
            accepted += 1;
        }
        assert_eq!(accepted, 5);
        pair.subscribe("a", Q1);
        pair.subscribe("b", Q1);
        let now = pair.now();
        let third = pair.hosts[0].subscribe_with(now, "c", Default::default(), 0);
        assert_eq!(third, Err(everlink_proto::engine::Refused::TooManySubscriptions));
        pair.open();
        pair.run_for(secs(5));
        assert_eq!((pair.accepted().len(), pair.engine.held()), (5, 0));
        assert_eq!(pair.broker().subscriptions("host-0"), ["a", "b"]);
        pair.assert_conforms();
    }
}

#[test]
fn a_flood_is_held_back_not_dropped() {
    for version in VERSIONS {
        let mut statics = Statics::new();
        let mut pair = statics.session(version);
        pair.open();
        pair.run_until_up(secs(1));
        pair.subscribe("in", Q1);
        pair.run_for(secs(1));
        pair.net.path(0).buffer = 200;
        for n in 0..200 {
            pair.broker_publishes("in", format!("{n}").as_bytes(), Q1);
        }
        pair.run_for(secs(10));
        assert_eq!(pair.inbox.texts(), (0..200).map(|n| n.to_string()).collect::<Vec<_>>());
        assert_eq!(pair.opens.len(), 1);
        pair.assert_conforms();
    }
}
