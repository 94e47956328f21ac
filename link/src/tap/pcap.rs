//! Captures what goes over a link, for Wireshark.

use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use std::vec::Vec;

use super::{Direction, Packets, Secrets, Seen, Spool, SpoolStatus, Tap, mask, mask_head};
use crate::Elastic;
use crate::framer::Frame;

/// LINKTYPE_RAW: packets begin with their IP header.
const RAW: u32 = 101;
/// Our address, in 192.0.2.0/24, which is for documentation, and the broker's.
const CLIENT: [u8; 4] = [192, 0, 2, 1];
const BROKER: [u8; 4] = [192, 0, 2, 2];
/// The port by which Wireshark knows MQTT.
const MQTT: u16 = 1883;
/// Payload of one segment, at most: with its headers it must fit into an IP packet.
const SEGMENT: usize = 60_000;
/// Largest MQTT packet that is kept together.
const PACKET: usize = 1 << 20;
const HEADERS: usize = 40;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// Writes a pcap file of the MQTT packets as Wireshark and tshark read it.
///
/// What went over TLS, a WebSocket or a serial line is in there in clear, as if it had gone over TCP from
/// 192.0.2.1 to port 1883 of 192.0.2.2: addresses and sequence numbers are made up, times, order and MQTT
/// bytes are real. Each connection has a source port of its own. Secrets are
/// [written over](super::mask()) unless they are asked for; lengths stay.
#[derive(Debug)]
pub struct Pcap {
    spool: Spool,
    packets: Packets<Elastic>,
    secrets: Secrets,
    connection: Conversation,
    /// Reused.
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Conversation {
    port: u16,
    /// The next sequence number out, and in.
    out: u32,
    inn: u32,
    open: bool,
}

impl Pcap {
    /// Creates the file, or empties it if it is there. It gets at most `limit` bytes; what comes after
    /// that is counted and left out.
    ///
    /// # Errors
    /// If the file cannot be created or written.
    pub fn create(path: &Path, limit: u64) -> io::Result<Self> {
        let mut head = Vec::with_capacity(24);
        // In microseconds, in the order of bytes that this number shows; version 2.4.
        head.extend_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
        head.extend_from_slice(&[2, 0, 4, 0]);
        head.extend_from_slice(&[0; 8]);
        head.extend_from_slice(&65_535_u32.to_le_bytes());
        head.extend_from_slice(&RAW.to_le_bytes());
        Ok(Self {
            spool: Spool::create(path, limit, &head, None)?,
            packets: Packets::new(Elastic::new(PACKET), Elastic::new(PACKET)),
            secrets: Secrets::Masked,
            connection: Conversation { port: 49_151, out: 0, inn: 0, open: false },
            scratch: Vec::new(),
        })
    }

    /// Whether secrets are shown; they are not, unless this says so.
    #[must_use]
    pub fn secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = secrets;
        self
    }

    /// How the file is doing.
    pub fn status(&self) -> SpoolStatus {
        self.spool.status()
    }

    /// The file, to be asked how it is doing while this is elsewhere.
    pub fn spool(&self) -> Spool {
        self.spool.clone()
    }
}

impl Tap for Pcap {
    fn see(&mut self, what: &Seen<'_>) {
        let Self { spool, packets, secrets, connection, scratch } = self;
        match what {
            Seen::Opened => connection.begin(spool, scratch),
            Seen::Ended(cause) => connection.end(spool, scratch, cause.is_some()),
            _ => {}
        }
        packets.see(what, |direction, version, frame| {
            let mut bytes = Vec::new();
            match frame {
                Frame::Packet(packet) => {
                    bytes.extend_from_slice(packet);
                    if *secrets == Secrets::Masked {
                        mask(version, &mut bytes);
                    }
                }
                Frame::Skipped { head, .. } => {
                    bytes.extend_from_slice(head);
                    if *secrets == Secrets::Masked {
                        mask_head(version, &mut bytes);
                    }
                }
                Frame::Rest { bytes: rest, .. } => {
                    bytes.extend_from_slice(rest);
                    if *secrets == Secrets::Masked {
                        bytes.fill(b'*');
                    }
                }
                // What is left of the stream cannot be told apart from a secret.
                Frame::Malformed(_) => bytes.extend_from_slice(b"(what came here is no packet)"),
            }
            for part in bytes.chunks(SEGMENT) {
                connection.segment(spool, scratch, direction, PSH | ACK, part);
            }
        });
    }
}

impl Conversation {
    fn begin(&mut self, spool: &Spool, scratch: &mut Vec<u8>) {
        self.port = self.port.checked_add(1).unwrap_or(49_152);
        (self.out, self.inn, self.open) = (0, 0, true);
        self.segment(spool, scratch, Direction::Out, SYN, &[]);
        self.segment(spool, scratch, Direction::In, SYN | ACK, &[]);
        self.segment(spool, scratch, Direction::Out, ACK, &[]);
    }

    /// Whoever ended it sends the FIN; a connection that broke is reset.
    fn end(&mut self, spool: &Spool, scratch: &mut Vec<u8>, broke: bool) {
        if std::mem::take(&mut self.open) {
            let (direction, flags) =
                if broke { (Direction::In, RST | ACK) } else { (Direction::Out, FIN | ACK) };
            self.segment(spool, scratch, direction, flags, &[]);
        }
    }

    fn segment(
        &mut self,
        spool: &Spool,
        scratch: &mut Vec<u8>,
        direction: Direction,
        flags: u8,
        payload: &[u8],
    ) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let length = HEADERS + payload.len();
        scratch.clear();
        for number in [now.as_secs() as u32, now.subsec_micros(), length as u32, length as u32] {
            scratch.extend_from_slice(&number.to_le_bytes());
        }
        let ((from, to), (source, target), (sequence, acknowledged)) = match direction {
            Direction::Out => ((CLIENT, BROKER), (self.port, MQTT), (self.out, self.inn)),
            Direction::In => ((BROKER, CLIENT), (MQTT, self.port), (self.inn, self.out)),
        };
        let start = scratch.len();
        scratch.extend_from_slice(&[0x45, 0]);
        scratch.extend_from_slice(&(length as u16).to_be_bytes());
        // Don't fragment; 64 hops; TCP; the checksum comes last.
        scratch.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0]);
        scratch.extend_from_slice(&from);
        scratch.extend_from_slice(&to);
        let checksum = checksum(&scratch[start..]);
        scratch[start + 10..start + 12].copy_from_slice(&checksum.to_be_bytes());
        scratch.extend_from_slice(&source.to_be_bytes());
        scratch.extend_from_slice(&target.to_be_bytes());
        scratch.extend_from_slice(&sequence.to_be_bytes());
        scratch.extend_from_slice(&acknowledged.to_be_bytes());
        // Five words of header; a checksum of 0 is none, and Wireshark does not ask for one by default.
        scratch.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        scratch.extend_from_slice(payload);
        // SYN and FIN count as a byte each.
        let counted = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        let sent = match direction {
            Direction::Out => &mut self.out,
            Direction::In => &mut self.inn,
        };
        *sent = sent.wrapping_add(counted);
        spool.push(scratch);
    }
}

/// RFC 1071, over an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}
