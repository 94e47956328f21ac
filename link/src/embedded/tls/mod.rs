//! TLS 1.3 over any link, by embedded-tls.
//!
//! The broker must prove that it is who it says: its certificate must be issued by the pinned authority
//! itself and bear the name asked for. Certificates with P-256 keys are understood (RSA would need an
//! allocator). A chain with intermediates is refused, because embedded-tls does not check that an
//! intermediate may issue certificates: pin the authority that issued the broker's.
//!
//! Reads and writes of TLS must not be dropped half-way, so a task of its own does them. Spawn
//! [`Tls::pump`], and give the client the [`link`](super::relay::Relay::link) of the same relay. Its stack
//! takes the handshake: some 12 KiB on a Cortex-M.

use core::cell::RefCell;
use core::convert::Infallible;
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;

use embassy_sync::blocking_mutex::raw::RawMutex;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use embedded_tls::{
    Aes128GcmSha256, MaxFragmentLength, TlsConfig, TlsConnection, TlsContext, TlsError,
};
use everlink_proto::engine::{Cause, Depth, Fault, Step};

use super::race::{Either, race};
use super::relay::{Relay, Request, Want};
use crate::{Link, Pipe, Progress};

pub use self::verify::Authority;
pub use embedded_tls::{CryptoRng, CryptoRngCore, NoClock, TlsClock};

mod verify;

/// TLS records carry so much more than their content, at most.
const OVERHEAD: usize = 256 + 32 + 5;

/// TLS over `link`, for the [pump](Self::pump).
#[derive(Debug)]
pub struct Tls<'a, L, R> {
    link: L,
    authority: Authority<'a>,
    /// The broker's name for each endpoint.
    names: &'a [&'a str],
    random: R,
}

