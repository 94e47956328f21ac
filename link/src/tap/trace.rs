//! Prints what goes over a link.

use core::fmt;
use core::time::Duration;

use super::{Described, Direction, Packets, Secrets, Seen, Tap};
use crate::buffer::Buffer;

/// Prints every packet on a line of its own: the time in seconds, `->` to the broker or `<-` from it, and
/// the packet in words.
///
/// `clock` tells the time since some start; `out` gets the lines, each with its end, in parts. An `out`
/// that fails loses lines, nothing else.
pub struct Trace<C, W, B> {
    clock: C,
    out: W,
    packets: Packets<B>,
    secrets: Secrets,
    lost: u64,
}

impl<C: FnMut() -> Duration, W: fmt::Write, B: Buffer> Trace<C, W, B> {
    /// With a buffer for each direction; of a packet that is larger, its parts are told.
    ///
    /// # Panics
    /// If a buffer is shorter than [`MIN_BUFFER`](crate::framer::MIN_BUFFER).
    pub fn new(clock: C, out: W, outbound: B, inbound: B) -> Self {
        let packets = Packets::new(outbound, inbound);
        Self { clock, out, packets, secrets: Secrets::Masked, lost: 0 }
    }

    /// Whether secrets are shown; they are not, unless this says so.
    #[must_use]
    pub fn secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = secrets;
        self
    }

    /// Lines that could not be written.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// What the lines go to.
    pub fn get_ref(&self) -> &W {
        &self.out
    }
}

impl<C: FnMut() -> Duration, W: fmt::Write, B: Buffer> Tap for Trace<C, W, B> {
    fn see(&mut self, what: &Seen<'_>) {
        let at = (self.clock)();
        let Self { out, lost, packets, secrets, .. } = self;
        let (seconds, micros) = (at.as_secs(), at.subsec_micros());
        let mut line = |text: fmt::Arguments<'_>| {
            *lost += u64::from(writeln!(out, "{seconds:>4}.{micros:06} {text}").is_err());
        };
        match what {
            Seen::Opening { endpoint } => line(format_args!("-- opening road {endpoint}")),
            Seen::Opened => line(format_args!("-- open")),
            Seen::Failed(Some(fault)) => line(format_args!("-- not opened: {fault}")),
            Seen::Failed(None) => line(format_args!("-- opening given up")),
            Seen::Ended(Some(cause)) => line(format_args!("-- over: {cause}")),
            Seen::Ended(None) => line(format_args!("-- closed")),
            Seen::Cycle(depth) => line(format_args!("-- cycling: {depth:?}")),
            Seen::Bytes(..) => {}
        }
        packets.see(what, |direction, version, frame| {
            let arrow = match direction {
                Direction::Out => "->",
                Direction::In => "<-",
            };
            line(format_args!("{arrow} {}", Described { frame, version, secrets: *secrets }));
        });
    }
}

impl<C, W, B> fmt::Debug for Trace<C, W, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("secrets", &self.secrets).finish_non_exhaustive()
    }
}
