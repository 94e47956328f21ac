//! The fixed header of MQTT, enough to see packet boundaries in a byte stream.

/// Packets longer than this are forwarded as they come: no rule applies, nothing is recorded.
const MAX_WHOLE: usize = 4 << 20;

/// The type of an MQTT control packet: the high nibble of its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the names are MQTT's own
pub enum PacketType {
    Reserved,
    Connect,
    Connack,
    Publish,
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
    Subscribe,
    Suback,
    Unsubscribe,
    Unsuback,
    Pingreq,
    Pingresp,
    Disconnect,
    Auth,
}

impl PacketType {
    const ALL: [Self; 16] = [
        Self::Reserved,
        Self::Connect,
        Self::Connack,
        Self::Publish,
        Self::Puback,
        Self::Pubrec,
        Self::Pubrel,
        Self::Pubcomp,
        Self::Subscribe,
        Self::Suback,
        Self::Unsubscribe,
        Self::Unsuback,
        Self::Pingreq,
        Self::Pingresp,
        Self::Disconnect,
        Self::Auth,
    ];

    /// The type named by the first byte of a packet.
    pub fn of(first: u8) -> Self {
        Self::ALL[usize::from(first >> 4)]
    }
}

/// What the framer found next in the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// One whole control packet.
    Packet(Vec<u8>),
    /// Bytes that are no packet, or belong to one too long to hold.
    Raw(Vec<u8>),
}

/// Cuts a stream into packets. A stream that is not MQTT passes as raw bytes.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    buffer: Vec<u8>,
    /// Where the unread part of `buffer` starts.
    start: usize,
    /// Bytes left of a packet too long to hold.
    passing: usize,
    /// A Remaining Length was malformed: there are no boundaries any more.
    lost: bool,
}

impl Framer {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next piece; `None` until more bytes are pushed.
    pub(crate) fn next(&mut self) -> Option<Piece> {
        let unread = self.buffer.len() - self.start;
        if unread == 0 {
            return None;
        }
        if self.lost {
            return Some(Piece::Raw(self.take(unread)));
        }
        if self.passing > 0 {
            let n = unread.min(self.passing);
            self.passing -= n;
            return Some(Piece::Raw(self.take(n)));
        }
        match packet_len(&self.buffer[self.start..]) {
            Len::Unknown => None,
            Len::Malformed => {
                self.lost = true;
                Some(Piece::Raw(self.take(unread)))
            }
            Len::Known(n) if n > MAX_WHOLE => {
                self.passing = n;
                self.next()
            }
            Len::Known(n) if n > unread => None,
            Len::Known(n) => Some(Piece::Packet(self.take(n))),
        }
    }

    /// The bytes of a packet that never became whole.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        self.take(self.buffer.len() - self.start)
    }

    fn take(&mut self, n: usize) -> Vec<u8> {
        let taken = self.buffer[self.start..self.start + n].to_vec();
        self.start += n;
        taken
    }
}

enum Len {
    Unknown,
    Known(usize),
    Malformed,
}

/// The length of the packet that starts here, fixed header included.
fn packet_len(bytes: &[u8]) -> Len {
    let mut remaining = 0;
    for i in 0..4 {
        let Some(&b) = bytes.get(1 + i) else { return Len::Unknown };
        remaining |= usize::from(b & 0x7f) << (7 * i);
        if b & 0x80 == 0 {
            return Len::Known(2 + i + remaining);
        }
    }
    // [MQTT-1.5.5-1] four bytes at most
    Len::Malformed
}

/// The variable header of a whole packet.
pub(crate) fn body(packet: &[u8]) -> &[u8] {
    let header = 1 + packet[1..].iter().take_while(|b| **b & 0x80 != 0).count() + 1;
    packet.get(header..).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_out_whole_however_the_bytes_arrive() {
        let stream = [&[0x40, 2, 0, 7][..], &[0x30, 0x83, 0x01], &[9; 131], &[0xc0, 0]].concat();
        for step in 1..stream.len() {
            let mut framer = Framer::default();
            let mut seen = Vec::new();
            for chunk in stream.chunks(step) {
                framer.push(chunk);
                while let Some(piece) = framer.next() {
                    let Piece::Packet(p) = piece else { panic!("{piece:?}") };
                    seen.push((PacketType::of(p[0]), p.len()));
                }
            }
            assert_eq!(
                seen,
                [(PacketType::Puback, 4), (PacketType::Publish, 134), (PacketType::Pingreq, 2)]
            );
            assert!(framer.rest().is_empty());
        }
    }

    #[test]
    fn a_malformed_length_makes_the_rest_raw() {
        let mut framer = Framer::default();
        framer.push(&[0xc0, 0, 0x30, 0xff, 0xff, 0xff, 0xff, 1]);
        assert_eq!(framer.next(), Some(Piece::Packet(vec![0xc0, 0])));
        assert_eq!(framer.next(), Some(Piece::Raw(vec![0x30, 0xff, 0xff, 0xff, 0xff, 1])));
        framer.push(&[0xc0, 0]);
        assert_eq!(framer.next(), Some(Piece::Raw(vec![0xc0, 0])));
    }

    #[test]
    fn a_packet_too_long_to_hold_passes_as_it_comes() {
        let mut framer = Framer::default();
        framer.push(&[0x30, 0xff, 0xff, 0xff, 0x7f, 1, 2]);
        assert!(matches!(framer.next(), Some(Piece::Raw(b)) if b.len() == 7));
        framer.push(&[3; 10]);
        assert!(matches!(framer.next(), Some(Piece::Raw(b)) if b.len() == 10));
    }

    #[test]
    fn the_body_follows_the_length() {
        assert_eq!(body(&[0x40, 2, 0, 7]), [0, 7]);
        assert_eq!(body(&[0x30, 0x80, 0x01, 5]), [5]);
        assert_eq!(body(&[0xc0, 0]), [0u8; 0]);
    }
}
