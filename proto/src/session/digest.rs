//! What a received message is known by when it comes again.

use crate::wire::Publish;

/// Tells most messages apart that have the same Packet Identifier. Not of the Topic Name, which
/// may be behind an alias.
pub(super) fn digest(publish: &Publish<'_>) -> u16 {
    const LOOKED_AT: usize = 64;
    let (payload, len) = (publish.payload, publish.payload.len());
    let head = payload.get(..len.min(LOOKED_AT)).unwrap_or(&[]);
    let tail = payload.get(len.saturating_sub(LOOKED_AT)..).unwrap_or(&[]);
    let hash = head
        .iter()
        .chain(tail)
        .fold(len as u32, |h, b| (h ^ u32::from(*b)).wrapping_mul(0x0100_0193));
    (hash ^ hash >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Properties, QoS};

    fn of(payload: &[u8]) -> u16 {
        let (topic, props) = ("t", Properties::EMPTY);
        let qos = QoS::ExactlyOnce;
        digest(&Publish { dup: false, qos, retain: false, topic, pid: None, props, payload })
    }

    /// FNV-1a without its offset, over the length, the first and the last 64 bytes.
    #[test]
    fn a_digest_is_of_both_ends_and_the_length() {
        assert_eq!([of(b""), of(b"a"), of(b"ab")], [0, 31421, 1125]);
        let (mut long, other) = ([0; 200], [0; 201]);
        let same = of(&long);
        assert_ne!(same, of(&other));
        long[100] = 1;
        assert_eq!(same, of(&long));
        long[199] = 1;
        assert_ne!(same, of(&long));
        long[199] = 0;
        long[0] = 1;
        assert_ne!(same, of(&long));
    }
}
