//! An acknowledgement comes while the packet that it is for is still being written.

use everlink_proto::engine::Cause;
use everlink_proto::session::Config;
use everlink_proto::wire::{ReasonCode, Version};
use everlink_sim::host::Buffers;
use everlink_sim::script::Script;

use crate::support::*;

/// A transmit buffer of 128 bytes, on a path that is as narrow.
fn narrow(version: Version) -> Script<Engine> {
    let cfg = Config { transmit_buffer: 128, ..config(version) };
    let buffers = Buffers { transmit: 128, ..Buffers::default() };
    let mut s = Script::with_buffers(version, engine(cfg), buffers);
    s.accept(false);
    s
}

#[test]
fn nobody_can_acknowledge_what_it_has_not_read() {
    for version in VERSIONS {
        for (qos, ack) in [(Q1, puback(1)), (Q2, pubrec(1))] {
            let mut s = narrow(version);
            s.net.path(0).buffer = 100;
            s.net.path(0).to_server.held = true;
            let tag = s.publish("t", &[b'x'; 1000], qos);
            s.settle();
            s.reply(ack);
            assert_eq!(s.inbox.fate(tag), None, "{version:?} {qos:?}");
            assert_lost(&s, Cause::Protocol(ReasonCode::PROTOCOL_ERROR));
            assert_eq!(s.engine.held(), 1);
        }
    }
}
