//! The broker's end of a connection, played by hand.

use everlink::{QoS, ReasonCode, Version};
use everlink_proto::wire::{
    Ack, AckKind, ConnAck, Packet, PacketId, PacketType, Properties, Property, Publish, SubAck,
    UnsubAck, frame_len,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// One connection, seen from the broker.
#[derive(Debug)]
pub struct Peer {
    io: DuplexStream,
    unread: Vec<u8>,
    pub version: Version,
}

/// A packet the client sent.
#[derive(Clone, Debug)]
pub struct Got {
    version: Version,
    pub bytes: Vec<u8>,
}

impl Got {
    pub fn kind(&self) -> PacketType {
        PacketType::from_first_byte(self.bytes[0]).expect("a packet type")
    }

    pub fn packet(&self) -> Packet<'_> {
        Packet::decode(self.version, &self.bytes).expect("a well-formed packet")
    }

    /// Packet Identifier, topic, payload and DUP of a PUBLISH.
    pub fn publish(&self) -> everlink_proto::wire::Publish<'_> {
        match self.packet() {
            Packet::Publish(publish) => publish,
            other => panic!("expected PUBLISH, got {other:?}"),
        }
    }

    pub fn connect(&self) -> everlink_proto::wire::Connect<'_> {
        match Packet::decode_connect(&self.bytes) {
            Ok((_, connect)) => connect,
            Err(error) => panic!("expected CONNECT: {error}"),
        }
    }

    /// The Packet Identifier.
    pub fn pid(&self) -> PacketId {
        match self.packet() {
            Packet::Publish(p) => p.pid.expect("QoS 1 or 2"),
            Packet::Ack(a) => a.pid,
            Packet::Subscribe(s) => s.pid,
            Packet::Unsubscribe(u) => u.pid,
            other => panic!("{other:?} has no identifier"),
        }
    }
}

impl Peer {
    pub fn new(io: DuplexStream, version: Version) -> Self {
        Self { io, unread: Vec::new(), version }
    }

    /// The next packet; `None` when the client has closed or dropped the connection.
    pub async fn recv(&mut self) -> Option<Got> {
        loop {
            let frame = frame_len(&self.unread).expect("well-formed lengths");
            if let Some(frame) = frame.filter(|f| f.total_len <= self.unread.len()) {
                let bytes = self.unread.drain(..frame.total_len).collect();
                return Some(Got { version: self.version, bytes });
            }
            match self.io.read_buf(&mut self.unread).await {
                Ok(n) if n > 0 => {}
                _ => return None,
            }
        }
    }

    /// The next packet but PINGREQ, which is answered.
    pub async fn next(&mut self) -> Option<Got> {
        loop {
            let got = self.recv().await?;
            if got.kind() != PacketType::PingReq {
                return Some(got);
            }
            self.send(Packet::PingResp).await;
        }
    }

    /// The next packet must be of this type.
    pub async fn expect(&mut self, kind: PacketType) -> Got {
        let got = super::soon(&format!("{kind:?}"), self.next()).await;
        let got = got.unwrap_or_else(|| panic!("expected {kind:?}, the client is gone"));
        assert_eq!(got.kind(), kind, "{:?}", got.packet());
        got
    }

    pub async fn send<'a>(&mut self, packet: impl Into<Packet<'a>>) {
        let packet = packet.into();
        let mut bytes = vec![0; packet.encoded_len(self.version)];
        let n = packet.encode(self.version, &mut bytes).expect("a packet that can be encoded");
        self.send_raw(&bytes[..n]).await;
    }

    /// Sends anything. A client that is gone does not care.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.io.write_all(bytes).await;
    }

    /// CONNECT comes, and is accepted.
    pub async fn accept(&mut self, session_present: bool, props: &[Property<'_>]) -> Got {
        let connect = self.expect(PacketType::Connect).await;
        self.connack(session_present, ReasonCode::SUCCESS, props).await;
        connect
    }

    pub async fn connack(
        &mut self,
        session_present: bool,
        reason: ReasonCode,
        props: &[Property<'_>],
    ) {
        self.send(ConnAck { session_present, reason, props: Properties::from_list(props) }).await;
    }

    pub async fn ack(&mut self, kind: AckKind, pid: PacketId) {
        self.send(Ack::new(kind, pid)).await;
    }

    /// Sends a message.
    pub async fn publish(&mut self, topic: &str, payload: &str, qos: QoS, pid: u16, dup: bool) {
        let (retain, props, payload) = (false, Properties::EMPTY, payload.as_bytes());
        let pid = PacketId::new(pid);
        self.send(Publish { dup, qos, retain, topic, pid, props, payload }).await;
    }

    /// SUBSCRIBE comes, and is granted at QoS 2 or as these codes say.
    pub async fn grant(&mut self, code: u8) -> Got {
        let got = self.expect(PacketType::Subscribe).await;
        self.send(SubAck { pid: got.pid(), props: Properties::EMPTY, codes: &[code] }).await;
        got
    }

    pub async fn release(&mut self) -> Got {
        let got = self.expect(PacketType::Unsubscribe).await;
        let codes: &[u8] = if self.version == Version::V5 { &[0] } else { &[] };
        self.send(UnsubAck { pid: got.pid(), props: Properties::EMPTY, codes }).await;
        got
    }

    /// Answers everything as a broker would until the client is gone; gives what came.
    pub async fn serve(&mut self) -> Vec<Got> {
        let mut came = Vec::new();
        while let Some(got) = self.recv().await {
            self.answer(&got).await;
            came.push(got);
        }
        came
    }

    /// The answer of a broker that agrees to everything.
    pub async fn answer(&mut self, got: &Got) {
        match got.packet() {
            Packet::Publish(p) => match (p.qos as u8, p.pid) {
                (1, Some(pid)) => self.ack(AckKind::PubAck, pid).await,
                (2, Some(pid)) => self.ack(AckKind::PubRec, pid).await,
                _ => {}
            },
            Packet::Ack(a) if a.kind == AckKind::PubRel => self.ack(AckKind::PubComp, a.pid).await,
            Packet::Ack(a) if a.kind == AckKind::PubRec => self.ack(AckKind::PubRel, a.pid).await,
            Packet::Subscribe(s) => {
                let codes: Vec<u8> = s.filters.iter().map(|(_, o)| o.qos as u8).collect();
                self.send(SubAck { pid: s.pid, props: Properties::EMPTY, codes: &codes }).await;
            }
            Packet::Unsubscribe(u) => {
                let n = if self.version == Version::V5 { u.filters.iter().count() } else { 0 };
                let codes = vec![0; n];
                self.send(UnsubAck { pid: u.pid, props: Properties::EMPTY, codes: &codes }).await;
            }
            Packet::PingReq => self.send(Packet::PingResp).await,
            _ => {}
        }
    }
}
