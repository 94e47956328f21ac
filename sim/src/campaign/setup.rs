//! What a run starts with: drawn from its seed.

use std::cell::Cell;
use std::rc::Rc;

use everlink_proto::engine::WhenFull;
use everlink_proto::mem::{Table, Text};
use everlink_proto::session::{
    Backoff, Config, EndedSlot, FirstConnect, FlightSlot, Ladder, Memory, OutboundAlias, Owed,
    Queue, ReceivedSlot, SubscriptionSlot,
};
use everlink_proto::store::{FixedStore, MessageSlot, RamStore};
use everlink_proto::time::Duration;
use everlink_proto::wire::{QoS, Version};
use fastrand::Rng;

use super::store::{Kind, SimStore};
use crate::broker::BrokerConfig;
use crate::host::Buffers;

pub(super) fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(super) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) fn one_of<T: Copy>(rng: &mut Rng, list: &[T]) -> T {
    list[rng.usize(..list.len())]
}

pub(super) fn config(rng: &mut Rng, version: Version) -> Config {
    let maximum_packet_size = one_of(rng, &[512, 4096, 65_536]);
    Config {
        version,
        keep_alive: one_of(rng, &[0, 4, 10, 60, 300]),
        ping_interval: one_of(rng, &[Duration::ZERO, Duration::ZERO, secs(1), secs(7)]),
        response_time: millis(rng.u64(1_000..10_000)),
        adaptive: rng.bool(),
        open_timeout: millis(rng.u64(2_000..10_000)),
        max_repeats: rng.u8(..5),
        clean_start: rng.bool(),
        clean_reconnect: rng.u8(..16) == 0,
        session_expiry: one_of(rng, &[0, 20, 3600, 3600, u32::MAX]),
        ephemeral: rng.u8(..8) == 0,
        receive_maximum: one_of(rng, &[1, 3, 10, 1000]),
        maximum_packet_size,
        largest_in_pieces: 0,
        transmit_buffer: one_of(rng, &[160, 700, 65_536]),
        window: one_of(rng, &[1, 2, 5, 20, 100]),
        queue: queue(rng),
        backoff: Backoff {
            min: millis(rng.u64(100..1_000)),
            max: one_of(rng, &[secs(2), secs(10), secs(30)]),
            refused: secs(rng.u64(1..6)),
            stable: millis(rng.u64(500..3_000)),
        },
        first_connect: FirstConnect::Forever,
        endpoints: rng.u16(1..3),
        ladder: ladder(rng),
        topic_alias_maximum: one_of(rng, &[0, 1, 8]),
        topic_aliases: one_of(rng, &[0, 2, 8]),
        first_packet_id: rng.u16(..),
        seed: rng.u64(..),
        ..Config::default()
    }
}

fn queue(rng: &mut Rng) -> Queue {
    use WhenFull::*;
    Queue {
        messages: one_of(rng, &[1, 5, 30, 1000, 1000]),
        bytes: one_of(rng, &[4_000, 16 << 20, 16 << 20]),
        when_full: one_of(rng, &[Wait, Reject, DropOldest, DropNewest, Latest]),
    }
}

fn ladder(rng: &mut Rng) -> Ladder {
    if rng.bool() {
        return Ladder::default();
    }
    Ladder {
        pipe_hold: millis(rng.u64(..500)),
        link_after: rng.u32(..5),
        link_hold: millis(rng.u64(..2_000)),
        device_after: rng.u32(..9),
        device_hold: millis(rng.u64(..3_000)),
        spare_working: false,
    }
}

pub(super) fn buffers(cfg: &Config) -> Buffers {
    Buffers { receive: cfg.maximum_packet_size as usize, transmit: cfg.transmit_buffer }
}

/// What the broker offers; drawn anew from time to time.
pub(super) fn offer(rng: &mut Rng, version: Version, take_at_release: bool) -> BrokerConfig {
    // A 3.1.1 broker cannot say what it does not take.
    if version == Version::V311 {
        return BrokerConfig { take_at_release, ..BrokerConfig::default() };
    }
    let rarely = rng.u8(..6) == 0;
    BrokerConfig {
        receive_maximum: one_of(rng, &[1, 2, 10, 65_535, 65_535]),
        maximum_packet_size: one_of(rng, &[None, None, Some(200), Some(2_000)]),
        topic_alias_maximum: one_of(rng, &[0, 1, 4]),
        use_aliases: rng.bool(),
        maximum_qos: if rarely { QoS::AtLeastOnce } else { QoS::ExactlyOnce },
        retain_available: rng.u8(..6) > 0,
        subscription_ids_available: rng.bool(),
        server_keep_alive: one_of(rng, &[None, None, Some(2), Some(30)]),
        session_expiry: one_of(rng, &[None, None, None, Some(15), Some(7200)]),
        take_at_release,
        ..BrokerConfig::default()
    }
}

/// Arrays as a board would have them, or none for tables that grow.
pub(super) struct Arrays {
    fixed: bool,
    slots: Vec<MessageSlot>,
    bytes: Vec<u8>,
    flights: Vec<FlightSlot>,
    owed: Vec<Owed>,
    received: Vec<ReceivedSlot>,
    ended: Vec<EndedSlot>,
    subs: [SubscriptionSlot; 8],
    filters: [u8; 128],
    inbound_aliases: Vec<Text>,
    inbound_topics: [u8; 128],
    outbound_aliases: Vec<OutboundAlias>,
    outbound_topics: [u8; 16],
}

impl Arrays {
    pub(super) fn new(rng: &mut Rng, cfg: &Config) -> Self {
        let window = usize::from(cfg.window);
        let received = match cfg.version {
            Version::V5 => usize::from(cfg.receive_maximum),
            // The broker is not told how many there are.
            Version::V311 => 2_000,
        };
        Self {
            fixed: rng.u8(..4) == 0,
            slots: vec![MessageSlot::FREE; rng.usize(5..200)],
            bytes: vec![0; rng.usize(3_000..20_000)],
            flights: vec![FlightSlot::default(); window + rng.usize(1..5)],
            owed: vec![Owed::default(); rng.usize(4..9)],
            received: vec![ReceivedSlot::default(); received],
            ended: vec![EndedSlot::default(); received],
            subs: Default::default(),
            filters: [0; 128],
            inbound_aliases: vec![Text::default(); usize::from(cfg.topic_alias_maximum)],
            inbound_topics: [0; 128],
            outbound_aliases: vec![OutboundAlias::default(); usize::from(cfg.topic_aliases)],
            outbound_topics: [0; 16],
        }
    }

    pub(super) fn split(
        &mut self,
        rng: &mut Rng,
        cfg: &Config,
        broken: Rc<Cell<bool>>,
    ) -> (SimStore<'_>, Memory<'_>) {
        if !self.fixed {
            let store = if rng.bool() { RamStore::new() } else { RamStore::indexed() };
            return (SimStore::new(Kind::Ram(store), broken), Memory::growing(cfg));
        }
        let store = Kind::Fixed(FixedStore::new(&mut self.slots, &mut self.bytes));
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
        (SimStore::new(store, broken), memory)
    }
}
