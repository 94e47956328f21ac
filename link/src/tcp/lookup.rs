//! At most one look-up at a time, waited for within bounds.

use std::boxed::Box;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use std::vec::Vec;

use everlink_proto::engine::{Cause, Fault, Step};
use tokio::time::{Instant, timeout_at};

use super::resolve::{Answer, Resolve};
use super::route::Route;
use crate::endpoint::Endpoint;

/// An answer that came between two attempts is used if its question is no older than this; else it
/// is asked again.
const FRESH: Duration = Duration::from_secs(30);

pub(super) struct Lookup {
    resolver: Box<dyn Resolve>,
    /// Under way, perhaps left behind by an attempt that waited no longer.
    pending: Option<Pending>,
}

struct Pending {
    endpoint: Endpoint,
    since: Instant,
    answer: Answer,
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = self.pending.as_ref().map(|p| (&p.endpoint, p.since));
        f.debug_struct("Lookup").field("pending", &pending).finish_non_exhaustive()
    }
}

impl Lookup {
    pub(super) fn new(resolver: impl Resolve + 'static) -> Self {
        Self { resolver: Box::new(resolver), pending: None }
    }

    /// Brings the addresses of `route` up to date. When that fails it keeps those it has: a name
    /// server may be down, or a router just started and not yet know its hosts.
    ///
    /// Cancel-safe: a look-up under way stays, for the next call.
    pub(super) async fn refresh(
        &mut self,
        route: &mut Route,
        bound: Duration,
    ) -> Result<(), Fault> {
        let addresses = match route.endpoint().literal() {
            Some(address) => Ok(Vec::from([address])),
            None => self.ask(route.endpoint(), route.has_addresses(), bound).await,
        };
        // An empty answer is an answer: the name has no address.
        match addresses.and_then(|a| if a.is_empty() { Err(Cause::UnknownHost) } else { Ok(a) }) {
            Ok(addresses) => {
                route.update(addresses);
                Ok(())
            }
            Err(cause) => Err(Fault::new(Step::Resolve, cause)),
        }
    }

    async fn ask(
        &mut self,
        endpoint: &Endpoint,
        has_fallback: bool,
        bound: Duration,
    ) -> Result<Vec<SocketAddr>, Cause> {
        let deadline = Instant::now() + bound;
        loop {
            let pending = match self.pending.take() {
                Some(pending) => self.pending.insert(pending),
                None => {
                    let answer = self.resolver.resolve(&endpoint.host, endpoint.port);
                    self.pending.insert(Pending {
                        endpoint: endpoint.clone(),
                        since: Instant::now(),
                        answer,
                    })
                }
            };
            // One that was waited for before is not worth the same wait again if there is a way
            // without it.
            let limit = if has_fallback { deadline.min(pending.since + bound) } else { deadline };
            let answer = timeout_at(limit, pending.answer.as_mut())
                .await
                .map_err(|_| Cause::ResolverFailed)?;
            let fits = pending.endpoint == *endpoint && pending.since.elapsed() < FRESH;
            // Whether it fits or not, it is over. The next round asks anew.
            self.pending = None;
            if fits {
                return answer;
            }
        }
    }
}
