//! Any packet: decoding by its type, and what encoding has in common.

use super::reader::Reader;
use super::writer::{Writer, packet_len};
use super::{
    Ack, AckKind, Auth, ConnAck, Connect, Disconnect, EncodeError, PacketType, Publish, SubAck,
    Subscribe, UnsubAck, Unsubscribe, Version, WireError,
};

/// A Control Packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the packets")]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    ConnAck(ConnAck<'a>),
    Publish(Publish<'a>),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack(Ack<'a>),
    Subscribe(Subscribe<'a>),
    SubAck(SubAck<'a>),
    Unsubscribe(Unsubscribe<'a>),
    UnsubAck(UnsubAck<'a>),
    PingReq,
    PingResp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// Decodes `bytes`, exactly one packet with its fixed header.
    ///
    /// # Errors
    /// Why the bytes are no packet of this version; the connection ends with
    /// [`WireError::reason`].
    #[inline]
    pub fn decode(version: Version, bytes: &'a [u8]) -> Result<Self, WireError> {
        match Ack::read_short(bytes) {
            Some(ack) => Ok(Self::Ack(ack)),
            None => Self::read(version, bytes, Self::read_any),
        }
    }

    /// As [`decode`](Self::decode) for clients, which then need no code for what a server never
    /// sends: CONNECT, SUBSCRIBE, UNSUBSCRIBE and PINGREQ.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); [`WireError::BadPacketType`] for those four.
    #[inline]
    pub fn decode_from_server(version: Version, bytes: &'a [u8]) -> Result<Self, WireError> {
        match Ack::read_short(bytes) {
            Some(ack) => Ok(Self::Ack(ack)),
            None => Self::read(version, bytes, Self::read_from_server),
        }
    }

    /// Decodes `bytes`, which must be a CONNECT, and tells its version: for servers, which do not
    /// know it before.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); [`WireError::BadPacketType`] for another packet
    /// [MQTT-3.1.0-1].
    pub fn decode_connect(bytes: &'a [u8]) -> Result<(Version, Connect<'a>), WireError> {
        match open(bytes)? {
            (PacketType::Connect, _, r) => Connect::read(r),
            _ => Err(WireError::BadPacketType),
        }
    }

    #[inline]
    fn read(
        version: Version,
        bytes: &'a [u8],
        rare: impl FnOnce(Version, PacketType, Reader<'a>) -> Result<Self, WireError>,
    ) -> Result<Self, WireError> {
        let (kind, first, r) = open(bytes)?;
        match kind {
            PacketType::Publish => Publish::read(version, first, r).map(Self::Publish),
            PacketType::PubAck => Ack::read(version, AckKind::PubAck, r).map(Self::Ack),
            PacketType::PubRec => Ack::read(version, AckKind::PubRec, r).map(Self::Ack),
            PacketType::PubRel => Ack::read(version, AckKind::PubRel, r).map(Self::Ack),
            PacketType::PubComp => Ack::read(version, AckKind::PubComp, r).map(Self::Ack),
            _ => rare(version, kind, r),
        }
    }

    fn read_any(version: Version, kind: PacketType, r: Reader<'a>) -> Result<Self, WireError> {
        match kind {
            PacketType::Connect => match Connect::read(r)? {
                (level, connect) if level == version => Ok(Self::Connect(connect)),
                _ => Err(WireError::UnsupportedVersion),
            },
            PacketType::Subscribe => Subscribe::read(version, r).map(Self::Subscribe),
            PacketType::Unsubscribe => Unsubscribe::read(version, r).map(Self::Unsubscribe),
            PacketType::PingReq => r.end().map(|()| Self::PingReq),
            _ => Self::read_from_server(version, kind, r),
        }
    }

    fn read_from_server(
        version: Version,
        kind: PacketType,
        r: Reader<'a>,
    ) -> Result<Self, WireError> {
        version.check_type(kind)?;
        match kind {
            PacketType::ConnAck => ConnAck::read(version, r).map(Self::ConnAck),
            PacketType::SubAck => SubAck::read(version, r).map(Self::SubAck),
            PacketType::UnsubAck => UnsubAck::read(version, r).map(Self::UnsubAck),
            PacketType::PingResp => r.end().map(|()| Self::PingResp),
            PacketType::Disconnect => Disconnect::read(version, r).map(Self::Disconnect),
            PacketType::Auth => Auth::read(version, r).map(Self::Auth),
            _ => Err(WireError::BadPacketType),
        }
    }
}

/// Takes the fixed header off; tells the type, the first byte and the rest.
#[inline]
fn open(bytes: &[u8]) -> Result<(PacketType, u8, Reader<'_>), WireError> {
    let mut r = Reader::new(bytes);
    let first = r.u8()?;
    let kind = PacketType::from_first_byte(first)?;
    if r.varint()? as usize != r.rest().len() {
        return Err(WireError::BadLength);
    }
    Ok((kind, first, r))
}

/// What encoding asks of a packet.
pub(crate) trait Body {
    fn first_byte(&self) -> u8;
    /// Whether a peer would accept it.
    fn check(&self, version: Version) -> Result<(), EncodeError>;
    /// Writes what follows the fixed header. Called twice: the first time only to count the bytes.
    fn write(&self, version: Version, w: &mut Writer<'_>);
}

/// Writes the packet to the start of `out` and tells its length. One copy for all packets but the
/// head of PUBLISH, which is the only one that often goes out.
pub(crate) fn encode(
    body: &dyn Body,
    version: Version,
    out: &mut [u8],
) -> Result<usize, EncodeError> {
    body.check(version)?;
    let mut counter = Writer::counter();
    body.write(version, &mut counter);
    let mut w = Writer::packet(out, body.first_byte(), counter.finish()?, 0)?;
    body.write(version, &mut w);
    w.finish()
}

/// Bytes of the whole packet; huge but never wrapped if fields are too long.
pub(crate) fn encoded_len(body: &dyn Body, version: Version) -> usize {
    let mut counter = Writer::counter();
    body.write(version, &mut counter);
    packet_len(counter.written())
}

/// A packet that is its fixed header.
pub(crate) struct Bare(pub(crate) PacketType);

impl Body for Bare {
    fn first_byte(&self) -> u8 {
        self.0.first_byte()
    }

    fn check(&self, _: Version) -> Result<(), EncodeError> {
        Ok(())
    }

    fn write(&self, _: Version, _: &mut Writer<'_>) {}
}

macro_rules! encodings {
    ($($packet:ident)*) => {
        $(impl<'a> $packet<'a> {
            /// Writes the packet to the start of `out` and tells its length.
            ///
            /// # Errors
            /// The buffer is too small, a field is too long, or the packet breaks the protocol.
            pub fn encode(&self, version: Version, out: &mut [u8]) -> Result<usize, EncodeError> {
                encode(self, version, out)
            }

            /// Bytes of the whole packet, with its fixed header.
            pub fn encoded_len(&self, version: Version) -> usize {
                encoded_len(self, version)
            }
        }

        impl<'a> From<$packet<'a>> for Packet<'a> {
            fn from(packet: $packet<'a>) -> Self {
                Self::$packet(packet)
            }
        })*

        impl Packet<'_> {
            fn body(&self) -> &dyn Body {
                match self {
                    $(Self::$packet(packet) => packet,)*
                    Self::PingReq => &Bare(PacketType::PingReq),
                    Self::PingResp => &Bare(PacketType::PingResp),
                }
            }

            /// Writes the packet to the start of `out` and tells its length.
            ///
            /// # Errors
            /// The buffer is too small, a field is too long, or the packet breaks the protocol.
            pub fn encode(&self, version: Version, out: &mut [u8]) -> Result<usize, EncodeError> {
                encode(self.body(), version, out)
            }

            /// Bytes of the whole packet, with its fixed header.
            pub fn encoded_len(&self, version: Version) -> usize {
                encoded_len(self.body(), version)
            }
        }
    };
}

encodings! {
    Connect ConnAck Publish Ack Subscribe SubAck Unsubscribe UnsubAck Disconnect Auth
}
