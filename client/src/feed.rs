//! From the receive buffer to the engine.

use everlink_link::{Buffer, Frame, Framer};
use everlink_proto::engine::{Engine, Handled, Inbox, Input};
use everlink_proto::time::Instant;

use crate::transmit::Transmit;

/// Tells the engine what came, packet by packet, until it is busy.
pub(crate) fn feed<B: Buffer, E: Engine>(
    engine: &mut E,
    inbox: &mut impl Inbox,
    now: Instant,
    rx: &mut Framer<B, E::Framing>,
    tx: &Transmit<B>,
    (alive, wrote, busy): (&mut bool, &mut bool, &mut bool),
) {
    if core::mem::take(wrote) {
        let _ = engine.handle(now, Input::Wrote { pending: tx.pending().len() }, inbox);
    }
    if core::mem::take(alive) {
        let _ = engine.handle(now, Input::Alive, inbox);
    }
    *busy = false;
    while let Some(frame) = rx.peek() {
        let malformed = matches!(frame, Frame::Malformed(_));
        let input = match frame {
            Frame::Packet(bytes) => Input::Packet(bytes),
            Frame::Skipped { head, total } => Input::Skipped { head, total },
            Frame::Rest { bytes, left } => Input::Rest { bytes, left },
            Frame::Malformed(error) => Input::Malformed(error),
        };
        if engine.handle(now, input, inbox) == Handled::Busy {
            *busy = true;
            return;
        }
        if malformed {
            return;
        }
        rx.consume();
    }
}
