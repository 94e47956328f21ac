//! From HTTP to WebSocket [RFC 6455, 4].

use std::fmt;
use std::format;
use std::io;
use std::str::FromStr;
use std::string::{String, ToString};
use std::vec::Vec;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use everlink_proto::engine::Cause;
use sha1::{Digest, Sha1};
use tokio::io::AsyncWriteExt;

use crate::http::{Head, shown};
use crate::road::Wire;

/// `[MQTT-6.0.0-3]`, `[MQTT-6.0.0-4]` The subprotocol.
const PROTOCOL: &str = "mqtt";

/// What a server appends to our key to prove that it knows what a WebSocket is.
const PROOF: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// An HTTP header to send along.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: String,
}

/// A text that is no `Name: value`, or that no header can hold. It is not repeated, as it may hold a
/// secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadHeader;

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header is written \"Name: value\", in ASCII")
    }
}

impl std::error::Error for BadHeader {}

impl fmt::Debug for Header {
    /// Without the value, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header({})", self.name)
    }
}

impl FromStr for Header {
    type Err = BadHeader;

    fn from_str(text: &str) -> Result<Self, BadHeader> {
        let (name, value) = text.split_once(':').ok_or(BadHeader)?;
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let printable = |b: u8| b == b'\t' || (b' '..=b'~').contains(&b);
        if name.is_empty() || !name.bytes().all(token) || !value.bytes().all(printable) {
            return Err(BadHeader);
        }
        Ok(Self { name: name.to_string(), value: value.trim().to_string() })
    }
}

/// Asks for `target`, with these headers besides. Gives the bytes that came behind the answer.
/// Cancel-safe in that the wire must then be dropped.
pub(crate) async fn shake<W: Wire>(
    wire: &mut W,
    host: &str,
    target: &str,
    headers: &[Header],
) -> Result<Vec<u8>, (Cause, Option<String>)> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|error| (Cause::Io(0), Some(error.to_string())))?;
    let key = BASE64_STANDARD.encode(key);
    let mut request = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: {PROTOCOL}\r\n"
    );
    for Header { name, value } in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += "\r\n";
    let broken = |wire: &W, error: io::Error| (wire.cause(&error), None);
    wire.write_all(request.as_bytes()).await.map_err(|error| broken(wire, error))?;
    wire.flush().await.map_err(|error| broken(wire, error))?;
    let head = Head::read(wire).await.map_err(|why| match why {
        crate::http::NoHead::Io(error) => broken(wire, error),
        other => other.explain("the server"),
    })?;
    match judge(&head, &key, target) {
        None => Ok(head.rest),
        Some((cause, line)) => Err((cause, Some(line))),
    }
}

fn judge(head: &Head, key: &str, target: &str) -> Option<(Cause, String)> {
    let answer = head.answer();
    let proof = BASE64_STANDARD.encode(Sha1::digest(format!("{key}{PROOF}")));
    let upgraded = head.has("upgrade", "websocket") && head.has("connection", "upgrade");
    let refusal = match head.status {
        101 if upgraded && head.header("sec-websocket-accept") == Some(&proof) => {
            match head.header("sec-websocket-protocol") {
                Some(PROTOCOL) if head.header("sec-websocket-extensions").is_none() => return None,
                Some(PROTOCOL) => {
                    (Cause::WrongProtocol, "the server uses an extension nobody asked for".into())
                }
                _ => (
                    Cause::WrongProtocol,
                    format!(
                        "there is no MQTT at {target}: the server does not offer the subprotocol {PROTOCOL}"
                    ),
                ),
            }
        }
        101 => (Cause::WrongProtocol, "the server does not speak WebSocket as it should".into()),
        401 | 403 | 407 => (Cause::Denied, format!("the server answers {answer} to GET {target}")),
        // It is there, and may be well again.
        429 | 500.. => (Cause::Refused, format!("the server answers {answer} to GET {target}")),
        300..=399 => {
            let to = shown(head.header("location").unwrap_or("somewhere else"));
            (Cause::WrongProtocol, format!("the server answers {answer} and points to {to}"))
        }
        _ => (
            Cause::WrongProtocol,
            format!("the server answers {answer} to GET {target}, and opens no WebSocket there"),
        ),
    };
    Some(refusal)
}
