//! Is there a link at all? A look at interfaces and routes that sends nothing.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::string::{String, ToString};
use std::vec::Vec;

use super::wire::{self, DONE, ERROR, Message, NEW_LINK, NEW_ROUTE};
use super::{Socket, count};

/// More parts than any machine's interfaces need.
const PARTS: usize = 4096;

/// Why nothing can get out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// There is no interface of this name.
    Missing(String),
    /// It is switched off.
    Off(String),
    /// It is on, but at its other end is nothing.
    NoCarrier(String),
    /// No interface but loopback carries anything.
    Nothing,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "there is no interface {name}"),
            Self::Off(name) => write!(f, "{name} is down"),
            Self::NoCarrier(name) => write!(f, "{name} has no carrier; is the cable plugged in?"),
            Self::Nothing => f.write_str("no network interface is up; is the cable plugged in?"),
        }
    }
}

/// What is in the way of packets to all of `to`: through `interface`, or whichever way the routes lead. `None`
/// if nothing is, or nobody knows.
pub(crate) fn obstacle(to: &[IpAddr], interface: Option<&str>) -> Option<Obstacle> {
    if to.iter().any(IpAddr::is_loopback) {
        return None;
    }
    look(to, interface).map_err(count).ok().flatten()
}

/// The same for packets to anywhere: an address that belongs to nobody (RFC 5737) goes the default way.
pub(crate) fn way_out(interface: Option<&str>) -> Option<Obstacle> {
    obstacle(&[IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))], interface)
}

fn look(to: &[IpAddr], interface: Option<&str>) -> io::Result<Option<Obstacle>> {
    let socket = Socket::open(0)?;
    let links = links(&socket)?;
    if let Some(name) = interface {
        return Ok(match links.iter().find(|link| link.name == name) {
            None => Some(Obstacle::Missing(name.to_string())),
            Some(link) => link.obstacle(),
        });
    }
    if !links.iter().any(|link| link.carries && !link.is_loopback) {
        return Ok(Some(Obstacle::Nothing));
    }
    let mut found = None;
    for to in to {
        let Some(out) = way(&socket, *to)? else { continue };
        match links.iter().find(|link| link.index == out).and_then(Link::obstacle) {
            Some(obstacle) => found = Some(obstacle),
            None => return Ok(None),
        }
    }
    Ok(found)
}

struct Link {
    index: u32,
    name: String,
    is_loopback: bool,
    is_on: bool,
    carries: bool,
}

impl Link {
    fn obstacle(&self) -> Option<Obstacle> {
        match (self.carries, self.is_on) {
            (true, _) => None,
            (false, true) => Some(Obstacle::NoCarrier(self.name.clone())),
            (false, false) => Some(Obstacle::Off(self.name.clone())),
        }
    }
}

fn links(socket: &Socket) -> io::Result<Vec<Link>> {
    let mut links = Vec::new();
    ask(socket, &wire::get_links(), |message| {
        if message.kind == NEW_LINK
            && let Some(link) = message.interface()
        {
            links.push(Link {
                index: link.index,
                name: link.name.to_string(),
                is_loopback: link.is_loopback(),
                is_on: link.is_switched_on(),
                carries: link.carries(),
            });
        }
        matches!(message.kind, DONE | ERROR)
    })?;
    Ok(links)
}

/// The interface that packets to this address go out from; `None` if there is no way.
fn way(socket: &Socket, to: IpAddr) -> io::Result<Option<u32>> {
    let mut way = None;
    ask(socket, &wire::get_route(to, None), |message| {
        if message.kind == NEW_ROUTE {
            way = message.way_out();
        }
        matches!(message.kind, NEW_ROUTE | ERROR)
    })?;
    Ok(way)
}

/// The kernel answers before the request returns, so nothing has to be waited for.
fn ask(
    socket: &Socket,
    request: &[u8],
    mut last: impl FnMut(&Message<'_>) -> bool,
) -> io::Result<()> {
    socket.send(request)?;
    let mut buf = std::vec![0; 32 * 1024];
    for _ in 0..PARTS {
        let length = socket.receive(&mut buf)?;
        for message in wire::messages(&buf[..length]) {
            if last(&message) {
                return Ok(());
            }
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there_on_every_machine() {
        let socket = Socket::open(0).unwrap();
        let links = links(&socket).unwrap();
        let lo = links.iter().find(|link| link.is_loopback).unwrap();
        assert!(lo.carries && lo.name == "lo");
        assert_eq!(way(&socket, IpAddr::from([127, 0, 0, 1])).unwrap(), Some(lo.index));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let broker = [IpAddr::from([192, 0, 2, 7])];
        let found = obstacle(&broker, Some("nosuch0"));
        assert_eq!(found, Some(Obstacle::Missing("nosuch0".to_string())));
        assert_eq!(obstacle(&broker, Some("lo")), None);
        // Nothing is ever in the way of this machine itself.
        assert_eq!(obstacle(&[IpAddr::from([127, 0, 0, 1])], Some("nosuch0")), None);
    }
}
