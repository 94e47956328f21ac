//! What the kernel knows about the links of this machine (Linux): [`Watch`] tells when addresses or routes
//! change; before an attempt, `obstacle` finds a cable that is out.
//!
//! It speaks rtnetlink itself, over safe system calls: the few messages it needs are no reason for a
//! further dependency. Where a container does not permit that, nothing is known and nothing fails;
//! [`failures`] counts it.

mod look;
mod watch;
mod wire;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{bind, recv, send, socket_with};

pub(crate) use look::{Obstacle, obstacle, way_out};
pub use watch::Watch;

static FAILURES: AtomicU64 = AtomicU64::new(0);

/// How often the kernel could not be asked or listened to, in this process.
pub fn failures() -> u64 {
    FAILURES.load(Ordering::Relaxed)
}

fn count(error: io::Error) -> io::Error {
    FAILURES.fetch_add(1, Ordering::Relaxed);
    error
}

/// A socket to the kernel that never blocks.
#[derive(Debug)]
struct Socket(OwnedFd);

impl Socket {
    /// Listens to these groups.
    fn open(groups: u32) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // No protocol is number 0, which is that of routes.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self(socket))
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        // A new socket's peer is the kernel.
        send(&self.0, bytes, SendFlags::empty())?;
        Ok(())
    }

    fn receive(&self, buf: &mut [u8]) -> io::Result<usize> {
        let (_, length) = recv(&self.0, &mut *buf, RecvFlags::DONTWAIT)?;
        Ok(length.min(buf.len()))
    }
}
