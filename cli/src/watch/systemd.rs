//! What systemd is told, if it started us and wants to know: sd_notify(3).

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use everlink::Client;
use tokio::task::JoinHandle;

use crate::exit::{Failure, plain};
use crate::notice::{Change, Changes};

/// Says that the command runs, and keeps systemd informed.
pub(super) fn start(client: &Client) -> Result<Vec<JoinHandle<()>>, Failure> {
    if std::env::var_os("NOTIFY_SOCKET").is_none_or(|path| path.is_empty()) {
        return Ok(Vec::new());
    }
    // What is accepted from now on is kept and delivered, whether or not the broker is there yet.
    notify("READY=1").map_err(|e| Failure::not_done(format!("NOTIFY_SOCKET: {e}")))?;
    let mut tasks = vec![tokio::spawn(status(Changes::of(client)))];
    if let Some(time) = watchdog() {
        tasks.push(tokio::spawn(feed(client.clone(), time)));
    }
    Ok(tasks)
}

/// Says that the command is about to end.
pub(super) fn stopping() {
    let _ = notify("STOPPING=1");
}

/// A line for `systemctl status`.
async fn status(mut changes: Changes) {
    loop {
        let line = match changes.next().await {
            Change::Up { resumed: true, .. } => "connected, session resumed".into(),
            Change::Up { resumed: false, .. } => "connected, new session".into(),
            Change::Down { why, .. } => format!("not connected: {why}"),
        };
        let _ = notify(&format!("STATUS={}", plain(&line)));
    }
}

/// Feeds the watchdog twice in its time, but only if the driver did something meanwhile when asked to: a
/// runtime that runs does not mean that the connection is cared for.
async fn feed(client: Client, time: Duration) {
    loop {
        let before = client.turns();
        client.nudge();
        tokio::time::sleep(time / 2).await;
        if client.turns() != before && !client.state().stopped {
            let _ = notify("WATCHDOG=1");
        }
    }
}

/// How often at least the watchdog wants to hear of this process.
fn watchdog() -> Option<Duration> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|time| ours && *time > 0).map(Duration::from_micros)
}

/// One datagram, to a socket in the file system or an abstract one, whose name begins with `@`.
fn notify(message: &str) -> io::Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&path)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A reader that is stuck must not hold up the connection.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(message.as_bytes(), &address).map(|_| ())
}
