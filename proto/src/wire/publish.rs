//! PUBLISH.

use super::frame::frame_len;
use super::packet::Body;
use super::property::PropertyContext;
use super::reader::Reader;
use super::writer::{Writer, field_len, packet_len};
use super::{EncodeError, PacketId, PacketType, Properties, QoS, Version, WireError};

const DUP: u8 = 8;
const RETAIN: u8 = 1;

/// PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Sent before, on this connection or an earlier one. Not at QoS 0.
    pub dup: bool,
    /// Quality of Service.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// The Topic Name; empty in MQTT 5 if a Topic Alias stands for it. Checked when decoded; to
    /// encode, it must come from a [`TopicName`](crate::topic::TopicName), as this is the hot path.
    pub topic: &'a str,
    /// Packet Identifier, at QoS 1 and 2.
    pub pid: Option<PacketId>,
    /// Properties of the message, its Topic Alias and Subscription Identifiers.
    pub props: Properties<'a>,
    /// The Application Message.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    /// Writes all but the payload, of which `payload_len` bytes must follow; `self.payload` is not
    /// looked at. Tells the bytes written.
    ///
    /// # Errors
    /// As [`encode`](Self::encode); `NoSpace` tells the bytes needed without the payload.
    #[inline]
    pub fn encode_head(
        &self,
        version: Version,
        payload_len: usize,
        out: &mut [u8],
    ) -> Result<usize, EncodeError> {
        self.check(version)?;
        let remaining = self.variable_header_len(version).saturating_add(payload_len);
        let mut w = Writer::packet(out, self.first_byte(), remaining, payload_len)?;
        self.write_variable_header(version, &mut w);
        w.finish()
    }

    /// Bytes of the whole packet with a payload of `payload_len` bytes.
    pub fn encoded_len_with(&self, version: Version, payload_len: usize) -> usize {
        packet_len(self.variable_header_len(version).saturating_add(payload_len))
    }

    /// Reads what is there of a PUBLISH of which only the beginning is at hand; the payload is
    /// what follows, however little.
    ///
    /// # Errors
    /// [`WireError::BadPacketType`] if it is no PUBLISH, [`WireError::Truncated`] if all but the
    /// payload is not at hand.
    pub fn decode_head(version: Version, head: &'a [u8]) -> Result<Self, WireError> {
        let first = *head.first().ok_or(WireError::Truncated)?;
        if PacketType::from_first_byte(first)? != PacketType::Publish {
            return Err(WireError::BadPacketType);
        }
        let header = frame_len(head)?.ok_or(WireError::Truncated)?;
        let body = head.get(header.header_len..).ok_or(WireError::Truncated)?;
        Self::read(version, first, Reader::new(body))
    }

    #[inline]
    pub(super) fn read(version: Version, first: u8, mut r: Reader<'a>) -> Result<Self, WireError> {
        let dup = first & DUP != 0;
        let qos = QoS::try_from(first >> 1 & 3)?;
        if dup && qos == QoS::AtMostOnce {
            return Err(WireError::DupAtQoS0); // [MQTT-3.3.1-2]
        }
        let topic = r.topic_or_empty()?;
        let pid = if qos == QoS::AtMostOnce { None } else { Some(r.packet_id()?) };
        let props = version.read_properties(&mut r, PropertyContext::Publish)?;
        if topic.is_empty() && props.topic_alias().is_none() {
            return Err(WireError::NoTopic);
        }
        Ok(Self { dup, qos, retain: first & RETAIN != 0, topic, pid, props, payload: r.rest() })
    }

    #[inline]
    fn variable_header_len(&self, version: Version) -> usize {
        field_len(self.topic.len())
            .saturating_add(if self.pid.is_some() { 2 } else { 0 })
            .saturating_add(version.properties_len(&self.props))
    }

    #[inline]
    fn write_variable_header(&self, version: Version, w: &mut Writer<'_>) {
        // [MQTT-3.3.2-1] The Topic Name comes first.
        w.binary(self.topic.as_bytes());
        if let Some(pid) = self.pid {
            w.packet_id(pid);
        }
        version.write_properties(&self.props, w);
    }
}

impl Body for Publish<'_> {
    #[inline]
    fn first_byte(&self) -> u8 {
        PacketType::Publish.first_byte()
            | if self.dup { DUP } else { 0 }
            | ((self.qos as u8) << 1)
            | if self.retain { RETAIN } else { 0 }
    }

    #[inline]
    fn check(&self, version: Version) -> Result<(), EncodeError> {
        if self.pid.is_some() != (self.qos > QoS::AtMostOnce) {
            return Err(WireError::BadPacketId.into()); // [MQTT-2.2.1-2]
        }
        // [MQTT-3.3.1-2], [MQTT-4.3.1-1]
        if self.dup && self.qos == QoS::AtMostOnce {
            return Err(WireError::DupAtQoS0.into());
        }
        version.check_properties(&self.props, PropertyContext::Publish)?;
        if self.topic.is_empty() && version.topic_alias(&self.props).is_none() {
            return Err(WireError::NoTopic.into());
        }
        Ok(())
    }

    fn write(&self, version: Version, w: &mut Writer<'_>) {
        self.write_variable_header(version, w);
        w.bytes(self.payload);
    }
}
