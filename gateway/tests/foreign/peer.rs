//! An MQTT-SN 1.2 client written from the text alone, octet by octet. It shares nothing with ours: what
//! both get wrong in the same way would otherwise go unseen.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

pub(crate) const SEARCHGW: u8 = 0x01;
pub(crate) const GWINFO: u8 = 0x02;
pub(crate) const CONNECT: u8 = 0x04;
pub(crate) const CONNACK: u8 = 0x05;
pub(crate) const WILLTOPICREQ: u8 = 0x06;
pub(crate) const WILLTOPIC: u8 = 0x07;
pub(crate) const WILLMSGREQ: u8 = 0x08;
pub(crate) const WILLMSG: u8 = 0x09;
pub(crate) const REGISTER: u8 = 0x0A;
pub(crate) const REGACK: u8 = 0x0B;
pub(crate) const PUBLISH: u8 = 0x0C;
pub(crate) const PUBACK: u8 = 0x0D;
pub(crate) const PUBCOMP: u8 = 0x0E;
pub(crate) const PUBREC: u8 = 0x0F;
pub(crate) const PUBREL: u8 = 0x10;
pub(crate) const SUBSCRIBE: u8 = 0x12;
pub(crate) const SUBACK: u8 = 0x13;
pub(crate) const UNSUBSCRIBE: u8 = 0x14;
pub(crate) const UNSUBACK: u8 = 0x15;
pub(crate) const PINGREQ: u8 = 0x16;
pub(crate) const PINGRESP: u8 = 0x17;
pub(crate) const DISCONNECT: u8 = 0x18;
pub(crate) const WILLTOPICUPD: u8 = 0x1A;
pub(crate) const WILLTOPICRESP: u8 = 0x1B;
pub(crate) const WILLMSGUPD: u8 = 0x1C;
pub(crate) const WILLMSGRESP: u8 = 0x1D;

pub(crate) const DUP: u8 = 0x80;
pub(crate) const RETAIN: u8 = 0x10;
pub(crate) const WILL: u8 = 0x08;
pub(crate) const CLEAN: u8 = 0x04;
pub(crate) const PREDEFINED: u8 = 0x01;
pub(crate) const SHORT: u8 = 0x02;

/// Longest wait for any answer.
const LONG: Duration = Duration::from_secs(20);

/// The flags of a quality of service, -1 to 2.
pub(crate) fn qos(level: i8) -> u8 {
    match level {
        -1 => 0x60,
        level => (level as u8) << 5,
    }
}

/// A PUBLISH that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) flags: u8,
    pub(crate) topic: u16,
    pub(crate) msg_id: u16,
    pub(crate) data: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Peer {
    socket: UdpSocket,
    gateway: SocketAddr,
    /// Behind a forwarder, as this node.
    wireless: Option<Vec<u8>>,
    next: std::cell::Cell<u16>,
}

impl Peer {
    pub(crate) fn new(gateway: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        Self { socket, gateway, wireless: None, next: 1.into() }
    }

    /// The same node with another address.
    pub(crate) fn moved(&self) -> Self {
        Self { next: self.next.clone(), ..Self::new(self.gateway) }
    }

    /// A node behind this forwarder.
    pub(crate) fn behind(&self, wireless: &[u8]) -> Self {
        let socket = self.socket.try_clone().unwrap();
        let wireless = Some(wireless.to_vec());
        Self { socket, gateway: self.gateway, wireless, next: 1.into() }
    }

