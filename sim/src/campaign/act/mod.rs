//! What can happen.

mod application;
mod broker;
mod network;

use everlink_proto::engine::Refused;
use everlink_proto::wire::{Properties, Property, QoS};

use super::ledger::{Cast, Sent};
use super::setup::{millis, one_of};
use super::world::{CLIENT, World};
use crate::host::Post;

const QOS: [QoS; 5] =
    [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce];

impl World<'_> {
    /// Does something.
    pub(super) fn act(&mut self) {
        match self.rng.u8(..100) {
            0..33 => self.publish_some(),
            33..48 => self.cast_some(),
            48..62 => self.application(),
            62..72 => self.heal(),
            72..86 => self.network(),
            _ => self.broker(),
        }
    }

    fn publish_some(&mut self) {
        let most = one_of(&mut self.rng, &[1, 3, 10, 10, 100]);
        for _ in 0..self.rng.usize(1..=most) {
            self.publish();
        }
    }

    fn payload(&mut self, n: usize) -> String {
        let size =
            if self.rng.u8(..12) == 0 { self.rng.usize(100..2_500) } else { self.rng.usize(..40) };
        format!("{n}:{}", "x".repeat(size))
    }

    fn publish(&mut self) {
        let n = self.ledger.sent.len();
        let payload = self.payload(n);
        let topic = one_of(&mut self.rng, &["t/0", "t/1", "t/2/longer/topic", "deny/1"]);
        let qos = one_of(&mut self.rng, &QOS);
        let mut post = Post::new(topic, payload.as_bytes(), qos);
        post.retain = self.rng.u8(..8) == 0;
        let list = [Property::UserProperty("name", "value")];
        if self.rng.u8(..6) == 0 {
            post.props = Properties::from_list(&list);
        }
        post.expiry = (self.rng.u8(..5) == 0).then(|| millis(self.rng.u64(1..20_000)));
        match self.pair.try_post(post) {
            Ok(tag) => {
                let (expiry, at) = (post.expiry, self.pair.now());
                self.ledger.sent.push(Sent { tag, topic, qos, expiry, at });
            }
            Err(Refused::QueueFull) if self.cfg.queue.when_full.refuses() => {
                self.ledger.refused_at = Some(self.pair.inbox.room_told);
            }
            Err(Refused::Closed) if self.closed => {}
            Err(Refused::Store) if self.broken.get() => {}
            Err(refused) => {
                self.pair.fail(&format!("publish of {} bytes: {refused}", payload.len()))
            }
        }
    }

    /// The broker gets messages for the client.
    fn cast_some(&mut self) {
        let most = one_of(&mut self.rng, &[1, 3, 10, 50]);
        for _ in 0..self.rng.usize(1..=most) {
            let n = self.ledger.cast.len();
            let payload = self.payload(n);
            let topic = one_of(&mut self.rng, &["in/0", "in/1/longer"]);
            let qos = one_of(&mut self.rng, &QOS);
            let subscribed = self.pair.servers[0].subscriptions(CLIENT).iter().any(|f| f == "in/#");
            // Header, topic, identifiers and properties take less than 40 bytes.
            let fits = payload.len() + 40 < self.cfg.maximum_packet_size as usize;
            let at = self.pair.now();
            self.ledger.cast.push(Cast { topic, qos, at, expected: subscribed && fits });
            self.pair.broker_publishes(topic, payload.as_bytes(), qos);
        }
    }
}

/// Whether a full queue refuses.
trait Refuses {
    fn refuses(self) -> bool;
}

impl Refuses for everlink_proto::engine::WhenFull {
    fn refuses(self) -> bool {
        matches!(self, Self::Wait | Self::Reject)
    }
}
