//! SOCKS5. All lengths are bytes, so nothing a proxy says can be large.

use std::format;
use std::io;
use std::net::IpAddr;
use std::string::{String, ToString};
use std::vec::Vec;

use everlink_proto::engine::Cause;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Refusal;
use crate::endpoint::Endpoint;
use crate::tcp::cause_of_pipe;

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const PASSWORD: u8 = 2;
const NONE_OF_THEM: u8 = 0xff;

pub(super) async fn connect(
    stream: &mut TcpStream,
    broker: &Endpoint,
    credentials: Option<(&[u8], &[u8])>,
) -> Result<(), Refusal> {
    let offer: &[u8] = match credentials {
        None => &[VERSION, 1, NO_AUTHENTICATION],
        Some(_) => &[VERSION, 2, NO_AUTHENTICATION, PASSWORD],
    };
    let [version, method] = ask(stream, offer).await?;
    if version != VERSION {
        return Err(refusal(Cause::WrongProtocol, "the proxy does not speak SOCKS5"));
    }
    match (method, credentials) {
        (NO_AUTHENTICATION, _) => {}
        (PASSWORD, Some((user, password))) => log_in(stream, user, password).await?,
        (NONE_OF_THEM, None) => {
            return Err(refusal(Cause::Denied, "the proxy wants a user name and a password"));
        }
        (NONE_OF_THEM, _) => {
            return Err(refusal(Cause::Denied, "the proxy wants to know us in another way"));
        }
        _ => return Err(refusal(Cause::WrongProtocol, "the proxy does not speak SOCKS5")),
    }
    let [_, verdict, _, kind] = ask(stream, &request(broker)).await?;
    if verdict != 0 {
        return Err(judge(verdict, broker));
    }
    // The address it connects from, which nobody needs.
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await.map_err(broken)?),
        _ => return Err(refusal(Cause::WrongProtocol, "the proxy does not speak SOCKS5")),
    };
    let mut rest = [0; 255 + 2];
    stream.read_exact(&mut rest[..length + 2]).await.map_err(broken)?;
    Ok(())
}

/// [RFC 1929]
async fn log_in(stream: &mut TcpStream, user: &[u8], password: &[u8]) -> Result<(), Refusal> {
    // `Proxy` has checked the lengths.
    let mut request = Vec::from([1, user.len() as u8]);
    request.extend_from_slice(user);
    request.push(password.len() as u8);
    request.extend_from_slice(password);
    match ask(stream, &request).await? {
        [_, 0] => Ok(()),
        _ => Err(refusal(Cause::Denied, "the proxy does not accept our user name and password")),
    }
}

fn request(broker: &Endpoint) -> Vec<u8> {
    let mut request = Vec::from([VERSION, 1, 0]);
    match broker.host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => {
            request.push(1);
            request.extend_from_slice(&ip.octets());
        }
        Ok(IpAddr::V6(ip)) => {
            request.push(4);
            request.extend_from_slice(&ip.octets());
        }
        Err(_) => {
            // A name has at most 253 bytes.
            request.extend_from_slice(&[3, broker.host.len() as u8]);
            request.extend_from_slice(broker.host.as_bytes());
        }
    }
    request.extend_from_slice(&broker.port.to_be_bytes());
    request
}

async fn ask<const N: usize>(stream: &mut TcpStream, what: &[u8]) -> Result<[u8; N], Refusal> {
    stream.write_all(what).await.map_err(broken)?;
    let mut answer = [0; N];
    stream.read_exact(&mut answer).await.map_err(broken)?;
    Ok(answer)
}

fn judge(verdict: u8, broker: &Endpoint) -> Refusal {
    let (cause, why) = match verdict {
        2 => (Cause::Denied, "its rules do not allow it"),
        3 => (Cause::Unreachable, "network unreachable"),
        4 => (Cause::Unreachable, "host unreachable"),
        5 => (Cause::Refused, "connection refused"),
        6 => (Cause::Unreachable, "it took too long"),
        7 | 8 => (Cause::WrongProtocol, "it does not know how"),
        _ => (Cause::Unreachable, "general failure"),
    };
    (cause, Some(format!("the proxy makes no connection to {broker}: {why}")))
}

fn broken(error: io::Error) -> Refusal {
    (cause_of_pipe(&error), None)
}

fn refusal(cause: Cause, line: &str) -> Refusal {
    let line: String = line.to_string();
    (cause, Some(line))
}
