//! A serial line without wires: a pseudo-terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::io::unix::AsyncFd;

/// The module's end of the line.
#[derive(Debug)]
pub(super) struct Pty {
    end: AsyncFd<File>,
    /// With the other end open, too, nothing happens here when a program closes it.
    _other: File,
    name: PathBuf,
}

impl Pty {
    /// A new device, with `path` as its name.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let end = openpt(flags)?;
        grantpt(&end)?;
        unlockpt(&end)?;
        // A terminal that nobody has opened echoes; a line does not.
        let mut settings = tcgetattr(&end)?;
        settings.make_raw();
        tcsetattr(&end, OptionalActions::Now, &settings)?;
        let device = ptsname(&end, Vec::new())?;
        let device = device.into_string().map_err(|_| io::ErrorKind::InvalidData)?;
        rustix::io::ioctl_fionbio(&end, true)?;
        let no_control = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
        let other =
            OpenOptions::new().read(true).write(true).custom_flags(no_control).open(&device)?;
        // In one step, so that there is always a device.
        let new = path.with_extension("new");
        std::os::unix::fs::symlink(device, &new)?;
        std::fs::rename(&new, path)?;
        // Deprecated for types that may answer with another descriptor each time.
        #[expect(deprecated)]
        let end = AsyncFd::new(File::from(end))?;
        Ok(Self { end, _other: other, name: path.to_path_buf() })
    }

    /// Waits for bytes. Cancel-safe.
    pub(super) async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.end.readable().await?;
            if let Ok(result) = ready.try_io(|end| end.get_ref().read(buf)) {
                return result;
            }
        }
    }

    /// Writes what there is room for, at least one byte. Cancel-safe.
    pub(super) async fn write(&self, buf: &[u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.end.writable().await?;
            if let Ok(result) = ready.try_io(|end| end.get_ref().write(buf)) {
                return result;
            }
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.name);
    }
}
