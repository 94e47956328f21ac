//! TCP over embassy-net.
//!
//! An attempt waits until the network has a link and an address ([`Step::Link`]), asks for the name
//! ([`Step::Resolve`]), and tries its addresses one after the other ([`Step::Transport`]): first the one
//! over which a byte came last, then the rest in turn. How many addresses a name can have here is
//! smoltcp's `SMOLTCP_DNS_MAX_RESULT_COUNT` at build time, 1 by default.
//!
//! No second task should wait for the same stack's link or configuration for long: embassy-net has
//! room for one, and two wake each other all the time.

use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll};

use embassy_net::dns::DnsQueryType;
use embassy_net::tcp::{ConnectError, TcpSocket};
use embassy_net::{IpAddress, Stack};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use everlink_proto::engine::{Cause, Fault, Step};

use crate::{Link, Pipe, Progress};

/// How long to wait for the name server before the last good address is tried.
const RESOLVE: Duration = Duration::from_secs(4);
/// How long an address is tried if there are others.
const ADDRESS: Duration = Duration::from_secs(3);
/// How long an orderly close waits for the peer to close too.
const LINGER: Duration = Duration::from_secs(1);

/// A broker's name or IPv4 address, and its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint<'e> {
    /// Name or address.
    pub host: &'e str,
    /// TCP port.
    pub port: u16,
}

impl<'e> Endpoint<'e> {
    /// An endpoint.
    pub const fn new(host: &'e str, port: u16) -> Self {
        Self { host, port }
    }
}

/// One socket of the stack, which a [`TcpLink`] uses for one connection after the other. In a static, or
/// wherever it outlives the link.
pub struct TcpCell<'d> {
    stack: Stack<'d>,
    socket: RefCell<TcpSocket<'d>>,
    /// A byte came on the present connection.
    heard: Cell<bool>,
}

impl core::fmt::Debug for TcpCell<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TcpCell").finish_non_exhaustive()
    }
}

impl<'d> TcpCell<'d> {
    /// A socket with a receive and a transmit buffer. The receive buffer is the TCP window: what the
    /// broker may have under way. A segment or two each (1460 bytes) serve well, less works.
    pub fn new(stack: Stack<'d>, receive: &'d mut [u8], transmit: &'d mut [u8]) -> Self {
        let mut socket = TcpSocket::new(stack, receive, transmit);
        // The driver writes whole batches; waiting for more would only delay the last one.
        socket.set_nagle_enabled(false);
        Self { stack, socket: RefCell::new(socket), heard: Cell::new(false) }
    }

    fn abort(&self) {
        // Nobody else holds it: link and pipe take turns.
        if let Ok(mut socket) = self.socket.try_borrow_mut() {
            socket.abort();
        }
    }
}

/// TCP to one of a list of endpoints.
#[derive(Debug)]
pub struct TcpLink<'c, 'd> {
    cell: &'c TcpCell<'d>,
    endpoints: &'c [Endpoint<'c>],
    /// The address over which a byte came last, and whose it is.
    good: Option<(u16, IpAddress)>,
    /// The address tried last.
    tried: Option<IpAddress>,
    /// The address of the last connection.
    trial: Option<(u16, IpAddress)>,
}

