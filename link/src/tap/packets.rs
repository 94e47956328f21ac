//! From bytes that are cut anywhere to packets.

use everlink_proto::wire::{Packet, Version};

use super::{Direction, Seen};
use crate::buffer::Buffer;
use crate::framer::{Frame, Framer};

/// Both directions of a connection, packet by packet, and the version they are in.
#[derive(Debug)]
pub struct Packets<B> {
    outbound: Framer<B>,
    inbound: Framer<B>,
    version: Version,
    /// What goes out, and what comes in, cannot be understood any further.
    lost: [bool; 2],
}

impl<B: Buffer> Packets<B> {
    /// With a buffer for each direction; what is larger than one comes [in parts](Frame::Skipped).
    ///
    /// # Panics
    /// If a buffer is shorter than [`MIN_BUFFER`](crate::framer::MIN_BUFFER).
    pub fn new(outbound: B, inbound: B) -> Self {
        Self {
            outbound: Framer::new(outbound),
            inbound: Framer::new(inbound),
            version: Version::V5,
            lost: [false; 2],
        }
    }

    /// The version that the last CONNECT spoke; MQTT 5 before the first.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Takes what a tap saw, and tells every packet that is complete.
    pub fn see(&mut self, what: &Seen<'_>, mut tell: impl FnMut(Direction, Version, Frame<'_>)) {
        let (direction, bytes) = match what {
            Seen::Opened => {
                self.outbound.reset();
                self.inbound.reset();
                self.lost = [false; 2];
                return;
            }
            Seen::Bytes(direction, bytes) => (*direction, *bytes),
            _ => return,
        };
        let (framer, lost) = match direction {
            Direction::Out => (&mut self.outbound, &mut self.lost[0]),
            Direction::In => (&mut self.inbound, &mut self.lost[1]),
        };
        let mut rest = bytes;
        while !rest.is_empty() && !*lost {
            let space = framer.space();
            let n = rest.len().min(space.len());
            let (now, later) = rest.split_at(n);
            space[..n].copy_from_slice(now);
            framer.filled(n);
            rest = later;
            while let Some(frame) = framer.peek() {
                if let (Direction::Out, Frame::Packet(packet)) = (direction, frame)
                    && let Ok((version, _)) = Packet::decode_connect(packet)
                {
                    self.version = version;
                }
                tell(direction, self.version, frame);
                if matches!(frame, Frame::Malformed(_)) {
                    *lost = true;
                    return;
                }
                framer.consume();
            }
        }
    }
}
