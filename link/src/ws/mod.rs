//! MQTT in a WebSocket [RFC 6455; MQTT 5, 6].
//!
//! Frames are a byte stream here: where one begins has nothing to do with where a packet does
//! `[MQTT-6.0.0-2]`, and a frame is handed on as it comes, so its length costs no memory.

mod frame;
mod handshake;
mod pipe;

pub(crate) use handshake::shake;
pub use handshake::{BadHeader, Header};
pub(crate) use pipe::WsPipe;
