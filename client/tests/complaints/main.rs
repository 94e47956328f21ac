//! What users suffered elsewhere, one test for each complaint, named after it. `docs/proof.md` has the
//! list. Time is tokio's, paused, unless sockets are needed.

mod crash;
mod original;
mod others;
mod sockets;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use everlink::{
    Builder, Cause, Client, Credentials, Outcome, Overflow, QoS, ReasonCode, Step, Subscription,
    Version,
};
use everlink_proto::wire::{AckKind, PacketId, PacketType, ReasonCode as Code};
use support::memory::{Listener, Path};
use support::model::Model;
use support::peer::Peer;
use support::{VERSIONS, over_memory, over_model, soon, spawn, text};
use tokio::time::{Instant, sleep, timeout};

const Q1: QoS = QoS::AtLeastOnce;
const Q2: QoS = QoS::ExactlyOnce;
const HOUR: Duration = Duration::from_secs(3600);

/// A client facing a broker played by hand.
struct Lab {
    client: Client,
    path: Path,
    listener: Listener,
    version: Version,
}

impl Lab {
    fn new(version: Version, shape: impl FnOnce(Builder) -> Builder) -> Self {
        let (client, driver, path, listener) = over_memory(version, shape);
        spawn(driver);
        Self { client, path, listener, version }
    }

    /// The next connection, accepted.
    async fn up(&mut self, session_present: bool) -> Peer {
        let mut peer = self.connection().await;
        peer.accept(session_present, &[]).await;
        soon("up", self.client.up()).await;
        peer
    }

    async fn connection(&mut self) -> Peer {
        Peer::new(soon("an attempt", self.listener.accept()).await, self.version)
    }
}

/// A client with a model broker.
async fn modelled(
    version: Version,
    shape: impl FnOnce(Builder) -> Builder,
) -> (Client, Path, Model) {
    let (client, driver, path, model) = over_model(version, shape);
    spawn(driver);
    soon("up", client.up()).await;
    (client, path, model)
}

fn number(text: &str) -> u32 {
    text.parse().expect("a number")
}