impl<'c, 'd> TcpLink<'c, 'd> {
    /// A link to these endpoints; [`Link::open`] counts them from 0, and around. With none, every
    /// attempt fails with [`Cause::UnknownHost`].
    pub fn new(cell: &'c TcpCell<'d>, endpoints: &'c [Endpoint<'c>]) -> Self {
        Self { cell, endpoints, good: None, tried: None, trial: None }
    }

    /// Draws the lesson from the last connection: an address that connects but never says a word is a
    /// dead server behind a live host, or a proxy in its place.
    fn judge(&mut self) {
        let Some(trial) = self.trial.take() else { return };
        if self.cell.heard.get() {
            self.good = Some(trial);
        } else if self.good == Some(trial) {
            self.good = None;
        }
    }

    /// Asks for the addresses of `host`.
    async fn resolve(&self, host: &str) -> Result<Addresses, Cause> {
        let query = self.cell.stack.dns_query(host, DnsQueryType::A);
        let found = match with_timeout(RESOLVE, query).await {
            Err(_) => return Err(Cause::ResolverFailed),
            Ok(Err(embassy_net::dns::Error::Failed)) => return Err(Cause::ResolverFailed),
            Ok(Err(_)) => return Err(Cause::UnknownHost),
            Ok(Ok(found)) => found,
        };
        let mut addresses = Addresses::default();
        found.into_iter().for_each(|address| addresses.push(address));
        if addresses.len == 0 { Err(Cause::UnknownHost) } else { Ok(addresses) }
    }

    /// Tries the addresses until one connects.
    async fn dial(
        &mut self,
        mut addresses: Addresses,
        number: u16,
        port: u16,
    ) -> Result<(), Cause> {
        let good =
            self.good.filter(|(endpoint, _)| *endpoint == number).map(|(_, address)| address);
        addresses.arrange(good, self.tried);
        let mut told = Cause::Unreachable;
        for address in addresses.iter() {
            self.tried = Some(address);
            let connect = connect(self.cell, address, port);
            let result = if addresses.len > 1 {
                with_timeout(ADDRESS, connect).await.unwrap_or(Err(Cause::OpenTimeout))
            } else {
                connect.await
            };
            match result {
                Ok(()) => {
                    self.trial = Some((number, address));
                    return Ok(());
                }
                Err(cause) => told = cause,
            }
        }
        Err(told)
    }
}

impl<'c, 'd> Link for TcpLink<'c, 'd> {
    type Pipe = TcpPipe<'c, 'd>;

    /// Opens a connection. Not bounded in time. A dropped attempt leaves nothing behind.
    async fn open(&mut self, endpoint: u16, progress: &Progress) -> Result<TcpPipe<'c, 'd>, Fault> {
        progress.set(Step::Link);
        self.judge();
        let stack = self.cell.stack;
        stack.wait_link_up().await;
        stack.wait_config_up().await;

        progress.set(Step::Resolve);
        let number = usize::from(endpoint).checked_rem(self.endpoints.len());
        let found = number.and_then(|n| Some((n as u16, *self.endpoints.get(n)?)));
        let Some((number, Endpoint { host, port })) = found else {
            return Err(Fault::new(Step::Resolve, Cause::UnknownHost));
        };
        let looked_up = self.resolve(host).await;
        let last = self.good.filter(|(of, _)| *of == number).map(|(_, address)| address);
        let addresses = match (&looked_up, last) {
            (Ok(addresses), _) => *addresses,
            // Without an answer the last good address is better than none.
            (Err(Cause::ResolverFailed), Some(address)) => Addresses::only(address),
            (Err(cause), _) => return Err(Fault::new(Step::Resolve, *cause)),
        };

        progress.set(Step::Transport);
        match self.dial(addresses, number, port).await {
            Ok(()) => {
                self.cell.heard.set(false);
                Ok(TcpPipe { cell: self.cell, closing: None })
            }
            // The address may be an old one then: the name is what to repair.
            Err(cause) => match looked_up {
                Ok(_) => Err(Fault::new(Step::Transport, cause)),
                Err(cause) => Err(Fault::new(Step::Resolve, cause)),
            },
        }
    }
}

/// Connects; a dropped attempt is aborted.
// Link and pipe take turns with the socket, and both belong to the one driver.
#[allow(clippy::await_holding_refcell_ref)]
async fn connect(cell: &TcpCell<'_>, address: IpAddress, port: u16) -> Result<(), Cause> {
    struct Attempt<'c, 'd>(&'c TcpCell<'d>);
    impl Drop for Attempt<'_, '_> {
        fn drop(&mut self) {
            self.0.abort();
        }
    }

    let attempt = Attempt(cell);
    let Ok(mut socket) = cell.socket.try_borrow_mut() else { return Err(Cause::Io(0)) };
    // One that a dropped pipe left half open would refuse.
    socket.abort();
    let result = socket.connect((address, port)).await;
    drop(socket);
    if result.is_ok() {
        core::mem::forget(attempt);
    }
    result.map_err(|error| match error {
        ConnectError::ConnectionReset => Cause::Refused,
        ConnectError::TimedOut => Cause::OpenTimeout,
        ConnectError::NoRoute => Cause::Unreachable,
        ConnectError::InvalidState => Cause::Io(0),
    })
}

