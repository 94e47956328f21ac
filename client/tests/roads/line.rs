//! A serial line without wires: a pseudo-terminal, and a name that stays when it is plugged in again.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The far end of a line.
#[derive(Debug)]
pub(crate) struct Line(AsyncFd<File>);

impl Line {
    /// A new device, with `path` as its name.
    pub(crate) fn plug_in(path: &Path) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let end = openpt(flags).expect("a pseudo-terminal");
        grantpt(&end).and_then(|()| unlockpt(&end)).expect("ours");
        // A terminal that nobody has opened echoes; a line does not.
        let mut settings = tcgetattr(&end).expect("a terminal");
        settings.make_raw();
        tcsetattr(&end, OptionalActions::Now, &settings).expect("raw");
        let device = ptsname(&end, Vec::new()).expect("a name").into_string().expect("text");
        // In one step, so that there is always a device.
        let new: PathBuf = path.with_extension("new");
        std::os::unix::fs::symlink(device, &new).expect("a name");
        std::fs::rename(&new, path).expect("the name");
        Self::over(end)
    }

    fn over(end: OwnedFd) -> Self {
        rustix::io::ioctl_fionbio(&end, true).expect("not blocking");
        // As in the link: its successor is unsafe.
        #[expect(deprecated)]
        let end = AsyncFd::new(File::from(end));
        Self(end.expect("a runtime"))
    }

    /// Waits until something comes.
    pub(crate) async fn spoken_to(&self) {
        let mut ready = self.0.readable().await.expect("a runtime");
        // Readiness stays for whoever reads.
        ready.retain_ready();
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(cx))?;
            let into = buf.initialize_unfilled();
            if let Ok(result) = ready.try_io(|end| end.get_ref().read(into)) {
                return Poll::Ready(result.map(|n| buf.advance(n)));
            }
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.0.poll_write_ready(cx))?;
            if let Ok(result) = ready.try_io(|end| end.get_ref().write(buf)) {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
