//! Who turns names into addresses.

use std::boxed::Box;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::string::ToString;
use std::vec::Vec;

use everlink_proto::engine::Cause;
use tokio::sync::oneshot;

use super::cause;

/// What a resolver promises: addresses in order of preference, or [`Cause::UnknownHost`] if the name
/// does not exist, or [`Cause::ResolverFailed`]. It may take for ever; it is kept across attempts.
pub type Answer = Pin<Box<dyn Future<Output = Result<Vec<SocketAddr>, Cause>> + Send>>;

/// Turns names into addresses; a closure will do.
pub trait Resolve: Send {
    /// Starts one look-up. Must not block.
    fn resolve(&mut self, host: &str, port: u16) -> Answer;
}

impl<F: FnMut(&str, u16) -> Answer + Send> Resolve for F {
    fn resolve(&mut self, host: &str, port: u16) -> Answer {
        self(host, port)
    }
}

/// The system's resolver: hosts file, DNS, mDNS, whatever is configured.
///
/// It blocks, so each look-up runs on a thread of its own. Not in the runtime's pool: a runtime waits
/// at its end for what is in the pool, and a look-up without network can hang for half a minute.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&mut self, host: &str, port: u16) -> Answer {
        let host = host.to_string();
        let (sender, receiver) = oneshot::channel();
        let ask = move || {
            // Nobody may be left to hear it.
            let _ = sender.send(ask_system(&host, port));
        };
        let thread = std::thread::Builder::new().name("everlink-resolve".to_string()).spawn(ask);
        Box::pin(async move {
            match thread {
                Ok(_) => receiver.await.unwrap_or(Err(Cause::ResolverFailed)),
                Err(_) => Err(Cause::ResolverFailed),
            }
        })
    }
}

fn ask_system(host: &str, port: u16) -> Result<Vec<SocketAddr>, Cause> {
    let answer: io::Result<Vec<SocketAddr>> = (host, port).to_socket_addrs().map(Iterator::collect);
    answer.map_err(|error| cause::of_lookup(&error))
}