/// An open TCP connection. Dropping it aborts the connection.
#[derive(Debug)]
pub struct TcpPipe<'c, 'd> {
    cell: &'c TcpCell<'d>,
    /// When to wait no longer for the peer to close too.
    closing: Option<Instant>,
}

impl Pipe for TcpPipe<'_, '_> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>> {
        let Ok(mut socket) = self.cell.socket.try_borrow_mut() else {
            return Poll::Ready(Err(Cause::Io(0)));
        };
        // The future keeps nothing between polls, so each poll can have its own.
        let result = pin!(socket.read(buf)).poll(cx);
        if let Poll::Ready(Ok(1..)) = result {
            self.cell.heard.set(true);
        }
        result.map_err(|_| Cause::Reset)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>> {
        let Ok(mut socket) = self.cell.socket.try_borrow_mut() else {
            return Poll::Ready(Err(Cause::Io(0)));
        };
        pin!(socket.write(buf)).poll(cx).map_err(|_| Cause::Reset)
    }

    /// Sends the end of the stream, then reads and drops what still comes until the peer closes or
    /// a second has passed. A reset that overtakes the DISCONNECT would make the broker publish the
    /// will.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = *self.closing.get_or_insert_with(|| {
            if let Ok(mut socket) = self.cell.socket.try_borrow_mut() {
                socket.close();
            }
            Instant::now() + LINGER
        });
        let mut scrap = [0; 64];
        loop {
            match self.poll_read(cx, &mut scrap) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending if Instant::now() >= until => return Poll::Ready(()),
                Poll::Pending => {
                    let _ = pin!(Timer::at(until)).poll(cx);
                    return Poll::Pending;
                }
            }
        }
    }
}

impl Drop for TcpPipe<'_, '_> {
    fn drop(&mut self) {
        self.cell.abort();
    }
}

/// The addresses of a name, in the order to try them.
#[derive(Clone, Copy, Debug, Default)]
struct Addresses {
    list: [Option<IpAddress>; 4],
    len: usize,
}

impl Addresses {
    fn only(address: IpAddress) -> Self {
        let mut addresses = Self::default();
        addresses.push(address);
        addresses
    }

    fn push(&mut self, address: IpAddress) {
        if let Some(slot) = self.list.get_mut(self.len) {
            *slot = Some(address);
            self.len += 1;
        }
    }

    fn iter(&self) -> impl Iterator<Item = IpAddress> {
        self.list.into_iter().flatten()
    }

    /// The good one first, then those after the one tried last.
    fn arrange(&mut self, good: Option<IpAddress>, tried: Option<IpAddress>) {
        let Some(list) = self.list.get_mut(..self.len) else { return };
        if let Some(at) = list.iter().position(|a| tried.is_some() && *a == tried) {
            list.rotate_left(at + 1);
        }
        if let Some(at) = list.iter().position(|a| good.is_some() && *a == good)
            && let Some(front) = list.get_mut(..=at)
        {
            front.rotate_right(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(good: Option<u8>, tried: Option<u8>) -> [u8; 3] {
        let address = |n: u8| IpAddress::v4(10, 0, 0, n);
        let mut addresses = Addresses::default();
        (1..4).for_each(|n| addresses.push(address(n)));
        addresses.arrange(good.map(address), tried.map(address));
        let mut last = [0; 3];
        for (to, from) in last.iter_mut().zip(addresses.iter()) {
            let IpAddress::Ipv4(from) = from;
            *to = from.octets()[3];
        }
        last
    }

    #[test]
    fn the_good_address_first_then_the_others_in_turn() {
        assert_eq!(arranged(None, None), [1, 2, 3]);
        assert_eq!(arranged(None, Some(1)), [2, 3, 1]);
        assert_eq!(arranged(None, Some(3)), [1, 2, 3]);
        assert_eq!(arranged(Some(2), Some(2)), [2, 3, 1]);
        assert_eq!(arranged(Some(1), Some(2)), [1, 3, 2]);
        assert_eq!(arranged(Some(9), Some(9)), [1, 2, 3], "gone from the list");
    }
}
