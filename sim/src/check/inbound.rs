//! How the client acknowledges what it gets.

use std::collections::{BTreeSet, VecDeque};

use everlink_proto::wire::{AckKind, Publish, QoS, ReasonCode};

#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// PUBLISH packets of this connection that await PUBACK and PUBREC, in the order they came.
    publishes: [VecDeque<u16>; 2],
    /// PUBRELs of this connection that await PUBCOMP.
    rels: Vec<u16>,
    /// QoS 2 messages that got their PUBREC and no PUBREL yet: of the session.
    received: BTreeSet<u16>,
}

impl Inbound {
    pub(super) fn owed(&self) -> usize {
        self.publishes.iter().map(VecDeque::len).sum::<usize>() + self.rels.len()
    }

    pub(super) fn connected(&mut self) {
        self.publishes = Default::default();
        self.rels.clear();
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(super) fn publish(&mut self, publish: &Publish<'_>) {
        if let Some(pid) = publish.pid {
            let queue = usize::from(publish.qos == QoS::ExactlyOnce);
            self.publishes[queue].push_back(pid.get());
        }
    }

    pub(super) fn released(&mut self, pid: u16) {
        self.received.remove(&pid);
        self.rels.push(pid);
    }

    pub(super) fn sent(
        &mut self,
        kind: AckKind,
        pid: u16,
        reason: ReasonCode,
    ) -> Result<(), &'static str> {
        if kind == AckKind::PubComp {
            let at = self.rels.iter().position(|rel| *rel == pid);
            return at.map(|at| _ = self.rels.remove(at)).ok_or("PUBCOMP without PUBREL");
        }
        let qos2 = kind == AckKind::PubRec;
        let queue = &mut self.publishes[usize::from(qos2)];
        let at = queue.iter().position(|waiting| *waiting == pid);
        let Some(at) = at else {
            return Err("an acknowledgement for nothing received on this connection");
        };
        queue.remove(at);
        if qos2 && !reason.is_error() {
            self.received.insert(pid);
        }
        match (at, qos2) {
            (0, _) => Ok(()),
            (_, false) => Err("MQTT-4.6.0-2: order of PUBACKs"),
            (_, true) => Err("MQTT-4.6.0-3: order of PUBRECs"),
        }
    }
}
