//! Tells when the network below has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;
use std::vec::Vec;

use tokio::net::UnixDatagram;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::wire::{
    self, DEL_ADDRESS, DEL_LINK, DEL_ROUTE, Message, NEW_ADDRESS, NEW_LINK, NEW_ROUTE,
};
use super::{Socket, count};

/// Links, addresses and routes of IPv4 and IPv6 (`linux/rtnetlink.h`).
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/// Changes come in flocks: so long nothing must follow,
const QUIET: Duration = Duration::from_millis(30);
/// but no longer than this is waited.
const FLOCK: Duration = Duration::from_millis(150);
/// So many reports may follow each other closely,
const BURST: u32 = 4;
/// and one more after each of these.
const REFILL: Duration = Duration::from_secs(2);

/// More interfaces and addresses than are worth remembering: beyond, everything counts as a change.
const REMEMBERED: usize = 1024;

/// Watches the links, addresses and routes of this machine.
///
/// It reports what matters to a connection: an interface that begins or ceases to carry, an address that
/// comes or goes, a change of routes. What the kernel repeats is left out, changes that belong
/// together are one, and there are at most some thirty reports a minute.
#[derive(Debug)]
pub struct Watch {
    /// In the dress of another kind of socket: what counts is that it can be waited for and received from.
    socket: UnixDatagram,
    known: Known,
    allowance: Allowance,
}

impl Watch {
    /// Begins to watch. Must be called within a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// If the system does not permit it; that is counted in [`failures`](super::failures).
    pub fn new() -> io::Result<Self> {
        let socket =
            Socket::open(GROUPS).and_then(|s| UnixDatagram::from_std(s.0.into())).map_err(count)?;
        Ok(Self { socket, known: Known::default(), allowance: Allowance::new(Instant::now()) })
    }

    /// Waits for the next change. Cancel-safe, but for changes of which it knew already.
    ///
    /// # Errors
    /// If the kernel cannot be listened to any more; that is counted.
    pub async fn changed(&mut self) -> io::Result<()> {
        while !self.batch().await? {}
        let end = Instant::now() + FLOCK;
        loop {
            let quiet = end.min(Instant::now() + QUIET);
            match timeout_at(quiet, self.batch()).await {
                Ok(Ok(_)) if Instant::now() < end => {}
                Ok(Err(error)) => return Err(error),
                _ => break,
            }
        }
        // While it waits here the kernel keeps what follows; should that become too much, it says so.
        sleep_until(self.allowance.next(Instant::now())).await;
        Ok(())
    }

    /// Reads what is there; whether something changed by it.
    async fn batch(&mut self) -> io::Result<bool> {
        loop {
            self.socket.readable().await.map_err(count)?;
            // Not kept while it waits: that is most of the time.
            let mut buf = std::vec![0; 16 * 1024];
            match self.socket.try_recv(&mut buf) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Ok(length) => {
                    let mut changed = false;
                    for message in wire::messages(&buf[..length]) {
                        changed |= self.known.learn(&message);
                    }
                    return Ok(changed);
                }
                // It could not keep all that happened.
                Err(e) if e.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) => {
                    return Ok(true);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(count(error)),
            }
        }
    }
}

/// What was told before, to know what is new.
#[derive(Debug, Default)]
struct Known {
    /// Whether an interface carries.
    links: BTreeMap<u32, bool>,
    addresses: BTreeSet<(u32, Vec<u8>)>,
}

impl Known {
    fn learn(&mut self, message: &Message<'_>) -> bool {
        if self.links.len() + self.addresses.len() > REMEMBERED {
            *self = Self::default();
        }
        match message.kind {
            NEW_LINK | DEL_LINK => match message.interface() {
                Some(link) if link.is_loopback() => false,
                Some(link) => {
                    let carries = link.carries() && message.kind == NEW_LINK;
                    self.links.insert(link.index, carries) != Some(carries)
                }
                None => false,
            },
            NEW_ADDRESS => message.address().is_some_and(|a| self.addresses.insert(a)),
            DEL_ADDRESS => {
                if let Some(address) = message.address() {
                    self.addresses.remove(&address);
                }
                true
            }
            NEW_ROUTE | DEL_ROUTE => message.is_way_out(),
            _ => false,
        }
    }
}

/// Bounds how often changes are reported.
#[derive(Debug)]
struct Allowance {
    /// When it would be full again; the past is a full one.
    full: Instant,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self { full: now }
    }

    /// When the next report may be made.
    fn next(&mut self, now: Instant) -> Instant {
        self.full = self.full.max(now) + REFILL;
        (self.full.checked_sub(REFILL * BURST)).map_or(now, |at| at.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_reports_at_once_then_one_every_two_seconds() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let waits: Vec<_> =
            (0..7).map(|_| allowance.next(start).duration_since(start).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 2, 4, 6]);
        let later = start + Duration::from_secs(3600);
        assert_eq!(allowance.next(later), later);
    }
}
