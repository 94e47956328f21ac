//! What the broker knows of a client across connections (4.1).

use std::collections::{BTreeMap, VecDeque};

use everlink_proto::time::{Duration, Instant};
use everlink_proto::wire::PacketId;

use super::message::{Accepted, Delivery, Message, Sub};
use crate::netem::PipeId;

#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) conn: Option<PipeId>,
    pub(super) subs: BTreeMap<String, Sub>,
    /// Sent and not finally acknowledged, in the order of first sending.
    pub(super) flights: VecDeque<Flight>,
    /// Not yet sent.
    pub(super) queue: VecDeque<Delivery>,
    /// QoS 2 messages whose PUBREL has not come; with the message if it is taken only then.
    pub(super) received: BTreeMap<u16, Option<(Accepted, Message)>>,
    /// Session Expiry Interval, in seconds.
    pub(super) expiry: u32,
    pub(super) expires_at: Option<Instant>,
    last_pid: u16,
}

/// How far a message sent to the client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// PUBACK or PUBREC is awaited.
    Published,
    /// PUBCOMP is awaited.
    Released,
}

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) pid: PacketId,
    pub(super) delivery: Delivery,
    pub(super) stage: Stage,
    /// On the present connection.
    pub(super) sent: bool,
}

impl Session {
    /// The next unused Packet Identifier [MQTT-2.2.1-3].
    pub(super) fn allocate(&mut self) -> Option<PacketId> {
        for _ in 0..u16::MAX {
            self.last_pid = self.last_pid.checked_add(1).unwrap_or(1);
            let pid = PacketId::new(self.last_pid)?;
            if self.flights.iter().all(|f| f.pid != pid) {
                return Some(pid);
            }
        }
        None
    }

    pub(super) fn flight(&mut self, pid: PacketId) -> Option<&mut Flight> {
        self.flights.iter_mut().find(|f| f.pid == pid)
    }

    pub(super) fn finish(&mut self, pid: PacketId) {
        self.flights.retain(|f| f.pid != pid);
    }

    pub(super) fn connected(&mut self, conn: PipeId, expiry: u32) {
        (self.conn, self.expiry, self.expires_at) = (Some(conn), expiry, None);
        for flight in &mut self.flights {
            flight.sent = false;
        }
    }

    pub(super) fn disconnected(&mut self, now: Instant) {
        self.conn = None;
        if self.expiry != u32::MAX {
            self.expires_at = Some(now + Duration::from_secs(u64::from(self.expiry)));
        }
    }
}