impl<'a, L: Link, R: CryptoRngCore> Tls<'a, L, R> {
    /// TLS over `link` to brokers with these names, an endpoint each (counted around), and with
    /// certificates issued by `authority`. `random` must be a good source: keys come from it.
    pub fn new(link: L, authority: Authority<'a>, names: &'a [&'a str], random: R) -> Self {
        Self { link, authority, names, random }
    }

    /// Serves the client, for ever. `read` holds a TLS record from the broker: 16 640 bytes are always
    /// enough; a shorter one, of at least 805, asks the broker for shorter records, which OpenSSL
    /// heeds. `write` holds a record of ours, and the ClientHello: 1024 bytes do.
    ///
    /// `C` tells the time in seconds of the Unix epoch, to check the certificate's validity;
    /// [`NoClock`] does not check it. Dropping the future drops the connection.
    pub async fn pump<C: TlsClock, M: RawMutex>(
        &mut self,
        relay: &Relay<'_, M>,
        read: &mut [u8],
        write: &mut [u8],
    ) -> Infallible {
        loop {
            let (want, request) = relay.request().await;
            match want {
                Want::Cycle(depth) => {
                    self.cycle(depth, &request).await;
                    request.accept();
                }
                Want::Open(endpoint) => {
                    let connection = self.connection::<C, M>(endpoint, &request, read, write);
                    match race(connection, request.abandoned()).await {
                        Either::First(Err(fault)) => request.fail(fault),
                        Either::First(Ok(())) => request.end(),
                        Either::Second(()) => {}
                    }
                }
            }
        }
    }

    async fn cycle<M: RawMutex>(&mut self, depth: Depth, request: &Request<'_, '_, M>) {
        let _ = race(self.link.cycle(depth), request.abandoned()).await;
    }

    /// One connection, from the first step to its end.
    async fn connection<C: TlsClock, M: RawMutex>(
        &mut self,
        endpoint: u16,
        request: &Request<'_, '_, M>,
        read: &mut [u8],
        write: &mut [u8],
    ) -> Result<(), Fault> {
        let name = usize::from(endpoint).checked_rem(self.names.len());
        let name = *name.and_then(|at| self.names.get(at)).ok_or(fault(Cause::UnknownHost))?;
        let pipe = RefCell::new(open(&mut self.link, endpoint, request).await?);
        request.progress(Step::Tls);
        let mut config = TlsConfig::new().with_server_name(name);
        if let Some(length) = fragment(read.len()) {
            config = config.with_max_fragment_length(length);
        }
        let mut tls = TlsConnection::new(Socket(&pipe), read, write);
        let provider = verify::Provider::<C, _>::new(self.authority, &mut self.random);
        tls.open(TlsContext::new(&config, provider)).await.map_err(|error| fault(cause(error)))?;
        request.accept();
        exchange(&mut tls, request).await?;
        // The client left in order: say so to the broker, too.
        let _ = tls.close().await;
        let mut pipe = pipe.into_inner();
        poll_fn(|cx| pipe.poll_close(cx)).await;
        Ok(())
    }
}

/// Opens the link below, and passes on how far it has come.
async fn open<L: Link, M: RawMutex>(
    link: &mut L,
    endpoint: u16,
    request: &Request<'_, '_, M>,
) -> Result<L::Pipe, Fault> {
    let progress = Progress::new();
    let mut opening = pin!(link.open(endpoint, &progress));
    let mut shown = Step::Idle;
    poll_fn(|cx| {
        let result = opening.as_mut().poll(cx);
        let step = progress.get();
        if core::mem::replace(&mut shown, step) != step {
            request.progress(step);
        }
        result
    })
    .await
}

/// Moves bytes until the broker ends the connection, with an error, or the client has said all.
async fn exchange<P: Pipe, M: RawMutex>(
    tls: &mut TlsConnection<'_, Socket<'_, P>, Aes128GcmSha256>,
    request: &Request<'_, '_, M>,
) -> Result<(), Fault> {
    let (mut reader, mut writer) = tls.split();
    let inward = async {
        loop {
            let mut block = [0; 128];
            match reader.read(&mut block).await {
                Ok(0) => return Cause::Eof,
                Ok(n) => {
                    request.write(block.get(..n).unwrap_or(&[])).await;
                }
                Err(error) => return cause(error),
            }
        }
    };
    let outward = async {
        let mut block = [0; 128];
        while let Some(n) = request.read(&mut block).await {
            writer.write_all(block.get(..n).unwrap_or(&[])).await?;
            writer.flush().await?;
        }
        Ok::<(), TlsError>(())
    };
    match race(inward, outward).await {
        Either::First(cause) => Err(Fault::new(Step::Up, cause)),
        Either::Second(result) => result.map_err(|error| Fault::new(Step::Up, cause(error))),
    }
}

fn fault(cause: Cause) -> Fault {
    Fault::new(Step::Tls, cause)
}

/// What went wrong, as far as it is not TLS itself.
fn cause(error: TlsError) -> Cause {
    match error {
        TlsError::Io(ErrorKind::ConnectionReset) => Cause::Reset,
        TlsError::IoError | TlsError::ConnectionClosed => Cause::Eof,
        TlsError::Io(_) => Cause::Io(0),
        _ => Cause::Tls,
    }
}

/// The longest content of a record that the read buffer holds, if it must be short.
fn fragment(buffer: usize) -> Option<MaxFragmentLength> {
    match buffer.saturating_sub(OVERHEAD) {
        16_347.. => None,
        4096.. => Some(MaxFragmentLength::Bits12),
        2048.. => Some(MaxFragmentLength::Bits11),
        1024.. => Some(MaxFragmentLength::Bits10),
        _ => Some(MaxFragmentLength::Bits9),
    }
}

/// A pipe as embedded-tls wants it: readers and writers share it.
struct Socket<'p, P>(&'p RefCell<P>);

impl<P> Clone for Socket<'_, P> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<P> ErrorType for Socket<'_, P> {
    type Error = ErrorKind;
}

fn kind(cause: Cause) -> ErrorKind {
    match cause {
        Cause::Reset => ErrorKind::ConnectionReset,
        _ => ErrorKind::Other,
    }
}

impl<P: Pipe> Read for Socket<'_, P> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        poll_fn(|cx| match self.0.try_borrow_mut() {
            Ok(mut pipe) => pipe.poll_read(cx, buf).map_err(kind),
            Err(_) => Poll::Ready(Err(ErrorKind::Other)),
        })
        .await
    }
}

impl<P: Pipe> Write for Socket<'_, P> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        poll_fn(|cx| match self.0.try_borrow_mut() {
            Ok(mut pipe) => pipe.poll_write(cx, buf).map_err(kind),
            Err(_) => Poll::Ready(Err(ErrorKind::Other)),
        })
        .await
    }

    /// A pipe sends what it took.
    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}
