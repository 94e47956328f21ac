//! A serial line.
//!
//! At its other end something carries bytes to a broker: ser2net, a serial device server, a modem in
//! transparent mode. A line knows no connections. To open one here is to open the device, which raises
//! DTR, and to end one is to close it, which lowers DTR: the other end can tell by that.

use std::format;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::pin::Pin;
use std::string::{String, ToString};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use everlink_proto::engine::{Cause, Fault, Step};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use rustix::termios::{
    ControlModes, OptionalActions, QueueSelector, ioctl_tiocexcl, ioctl_tiocnxcl, tcdrain, tcflush,
    tcgetattr, tcsetattr,
};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::pipe::{StreamPipe, Wire};
use super::{Flow, SerialPort};
use crate::Words;
use crate::tcp::cause_of_pipe;
use crate::words::reason;

/// A line on which nothing comes for so long is silent.
const SILENCE: Duration = Duration::from_millis(30);
/// Longest wait for silence.
const PATIENCE: Duration = Duration::from_millis(500);

/// An open serial port, ours alone.
#[derive(Debug)]
pub(super) struct SerialWire {
    port: AsyncFd<File>,
    device: Arc<str>,
    words: Words,
    /// Waits, on a thread of its own, until all bytes are on the line.
    drained: Option<oneshot::Receiver<()>>,
}

/// Opens the device and drops what an earlier connection left on the line. Cancel-safe.
pub(super) async fn serial(
    port: &SerialPort,
    words: &Words,
) -> Result<StreamPipe<SerialWire>, Fault> {
    let mut wire = wire(port, words)?;
    wire.hush().await.map_err(|error| Fault::new(Step::Link, wire.cause(&error)))?;
    Ok(StreamPipe::new(wire, None))
}

/// Opens the device.
pub(super) fn wire(port: &SerialPort, words: &Words) -> Result<SerialWire, Fault> {
    let failed = |(cause, why): (Cause, String)| {
        words.say(cause, &format!("{}: {why}", port.device));
        Fault::new(Step::Link, cause)
    };
    let file = prepare(port).map_err(failed)?;
    let fd = pollable(file).map_err(|error| failed((cause_of_pipe(&error), reason(&error))))?;
    let device = Arc::from(port.device.as_str());
    Ok(SerialWire { port: fd, device, words: words.clone(), drained: None })
}

/// Deprecated for types that may answer with another descriptor each time; its successor is `unsafe`
/// for all. A `File` always answers with its own.
#[expect(deprecated)]
fn pollable(file: File) -> io::Result<AsyncFd<File>> {
    AsyncFd::new(file)
}

/// The device, locked and set.
fn prepare(port: &SerialPort) -> Result<File, (Cause, String)> {
    // Without waiting for a carrier, and not as the terminal that controls us.
    let flags = (OFlags::NOCTTY | OFlags::NONBLOCK).bits();
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags.cast_signed())
        .open(&port.device);
    let file = opened.map_err(|error| explain(&error, &port.device))?;
    let settings =
        tcgetattr(&file).map_err(|_| (Cause::WrongProtocol, "not a serial port".to_string()))?;
    // Programs that know of locks, and all others.
    if let Err(Errno::WOULDBLOCK) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        return Err(in_use());
    }
    let _ = ioctl_tiocexcl(&file);
    set(&file, settings, port).map_err(|error| {
        (
            Cause::Io(error.raw_os_error()),
            format!("cannot be set to {} bits a second: {error}", port.baud),
        )
    })?;
    Ok(file)
}

fn set(
    file: &File,
    mut settings: rustix::termios::Termios,
    port: &SerialPort,
) -> Result<(), Errno> {
    settings.make_raw();
    settings.control_modes -= ControlModes::CSTOPB | ControlModes::PARENB | ControlModes::CRTSCTS;
    // HUPCL lowers DTR at the end.
    settings.control_modes |=
        ControlModes::CS8 | ControlModes::CREAD | ControlModes::CLOCAL | ControlModes::HUPCL;
    if port.flow == Flow::Hardware {
        settings.control_modes |= ControlModes::CRTSCTS;
    }
    settings.set_speed(port.baud)?;
    // At once: what an earlier user could not send may never be sent.
    tcsetattr(file, OptionalActions::Now, &settings)?;
    tcflush(file, QueueSelector::IOFlush)
}

fn in_use() -> (Cause, String) {
    (Cause::Refused, "in use by another program".to_string())
}

fn explain(error: &io::Error, device: &str) -> (Cause, String) {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NODEV | Errno::NXIO) => {
            (Cause::NotFound, "no such device; is it plugged in?".to_string())
        }
        Some(Errno::BUSY) => in_use(),
        Some(Errno::ACCESS | Errno::PERM) => (Cause::Denied, no_permission(device)),
        _ => (cause_of_pipe(error), reason(error)),
    }
}

