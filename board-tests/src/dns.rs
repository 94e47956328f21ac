//! A name server that answers Ethernet frames.

use std::collections::HashMap;
use std::net::Ipv4Addr;

/// The names it knows.
#[derive(Debug, Default)]
pub(crate) struct Names {
    addresses: HashMap<String, Ipv4Addr>,
    /// It hears and does not answer.
    pub(crate) silent: bool,
    /// How often it was asked.
    pub(crate) questions: usize,
}

/// What the name server makes of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The frame is for somebody else.
    NotAsked,
    /// It was asked and says nothing.
    Silence,
    /// The frame to send back.
    Frame(Vec<u8>),
}

impl Names {
    pub(crate) fn set(&mut self, name: &str, address: Option<Ipv4Addr>) {
        match address {
            Some(address) => self.addresses.insert(name.into(), address),
            None => self.addresses.remove(name),
        };
    }

    /// Answers questions for an address of type A, whichever server they are sent to.
    pub(crate) fn reply(&mut self, frame: &[u8]) -> Reply {
        let Some((headers, query)) = Headers::parse(frame) else { return Reply::NotAsked };
        let Some((name, question)) = parse_question(query) else { return Reply::NotAsked };
        self.questions += 1;
        if self.silent {
            return Reply::Silence;
        }
        Reply::Frame(headers.reply(&message(query, question, self.addresses.get(&name))))
    }
}

/// Everything in front of a DNS message.
struct Headers<'a> {
    ethernet: &'a [u8],
    ip: &'a [u8],
    udp: &'a [u8],
}

const UDP: u8 = 17;

impl<'a> Headers<'a> {
    /// Takes a frame with a question apart; `None` when it is anything else.
    fn parse(frame: &'a [u8]) -> Option<(Self, &'a [u8])> {
        const IPV4: [u8; 2] = [0x08, 0x00];
        let (ethernet, packet) = frame.split_at_checked(14)?;
        let (ip, rest) = packet.split_at_checked(20)?;
        if ethernet[12..] != IPV4 || ip[9] != UDP {
            return None;
        }
        let options = (usize::from(ip[0] & 0x0f) * 4).checked_sub(ip.len())?;
        let (udp, rest) = rest.get(options..)?.split_at_checked(8)?;
        if udp[2..4] != 53u16.to_be_bytes() {
            return None;
        }
        // An Ethernet frame may be longer than what it carries.
        let length = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
        Some((Self { ethernet, ip, udp }, rest.get(..length.checked_sub(8)?)?))
    }

    /// A frame the other way round, with `message`.
    fn reply(&self, message: &[u8]) -> Vec<u8> {
        let length = (message.len() as u16 + 8).to_be_bytes();
        let mut frame = [&self.ethernet[6..12], &self.ethernet[..6], &self.ethernet[12..]].concat();
        frame.extend(self.ip_header(message.len() as u16 + 28));
        // No checksum, which IPv4 permits.
        frame.extend([&self.udp[2..4], &self.udp[..2], &length, &[0, 0], message].concat());
        frame
    }

    fn ip_header(&self, length: u16) -> Vec<u8> {
        let [high, low] = length.to_be_bytes();
        let mut header = vec![0x45, 0, high, low, 0, 0, 0, 0, 64, UDP, 0, 0];
        header.extend([&self.ip[16..20], &self.ip[12..16]].concat());
        let words = header.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
        let sum: u32 = words.sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        header[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
        header
    }
}

/// The name asked for, and the question as it stands in the message.
fn parse_question(query: &[u8]) -> Option<(String, &[u8])> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?));
        at += length;
    }
    // Type and class follow.
    Some((labels.join("."), query.get(12..at + 4)?))
}

fn message(query: &[u8], question: &[u8], address: Option<&Ipv4Addr>) -> Vec<u8> {
    const NO_ERROR: u8 = 0;
    const UNKNOWN_NAME: u8 = 3;
    let (code, answers) = if address.is_some() { (NO_ERROR, 1) } else { (UNKNOWN_NAME, 0) };
    // A response, recursion desired and available; one question.
    let mut message = vec![query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0];
    message.extend(question);
    if let Some(address) = address {
        // The name of the question, A, IN, valid for 1 s, 4 bytes.
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        message.extend(address.octets());
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From 10.0.2.15:4660 to 10.0.2.3:53, id 0x0102: who is a.b?
    fn question() -> Vec<u8> {
        let mut frame = [[0x52, 0x55, 10, 0, 2, 3], [0x52, 0x54, 0, 0x12, 0x34, 0x56]].concat();
        frame.extend([8, 0, 0x45, 0, 0, 49, 0, 0, 0, 0, 64, UDP, 0, 0]);
        frame.extend([10, 0, 2, 15, 10, 0, 2, 3, 0x12, 0x34, 0, 53, 0, 29, 0, 0]);
        frame.extend([1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 1, b'b', 0, 0, 1, 0, 1]);
        frame
    }

    #[test]
    fn a_question_is_answered_the_other_way_round() {
        let mut names = Names::default();
        names.set("a.b", Some(Ipv4Addr::new(1, 2, 3, 4)));
        let Reply::Frame(frame) = names.reply(&question()) else { panic!("no answer") };
        assert_eq!(frame[..12], [0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x52, 0x55, 10, 0, 2, 3]);
        assert_eq!(frame[26..34], [10, 0, 2, 3, 10, 0, 2, 15]);
        assert_eq!(frame[34..38], [0, 53, 0x12, 0x34]);
        assert_eq!(
            (&frame[42..44], frame[45], &frame[frame.len() - 4..]),
            (&[1, 2][..], 0x80, &[1, 2, 3, 4][..])
        );
        // The sum over a right header is all ones.
        let words =
            frame[14..34].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
        let sum: u32 = words.sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }

    #[test]
    fn an_unknown_name_and_silence_are_told_apart() {
        let mut names = Names::default();
        let Reply::Frame(frame) = names.reply(&question()) else { panic!("no answer") };
        assert_eq!(frame[45] & 0x0f, 3);
        names.silent = true;
        assert_eq!((names.reply(&question()), names.questions), (Reply::Silence, 2));
    }

    #[test]
    fn frames_for_others_and_broken_ones_are_let_through() {
        let mut names = Names::default();
        let question = question();
        for length in 0..question.len() {
            assert_eq!(names.reply(&question[..length]), Reply::NotAsked, "{length}");
        }
        // ARP, a header too short, TCP, another port.
        for (at, byte) in [(13, 6), (14, 0x44), (23, 6), (37, 54)] {
            let mut other = question.clone();
            other[at] = byte;
            assert_eq!(names.reply(&other), Reply::NotAsked, "{at}");
        }
    }
}
