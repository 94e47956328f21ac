//! The broker sends what is no packet, or none that a broker may send: the connection ends, and MQTT 5
//! is told why.

use everlink_proto::engine::Cause;
use everlink_proto::wire::{Disconnect, Properties, ReasonCode, Version};

use crate::support::*;

/// What no broker may send.
const WRONG: [&[u8]; 14] = [
    // Reserved flags: PUBACK, PUBREL, PINGRESP, DISCONNECT.
    &[0x41, 2, 0, 1],
    &[0x60, 2, 0, 1],
    &[0xD1, 0],
    &[0xE2, 0],
    // Packet type 0; AUTH with flags.
    &[0x00, 0],
    &[0xF1, 0],
    // QoS 3; DUP at QoS 0; Packet Identifier 0.
    &[0x36, 6, 0, 1, b't', 0, 1, 0],
    &[0x38, 4, 0, 1, b't', 0],
    &[0x32, 6, 0, 1, b't', 0, 0, 0],
    // A Topic Name that is no text, that holds U+0000, that has a wildcard.
    &[0x30, 4, 0, 1, 0xFF, 0],
    &[0x30, 4, 0, 1, 0, 0],
    &[0x30, 4, 0, 1, b'#', 0],
    // What only a client sends.
    &[0xC0, 0],
    &[0x82, 6, 0, 1, 0, 1, b't', 0],
];

// [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-2.1.3-1] [MQTT-2.2.1-4] [MQTT-3.3.1-4] [MQTT-3.6.1-1]
// [MQTT-3.14.1-1] [MQTT-3.15.1-1] [MQTT-4.8.0-1] of 3.1.1
#[test]
fn ends_the_connection() {
    for version in VERSIONS {
        for wire in WRONG {
            let reason = ReasonCode::MALFORMED_PACKET;
            let mut s = connected(config(version));
            s.reply_raw(wire);
            if version == Version::V5 {
                s.expect(Disconnect { reason, props: Properties::EMPTY });
            }
            s.expect_end(millis(1));
            let fault = faults(&s).last().map(|fault| fault.cause);
            assert_eq!(fault, Some(Cause::Protocol(reason)), "{version:?} {wire:02x?}");
            assert!(s.inbox.messages.is_empty());
            s.accept(true);
        }
    }
}