    pub(crate) fn id(&self) -> u16 {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    /// Sends any octets.
    pub(crate) fn raw(&self, octets: &[u8]) {
        self.socket.send_to(octets, self.gateway).unwrap();
    }

    pub(crate) fn send(&self, kind: u8, body: &[&[u8]]) {
        let body = body.concat();
        let mut octets = match u8::try_from(body.len() + 2) {
            Ok(len) => vec![len, kind],
            Err(_) => {
                let len = (body.len() + 4) as u16;
                vec![1, (len >> 8) as u8, len as u8, kind]
            }
        };
        octets.extend(body);
        if let Some(node) = &self.wireless {
            let mut capsule = vec![3 + node.len() as u8, 0xFE, 0];
            capsule.extend(node);
            capsule.extend(octets);
            octets = capsule;
        }
        self.raw(&octets);
    }

    /// The next message, if one comes within `time`.
    pub(crate) fn next_within(&self, time: Duration) -> Option<(u8, Vec<u8>)> {
        let mut room = [0; 4096];
        self.socket.set_read_timeout(Some(time)).unwrap();
        let (len, from) = self.socket.recv_from(&mut room).ok()?;
        assert_eq!(from, self.gateway, "from the gateway");
        let mut octets = &room[..len];
        if let Some(node) = &self.wireless {
            let capsule = usize::from(octets[0]);
            assert_eq!((octets[1], &octets[3..capsule]), (0xFE, node.as_slice()), "the capsule");
            octets = &octets[capsule..];
        }
        let (len, at) = match octets[0] {
            1 => (usize::from(u16::from_be_bytes([octets[1], octets[2]])), 3),
            len => (usize::from(len), 1),
        };
        assert_eq!(len, octets.len(), "the length of {octets:?}");
        Some((octets[at], octets[at + 1..].to_vec()))
    }

    /// The next message, which is of this kind.
    pub(crate) fn expect(&self, kind: u8) -> Vec<u8> {
        let (found, body) =
            self.next_within(LONG).unwrap_or_else(|| panic!("nothing came instead of {kind:#04x}"));
        assert_eq!(found, kind, "the kind of {found:#04x} {body:?}");
        body
    }

    /// Nothing comes for a while.
    pub(crate) fn silence(&self, time: Duration) {
        if let Some((kind, body)) = self.next_within(time) {
            panic!("came unasked: {kind:#04x} {body:?}");
        }
    }

    pub(crate) fn say_connect(&self, id: &str, flags: u8, keep_alive: u16) {
        self.send(CONNECT, &[&[flags, 1], &keep_alive.to_be_bytes(), id.as_bytes()]);
    }

    /// Connects, and is accepted.
    pub(crate) fn connect(&self, id: &str, flags: u8, keep_alive: u16) {
        self.say_connect(id, flags, keep_alive);
        assert_eq!(self.expect(CONNACK), [0], "CONNACK");
    }

    /// Connects with a will, and is accepted.
    pub(crate) fn connect_with_will(
        &self,
        id: &str,
        flags: u8,
        keep_alive: u16,
        will: (u8, &str, &str),
    ) {
        self.say_connect(id, flags | WILL, keep_alive);
        assert!(self.expect(WILLTOPICREQ).is_empty());
        self.send(WILLTOPIC, &[&[will.0], will.1.as_bytes()]);
        assert!(self.expect(WILLMSGREQ).is_empty());
        self.send(WILLMSG, &[will.2.as_bytes()]);
        assert_eq!(self.expect(CONNACK), [0], "CONNACK");
    }

    /// Registers a topic.
    pub(crate) fn register(&self, topic: &str) -> u16 {
        let id = self.id();
        self.send(REGISTER, &[&[0, 0], &id.to_be_bytes(), topic.as_bytes()]);
        let ack = self.expect(REGACK);
        assert_eq!((&ack[2..4], ack[4]), (&id.to_be_bytes()[..], 0), "REGACK");
        u16::from_be_bytes([ack[0], ack[1]])
    }

    pub(crate) fn say_publish(&self, flags: u8, topic: u16, msg_id: u16, data: &[u8]) {
        self.send(PUBLISH, &[&[flags], &topic.to_be_bytes(), &msg_id.to_be_bytes(), data]);
    }

    /// Publishes at QoS 1, and the broker has it. Tells the return code.
    pub(crate) fn publish_1(&self, flags: u8, topic: u16, data: &[u8]) -> u8 {
        let id = self.id();
        self.say_publish(qos(1) | flags, topic, id, data);
        let ack = self.expect(PUBACK);
        assert_eq!(&ack[..4], [topic.to_be_bytes(), id.to_be_bytes()].concat(), "PUBACK");
        ack[4]
    }

    /// Publishes at QoS 2, and the broker has it.
    pub(crate) fn publish_2(&self, flags: u8, topic: u16, data: &[u8]) {
        let id = self.id();
        self.say_publish(qos(2) | flags, topic, id, data);
        assert_eq!(self.expect(PUBREC), id.to_be_bytes());
        self.send(PUBREL, &[&id.to_be_bytes()]);
        assert_eq!(self.expect(PUBCOMP), id.to_be_bytes());
    }

    /// Subscribes, and is granted it. Tells the topic id.
    pub(crate) fn subscribe(&self, level: i8, flags: u8, topic: &[u8]) -> u16 {
        let id = self.id();
        self.send(SUBSCRIBE, &[&[qos(level) | flags], &id.to_be_bytes(), topic]);
        let ack = self.expect(SUBACK);
        assert_eq!((ack[0], &ack[3..5], ack[5]), (qos(level), &id.to_be_bytes()[..], 0), "SUBACK");
        u16::from_be_bytes([ack[1], ack[2]])
    }

    pub(crate) fn unsubscribe(&self, flags: u8, topic: &[u8]) {
        let id = self.id();
        self.send(UNSUBSCRIBE, &[&[flags], &id.to_be_bytes(), topic]);
        assert_eq!(self.expect(UNSUBACK), id.to_be_bytes());
    }

    /// The next PUBLISH, not acknowledged.
    pub(crate) fn published(&self) -> Published {
        let body = self.expect(PUBLISH);
        Published {
            flags: body[0],
            topic: u16::from_be_bytes([body[1], body[2]]),
            msg_id: u16::from_be_bytes([body[3], body[4]]),
            data: body[5..].to_vec(),
        }
    }

    /// The next PUBLISH, acknowledged as its QoS wants.
    pub(crate) fn receive(&self) -> Published {
        let message = self.published();
        let id = message.msg_id.to_be_bytes();
        match message.flags >> 5 & 3 {
            1 => self.send(PUBACK, &[&message.topic.to_be_bytes(), &id, &[0]]),
            2 => {
                self.send(PUBREC, &[&id]);
                assert_eq!(self.expect(PUBREL), id);
                self.send(PUBCOMP, &[&id]);
            }
            _ => {}
        }
        message
    }

    /// The next REGISTER, accepted: topic and its id.
    pub(crate) fn registered(&self) -> (String, u16) {
        let body = self.expect(REGISTER);
        self.send(REGACK, &[&body[..4], &[0]]);
        let id = u16::from_be_bytes([body[0], body[1]]);
        (String::from_utf8(body[4..].to_vec()).unwrap(), id)
    }

    pub(crate) fn ping(&self) {
        self.send(PINGREQ, &[]);
        assert!(self.expect(PINGRESP).is_empty());
    }

    pub(crate) fn disconnect(&self) {
        self.send(DISCONNECT, &[]);
        assert!(self.expect(DISCONNECT).is_empty());
    }

    pub(crate) fn sleep(&self, seconds: u16) {
        self.send(DISCONNECT, &[&seconds.to_be_bytes()]);
        assert!(self.expect(DISCONNECT).is_empty());
    }

    /// Wakes, and takes what there is, at QoS 0 and 1.
    pub(crate) fn fetch(&self, id: &str) -> Vec<Published> {
        self.say_awake(id);
        let mut fetched = Vec::new();
        loop {
            let (kind, body) = self.next_within(LONG).expect("PINGRESP at last");
            match kind {
                PINGRESP => return fetched,
                REGISTER => self.send(REGACK, &[&body[..4], &[0]]),
                PUBLISH => {
                    self.send(PUBACK, &[&body[1..5], &[0]]);
                    let (topic, msg_id) = ([body[1], body[2]], [body[3], body[4]]);
                    fetched.push(Published {
                        flags: body[0],
                        topic: u16::from_be_bytes(topic),
                        msg_id: u16::from_be_bytes(msg_id),
                        data: body[5..].to_vec(),
                    });
                }
                _ => panic!("came unasked: {kind:#04x} {body:?}"),
            }
        }
    }

    pub(crate) fn say_awake(&self, id: &str) {
        self.send(PINGREQ, &[id.as_bytes()]);
    }
}

/// Repeats until it is so; not for ever.
pub(crate) fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
