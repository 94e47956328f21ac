//! The connection of a module, and what it keeps of it until it is asked.

use std::collections::VecDeque;
use std::io;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::module::{End, State};

/// What the firmware keeps before it holds the sender back.
const KEPT: usize = 5744;

/// A connection.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    kept: VecDeque<u8>,
    /// The host was told of bytes, and has not fetched any since.
    told: bool,
    ended: bool,
}

/// What came from a connection.
pub(super) enum Came {
    Bytes(Vec<u8>),
    End,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, kept: VecDeque::new(), told: false, ended: false }
    }

    /// Waits for bytes, if there is room for them. Cancel-safe.
    pub(super) async fn read(socket: &Option<Self>) -> Came {
        let Some(socket) = socket.as_ref().filter(|s| !s.ended && s.kept.len() < KEPT) else {
            return std::future::pending().await;
        };
        let mut block = vec![0; (KEPT - socket.kept.len()).min(1460)];
        loop {
            if socket.stream.readable().await.is_err() {
                return Came::End;
            }
            match socket.stream.try_read(&mut block) {
                Ok(0) => return Came::End,
                Ok(n) => {
                    block.truncate(n);
                    return Came::Bytes(block);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Came::End,
            }
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    pub(super) fn waiting(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn take(&mut self, n: usize) -> Vec<u8> {
        self.told = false;
        self.kept.drain(..n.min(self.kept.len())).collect()
    }
}

impl State {
    /// Something came from the connection.
    pub(super) async fn came(&mut self, came: Came) -> Result<(), End> {
        let old = self.is_old();
        let Some(socket) = &mut self.socket else { return Ok(()) };
        match came {
            Came::Bytes(bytes) if !self.passive => {
                let mut text = format!("\r\n+IPD,{}:", bytes.len()).into_bytes();
                text.extend(bytes);
                return self.say_raw(&text).await;
            }
            Came::Bytes(bytes) => socket.kept.extend(bytes),
            Came::End => socket.ended = true,
        }
        // Later firmware speaks of the end when everything before it is fetched, old firmware at once.
        if socket.ended && (old || socket.kept.is_empty()) {
            self.socket = None;
            return self.say("CLOSED\r\n").await;
        }
        self.notify().await
    }

    /// Tells the host of bytes, once.
    pub(super) async fn notify(&mut self) -> Result<(), End> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        if socket.kept.is_empty() && socket.ended {
            self.socket = None;
            return self.say("CLOSED\r\n").await;
        }
        if socket.told || socket.kept.is_empty() {
            return Ok(());
        }
        socket.told = true;
        let n = socket.kept.len();
        self.say(&format!("\r\n+IPD,{n}\r\n")).await
    }
}
