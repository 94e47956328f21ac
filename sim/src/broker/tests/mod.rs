//! The broker against packet sequences written by hand.

mod connect;
mod publish;
mod subscribe;
mod wills;

use everlink_proto::time::Duration;
use everlink_proto::wire::{
    Ack, AckKind, Connect, Filters, PacketId, Properties, Property, Publish, Subscribe,
    SubscribeOptions, Version,
};

use super::*;
use crate::clock::Clock;

/// A broker and any number of clients that are nothing but bytes.
struct Bench {
    broker: Broker,
    now: Instant,
    versions: BTreeMap<u32, Version>,
}

impl Bench {
    fn new() -> Self {
        Self { broker: Broker::new(0), now: Clock::START, versions: BTreeMap::new() }
    }

    fn pass(&mut self, secs: u64) {
        self.now = self.now + Duration::from_secs(secs);
        self.broker.advance(self.now);
    }

    /// A new connection `id`, and what CONNECT is answered with.
    fn connect(&mut self, id: u32, version: Version, connect: Connect<'_>) -> Vec<String> {
        self.broker.opened(self.now, PipeId(id));
        self.versions.insert(id, version);
        self.send(id, connect);
        self.take(id)
    }

    /// A client that is connected with a session of an hour in v5, for ever in 3.1.1.
    fn client(&mut self, id: u32, version: Version, name: &str) {
        let expiry = [Property::SessionExpiryInterval(3600)];
        let props = Properties::from_list(&expiry);
        self.connect(id, version, Connect { client_id: name, props, ..Connect::default() });
    }

    fn send<'a>(&mut self, id: u32, packet: impl Into<Packet<'a>>) {
        let (packet, version) = (packet.into(), self.versions[&id]);
        let mut bytes = vec![0; packet.encoded_len(version)];
        let n = packet.encode(version, &mut bytes).unwrap();
        self.broker.received(self.now, PipeId(id), &bytes[..n]);
    }

    /// What the broker sent since the last call, and `closed` if it ends the connection.
    fn take(&mut self, id: u32) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let bytes = self.broker.transmit(PipeId(id)).to_vec();
            let mut rest = bytes.as_slice();
            while let Ok(Some(length)) = frame_len(rest) {
                let (packet, tail) = rest.split_at(length.total_len);
                all.push(crate::trace::describe(self.versions[&id], packet));
                rest = tail;
            }
            self.broker.transmitted(self.now, PipeId(id), bytes.len());
            if bytes.is_empty() {
                break;
            }
        }
        if self.broker.is_closing(PipeId(id)) {
            all.push("closed".to_owned());
        }
        all
    }

    fn ask<'a>(&mut self, id: u32, packet: impl Into<Packet<'a>>) -> Vec<String> {
        self.send(id, packet);
        self.take(id)
    }

    fn drop(&mut self, id: u32) {
        self.broker.closed(self.now, PipeId(id));
    }

    fn subscribe(&mut self, id: u32, filter: &str, options: SubscribeOptions) -> Vec<String> {
        let list = [(filter, options)];
        let (props, filters) = (Properties::EMPTY, Filters::from_list(&list));
        self.ask(id, Subscribe { pid: pid(9), props, filters })
    }

    fn rules(&self) -> Vec<&'static str> {
        self.broker.violations().iter().map(|v| v.rule).collect()
    }
}

fn pid(n: u16) -> PacketId {
    PacketId::new(n).unwrap()
}

fn ack(kind: AckKind, n: u16) -> Ack<'static> {
    Ack::new(kind, pid(n))
}

fn message(topic: &str, qos: QoS, n: u16) -> Publish<'_> {
    let (props, payload) = (Properties::EMPTY, b"m".as_slice());
    Publish { dup: false, qos, retain: false, topic, pid: PacketId::new(n), props, payload }
}
