//! HTTP CONNECT.

use std::format;
use std::string::String;
use std::vec::Vec;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use everlink_proto::engine::Cause;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::Refusal;
use crate::endpoint::Endpoint;
use crate::http::Head;
use crate::tcp::cause_of_pipe;

pub(super) async fn connect(
    stream: &mut TcpStream,
    broker: &Endpoint,
    credentials: Option<(&[u8], &[u8])>,
) -> Result<(), Refusal> {
    let mut request = format!("CONNECT {broker} HTTP/1.1\r\nHost: {broker}\r\n");
    if let Some((user, password)) = credentials {
        let pair: Vec<u8> = [user, b":", password].concat();
        request += &format!("Proxy-Authorization: Basic {}\r\n", BASE64_STANDARD.encode(pair));
    }
    request += "\r\n";
    let sent = stream.write_all(request.as_bytes()).await;
    sent.map_err(|error| (cause_of_pipe(&error), None))?;
    let head = Head::read(stream).await.map_err(|why| why.explain("the proxy"))?;
    judge(&head, broker, credentials.is_some())
}

fn judge(head: &Head, broker: &Endpoint, has_credentials: bool) -> Result<(), Refusal> {
    let answer = head.answer();
    let (cause, line): (Cause, String) = match head.status {
        // Neither TLS nor MQTT nor HTTP lets the server speak first.
        200..300 if !head.rest.is_empty() => {
            (Cause::WrongProtocol, "the proxy sends what nobody asked for".into())
        }
        200..300 => return Ok(()),
        407 if has_credentials => {
            (Cause::Denied, "the proxy does not accept our user name and password".into())
        }
        407 => (Cause::Denied, "the proxy wants a user name and a password".into()),
        403 => (Cause::Denied, format!("the proxy allows no connection to {broker} ({answer})")),
        500.. => (Cause::Unreachable, format!("the proxy cannot reach {broker} ({answer})")),
        _ => (Cause::WrongProtocol, format!("the proxy answers {answer} to CONNECT {broker}")),
    };
    Err((cause, Some(line)))
}
