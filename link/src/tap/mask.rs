//! What others must not see, written over.

use everlink_proto::wire::{Connect, Packet, Properties, Property, Publish, Version};

/// What stands in the place of a secret, for as long as the secret is: lengths stay, and it is text.
const STAR: u8 = b'*';

/// Writes over the secrets of a whole packet: passwords, authentication data, payloads, correlation data
/// and the values of user properties. Lengths stay, so that it is a packet as before. Of bytes that are no
/// packet, everything behind the first is written over.
pub fn mask(version: Version, packet: &mut [u8]) {
    let mut spans = Spans::default();
    let known = match Packet::decode(version, packet) {
        Ok(Packet::Connect(connect)) => {
            spans.connect(packet, &connect);
            true
        }
        Ok(Packet::Publish(publish)) => {
            spans.publish(packet, &publish);
            true
        }
        Ok(other) => {
            spans.properties(packet, &properties(&other));
            true
        }
        Err(_) => false,
    };
    match known {
        true => spans.write_over(packet),
        false => packet.iter_mut().skip(1).for_each(|byte| *byte = STAR),
    }
}

/// As [`mask`], for a packet of which only the beginning is at hand; what follows is a payload, and
/// a secret as a whole.
pub fn mask_head(version: Version, head: &mut [u8]) {
    let mut spans = Spans::default();
    match Publish::decode_head(version, head) {
        Ok(publish) => spans.publish(head, &publish),
        // The fixed header is five bytes at the most.
        Err(_) => return head.iter_mut().skip(5).for_each(|byte| *byte = STAR),
    }
    spans.write_over(head);
}

/// As [`mask`], for encoded properties without the length in front.
pub fn mask_properties(raw: &mut [u8]) {
    let mut spans = Spans::default();
    spans.properties(raw, &Properties::from_trusted_raw(raw));
    spans.write_over(raw);
}

fn properties<'a>(packet: &Packet<'a>) -> Properties<'a> {
    match packet {
        Packet::ConnAck(p) => p.props,
        Packet::Ack(p) => p.props,
        Packet::Subscribe(p) => p.props,
        Packet::SubAck(p) => p.props,
        Packet::Unsubscribe(p) => p.props,
        Packet::UnsubAck(p) => p.props,
        Packet::Disconnect(p) => p.props,
        Packet::Auth(p) => p.props,
        Packet::Connect(p) => p.props,
        Packet::Publish(p) => p.props,
        Packet::PingReq | Packet::PingResp => Properties::EMPTY,
    }
}

/// Most secrets of one packet that are remembered; a packet with more is written over from there on.
const MOST: usize = 24;

/// Where the secrets are.
#[derive(Default)]
struct Spans {
    spans: [(usize, usize); MOST],
    count: usize,
    overflow: Option<usize>,
}

impl Spans {
    fn connect(&mut self, whole: &[u8], connect: &Connect<'_>) {
        self.properties(whole, &connect.props);
        if let Some(will) = &connect.will {
            self.properties(whole, &will.props);
            self.add(whole, will.payload);
        }
        self.add(whole, connect.password.unwrap_or_default());
    }

    fn publish(&mut self, whole: &[u8], publish: &Publish<'_>) {
        self.properties(whole, &publish.props);
        self.add(whole, publish.payload);
    }

    fn properties(&mut self, whole: &[u8], properties: &Properties<'_>) {
        for property in properties.iter() {
            match property {
                Property::AuthenticationData(data) | Property::CorrelationData(data) => {
                    self.add(whole, data);
                }
                Property::UserProperty(_, value) => self.add(whole, value.as_bytes()),
                _ => {}
            }
        }
    }

    /// `part` is a part of `whole`.
    fn add(&mut self, whole: &[u8], part: &[u8]) {
        let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        if part.is_empty() || start >= whole.len() {
            return;
        }
        match self.spans.get_mut(self.count) {
            Some(span) => {
                *span = (start, start + part.len());
                self.count += 1;
            }
            None => self.overflow = Some(self.overflow.unwrap_or(start).min(start)),
        }
    }

    fn write_over(&self, packet: &mut [u8]) {
        let all = self.spans.iter().take(self.count).copied();
        for (start, end) in all.chain(self.overflow.map(|start| (start, packet.len()))) {
            if let Some(secret) = packet.get_mut(start..end) {
                secret.fill(STAR);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everlink_proto::wire::{PacketId, QoS, Will};

    fn masked(version: Version, packet: Packet<'_>) -> std::vec::Vec<u8> {
        let mut bytes = std::vec![0; 600];
        let n = match packet {
            Packet::Connect(p) => p.encode(version, &mut bytes),
            Packet::Publish(p) => p.encode(version, &mut bytes),
            Packet::Auth(p) => p.encode(version, &mut bytes),
            _ => unreachable!(),
        };
        bytes.truncate(n.unwrap());
        mask(version, &mut bytes);
        bytes
    }

    #[test]
    fn a_masked_connect_is_the_same_but_for_its_secrets() {
        let props = [Property::AuthenticationData(b"key"), Property::UserProperty("who", "me")];
        let method = [Property::AuthenticationMethod("m"), props[0], props[1]];
        let connect = Connect {
            client_id: "shed",
            username: Some("anna"),
            password: Some(b"hunter2"),
            will: Some(Will {
                topic: "gone",
                payload: b"bye",
                qos: QoS::AtLeastOnce,
                retain: true,
                props: Properties::EMPTY,
            }),
            props: Properties::from_list(&method),
            ..Connect::default()
        };
        let bytes = masked(Version::V5, Packet::Connect(connect));
        let (_, seen) = Packet::decode_connect(&bytes).unwrap();
        assert_eq!((seen.client_id, seen.username), ("shed", Some("anna")));
        assert_eq!(seen.password, Some(&b"*******"[..]));
        assert_eq!(seen.will.unwrap().payload, b"***");
        assert_eq!(seen.props.authentication_data(), Some(&b"***"[..]));
        assert_eq!(seen.props.user_properties().next(), Some(("who", "**")));
    }

    #[test]
    fn payloads_go_in_whole_packets_and_in_parts() {
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: "a/b",
            pid: PacketId::new(7),
            props: Properties::EMPTY,
            payload: b"21.5",
        };
        let bytes = masked(Version::V311, Packet::Publish(publish));
        assert!(bytes.ends_with(b"\x00\x03a/b\x00\x07****"), "{bytes:?}");
        let mut head = std::vec![0; 64];
        let n = publish.encode(Version::V5, &mut head).unwrap();
        mask_head(Version::V5, &mut head[..n - 2]);
        assert!(head[..n].ends_with(b"a/b\x00\x07\x00**.5"), "{head:?}");
    }

    #[test]
    fn many_secrets_are_not_too_many() {
        let list: std::vec::Vec<_> =
            (0..40).map(|_| Property::UserProperty("k", "secret")).collect();
        let connect = Connect { props: Properties::from_list(&list), ..Connect::default() };
        let mut bytes = std::vec![0; 4000];
        let n = connect.encode(Version::V5, &mut bytes).unwrap();
        bytes.truncate(n);
        mask(Version::V5, &mut bytes);
        assert!(!bytes.windows(6).any(|w| w == b"secret"));
    }

    #[test]
    fn what_is_no_packet_is_all_secret() {
        let mut bytes = *b"\x10\x05hello";
        mask(Version::V5, &mut bytes);
        assert_eq!(&bytes, b"\x10******");
    }
}
