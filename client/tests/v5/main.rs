//! What only MQTT 5 has, against a broker played by hand.

mod acknowledgements;
mod aliases;
mod authentication;
mod connect;
mod messages;
mod redirect;
mod requests;
#[path = "../support/mod.rs"]
mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use everlink::{
    Authenticator, Builder, Cause, Client, Credentials, NotDelivered, Outcome, Property,
    PublishError, QoS, ReasonCode, RequestError, RetainHandling, SubscribeError, Version, Will,
};
use everlink_proto::wire::{
    Ack, AckKind, Auth, Disconnect, Packet, PacketId, PacketType, Properties, Publish, SubAck,
    UnsubAck,
};
use support::memory::{Listener, Path};
use support::peer::{Got, Peer};
use support::{over_memory, soon, spawn, text};
use tokio::time::{Instant, sleep, timeout};

struct Lab {
    client: Client,
    path: Path,
    listener: Listener,
}

impl Lab {
    fn new(shape: impl FnOnce(Builder) -> Builder) -> Self {
        let (client, driver, path, listener) = over_memory(Version::V5, shape);
        spawn(driver);
        Self { client, path, listener }
    }

    async fn accept(&mut self) -> Peer {
        Peer::new(soon("an attempt", self.listener.accept()).await, Version::V5)
    }

    /// A connection, and the CONNECT it began with.
    async fn up(&mut self, session: bool, props: &[Property<'_>]) -> (Peer, Got) {
        let mut peer = self.accept().await;
        let connect = peer.accept(session, props).await;
        soon("up", self.client.up()).await;
        (peer, connect)
    }
}

fn properties<'a>(props: &Properties<'a>) -> Vec<Property<'a>> {
    props.iter().collect()
}

fn user(got: &[(String, String)]) -> Vec<(&str, &str)> {
    got.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
}
