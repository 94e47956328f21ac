//! Where bytes go: the [`Link`] to a broker and the [`Pipe`] it opens.
//!
//! The core is `no_std` and allocates nothing: the two traits, [`Progress`] and the [`framer`] that
//! cuts a byte stream into packets. Feature `std` adds [`endpoint`], [`road`] and [`url`]; feature `tokio`
//! adds [`tcp`], [`udp`] and the link over any road, features `tls`, `ws`, `proxy` and `serial` what it goes over,
//! [`uplink`] and features `commands` and `netlink` what lies below; [`tap`] prints, captures and breaks what
//! goes over any of them. `embedded` has links of boards, `modem` WiFi modules
//! for boards and Linux. A link decides nothing about *when* to connect or give up: that is the
//! engine's.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![forbid(unsafe_code)]

mod buffer;
#[cfg(any(feature = "embassy-net", feature = "uart", feature = "embedded-tls", feature = "wifi"))]
pub mod embedded;
#[cfg(feature = "std")]
pub mod endpoint;
pub mod framer;
#[cfg(any(feature = "ws", feature = "proxy"))]
mod http;
#[cfg(feature = "modem")]
pub mod modem;
#[cfg(all(target_os = "linux", feature = "netlink"))]
pub mod netlink;
#[cfg(any(feature = "modem", feature = "wifi"))]
mod network;
mod progress;
#[cfg(feature = "proxy")]
pub mod proxy;
#[cfg(feature = "std")]
pub mod road;
pub mod tap;
#[cfg(feature = "tokio")]
pub mod tcp;
#[cfg(feature = "tether")]
pub mod tether;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "tokio")]
pub mod udp;
#[cfg(feature = "tokio")]
pub mod uplink;
#[cfg(feature = "std")]
pub mod url;
#[cfg(feature = "std")]
mod words;
#[cfg(feature = "ws")]
pub mod ws;

use core::future::Future;
use core::task::{Context, Poll};

use everlink_proto::engine::{Cause, Depth, Fault};

pub use buffer::Buffer;
#[cfg(any(feature = "std", test))]
pub use buffer::Elastic;
#[cfg(feature = "std")]
pub use endpoint::Endpoint;
pub use framer::{Frame, Framer};
pub use progress::Progress;
#[cfg(feature = "proxy")]
pub use proxy::Proxy;
#[cfg(feature = "std")]
pub use road::Road;
#[cfg(feature = "tokio")]
pub use road::{RoadLink, RoadPipe};
pub use tap::{Tap, TapLink, TapPipe};
#[cfg(feature = "tokio")]
pub use tcp::{TcpLink, TcpPipe};
#[cfg(feature = "tokio")]
pub use udp::{UdpLink, UdpPipe};
#[cfg(feature = "tokio")]
pub use uplink::Uplink;
#[cfg(feature = "std")]
pub use url::Url;
#[cfg(feature = "std")]
pub use words::Words;

/// An open connection: bytes both ways.
///
/// Every method is cancel-safe: a call that answers `Pending` has read, written and kept nothing,
/// and need never be repeated. Dropping a pipe aborts the connection without ceremony; bytes it took
/// may or may not arrive. [`poll_close`](Self::poll_close) is the orderly end.
pub trait Pipe {
    /// Reads what is there into `buf`, at most its length; `Ok(0)` means that the peer closed.
    /// `buf` must not be empty.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>>;

    /// Takes as many bytes from the front of `buf` as there is room for, at least one unless `buf`
    /// is empty.
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>>;

    /// Sends what the pipe took and still holds, if it holds anything. It is called when there is
    /// nothing more to write.
    #[inline]
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Ends in order: everything written goes out, then the end of the stream. Takes a bounded time.
    /// Afterwards the pipe is of no use.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// A way to reach one of the configured endpoints.
pub trait Link {
    /// What [`open`](Self::open) gives.
    type Pipe: Pipe;

    /// Opens a connection to an endpoint, and says by `progress` how far it has come.
    ///
    /// It may wait for as long as the network makes it wait: the caller bounds it. Cancel-safe:
    /// dropping the future abandons the attempt and leaks nothing.
    fn open(
        &mut self,
        endpoint: u16,
        progress: &Progress,
    ) -> impl Future<Output = Result<Self::Pipe, Fault>>;

    /// Climbs a rung of the recovery ladder: takes the link, or the device that makes it, down and
    /// up again. No pipe is open meanwhile. The default has nothing to cycle.
    ///
    /// Cancel-safe in that the next call does the whole rung again.
    fn cycle(&mut self, depth: Depth) -> impl Future<Output = ()> {
        let _ = depth;
        async {}
    }

    /// Finds out whether a connection to this endpoint can be opened, while another pipe of this link is in
    /// use; `true` only if it is open. It may be kept for the next [`open`](Self::open). The default is a
    /// link that cannot have two.
    ///
    /// It may wait for as long as the network makes it wait. Cancel-safe: dropping the future abandons the
    /// trial.
    fn try_out(&mut self, endpoint: u16) -> impl Future<Output = bool> {
        let _ = endpoint;
        async { false }
    }

    /// Where the link puts into words what a [`Fault`] cannot hold, if it does.
    #[cfg(feature = "std")]
    fn words(&self) -> Option<Words> {
        None
    }

    /// The broker said to use another server; `server` is the Server Reference of MQTT 5, a list
    /// of `host[:port]` separated by spaces. The next [`open`](Self::open) goes there; `permanent`
    /// replaces the list of endpoints. Returns `false` if it cannot be used.
    fn redirect(&mut self, server: &str, permanent: bool) -> bool {
        let _ = (server, permanent);
        false
    }
}
