//! What passed: a bounded log of packets, and counters.

use std::collections::VecDeque;
use std::time::Duration;

use super::frame::{PacketType, body};
use super::{Direction, RuleId};

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Forwarded.
    Passed,
    /// Dropped by a rule.
    Swallowed(RuleId),
    /// The second copy a rule made.
    Doubled(RuleId),
    /// Made by the test, not by a peer.
    Injected,
}

/// One MQTT control packet seen by the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When the last byte was forwarded (or the packet swallowed), since the proxy's start.
    pub at: Duration,
    /// The connection's number, from 1.
    pub connection: u64,
    /// Where it went; never [`Direction::Both`].
    pub direction: Direction,
    /// Its type.
    pub packet: PacketType,
    /// Its Packet Identifier, if it has one.
    pub id: Option<u16>,
    /// PUBLISH: the DUP flag.
    pub dup: bool,
    /// PUBLISH: the QoS bits, 0 to 3.
    pub qos: u8,
    /// PUBLISH: the RETAIN flag.
    pub retain: bool,
    /// CONNECT: Clean Start (3.1.1: Clean Session). CONNACK: Session Present.
    pub flag: bool,
    /// CONNACK: the Reason Code (3.1.1: return code).
    pub reason: u8,
    /// Its length in bytes, fixed header included.
    pub len: usize,
    /// What became of it.
    pub fate: Fate,
}

impl Record {
    pub(crate) fn new(connection: u64, direction: Direction, bytes: &[u8], fate: Fate) -> Self {
        let packet = PacketType::of(bytes[0]);
        let body = body(bytes);
        let publish = packet == PacketType::Publish;
        let qos = if publish { (bytes[0] >> 1) & 3 } else { 0 };
        let byte = |i: usize| body.get(i).copied().unwrap_or(0);
        let connack = packet == PacketType::Connack;
        Self {
            at: Duration::ZERO,
            connection,
            direction,
            packet,
            id: packet_id(packet, qos, body),
            dup: publish && bytes[0] & 8 != 0,
            qos,
            retain: publish && bytes[0] & 1 != 0,
            flag: match packet {
                // "MQTT" with its length, the protocol level, then the connect flags
                PacketType::Connect => byte(7) & 2 != 0,
                PacketType::Connack => byte(0) & 1 != 0,
                _ => false,
            },
            reason: if connack { byte(1) } else { 0 },
            len: bytes.len(),
            fate,
        }
    }

    /// Whether it reached the other side.
    pub fn arrived(&self) -> bool {
        !matches!(self.fate, Fate::Swallowed(_))
    }
}

fn packet_id(packet: PacketType, qos: u8, body: &[u8]) -> Option<u16> {
    use PacketType::*;
    let word = |i: usize| Some(u16::from_be_bytes([*body.get(i)?, *body.get(i + 1)?]));
    match packet {
        Publish if qos > 0 => word(2 + usize::from(word(0)?)),
        Puback | Pubrec | Pubrel | Pubcomp | Subscribe | Suback | Unsubscribe | Unsuback => word(0),
        _ => None,
    }
}

/// Totals since the proxy's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: u64,
    /// Accepted connections that were joined to the broker.
    pub joined: u64,
    /// Accepted connections for which the broker could not be reached.
    pub unreachable: u64,
    /// Connections ended by the proxy: reset, closed, cut.
    pub killed: u64,
    /// Connections that exist now.
    pub open: u64,
    /// Bytes forwarded to the broker.
    pub to_broker: u64,
    /// Bytes forwarded to the client.
    pub to_client: u64,
    /// Packets swallowed.
    pub swallowed: u64,
    /// Packets forwarded twice.
    pub doubled: u64,
}

/// The newest records, at most a fixed number of them.
#[derive(Debug)]
pub(crate) struct Log {
    records: VecDeque<Record>,
    /// Records that were dropped because newer ones came.
    dropped: u64,
    limit: usize,
}

impl Log {
    pub(crate) fn new(limit: usize) -> Self {
        Self { records: VecDeque::new(), dropped: 0, limit }
    }

    pub(crate) fn push(&mut self, record: Record) {
        if self.records.len() == self.limit {
            self.records.pop_front();
            self.dropped += 1;
        }
        self.records.push_back(record);
    }

    /// The position after the newest record.
    pub(crate) fn end(&self) -> u64 {
        self.dropped + self.records.len() as u64
    }

    /// The records from `position` on that are still held.
    pub(crate) fn since(&self, position: u64) -> impl Iterator<Item = &Record> {
        let skip = position.saturating_sub(self.dropped);
        self.records.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(bytes: &[u8]) -> Record {
        Record::new(1, Direction::ToClient, bytes, Fate::Passed)
    }

    #[test]
    fn fields_are_read_from_the_bytes() {
        let r = record(&[0x3b, 7, 0, 1, b't', 0x12, 0x34, 0, b'x']);
        assert_eq!(
            (r.packet, r.id, r.dup, r.qos, r.retain),
            (PacketType::Publish, Some(0x1234), true, 1, true)
        );
        let r = record(&[0x30, 4, 0, 1, b't', b'x']);
        assert_eq!((r.id, r.dup, r.qos), (None, false, 0));
        let r = record(&[0x62, 2, 0, 9]);
        assert_eq!((r.packet, r.id, r.dup), (PacketType::Pubrel, Some(9), false));
        let r = record(&[0x20, 2, 1, 5]);
        assert_eq!((r.flag, r.reason, r.id), (true, 5, None));
        let r = record(&[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 0]);
        assert!(r.flag);
    }

    #[test]
    fn short_packets_have_no_id_and_do_not_panic() {
        for first in 0..=255 {
            assert_eq!(record(&[first, 0]).id, None);
            record(&[first, 1, 0xff]);
            record(&[first, 3, 0xff, 0xff, 0xff]);
        }
    }

    #[test]
    fn the_log_keeps_the_newest_and_positions_stay_true() {
        let mut log = Log::new(2);
        for id in 1..=3 {
            log.push(record(&[0x40, 2, 0, id]));
        }
        assert_eq!(log.end(), 3);
        let ids = |from| log.since(from).map(|r| r.id.unwrap()).collect::<Vec<_>>();
        assert_eq!((ids(0), ids(2), ids(9)), (vec![2, 3], vec![3], vec![]));
    }
}
