//! Packets in words.

use core::fmt::{self, Display, Formatter};

use everlink_proto::wire::{
    Ack, AckKind, Auth, ConnAck, Connect, Disconnect, Packet, Properties, Property, Publish,
    ReasonCode, Subscribe, Unsubscribe, Version, Will,
};

use crate::framer::Frame;

/// Whether passwords, authentication data, payloads, correlation data and the values of user properties
/// are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secrets {
    /// Passwords and the like as `***`, payloads by their length.
    #[default]
    Masked,
    /// In clear text, payloads cut short.
    Shown,
}

/// A [`Frame`] on one line, by `Display`.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    /// What is to be described.
    pub frame: Frame<'a>,
    /// The version it is in.
    pub version: Version,
    /// Whether secrets are shown.
    pub secrets: Secrets,
}

impl Display for Described<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let words = Words(self.secrets);
        match self.frame {
            Frame::Packet(bytes) => match Packet::decode(self.version, bytes) {
                Ok(packet) => words.packet(f, &packet),
                Err(error) => write!(f, "{} bytes that are no packet: {error}", bytes.len()),
            },
            Frame::Skipped { head, total } => {
                match Publish::decode_head(self.version, head) {
                    Ok(publish) => words.publish(f, &publish)?,
                    Err(_) => f.write_str("a packet")?,
                }
                write!(f, " ... of {total} bytes in all, in parts")
            }
            Frame::Rest { bytes, left } => {
                write!(f, "... {} bytes, {left} to come", bytes.len())
            }
            Frame::Malformed(error) => write!(f, "what came is no packet: {error}"),
        }
    }
}

/// Bytes of a payload that are shown.
const SHOWN: usize = 80;

struct Words(Secrets);

impl Words {
    fn packet(&self, f: &mut Formatter<'_>, packet: &Packet<'_>) -> fmt::Result {
        match packet {
            Packet::Connect(connect) => self.connect(f, connect),
            Packet::ConnAck(ConnAck { session_present, reason, props }) => {
                write!(f, "CONNACK {reason}")?;
                flag(f, *session_present, "session present")?;
                self.properties(f, props)
            }
            Packet::Publish(publish) => self.publish(f, publish),
            Packet::Ack(ack) => self.ack(f, ack),
            Packet::Subscribe(subscribe) => self.subscribe(f, subscribe),
            Packet::SubAck(ack) => {
                write!(f, "SUBACK #{}", ack.pid)?;
                reasons(f, ack.reasons())?;
                self.properties(f, &ack.props)
            }
            Packet::Unsubscribe(Unsubscribe { pid, props, filters }) => {
                write!(f, "UNSUBSCRIBE #{pid}")?;
                for filter in filters.iter() {
                    write!(f, " {filter:?}")?;
                }
                self.properties(f, props)
            }
            Packet::UnsubAck(ack) => {
                write!(f, "UNSUBACK #{}", ack.pid)?;
                reasons(f, ack.reasons())?;
                self.properties(f, &ack.props)
            }
            Packet::PingReq => f.write_str("PINGREQ"),
            Packet::PingResp => f.write_str("PINGRESP"),
            Packet::Disconnect(Disconnect { reason, props }) => {
                f.write_str("DISCONNECT")?;
                unusual(f, *reason)?;
                self.properties(f, props)
            }
            Packet::Auth(Auth { reason, props }) => {
                write!(f, "AUTH {reason}")?;
                self.properties(f, props)
            }
        }
    }

    fn connect(&self, f: &mut Formatter<'_>, connect: &Connect<'_>) -> fmt::Result {
        write!(f, "CONNECT {:?}, keep alive {} s", connect.client_id, connect.keep_alive)?;
        flag(f, connect.clean_start, "clean start")?;
        if let Some(name) = connect.username {
            write!(f, ", user {name:?}")?;
        }
        if let Some(password) = connect.password {
            f.write_str(", password ")?;
            self.secret(f, password)?;
        }
        if let Some(Will { topic, payload, qos, retain, props }) = &connect.will {
            write!(f, ", will {topic:?} QoS {}", *qos as u8)?;
            flag(f, *retain, "retain")?;
            self.payload(f, payload)?;
            self.properties(f, props)?;
        }
        self.properties(f, &connect.props)
    }

    fn publish(&self, f: &mut Formatter<'_>, publish: &Publish<'_>) -> fmt::Result {
        write!(f, "PUBLISH {:?}", publish.topic)?;
        if let Some(pid) = publish.pid {
            write!(f, " #{pid}")?;
        }
        write!(f, " QoS {}", publish.qos as u8)?;
        flag(f, publish.dup, "dup")?;
        flag(f, publish.retain, "retain")?;
        self.payload(f, publish.payload)?;
        self.properties(f, &publish.props)
    }

