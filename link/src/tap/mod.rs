//! Taps: what goes over a link is printed, captured or counted on its way, and broken on purpose.
//!
//! A [`TapLink`] is a link around a link, and its pipes are pipes around pipes: whatever a client, a
//! board or a test has for a link, it can be tapped, and where there is no tap there is no code for one.
//! A [`Tap`] only looks; it cannot hold up or change what it sees, and what it writes to may fail
//! without the connection noticing. The one that interferes is a link of its own, [`FaultLink`]. Around one
//! another they show what each side sees: a trace around a [`FaultLink`] sees the faults, one inside it sees
//! the network as it is.
//!
//! Secrets: [`Trace`] and [`Pcap`] show passwords, authentication data and payloads only when asked to.

mod describe;
mod fault;
mod link;
mod mask;
mod packets;
#[cfg(feature = "std")]
mod pcap;
#[cfg(feature = "std")]
mod spool;
mod trace;

pub use describe::{Described, Secrets};
#[cfg(any(
    feature = "embassy-net",
    feature = "uart",
    feature = "embedded-tls",
    feature = "wifi"
))]
pub use fault::EmbassyAlarm;
#[cfg(feature = "tokio")]
pub use fault::TokioAlarm;
pub use fault::{Alarm, BadPlan, FaultLink, FaultPipe, Plan};
pub use link::{TapLink, TapPipe};
pub use mask::{mask, mask_head, mask_properties};
pub use packets::Packets;
#[cfg(feature = "std")]
pub use pcap::Pcap;
#[cfg(feature = "std")]
pub use spool::{Spool, SpoolStatus, Wrap};
pub use trace::Trace;

use core::cell::RefCell;

use everlink_proto::engine::{Cause, Depth, Fault};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the broker.
    Out,
    /// From the broker.
    In,
}

/// What a tap sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<'a> {
    /// An attempt to open a connection begins.
    Opening {
        /// Which of the endpoints.
        endpoint: u16,
    },
    /// The attempt succeeded.
    Opened,
    /// The attempt failed, or was given up: then there is no fault.
    Failed(Option<Fault>),
    /// Bytes that the pipe took, or gave; cut anywhere.
    Bytes(Direction, &'a [u8]),
    /// The connection is over: it broke, or was dropped by our side.
    Ended(Option<Cause>),
    /// A rung of the recovery ladder is climbed.
    Cycle(Depth),
}

/// Looks at what goes over a link.
///
/// It is called in the middle of reading and writing, so it must be quick, and never wait.
pub trait Tap {
    /// Something happened.
    fn see(&mut self, what: &Seen<'_>);
}

/// None.
impl Tap for () {
    fn see(&mut self, _: &Seen<'_>) {}
}

/// None or one.
impl<T: Tap> Tap for Option<T> {
    fn see(&mut self, what: &Seen<'_>) {
        if let Some(tap) = self {
            tap.see(what);
        }
    }
}

/// One, then the other.
impl<A: Tap, B: Tap> Tap for (A, B) {
    fn see(&mut self, what: &Seen<'_>) {
        self.0.see(what);
        self.1.see(what);
    }
}

/// For a link that stays on one thread.
impl<T: Tap> Tap for &RefCell<T> {
    fn see(&mut self, what: &Seen<'_>) {
        // Borrowed only here, and a tap does not call its link.
        if let Ok(mut tap) = self.try_borrow_mut() {
            tap.see(what);
        }
    }
}

/// For a link that may move between threads.
#[cfg(feature = "std")]
impl<T: Tap> Tap for std::sync::Arc<std::sync::Mutex<T>> {
    fn see(&mut self, what: &Seen<'_>) {
        self.lock().unwrap_or_else(std::sync::PoisonError::into_inner).see(what);
    }
}
