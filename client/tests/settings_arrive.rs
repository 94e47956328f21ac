//! What the builder is told has its effect. The rules themselves are tested with the engine.

mod support;

use std::time::Duration;

use everlink::{Backoff, Builder, Cause, Client, Fault, Ladder, QoS, State, Step, Version};
use everlink_proto::engine::Depth;
use everlink_proto::wire::{AckKind, Packet, PacketType};
use support::memory::{Listener, Path};
use support::peer::Peer;
use support::{over_memory, over_model, soon, spawn};
use tokio::time::{Instant, sleep};

fn running(version: Version, shape: impl FnOnce(Builder) -> Builder) -> (Client, Path, Listener) {
    let (client, driver, path, listener) = over_memory(version, shape);
    spawn(driver);
    (client, path, listener)
}

async fn down(client: &Client) -> State {
    *soon("down", client.watch().wait_for(|s| s.fault.is_some())).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_time_to_connect() {
    let (client, driver, path, _listener) =
        over_memory(Version::V5, |b| b.connect_timeout(Duration::from_secs(3)));
    path.hang(true);
    spawn(driver);
    let start = Instant::now();
    let fault = down(&client).await.fault;
    assert_eq!(fault, Some(Fault::new(Step::Transport, Cause::OpenTimeout)));
    assert_eq!(start.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn the_pauses_between_attempts() {
    let pause = Duration::from_secs(200);
    let backoff = Backoff { refused: pause, max: pause, ..Backoff::default() };
    let (client, _path, mut listener) = running(Version::V5, |b| b.backoff(backoff));
    let mut peer = Peer::new(soon("an attempt", listener.accept()).await, Version::V5);
    peer.expect(PacketType::Connect).await;
    peer.connack(false, everlink::ReasonCode::NOT_AUTHORIZED, &[]).await;
    let next = down(&client).await.next_attempt.expect("a next attempt");
    assert_eq!(next.duration_since(Instant::now()), pause);
}

#[tokio::test(start_paused = true)]
async fn the_recovery_ladder() {
    let ladder = Ladder { link_after: 2, device_after: 3, ..Ladder::default() };
    let (_client, driver, path, _listener) = over_memory(Version::V5, |b| b.ladder(ladder));
    path.refuse(true);
    spawn(driver);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(path.cycles()[..4], [Depth::Link, Depth::Device, Depth::Link, Depth::Device]);
}

#[tokio::test(start_paused = true)]
async fn how_often_a_message_is_sent_on_one_connection() {
    let (client, _path, mut listener) = running(Version::V311, |b| b.max_repeats(1));
    let mut peer = Peer::new(soon("an attempt", listener.accept()).await, Version::V311);
    peer.accept(false, &[]).await;
    client.publish("t", "x").qos(QoS::AtLeastOnce).send().unwrap();
    for dup in [false, true] {
        assert_eq!(peer.expect(PacketType::Publish).await.publish().dup, dup);
    }
    let more = soon("the end", peer.next()).await;
    assert!(more.is_none(), "{more:?}");
    assert_eq!(down(&client).await.fault.map(|f| f.cause), Some(Cause::AckMissing));
}

#[tokio::test(start_paused = true)]
async fn whether_anything_is_left_at_the_broker() {
    for ephemeral in [true, false] {
        let (client, _path, mut listener) = running(Version::V5, |b| b.ephemeral(ephemeral));
        let mut peer = Peer::new(soon("an attempt", listener.accept()).await, Version::V5);
        peer.accept(false, &[]).await;
        soon("up", client.up()).await;
        client.close();
        let got = peer.expect(PacketType::Disconnect).await;
        let Packet::Disconnect(disconnect) = got.packet() else { unreachable!() };
        assert_eq!(disconnect.props.session_expiry(), ephemeral.then_some(0));
    }
}

#[tokio::test(start_paused = true)]
async fn round_trips_are_measured() {
    let (client, driver, path, _model) = over_model(Version::V5, |b| b);
    path.delay(Duration::from_millis(50), Duration::ZERO);
    spawn(driver);
    soon("up", client.up()).await;
    assert_eq!((client.latency().count(), client.latency().percentile(0.5)), (0, None));
    for _ in 0..10 {
        soon("delivery", client.publish("t", "x").qos(QoS::AtLeastOnce)).await.unwrap();
    }
    path.delay(Duration::from_millis(500), Duration::ZERO);
    soon("delivery", client.publish("t", "x").qos(QoS::AtLeastOnce)).await.unwrap();
    let latency = client.latency();
    assert_eq!(latency.count(), 11);
    for (part, millis) in [(0.0, 100), (0.5, 100), (0.9, 100), (0.99, 1000), (1.0, 1000)] {
        let time = latency.percentile(part).unwrap().as_secs_f64() * 1000.0;
        // To a quarter octave above.
        let least = f64::from(millis);
        assert!(time >= least && time <= least * 1.26, "{part}: {time}");
    }
}

#[tokio::test(start_paused = true)]
async fn whether_reconnections_resume_the_session() {
    for version in support::VERSIONS {
        for clean in [false, true] {
            let (client, _path, mut listener) = running(version, |b| b.clean_reconnect(clean));
            let mut peer = Peer::new(soon("an attempt", listener.accept()).await, version);
            peer.accept(false, &[]).await;
            soon("up", client.up()).await;
            client.publish("t", "x").qos(QoS::AtLeastOnce).send().unwrap();
            peer.expect(PacketType::Publish).await;
            drop(peer);
            let mut peer = Peer::new(soon("an attempt", listener.accept()).await, version);
            let connect = peer.accept(!clean, &[]).await;
            assert_eq!(connect.connect().clean_start, clean);
            let again = peer.expect(PacketType::Publish).await;
            assert_eq!(again.publish().dup, !clean);
            peer.ack(AckKind::PubAck, again.pid()).await;
        }
    }
}
