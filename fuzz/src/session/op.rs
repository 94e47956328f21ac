//! What an application, a network and a broker may do.

use arbitrary::Arbitrary;

/// One step.
#[derive(Arbitrary, Debug)]
pub(super) enum Op {
    /// The application.
    Open,
    Close,
    Reconnect,
    Ping,
    Publish {
        topic: u8,
        qos: u8,
        len: u8,
        retain: bool,
        expiry: Option<u8>,
    },
    Subscribe(u8),
    Unsubscribe(u8),
    Acknowledge(u8),
    Room(Option<u8>),
    Manual(bool),
    Distrust(bool),
    /// The network.
    Opened,
    OpenFailed,
    Lost,
    Wrote(u8),
    Time(u8),
    NextTimer,
    /// The broker.
    ConnAck {
        present: bool,
        refused: bool,
        receive_maximum: Option<u8>,
        packet_size: Option<u8>,
        qos1: bool,
        alias: bool,
    },
    Ack {
        kind: u8,
        pid: u8,
        reason: u8,
    },
    Message {
        topic: u8,
        qos: u8,
        pid: u8,
        dup: bool,
        len: u8,
        alias: Option<u8>,
    },
    Answer {
        unsubscribe: bool,
        pid: u8,
        code: u8,
    },
    Pong,
    Disconnect(u8),
    Bytes(Vec<u8>),
    Skipped(u8),
    Malformed,
}