    fn ack(&self, f: &mut Formatter<'_>, ack: &Ack<'_>) -> fmt::Result {
        let name = match ack.kind {
            AckKind::PubAck => "PUBACK",
            AckKind::PubRec => "PUBREC",
            AckKind::PubRel => "PUBREL",
            AckKind::PubComp => "PUBCOMP",
        };
        write!(f, "{name} #{}", ack.pid)?;
        unusual(f, ack.reason)?;
        self.properties(f, &ack.props)
    }

    fn subscribe(&self, f: &mut Formatter<'_>, subscribe: &Subscribe<'_>) -> fmt::Result {
        write!(f, "SUBSCRIBE #{}", subscribe.pid)?;
        for (filter, options) in subscribe.filters.iter() {
            write!(f, " {filter:?} QoS {}", options.qos as u8)?;
            flag(f, options.no_local, "no local")?;
            flag(f, options.retain_as_published, "retain as published")?;
        }
        self.properties(f, &subscribe.props)
    }

    fn payload(&self, f: &mut Formatter<'_>, payload: &[u8]) -> fmt::Result {
        write!(f, ", {} bytes", payload.len())?;
        if self.0 == Secrets::Shown && !payload.is_empty() {
            f.write_str(" ")?;
            self.secret(f, payload)?;
        }
        Ok(())
    }

    fn secret(&self, f: &mut Formatter<'_>, secret: &[u8]) -> fmt::Result {
        if self.0 == Secrets::Masked {
            return f.write_str("***");
        }
        let (shown, more) = match secret.split_at_checked(SHOWN) {
            Some((shown, more)) if !more.is_empty() => (shown, true),
            _ => (secret, false),
        };
        write!(f, "\"{}\"", shown.escape_ascii())?;
        f.write_str(if more { "..." } else { "" })
    }

    fn properties(&self, f: &mut Formatter<'_>, properties: &Properties<'_>) -> fmt::Result {
        for property in properties.iter() {
            match property {
                Property::AuthenticationData(data) | Property::CorrelationData(data) => {
                    write!(f, ", {} ", property.name())?;
                    self.secret(f, data)?;
                }
                Property::UserProperty(name, value) => {
                    write!(f, ", {} {name:?}=", property.name())?;
                    self.secret(f, value.as_bytes())?;
                }
                other => write!(f, ", {other:?}")?,
            }
        }
        Ok(())
    }
}

fn flag(f: &mut Formatter<'_>, set: bool, name: &str) -> fmt::Result {
    if set { write!(f, ", {name}") } else { Ok(()) }
}

fn unusual(f: &mut Formatter<'_>, reason: ReasonCode) -> fmt::Result {
    if reason == ReasonCode::SUCCESS { Ok(()) } else { write!(f, " {reason}") }
}

fn reasons(f: &mut Formatter<'_>, reasons: impl Iterator<Item = ReasonCode>) -> fmt::Result {
    for (n, reason) in reasons.enumerate() {
        f.write_str(if n == 0 { " " } else { ", " })?;
        match reason.0 {
            0 => f.write_str("Granted QoS 0")?,
            _ => write!(f, "{reason}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use everlink_proto::wire::{PacketId, QoS};
    use std::string::{String, ToString};

    fn say(bytes: &[u8], secrets: Secrets) -> String {
        Described { frame: Frame::Packet(bytes), version: Version::V5, secrets }.to_string()
    }

    #[test]
    fn packets_read_well_and_keep_their_secrets() {
        let publish = Publish {
            dup: true,
            qos: QoS::ExactlyOnce,
            retain: false,
            topic: "a/b",
            pid: PacketId::new(7),
            props: Properties::EMPTY,
            payload: b"21.5\n",
        };
        let mut bytes = [0; 200];
        let n = publish.encode(Version::V5, &mut bytes).unwrap();
        let masked = r#"PUBLISH "a/b" #7 QoS 2, dup, 5 bytes"#;
        assert_eq!(say(&bytes[..n], Secrets::Masked), masked);
        let shown = std::format!(r#"{masked} "21.5\n""#);
        assert_eq!(say(&bytes[..n], Secrets::Shown), shown);

        let connect = Connect {
            client_id: "shed",
            keep_alive: 60,
            username: Some("anna"),
            password: Some(b"hunter2"),
            ..Connect::default()
        };
        let n = connect.encode(Version::V5, &mut bytes).unwrap();
        let line = say(&bytes[..n], Secrets::Masked);
        assert_eq!(line, r#"CONNECT "shed", keep alive 60 s, user "anna", password ***"#);
        assert!(say(&bytes[..n], Secrets::Shown).ends_with(r#"password "hunter2""#));
        assert_eq!(say(&[0x40, 2, 0, 9], Secrets::Masked), "PUBACK #9");
        assert_eq!(say(&[0x40, 4, 0, 9, 0x87, 0], Secrets::Masked), "PUBACK #9 Not authorized");
        assert_eq!(say(&[0xd0, 0], Secrets::Masked), "PINGRESP");
        assert!(say(&[0x40, 9], Secrets::Masked).contains("no packet"));
    }
}
