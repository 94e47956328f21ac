//! What is on the link.
//!
//! Every frame but a hello begins with five octets:
//!
//! | octet | bits 7-6 | 5-4 | 3-2 | 1 | 0 |
//! |---|---|---|---|---|---|
//! | 0 | version (1) | kind | channel | first fragment | last fragment |
//! | 1 | sequence number (7-4) | | next one expected (3-0) | | |
//! | 2 | which of it and the three after it are here (7-4, lowest bit first) | | 0 | 0 | answer at once (0) |
//! | 3-4 | tag of the two epochs | | | | |
//!
//! and then, in data, a fragment of a message. A hello is octet 0, the sender's epoch, the other end's
//! as far as it is known (else 0), the largest frame and the largest message it can take, its window. Bit 0 of octet
//! 0 asks for a hello in return.

/// Octets in front of a fragment.
pub const HEADER: usize = 5;
/// Octets of a hello.
pub(crate) const HELLO: usize = 14;
/// Sequence numbers are modulo this.
const NUMBERS: u8 = 16;
const VERSION: u8 = 1;

/// What a message is for. Each end serves the channels it knows and ignores the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// The two ends themselves: state of the link and the broker, time, statistics.
    Control,
    /// MQTT-SN, one message each.
    Sn,
    /// Byte streams through the gateway.
    Tunnel,
    /// The application's own.
    User,
}

impl Channel {
    const ALL: [Self; 4] = [Self::Control, Self::Sn, Self::Tunnel, Self::User];

    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    pub(crate) fn of(number: u8) -> Self {
        Self::ALL[usize::from(number & 3)]
    }
}

/// How far `later` is behind `earlier`.
pub(crate) const fn distance(earlier: u8, later: u8) -> u8 {
    later.wrapping_sub(earlier) % NUMBERS
}

/// The sequence number `by` behind `number`.
pub(crate) const fn after(number: u8, by: u8) -> u8 {
    number.wrapping_add(by) % NUMBERS
}

/// A number both ends make of both epochs: what carries another one is of another life.
pub(crate) const fn tag(one: u32, other: u32) -> u16 {
    (one.wrapping_add(other).wrapping_mul(0x9E37_79B1) >> 16) as u16
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) epoch: u32,
    /// The receiver's epoch, 0 if the sender does not know it.
    pub(crate) known: u32,
    pub(crate) frame: u16,
    pub(crate) message: u16,
    pub(crate) window: u8,
    /// The receiver is to say hello in turn.
    pub(crate) answer: bool,
}

/// Part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) number: u8,
    pub(crate) channel: Channel,
    pub(crate) first: bool,
    pub(crate) last: bool,
}

/// What every frame but a hello says besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// The next sequence number expected.
    pub(crate) next: u8,
    /// Which of it and the three after it are here, lowest bit first.
    pub(crate) here: u8,
    /// The receiver is to answer at once.
    pub(crate) answer: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Hello(Hello),
    /// Of the tag; with a fragment, if it is not for the report alone.
    Ordinary(u16, Report, Option<(Fragment, &'a [u8])>),
}

const KIND_HELLO: u8 = 0;
const KIND_DATA: u8 = 1;
const KIND_REPORT: u8 = 2;

impl<'a> Frame<'a> {
    /// `None` if it is none of this version.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&head, rest) = bytes.split_first()?;
        if head >> 6 != VERSION {
            return None;
        }
        let kind = (head >> 4) & 3;
        if kind == KIND_HELLO {
            return Hello::read(head, rest).map(Self::Hello);
        }
        let ([numbers, report, high, low], payload) = rest.split_first_chunk()?;
        let report = Report { next: numbers & 15, here: report >> 4, answer: report & 1 != 0 };
        let tag = u16::from_be_bytes([*high, *low]);
        let fragment = Fragment {
            number: numbers >> 4,
            channel: Channel::of(head >> 2),
            first: head & 2 != 0,
            last: head & 1 != 0,
        };
        match kind {
            KIND_DATA => Some(Self::Ordinary(tag, report, Some((fragment, payload)))),
            KIND_REPORT if payload.is_empty() => Some(Self::Ordinary(tag, report, None)),
            _ => None,
        }
    }

    /// Writes it to the front of `out`; its length. `None`: there is no room.
    pub(crate) fn write(&self, out: &mut [u8]) -> Option<usize> {
        let (tag, report, fragment) = match self {
            Self::Hello(hello) => return hello.write(out),
            Self::Ordinary(tag, report, fragment) => (tag, report, fragment),
        };
        let (kind, number, payload) = match fragment {
            Some((fragment, payload)) => {
                let ends = (u8::from(fragment.first) << 1) | u8::from(fragment.last);
                let kind = (KIND_DATA << 4) | (fragment.channel.number() << 2) | ends;
                (kind, fragment.number, *payload)
            }
            None => (KIND_REPORT << 4, 0, &[][..]),
        };
        let [high, low] = tag.to_be_bytes();
        let numbers = (number << 4) | report.next;
        let here = (report.here << 4) | u8::from(report.answer);
        let head = [(VERSION << 6) | kind, numbers, here, high, low];
        let len = HEADER + payload.len();
        let (front, back) = out.get_mut(..len)?.split_at_mut(HEADER);
        front.copy_from_slice(&head);
        back.copy_from_slice(payload);
        Some(len)
    }
}

impl Hello {
    fn read(head: u8, bytes: &[u8]) -> Option<Self> {
        let (epoch, rest) = bytes.split_first_chunk()?;
        let (known, rest) = rest.split_first_chunk()?;
        let [f0, f1, m0, m1, window] = *rest else { return None };
        let hello = Self {
            epoch: u32::from_be_bytes(*epoch),
            known: u32::from_be_bytes(*known),
            frame: u16::from_be_bytes([f0, f1]),
            message: u16::from_be_bytes([m0, m1]),
            window,
            answer: head & 1 != 0,
        };
        let sane = hello.epoch != 0 && usize::from(hello.frame) > HEADER && hello.window > 0;
        sane.then_some(hello)
    }

    fn write(&self, out: &mut [u8]) -> Option<usize> {
        let ([e0, e1, e2, e3], [k0, k1, k2, k3]) =
            (self.epoch.to_be_bytes(), self.known.to_be_bytes());
        let ([f0, f1], [m0, m1]) = (self.frame.to_be_bytes(), self.message.to_be_bytes());
        let head = (VERSION << 6) | (KIND_HELLO << 4) | u8::from(self.answer);
        let bytes = [head, e0, e1, e2, e3, k0, k1, k2, k3, f0, f1, m0, m1, self.window];
        out.get_mut(..HELLO)?.copy_from_slice(&bytes);
        Some(HELLO)
    }
}
