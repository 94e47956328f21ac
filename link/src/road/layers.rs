//! What lies between a road and TCP.

#[cfg(any(feature = "tls", feature = "ws"))]
use std::boxed::Box;
#[cfg(feature = "ws")]
use std::string::{String, ToString};

use everlink_proto::engine::Fault;
#[cfg(any(feature = "ws", feature = "tls", feature = "proxy"))]
use everlink_proto::engine::Step;
use tokio::net::TcpStream;

use super::pipe::Kind;
#[cfg(feature = "tls")]
use super::pipe::StreamPipe;
#[cfg(feature = "ws")]
use super::pipe::Wire;
use crate::endpoint::Endpoint;
#[cfg(feature = "ws")]
use crate::endpoint::HTTP_PORT;
#[cfg(all(feature = "ws", feature = "tls"))]
use crate::endpoint::HTTPS_PORT;
use crate::tcp::{Heard, TcpPipe};
use crate::{Progress, TcpLink, Words};

/// The same for all roads of a link.
#[derive(Debug, Default)]
pub(super) struct Layers {
    #[cfg(feature = "proxy")]
    pub(super) proxy: Option<std::boxed::Box<crate::Proxy>>,
    #[cfg(feature = "tls")]
    pub(super) tls: crate::tls::TlsLayer,
    #[cfg(feature = "ws")]
    pub(super) headers: std::vec::Vec<crate::ws::Header>,
    pub(super) words: Words,
}

impl Layers {
    /// Opens one layer on the other; `above` TCP are TLS and a WebSocket with its target.
    pub(super) async fn open(
        &mut self,
        tcp: &mut TcpLink,
        broker: &Endpoint,
        above: (bool, Option<&str>),
        progress: &Progress,
    ) -> Result<Kind, Fault> {
        let (stream, heard) = self.reach(tcp, broker, progress).await?;
        Ok(match above {
            (false, None) => Kind::Tcp(TcpPipe::new(stream, heard)),
            #[cfg(feature = "tls")]
            (true, None) => {
                let wire = self.protect(stream, broker, progress).await?;
                Kind::Tls(Box::new(StreamPipe::new(wire, Some(heard))))
            }
            #[cfg(feature = "ws")]
            (false, Some(target)) => {
                let host = host(broker, HTTP_PORT);
                Kind::Ws(self.upgrade(stream, heard, &host, target, progress).await?)
            }
            #[cfg(all(feature = "ws", feature = "tls"))]
            (true, Some(target)) => {
                let wire = self.protect(stream, broker, progress).await?;
                let host = host(broker, HTTPS_PORT);
                Kind::Wss(self.upgrade(wire, heard, &host, target, progress).await?)
            }
            // `Url` reads no such road in a build without it.
            #[cfg(not(all(feature = "ws", feature = "tls")))]
            _ => {
                use everlink_proto::engine::{Cause, Step};
                return Err(Fault::new(Step::Transport, Cause::WrongProtocol));
            }
        })
    }

    /// Whether nothing lies below TCP to the broker.
    pub(super) fn is_direct(&self) -> bool {
        #[cfg(feature = "proxy")]
        return self.proxy.is_none();
        #[cfg(not(feature = "proxy"))]
        true
    }

    /// A stream to the broker.
    #[cfg(feature = "proxy")]
    async fn reach(
        &mut self,
        tcp: &mut TcpLink,
        broker: &Endpoint,
        progress: &Progress,
    ) -> Result<(TcpStream, Heard), Fault> {
        let Some(proxy) = &mut self.proxy else {
            return dial(tcp, &self.words, progress).await;
        };
        let dialled = tcp.connect(0, progress).await;
        let (mut stream, heard) = dialled.inspect_err(|fault| {
            let line = std::format!("proxy {}: {}", proxy.endpoint(), fault.cause);
            self.words.say(fault.cause, &line);
            tcp.explain(fault, &self.words);
        })?;
        progress.set(Step::Proxy);
        proxy.tunnel(&mut stream, broker, &self.words).await?;
        // The address is the proxy's, and the proxy has spoken.
        heard.store(true, std::sync::atomic::Ordering::Relaxed);
        Ok((stream, heard))
    }

    #[cfg(not(feature = "proxy"))]
    async fn reach(
        &mut self,
        tcp: &mut TcpLink,
        _: &Endpoint,
        progress: &Progress,
    ) -> Result<(TcpStream, Heard), Fault> {
        dial(tcp, &self.words, progress).await
    }

    #[cfg(feature = "tls")]
    async fn protect(
        &mut self,
        stream: TcpStream,
        broker: &Endpoint,
        progress: &Progress,
    ) -> Result<crate::tls::TlsWire, Fault> {
        progress.set(Step::Tls);
        self.tls.open(stream, &broker.host, &self.words).await
    }

    #[cfg(feature = "ws")]
    async fn upgrade<W: Wire>(
        &mut self,
        mut wire: W,
        heard: Heard,
        host: &str,
        target: &str,
        progress: &Progress,
    ) -> Result<Box<crate::ws::WsPipe<W>>, Fault> {
        progress.set(Step::WebSocket);
        let failed = |(cause, line): (_, Option<String>)| {
            if let Some(line) = line {
                self.words.say(cause, &line);
            }
            Fault::new(Step::WebSocket, cause)
        };
        let shaken = crate::ws::shake(&mut wire, host, target, &self.headers).await;
        let unread = shaken.map_err(failed)?;
        let pipe = crate::ws::WsPipe::new(wire, heard, self.words.clone(), unread);
        Ok(Box::new(pipe.map_err(failed)?))
    }
}

async fn dial(
    tcp: &mut TcpLink,
    words: &Words,
    progress: &Progress,
) -> Result<(TcpStream, Heard), Fault> {
    let dialled = tcp.connect(0, progress).await;
    dialled.inspect_err(|fault| tcp.explain(fault, words))
}

/// As HTTP wants it: the port only if it is not the usual one.
#[cfg(feature = "ws")]
fn host(broker: &Endpoint, usual: u16) -> String {
    let whole = broker.to_string();
    match whole.strip_suffix(&std::format!(":{usual}")) {
        Some(host) if broker.port == usual => host.to_string(),
        _ => whole,
    }
}
