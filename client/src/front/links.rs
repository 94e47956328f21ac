//! What lies below the roads: links, their order, and what the system tells of them.

use std::sync::Arc;
use std::time::Duration;

use everlink_link::{RoadLink, Uplink};
use everlink_proto::session::{Config, Ladder};

use super::builder::Builder;
use super::handle::Client;
use super::shared::Shared;

/// A link is cycled when all that lies over it failed so often in a row,
#[cfg(all(unix, feature = "commands"))]
const LINK_AFTER: u32 = 3;
/// and its device reset after so often.
#[cfg(all(unix, feature = "commands"))]
const DEVICE_AFTER: u32 = 9;

/// Links, as the builder is told of them.
#[derive(Debug, Default)]
pub(crate) struct Links {
    uplinks: Vec<Uplink>,
    /// What the endpoints are called.
    pub(super) places: Vec<String>,
    /// Nobody is to listen to changes of the network.
    #[cfg(all(target_os = "linux", feature = "netlink"))]
    pub(super) deaf: bool,
}

impl Builder {
    /// A link to the network: an interface or an address to connect from, and the programs that drive it. Of
    /// several, the first is the first choice: all brokers are tried over it before the next one.
    ///
    /// Its programs are run at the rungs of the [`ladder`](Self::ladder). Unless one was given, a link is then
    /// cycled after three rounds of failures in which nobody answered over it, and its device reset after nine.
    pub fn uplink(mut self, uplink: Uplink) -> Self {
        self.links.uplinks.push(uplink);
        self
    }

    /// While connected elsewhere, how long until the first choice is tried out again; the default is a
    /// minute, zero is never. The session stays where it is until the other connection is open.
    pub fn return_after(mut self, time: Duration) -> Self {
        self.config.return_after = time;
        self
    }

    /// Whether changes of addresses and routes of this machine end a pause between attempts, and are a
    /// reason to see whether the connection lives; the default is yes. It takes a socket and a task; where the
    /// system does not permit it, nothing is watched and [`netlink::failures`](crate::netlink::failures) counts.
    #[cfg(all(target_os = "linux", feature = "netlink"))]
    pub fn watch_network(mut self, watch: bool) -> Self {
        self.links.deaf = !watch;
        self
    }
}

impl Links {
    /// The link over these links, and the engine's part of it.
    pub(super) fn below(&mut self, link: RoadLink, config: &mut Config) -> RoadLink {
        self.ladder(&mut config.ladder);
        let link = link.uplinks(std::mem::take(&mut self.uplinks));
        config.endpoints = u16::try_from(link.roads().len()).unwrap_or(u16::MAX);
        config.shared_links = link.shared_links();
        self.places = (0..config.endpoints).filter_map(|n| link.describe(n)).collect();
        link
    }

    #[cfg(all(unix, feature = "commands"))]
    fn ladder(&self, ladder: &mut Ladder) {
        let commands = || self.uplinks.iter().map(|uplink| &uplink.commands);
        if ladder.link_after == 0 && ladder.device_after == 0 {
            let cycles = commands().any(|c| c.down.is_some() || c.reset.is_some());
            let resets = commands().any(|c| c.reset.is_some());
            ladder.link_after = if cycles { LINK_AFTER } else { 0 };
            ladder.device_after = if resets { DEVICE_AFTER } else { 0 };
            ladder.spare_working = true;
        }
    }

    #[cfg(not(all(unix, feature = "commands")))]
    fn ladder(&self, _: &mut Ladder) {}
}

impl Client {
    /// The endpoint in use, or to be tried next, as a person calls it: its address, and the link if there are
    /// several. `None` over a link of one's own, and after a broker replaced the list for good.
    pub fn endpoint(&self) -> Option<String> {
        let number = usize::from(self.state().endpoint);
        self.shared.look(|_, front| front.links.places.get(number).cloned())
    }
}

/// Tells the engine of changes of the network, as long as it lives.
#[cfg(all(target_os = "linux", feature = "netlink"))]
pub(super) fn watch(shared: &Arc<Shared>) -> Option<Watching> {
    use everlink_link::netlink::Watch;
    use everlink_proto::engine::{Engine, Input};

    if shared.look(|_, front| front.links.deaf) {
        return None;
    }
    let mut watch = Watch::new()
        .inspect_err(|error| tracing::debug!(%error, "changes of the network cannot be watched"))
        .ok()?;
    let shared = Arc::downgrade(shared);
    let task = tokio::spawn(async move {
        while watch.changed().await.is_ok() {
            let Some(shared) = shared.upgrade() else { return };
            tracing::debug!("the network changed");
            shared.change(|engine, front, now| {
                let _ = engine.handle(now, Input::NetworkChanged, front);
            });
        }
    });
    Some(Watching(task))
}

#[cfg(not(all(target_os = "linux", feature = "netlink")))]
pub(super) fn watch(_: &Arc<Shared>) -> Option<Watching> {
    None
}

/// Never there.
#[cfg(not(all(target_os = "linux", feature = "netlink")))]
pub(super) enum Watching {}

/// Ends with the driver.
#[cfg(all(target_os = "linux", feature = "netlink"))]
#[derive(Debug)]
pub(super) struct Watching(tokio::task::JoinHandle<()>);

#[cfg(all(target_os = "linux", feature = "netlink"))]
impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}
