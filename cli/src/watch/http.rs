//! As much of HTTP as Prometheus needs.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use everlink::{Client, prometheus};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::exit::{Failure, say};

/// Bytes of a request, at most.
const REQUEST: usize = 8192;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Answered at a time.
const AT_A_TIME: usize = 8;

/// Answers for as long as the task runs.
pub(super) fn serve(address: SocketAddr, client: Client) -> Result<JoinHandle<()>, Failure> {
    let failure = |e| Failure::usage(format!("--metrics {address}: {e}"));
    let listener = StdListener::bind(address).map_err(failure)?;
    listener.set_nonblocking(true).map_err(failure)?;
    let listener = TcpListener::from_std(listener).map_err(failure)?;
    if let (0, Ok(address)) = (address.port(), listener.local_addr()) {
        say(format_args!("metrics at http://{address}/metrics"));
    }
    Ok(tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(AT_A_TIME));
        loop {
            // Never closed.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let client = client.clone();
                    tokio::spawn(async move {
                        let _ = tokio::time::timeout(PATIENCE, answer(stream, &client)).await;
                        drop(place);
                    });
                }
                // Out of file descriptors, for instance.
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }))
}

async fn answer(mut stream: TcpStream, client: &Client) -> std::io::Result<()> {
    let mut request = Vec::with_capacity(512);
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        if request.len() >= REQUEST || stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let line = request.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split(|b| *b == b'?').next().unwrap_or_default();
    let (status, kind, body) = match (method, path) {
        (b"GET" | b"HEAD", b"/metrics") => {
            ("200 OK", "text/plain; version=0.0.4; charset=utf-8", prometheus(&client.metrics()))
        }
        (b"GET" | b"HEAD", _) => {
            ("404 Not Found", "text/plain", "metrics are at /metrics\n".into())
        }
        _ => ("405 Method Not Allowed", "text/plain", "GET /metrics\n".into()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let body = if method == b"HEAD" { "" } else { &body };
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}
