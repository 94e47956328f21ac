//! The head of an HTTP answer, which is all of HTTP that the way to a broker needs.

use std::format;
use std::io;
use std::string::{String, ToString};
use std::vec::Vec;

use everlink_proto::engine::Cause;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::tcp::cause_of_pipe;

/// A longer head is not read.
const LONGEST: usize = 16 * 1024;
/// Nor one with more headers.
const HEADERS: usize = 100;

/// Status line and headers.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    reason: String,
    #[cfg(feature = "ws")]
    headers: Vec<(String, String)>,
    /// What came behind it.
    pub(crate) rest: Vec<u8>,
}

/// Why there is no head.
#[derive(Debug)]
pub(crate) enum NoHead {
    Io(io::Error),
    TooLong,
    NotHttp,
}

impl NoHead {
    /// Its cause, and one line unless the cause says it all; `who` is the peer.
    pub(crate) fn explain(&self, who: &str) -> (Cause, Option<String>) {
        match self {
            Self::Io(error) => (cause_of_pipe(error), None),
            Self::TooLong => {
                (Cause::WrongProtocol, Some(format!("the answer of {who} has no end")))
            }
            Self::NotHttp => (Cause::WrongProtocol, Some(format!("{who} does not speak HTTP"))),
        }
    }
}

impl Head {
    /// Reads until the head is whole. Not cancel-safe: what was read is lost.
    pub(crate) async fn read<R: AsyncRead + Unpin>(from: &mut R) -> Result<Self, NoHead> {
        let mut bytes = Vec::new();
        loop {
            let mut block = [0; 1024];
            let n = from.read(&mut block).await.map_err(NoHead::Io)?;
            if n == 0 {
                return Err(NoHead::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            bytes.extend_from_slice(&block[..n]);
            if let Some(head) = Self::parse(&bytes)? {
                return Ok(head);
            }
            if bytes.len() > LONGEST {
                return Err(NoHead::TooLong);
            }
        }
    }

    /// The head, if it is whole.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, NoHead> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut answer = httparse::Response::new(&mut headers);
        let length = match answer.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(NoHead::TooLong),
            Err(_) => return Err(NoHead::NotHttp),
        };
        #[cfg(feature = "ws")]
        let header = |h: &httparse::Header<'_>| {
            (h.name.to_string(), String::from_utf8_lossy(h.value).trim().to_string())
        };
        Ok(Some(Self {
            status: answer.code.unwrap_or_default(),
            reason: shown(answer.reason.unwrap_or_default()),
            #[cfg(feature = "ws")]
            headers: answer.headers.iter().map(header).collect(),
            rest: bytes[length..].to_vec(),
        }))
    }

    /// The value of a header that is there once.
    #[cfg(feature = "ws")]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value)
    }

    /// Whether a list of words in a header has this one.
    #[cfg(feature = "ws")]
    pub(crate) fn has(&self, name: &str, word: &str) -> bool {
        let of_name = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let mut words = of_name.flat_map(|(_, value)| value.split(','));
        words.any(|w| w.trim().eq_ignore_ascii_case(word))
    }

    /// Status and reason, as `404 Not Found`.
    pub(crate) fn answer(&self) -> String {
        format!("{} {}", self.status, self.reason).trim().to_string()
    }
}

/// What a stranger says, fit to be shown.
pub(crate) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Head, NoHead> {
        Head::read(&mut &bytes[..]).await
    }

    #[tokio::test]
    async fn a_head_and_what_follows() {
        let head = read(
            b"HTTP/1.1 101 Switching\r\nUpgrade: WebSocket\r\nconnection: a, Upgrade\r\n\r\nxy",
        );
        let head = head.await.unwrap();
        assert_eq!((&*head.answer(), &*head.rest), ("101 Switching", &b"xy"[..]));
        #[cfg(feature = "ws")]
        {
            assert_eq!(head.header("upgrade"), Some("WebSocket"));
            assert_eq!(head.header("other"), None);
            assert!(head.has("Connection", "upgrade") && !head.has("connection", "b"));
        }
    }

    #[tokio::test]
    async fn what_is_none() {
        let io = |r: Result<Head, NoHead>| matches!(r, Err(NoHead::Io(_)));
        assert!(io(read(b"").await) && io(read(b"HTTP/1.1 200 OK\r\n").await));
        assert!(matches!(read(b"SSH-2.0-x\r\n").await, Err(NoHead::NotHttp)));
        assert!(matches!(read(&[0x16; 100]).await, Err(NoHead::NotHttp)));
        let line = "a: b\r\n".repeat(100_000);
        let many = read(format!("HTTP/1.1 200 OK\r\n{line}").as_bytes()).await;
        assert!(matches!(many, Err(NoHead::TooLong)));
        let long = read(format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(100_000)).as_bytes()).await;
        assert!(matches!(long, Err(NoHead::TooLong)));
    }
}