fn no_permission(device: &str) -> String {
    let group = std::fs::metadata(device).ok().and_then(|meta| group(meta.gid()));
    let group = group.unwrap_or_else(|| "dialout".to_string());
    format!("permission denied; members of the group {group} may use it (usermod -aG {group} USER)")
}

/// The name of a group, unless it is root's, to which nobody should be added.
fn group(id: u32) -> Option<String> {
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (id != 0 && number.parse() == Ok(id)).then(|| name.to_string())
    })
}

impl SerialWire {
    /// The device once more, for its control lines.
    #[cfg(feature = "esp-at")]
    pub(super) fn share(&self) -> io::Result<OwnedFd> {
        self.port.get_ref().as_fd().try_clone_to_owned()
    }

    /// Drops what comes until the line is silent: the rest of an earlier connection.
    async fn hush(&mut self) -> io::Result<()> {
        let (until, mut scrap) = (Instant::now() + PATIENCE, [0; 512]);
        while Instant::now() < until {
            match timeout(SILENCE, self.read(&mut scrap)).await {
                Ok(read) => read?,
                Err(_) => break,
            };
        }
        Ok(())
    }
}

impl Wire for SerialWire {
    /// The other end of a line never closes.
    const ENDS: bool = false;

    fn cause(&self, error: &io::Error) -> Cause {
        match Errno::from_io_error(error) {
            // Unplugged.
            Some(Errno::IO | Errno::NODEV | Errno::NXIO) => {
                self.words.say(Cause::NotFound, &format!("{}: the device is gone", self.device));
                Cause::NotFound
            }
            _ => cause_of_pipe(error),
        }
    }
}

impl Drop for SerialWire {
    /// Closing would wait, up to half a minute, for bytes that the line does not take.
    fn drop(&mut self) {
        let _ = tcflush(self.port.get_ref(), QueueSelector::IOFlush);
        let _ = ioctl_tiocnxcl(self.port.get_ref());
    }
}

impl AsyncRead for SerialWire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.port.poll_read_ready(cx))?;
            let into = buf.initialize_unfilled();
            match ready.try_io(|port| port.get_ref().read(into)) {
                // A line has no end: the device hung up.
                Ok(Ok(0)) => return Poll::Ready(Err(Errno::NODEV.into())),
                Ok(Ok(n)) => {
                    buf.advance(n);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_) => {}
            }
        }
    }
}

impl AsyncWrite for SerialWire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.port.poll_write_ready(cx))?;
            if let Ok(result) = ready.try_io(|port| port.get_ref().write(buf)) {
                return Poll::Ready(result);
            }
        }
    }

    /// The system has it, and sends it.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Waits until the last byte is on the line. There is only a call that blocks for that.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.drained.is_none() {
            let port: OwnedFd = self.port.get_ref().as_fd().try_clone_to_owned()?;
            let (sender, receiver) = oneshot::channel();
            let wait = move || {
                // Ends at the latest when what waits is thrown away.
                let _ = tcdrain(&port);
                drop(port);
                let _ = sender.send(());
            };
            std::thread::Builder::new().name("everlink-drain".to_string()).spawn(wait)?;
            self.drained = Some(receiver);
        }
        match &mut self.drained {
            Some(drained) => Pin::new(drained).poll(cx).map(|_| Ok(())),
            None => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_to_do() {
        let of = |errno: Errno, device| explain(&errno.into(), device);
        assert_eq!(of(Errno::NOENT, "/dev/ttyUSB9").0, Cause::NotFound);
        assert_eq!(of(Errno::BUSY, "/dev/ttyUSB9"), in_use());
        // A device of nobody's group stands for one of the usual group.
        let (cause, line) = of(Errno::ACCESS, "/dev/does-not-exist");
        assert_eq!(cause, Cause::Denied);
        assert!(
            line.contains("the group dialout") && line.contains("usermod -aG dialout"),
            "{line}"
        );
    }

    #[test]
    fn groups_have_names() {
        assert_eq!(group(0), None);
        assert_eq!(group(u32::MAX), None);
        let groups = std::fs::read_to_string("/etc/group").unwrap();
        if groups.lines().any(|line| line.starts_with("dialout:x:20:")) {
            assert_eq!(group(20).as_deref(), Some("dialout"));
        }
    }

    #[test]
    fn what_is_no_port_is_none() {
        let (cause, line) = prepare(&SerialPort::new("/dev/null")).unwrap_err();
        assert_eq!((cause, &*line), (Cause::WrongProtocol, "not a serial port"));
        let (cause, _) = prepare(&SerialPort::new("/dev/does-not-exist")).unwrap_err();
        assert_eq!(cause, Cause::NotFound);
    }
}
