//! Messages of rtnetlink, as far as they are of use here. All numbers are in the order of this machine.

use std::net::IpAddr;
use std::vec::Vec;

const HEADER: usize = 16;

/// Message types (`linux/netlink.h`, `linux/rtnetlink.h`).
pub(super) const ERROR: u16 = 2;
pub(super) const DONE: u16 = 3;
pub(super) const NEW_LINK: u16 = 16;
pub(super) const DEL_LINK: u16 = 17;
const GET_LINK: u16 = 18;
pub(super) const NEW_ADDRESS: u16 = 20;
pub(super) const DEL_ADDRESS: u16 = 21;
pub(super) const NEW_ROUTE: u16 = 24;
pub(super) const DEL_ROUTE: u16 = 25;
const GET_ROUTE: u16 = 26;

const REQUEST: u16 = 1;
const DUMP: u16 = 0x300;

const ATTRIBUTE_NAME: u16 = 3;
const ADDRESS: u16 = 1;
const ADDRESS_LOCAL: u16 = 2;
const ROUTE_TO: u16 = 1;
const ROUTE_OUT: u16 = 4;

/// Flags of an interface (`linux/if.h`).
const UP: u32 = 1;
const LOOPBACK: u32 = 8;
const LOWER_UP: u32 = 1 << 16;

const INET: u8 = 2;
const INET6: u8 = 10;
const TENTATIVE: u8 = 0x40;
const UNICAST: u8 = 1;
/// A copy for one destination, which comes and goes.
const CLONED: u32 = 0x200;

/// A message: its type and what follows the header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    body: &'a [u8],
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface<'a> {
    pub(super) index: u32,
    pub(super) name: &'a str,
    flags: u32,
}

impl Interface<'_> {
    /// Switched on, and there is something at the other end of the cable.
    pub(super) fn carries(&self) -> bool {
        self.flags & (UP | LOWER_UP) == UP | LOWER_UP
    }

    pub(super) fn is_switched_on(&self) -> bool {
        self.flags & UP != 0
    }

    pub(super) fn is_loopback(&self) -> bool {
        self.flags & LOOPBACK != 0
    }
}

/// The messages in a datagram; what is cut off ends them.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32_at(bytes, 0)? as usize;
        let kind = u16_at(bytes, 4)?;
        let body = bytes.get(HEADER..length)?;
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some(Message { kind, body })
    })
}

impl<'a> Message<'a> {
    /// Of [`NEW_LINK`].
    pub(super) fn interface(&self) -> Option<Interface<'a>> {
        let (index, flags) = (u32_at(self.body, 4)?, u32_at(self.body, 8)?);
        let name = attribute(self.body.get(16..)?, ATTRIBUTE_NAME)?;
        let name = std::str::from_utf8(name.split(|b| *b == 0).next()?).ok()?;
        Some(Interface { index, name, flags })
    }

    /// Of [`NEW_ADDRESS`] and [`DEL_ADDRESS`]: the interface and the address; `None` while it is still to be
    /// seen whether it is free.
    pub(super) fn address(&self) -> Option<(u32, Vec<u8>)> {
        let (flags, index) = (*self.body.get(2)?, u32_at(self.body, 4)?);
        let attributes = self.body.get(8..)?;
        let local = attribute(attributes, ADDRESS_LOCAL).or(attribute(attributes, ADDRESS))?;
        (flags & TENTATIVE == 0).then(|| (index, local.to_vec()))
    }

    /// Of [`NEW_ROUTE`] and [`DEL_ROUTE`]: whether it is one that packets to others take.
    pub(super) fn is_way_out(&self) -> bool {
        let kind = self.body.get(7).copied();
        kind == Some(UNICAST) && u32_at(self.body, 8).is_some_and(|flags| flags & CLONED == 0)
    }

    /// Of the answer to [`get_route`]: the index of the interface.
    pub(super) fn way_out(&self) -> Option<u32> {
        u32_at(attribute(self.body.get(12..)?, ROUTE_OUT)?, 0)
    }
}

/// Asks for all interfaces.
pub(super) fn get_links() -> Vec<u8> {
    request(GET_LINK, REQUEST | DUMP, &[0; 16], &[])
}

/// Asks which way a packet to `to` would go, through the interface `out` if there is one named.
pub(super) fn get_route(to: IpAddr, out: Option<u32>) -> Vec<u8> {
    let (family, octets) = match to {
        IpAddr::V4(ip) => (INET, ip.octets().to_vec()),
        IpAddr::V6(ip) => (INET6, ip.octets().to_vec()),
    };
    let mut body = [0; 12];
    body[0] = family;
    body[1] = octets.len() as u8 * 8;
    let out = out.map(|index| index.to_ne_bytes());
    let mut attributes = Vec::from([(ROUTE_TO, octets.as_slice())]);
    attributes.extend(out.as_ref().map(|index| (ROUTE_OUT, index.as_slice())));
    request(GET_ROUTE, REQUEST, &body, &attributes)
}

fn request(kind: u16, flags: u16, body: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::from([0; HEADER]);
    bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[8..12].copy_from_slice(&1_u32.to_ne_bytes());
    bytes.extend_from_slice(body);
    for (kind, value) in attributes {
        bytes.extend_from_slice(&(4 + value.len() as u16).to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(aligned(bytes.len()), 0);
    }
    let length = bytes.len() as u32;
    bytes[0..4].copy_from_slice(&length.to_ne_bytes());
    bytes
}

/// The value of an attribute among several.
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16_at(bytes, 0)?);
        let value = bytes.get(4..length)?;
        // The upper two bits say how it is nested and ordered.
        if u16_at(bytes, 2)? & 0x3fff == wanted {
            return Some(value);
        }
        bytes = bytes.get(aligned(length)..)?;
    }
}

fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever comes, nothing panics and it ends.
    #[test]
    fn nonsense_is_no_message() {
        let mut seed = 7_u32;
        for length in 0..2000 {
            let bytes: Vec<u8> = (0..length % 200)
                .map(|n| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    // Small lengths, so that some of it looks right.
                    if n % 4 == 0 { (seed >> 24) as u8 % 40 } else { (seed >> 29) as u8 / 4 }
                })
                .collect();
            for message in messages(&bytes) {
                let _ = (message.interface(), message.address());
                let _ = (message.is_way_out(), message.way_out());
            }
        }
    }

    #[test]
    fn a_message_of_no_length_ends_them() {
        assert_eq!(messages(&[0; 64]).count(), 0);
        let whole = get_route(IpAddr::from([192, 0, 2, 1]), Some(3));
        assert_eq!(messages(&whole).count(), 1);
        assert_eq!(messages(&whole[..whole.len() - 1]).count(), 0);
    }

    #[test]
    fn what_is_asked_can_be_read() {
        let whole = get_route(IpAddr::from([192, 0, 2, 1]), Some(3));
        let message = messages(&whole).next().unwrap();
        assert_eq!(message.kind, GET_ROUTE);
        assert_eq!(message.way_out(), Some(3));
        assert_eq!(attribute(&message.body[12..], ROUTE_TO), Some(&[192, 0, 2, 1][..]));
    }
}
