//! Standard output that never holds up the connection.

use std::io::{self, Write};

/// Standard output. A slow or stuck reader delays only whoever awaits [`Output::write`].
#[derive(Debug, Default)]
pub(crate) struct Output {
    closed: bool,
    failure: Option<String>,
}

impl Output {
    /// An output that takes nothing any more.
    pub(crate) fn stuck() -> Self {
        Self { closed: true, failure: None }
    }

    /// Why nothing more can be written, if it is not that the reader has seen enough.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Writes all of `bytes` and flushes, off the connection's thread; gives the emptied buffer back.
    ///
    /// # Errors
    /// Once nobody reads any more, at once and for ever.
    pub(crate) async fn write(&mut self, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        if self.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let written = tokio::task::spawn_blocking(move || {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&bytes)?;
            stdout.flush()?;
            bytes.clear();
            Ok(bytes)
        });
        let result = written.await.unwrap_or_else(|e| Err(io::Error::other(e)));
        if let Err(error) = &result {
            self.closed = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.failure = Some(format!("standard output: {error}"));
            }
        }
        result
    }
}
