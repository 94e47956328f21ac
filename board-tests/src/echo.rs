//! A TCP server that returns what it gets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// An echo server on a free port of loopback, until the test ends.
#[derive(Debug)]
pub struct EchoServer {
    port: u16,
}

impl EchoServer {
    /// Starts it.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port on loopback");
        let port = listener.local_addr().expect("bound").port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || echo(stream));
            }
        });
        Self { port }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn echo(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut block = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut block) {
        if stream.write_all(&block[..read]).is_err() {
            return;
        }
    }
}
