//! A broker that does not finish the authentication is not trusted.

mod support;

use everlink::{Authenticator, Cause, Property, ReasonCode, Version};
use everlink_proto::wire::{Auth, PacketType, Properties};
use support::peer::Peer;
use support::{over_memory, soon, spawn};

/// Wants a proof in the broker's last word.
#[derive(Debug)]
struct Mutual;

impl Authenticator for Mutual {
    fn method(&self) -> &str {
        "mutual"
    }

    fn start(&mut self) -> Vec<u8> {
        b"hello".to_vec()
    }

    fn challenge(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        (data == b"who?").then(|| b"me".to_vec())
    }

    fn finish(&mut self, data: &[u8]) -> bool {
        data == b"proof"
    }
}

/// Connects, with these properties in the broker's CONNACK; whether the client came up.
async fn accepts(list: &[Property<'_>]) -> bool {
    let (client, driver, _path, mut listener) =
        over_memory(Version::V5, |b| b.authenticator(Mutual));
    let running = spawn(driver);
    let mut peer = Peer::new(listener.accept().await, Version::V5);
    peer.expect(PacketType::Connect).await;
    let ask = [Property::AuthenticationMethod("mutual"), Property::AuthenticationData(b"who?")];
    let (reason, props) = (ReasonCode::CONTINUE_AUTHENTICATION, Properties::from_list(&ask));
    peer.send(Auth { reason, props }).await;
    peer.expect(PacketType::Auth).await;
    peer.connack(false, ReasonCode::SUCCESS, list).await;
    let up = tokio::select! {
        up = client.up() => up,
        got = peer.recv() => panic!("{got:?}, or the end"),
    };
    running.abort();
    up
}

#[tokio::test(start_paused = true)]
async fn with_its_proof_it_is_trusted() {
    let method = Property::AuthenticationMethod("mutual");
    assert!(accepts(&[method, Property::AuthenticationData(b"proof")]).await);
}

async fn is_left(list: &[Property<'_>]) {
    let (client, driver, _path, mut listener) =
        over_memory(Version::V5, |b| b.authenticator(Mutual));
    spawn(driver);
    let mut peer = Peer::new(listener.accept().await, Version::V5);
    peer.expect(PacketType::Connect).await;
    peer.connack(false, ReasonCode::SUCCESS, list).await;
    assert!(soon("the end", peer.recv()).await.is_none(), "{list:?}");
    let fault = client.state().fault.map(|f| f.cause);
    assert_eq!(fault, Some(Cause::Protocol(ReasonCode::NOT_AUTHORIZED)), "{list:?}");
}

#[tokio::test(start_paused = true)]
async fn without_it_it_is_left() {
    let method = Property::AuthenticationMethod("mutual");
    is_left(&[]).await;
    is_left(&[method]).await;
    is_left(&[method, Property::AuthenticationData(b"wrong")]).await;
    let other = Property::AuthenticationMethod("other");
    is_left(&[other, Property::AuthenticationData(b"proof")]).await;
}

#[tokio::test(start_paused = true)]
async fn a_challenge_of_another_method_is_refused() {
    let (_client, driver, _path, mut listener) =
        over_memory(Version::V5, |b| b.authenticator(Mutual));
    spawn(driver);
    let mut peer = Peer::new(listener.accept().await, Version::V5);
    peer.expect(PacketType::Connect).await;
    let ask = [Property::AuthenticationMethod("other"), Property::AuthenticationData(b"who?")];
    let (reason, props) = (ReasonCode::CONTINUE_AUTHENTICATION, Properties::from_list(&ask));
    peer.send(Auth { reason, props }).await;
    assert!(soon("the end", peer.recv()).await.is_none());
}
