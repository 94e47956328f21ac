//! Any message: decoding by its type, and what encoding has in common.

use super::frame::{message_len, open};
use super::{
    Advertise, Connect, EncodeError, Forward, GwInfo, MAX_MESSAGE, MsgType, PubAck, Publish,
    RegAck, Register, ReturnCode, SubAck, Subscribe, Unsubscribe, Version, WillTopic, WireError,
};
use crate::wire::reader::Reader;
use crate::wire::writer::Writer;

/// An MQTT-SN message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the messages")]
pub enum Message<'a> {
    Advertise(Advertise),
    /// With the broadcast radius; 0 is the whole network.
    SearchGw(u8),
    GwInfo(GwInfo<'a>),
    Connect(Connect<'a>),
    ConnAck(ReturnCode),
    WillTopicReq,
    /// `None` deletes the Will.
    WillTopic(Option<WillTopic<'a>>),
    WillMsgReq,
    /// With the Will message.
    WillMsg(&'a [u8]),
    Register(Register<'a>),
    RegAck(RegAck),
    Publish(Publish<'a>),
    PubAck(PubAck),
    /// With the MsgId, as the two below.
    PubRec(u16),
    PubRel(u16),
    PubComp(u16),
    Subscribe(Subscribe<'a>),
    SubAck(SubAck),
    Unsubscribe(Unsubscribe<'a>),
    /// With the MsgId.
    UnsubAck(u16),
    /// With the client identifier, if a sleeping client asks for what is kept for it (6.14).
    PingReq(Option<&'a str>),
    PingResp,
    /// With the seconds that the client will sleep, if it will.
    Disconnect(Option<u16>),
    /// `None` deletes the Will.
    WillTopicUpd(Option<WillTopic<'a>>),
    /// With the new Will message.
    WillMsgUpd(&'a [u8]),
    WillTopicResp(ReturnCode),
    WillMsgResp(ReturnCode),
    /// A message in the capsule of a forwarder.
    Forward(Forward<'a>),
}

impl<'a> Message<'a> {
    /// Decodes `bytes`, exactly one message with its header.
    ///
    /// # Errors
    /// Why the octets are no message of this version. A datagram that is none is dropped; MQTT-SN has
    /// no answer to it.
    pub fn decode(version: Version, bytes: &'a [u8]) -> Result<Self, WireError> {
        let (kind, mut r) = open(version, bytes)?;
        let message = match kind {
            MsgType::Forward => {
                let capsule = *bytes.first().ok_or(WireError::Truncated)?;
                Self::Forward(Forward::read(version, capsule, &mut r)?)
            }
            _ => Self::read(version, kind, &mut r)?,
        };
        r.end().map(|()| message)
    }

    fn read(version: Version, kind: MsgType, r: &mut Reader<'a>) -> Result<Self, WireError> {
        Ok(match kind {
            MsgType::Publish => Self::Publish(Publish::read(version, r)?),
            MsgType::PubAck => Self::PubAck(PubAck::read(r)?),
            MsgType::PubRec => Self::PubRec(r.u16()?),
            MsgType::PubRel => Self::PubRel(r.u16()?),
            MsgType::PubComp => Self::PubComp(r.u16()?),
            MsgType::Register => Self::Register(Register::read(r)?),
            MsgType::RegAck => Self::RegAck(RegAck::read(r)?),
            MsgType::Subscribe => Self::Subscribe(Subscribe::read(version, r)?),
            MsgType::SubAck => Self::SubAck(SubAck::read(version, r)?),
            MsgType::Unsubscribe => Self::Unsubscribe(Unsubscribe::read(version, r)?),
            MsgType::UnsubAck => Self::UnsubAck(r.u16()?),
            MsgType::PingReq => Self::PingReq(ping_client(version, r)?),
            MsgType::PingResp => Self::PingResp,
            _ => Self::read_rare(version, kind, r)?,
        })
    }

    /// What stands at the beginning and the end of a connection.
    fn read_rare(version: Version, kind: MsgType, r: &mut Reader<'a>) -> Result<Self, WireError> {
        Ok(match kind {
            MsgType::Advertise => Self::Advertise(Advertise::read(r)?),
            MsgType::SearchGw => Self::SearchGw(r.u8()?),
            MsgType::GwInfo => Self::GwInfo(GwInfo::read(r)?),
            MsgType::Connect => Self::Connect(Connect::read(version, r)?),
            MsgType::ConnAck => Self::ConnAck(ReturnCode(r.u8()?)),
            MsgType::WillTopicReq => Self::WillTopicReq,
            MsgType::WillTopic => Self::WillTopic(WillTopic::read(version, r)?),
            MsgType::WillMsgReq => Self::WillMsgReq,
            MsgType::WillMsg => Self::WillMsg(r.take_rest()),
            MsgType::Disconnect if r.is_empty() => Self::Disconnect(None),
            MsgType::Disconnect => Self::Disconnect(Some(r.u16()?)),
            MsgType::WillTopicUpd => Self::WillTopicUpd(WillTopic::read(version, r)?),
            MsgType::WillTopicResp => Self::WillTopicResp(ReturnCode(r.u8()?)),
            MsgType::WillMsgUpd => Self::WillMsgUpd(r.take_rest()),
            MsgType::WillMsgResp => Self::WillMsgResp(ReturnCode(r.u8()?)),
            _ => return Err(WireError::BadPacketType),
        })
    }

    /// Writes the message to the start of `out` and tells its length.
    ///
    /// # Errors
    /// [`EncodeError::NoSpace`] if `out` is too small, [`EncodeError::TooLong`] above
    /// [`MAX_MESSAGE`], [`EncodeError::Invalid`] if a peer would not take it.
    pub fn encode(&self, version: Version, out: &mut [u8]) -> Result<usize, EncodeError> {
        self.check(version)?;
        let needed = self.encoded_len(version);
        if self.has_no_length() || (needed > MAX_MESSAGE && self.kind() != MsgType::Forward) {
            return Err(EncodeError::TooLong);
        }
        if out.len() < needed {
            return Err(EncodeError::NoSpace { needed });
        }
        let mut w = Writer::new(out);
        self.write_length(needed, &mut w);
        w.u8(version.msg_type_octet(self.kind()));
        self.write(version, &mut w);
        w.finish()
    }

    /// Octets of the whole message; huge but never wrapped if fields are too long.
    pub fn encoded_len(&self, version: Version) -> usize {
        if let Self::Forward(forward) = self {
            return forward.total_len();
        }
        let mut counter = Writer::counter();
        self.write(version, &mut counter);
        message_len(counter.written())
    }

    /// Its type.
    pub const fn kind(&self) -> MsgType {
        match self {
            Self::Advertise(_) => MsgType::Advertise,
            Self::SearchGw(_) => MsgType::SearchGw,
            Self::GwInfo(_) => MsgType::GwInfo,
            Self::Connect(_) => MsgType::Connect,
            Self::ConnAck(_) => MsgType::ConnAck,
            Self::WillTopicReq => MsgType::WillTopicReq,
            Self::WillTopic(_) => MsgType::WillTopic,
            Self::WillMsgReq => MsgType::WillMsgReq,
            Self::WillMsg(_) => MsgType::WillMsg,
            Self::Register(_) => MsgType::Register,
            Self::RegAck(_) => MsgType::RegAck,
            Self::Publish(_) => MsgType::Publish,
            Self::PubAck(_) => MsgType::PubAck,
            Self::PubRec(_) => MsgType::PubRec,
            Self::PubRel(_) => MsgType::PubRel,
            Self::PubComp(_) => MsgType::PubComp,
            Self::Subscribe(_) => MsgType::Subscribe,
            Self::SubAck(_) => MsgType::SubAck,
            Self::Unsubscribe(_) => MsgType::Unsubscribe,
            Self::UnsubAck(_) => MsgType::UnsubAck,
            Self::PingReq(_) => MsgType::PingReq,
            Self::PingResp => MsgType::PingResp,
            Self::Disconnect(_) => MsgType::Disconnect,
            Self::WillTopicUpd(_) => MsgType::WillTopicUpd,
            Self::WillTopicResp(_) => MsgType::WillTopicResp,
            Self::WillMsgUpd(_) => MsgType::WillMsgUpd,
            Self::WillMsgResp(_) => MsgType::WillMsgResp,
            Self::Forward(_) => MsgType::Forward,
        }
    }

    /// Whether a peer would accept it.
    fn check(&self, version: Version) -> Result<(), WireError> {
        match self {
            Self::Connect(m) => m.check(version),
            Self::WillTopic(Some(m)) | Self::WillTopicUpd(Some(m)) => m.check(),
            Self::Register(m) => m.check(),
            Self::Publish(m) => m.check(),
            Self::Subscribe(m) => m.check(),
            Self::Unsubscribe(m) => m.check(),
            Self::PingReq(Some(id)) => version.check_client_id(id),
            Self::Forward(m) => m.check(version),
            _ => Ok(()),
        }
    }

    /// A capsule whose node identifier does not fit.
    fn has_no_length(&self) -> bool {
        matches!(self, Self::Forward(forward) if forward.capsule_len().is_none())
    }

    fn write_length(&self, total: usize, w: &mut Writer<'_>) {
        match (self, u8::try_from(total)) {
            (Self::Forward(forward), _) => w.u8(forward.capsule_len().unwrap_or_default()),
            (_, Ok(total)) => w.u8(total),
            (_, Err(_)) => {
                w.u8(1);
                w.u16(total as u16);
            }
        }
    }

    /// Writes what follows the MsgType.
    fn write(&self, version: Version, w: &mut Writer<'_>) {
        match self {
            Self::Advertise(m) => m.write(w),
            Self::SearchGw(radius) => w.u8(*radius),
            Self::GwInfo(m) => m.write(w),
            Self::Connect(m) => m.write(version, w),
            Self::ConnAck(code) | Self::WillTopicResp(code) | Self::WillMsgResp(code) => {
                w.u8(code.0);
            }
            Self::WillTopic(Some(m)) | Self::WillTopicUpd(Some(m)) => m.write(version, w),
            Self::WillMsg(data) | Self::WillMsgUpd(data) => w.bytes(data),
            Self::Register(m) => m.write(w),
            Self::RegAck(m) => m.write(w),
            Self::Publish(m) => m.write(version, w),
            Self::PubAck(m) => m.write(w),
            Self::PubRec(id) | Self::PubRel(id) | Self::PubComp(id) | Self::UnsubAck(id) => {
                w.u16(*id);
            }
            Self::Subscribe(m) => m.write(version, w),
            Self::SubAck(m) => m.write(version, w),
            Self::Unsubscribe(m) => m.write(version, w),
            Self::PingReq(Some(id)) => w.bytes(id.as_bytes()),
            Self::Disconnect(Some(duration)) => w.u16(*duration),
            Self::Forward(m) => m.write(w),
            Self::WillTopicReq
            | Self::WillMsgReq
            | Self::PingResp
            | Self::WillTopic(None)
            | Self::WillTopicUpd(None)
            | Self::PingReq(None)
            | Self::Disconnect(None) => {}
        }
    }
}

fn ping_client<'a>(version: Version, r: &mut Reader<'a>) -> Result<Option<&'a str>, WireError> {
    if r.is_empty() {
        return Ok(None);
    }
    let id = r.rest_as_str()?;
    version.check_client_id(id).map(|()| Some(id))
}
