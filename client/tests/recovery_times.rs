//! How soon the client is back, and how soon it leaves a connection that is dead, on fake time.
//!
//! `examples/recovery_times.rs` measures the same against a real broker.

mod support;

use std::time::Duration;

use everlink::{Builder, Cause, Client, QoS, Version};
use support::memory::Path;
use support::model::Model;
use support::{VERSIONS, over_model, soon, spawn};
use tokio::time::{Instant, sleep, timeout};

const TIMES: u32 = 20;

/// A client that is up, for the tests' default session.
async fn up(version: Version, shape: impl FnOnce(Builder) -> Builder) -> (Client, Path, Model) {
    let (client, driver, path, model) = over_model(version, shape);
    spawn(driver);
    soon("up", client.up()).await;
    (client, path, model)
}

/// How long the next message takes to be delivered.
async fn next_delivery(client: &Client) -> Duration {
    let start = Instant::now();
    let publish = client.publish("t", "x").qos(QoS::AtLeastOnce);
    timeout(Duration::from_secs(120), publish).await.expect("it recovers").expect("delivered");
    start.elapsed()
}

/// How long until the client has left its connection.
async fn until_left(client: &Client) -> Duration {
    let start = Instant::now();
    let mut watch = client.watch();
    let left = watch.wait_for(|s| !s.is_up());
    timeout(Duration::from_secs(300), left).await.expect("it leaves").expect("it runs");
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_connection_the_next_delivery_comes_within_600_ms() {
    for version in VERSIONS {
        let (client, path, model) = up(version, |b| b).await;
        let mut times = Vec::new();
        for _ in 0..TIMES {
            sleep(Duration::from_secs(3)).await;
            path.cut();
            times.push(next_delivery(&client).await);
        }
        let worst = times.iter().max().copied();
        let median = median(times);
        println!("{version:?}: median {median:?}, worst {worst:?}");
        assert!(median <= Duration::from_millis(600), "{version:?}: {median:?}");
        model.assert_conformant();
    }
}

#[tokio::test(start_paused = true)]
async fn connections_lost_one_after_the_other_are_replaced_as_soon() {
    let (client, path, _model) = up(Version::V5, |b| b).await;
    let mut times = Vec::new();
    for _ in 0..TIMES {
        path.cut();
        times.push(next_delivery(&client).await);
    }
    let median = median(times);
    assert!(median <= Duration::from_millis(600), "{median:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_refused_period_the_next_delivery_comes_within_1_s() {
    for seconds in [1, 3, 10] {
        let (client, path, _model) = up(Version::V5, |b| b).await;
        let mut times = Vec::new();
        for _ in 0..TIMES {
            path.refuse(true);
            path.cut();
            sleep(Duration::from_secs(seconds)).await;
            path.refuse(false);
            times.push(next_delivery(&client).await);
            sleep(Duration::from_secs(5)).await;
        }
        let worst = times.iter().max().copied();
        let median = median(times);
        println!("refused for {seconds} s: median {median:?}, worst {worst:?}");
        assert!(median <= Duration::from_secs(1), "after {seconds} s: {median:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_open_connection_is_left_within_12_s_while_publishing() {
    for version in VERSIONS {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let (client, path, _model) = up(version, |b| b).await;
            sleep(Duration::from_secs(2)).await;
            let publisher = client.clone();
            let publishing = tokio::spawn(async move {
                loop {
                    let _ = publisher.publish("t", "x").qos(qos).send();
                    sleep(Duration::from_millis(100)).await;
                }
            });
            sleep(Duration::from_secs(1)).await;
            path.hold(true);
            let left = until_left(&client).await;
            publishing.abort();
            assert_eq!(client.state().fault.map(|f| f.cause), Some(Cause::Silent), "{qos:?}");
            // At QoS 0 nothing is owed, so only the keep-alive can tell.
            let limit = if qos == QoS::AtMostOnce { 60 } else { 12 };
            assert!(left <= Duration::from_secs(limit), "{version:?} {qos:?}: {left:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_half_open_connection_is_left_within_the_keep_alive() {
    for keep_alive in [2, 5, 10, 30, 60, 300] {
        for already_idle in [0, 1, 2, 3, 5, 8, 13] {
            let (client, path, _model) = up(Version::V5, |b| b.keep_alive(keep_alive)).await;
            sleep(Duration::from_secs(already_idle)).await;
            path.hold(true);
            let left = until_left(&client).await;
            let limit = Duration::from_secs(keep_alive.into());
            assert!(left <= limit, "keep-alive {keep_alive} s, idle {already_idle} s: {left:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_response_time_of_3_s_it_is_left_within_5_s() {
    let (client, path, _model) = up(Version::V5, |b| b.response_time(secs(3))).await;
    sleep(Duration::from_secs(1)).await;
    path.hold(true);
    let _delivery = client.publish("t", "x").qos(QoS::AtLeastOnce).send().unwrap();
    let left = until_left(&client).await;
    assert!(left <= secs(5), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn adaptive_mode_leaves_a_fast_path_within_3_s() {
    for version in VERSIONS {
        let (client, path, _model) = up(version, |b| b.adaptive(true)).await;
        path.delay(Duration::from_millis(5), Duration::from_millis(5));
        for _ in 0..10 {
            next_delivery(&client).await;
            sleep(Duration::from_millis(100)).await;
        }
        path.hold(true);
        let _delivery = client.publish("t", "x").qos(QoS::AtLeastOnce).send().unwrap();
        let left = until_left(&client).await;
        assert!(left <= secs(3), "{version:?}: {left:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn adaptive_mode_stays_calm_on_a_path_with_jitter() {
    for seed in 0..8 {
        for (pause, version) in [20, 300, 2500, 20_000].into_iter().zip(VERSIONS.repeat(2)) {
            let (client, driver, path, model) = over_model(version, |b| b.adaptive(true));
            path.seed(seed);
            spawn(driver);
            soon("up", client.up()).await;
            // A few round trips may be quick by chance.
            for _ in 0..seed % 4 {
                next_delivery(&client).await;
            }
            path.delay(Duration::ZERO, secs(2));
            let end = Instant::now() + secs(120);
            while Instant::now() < end {
                // A full queue is no alarm.
                let _ = client.publish("t", "x").qos(QoS::ExactlyOnce).send();
                sleep(Duration::from_millis(pause)).await;
            }
            let stats = client.stats();
            assert_eq!(
                stats.outages, 0,
                "{seed} {version:?}, a message each {pause} ms: {stats:?}"
            );
            model.assert_conformant();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn adaptive_mode_learns_that_a_fast_path_became_slow() {
    let mut alarms = Vec::new();
    for seed in 0..10 {
        let (client, path, model) = up(Version::V5, |b| b.adaptive(true).seed(seed)).await;
        for _ in 0..300 {
            next_delivery(&client).await;
            sleep(Duration::from_millis(100 + seed)).await;
        }
        path.delay(Duration::ZERO, secs(2));
        for _ in 0..1000 {
            let _ = client.publish("t", "x").qos(QoS::ExactlyOnce).send();
            sleep(Duration::from_millis(300)).await;
        }
        alarms.push(client.stats().outages);
        model.assert_conformant();
    }
    println!("{alarms:?}");
    assert!(alarms.iter().all(|n| *n <= 2), "{alarms:?}");
}

#[tokio::test(start_paused = true)]
async fn a_path_that_pauses_for_6_s_loses_and_doubles_nothing() {
    for version in VERSIONS {
        for adaptive in [false, true] {
            let (client, path, model) = up(version, |b| b.adaptive(adaptive)).await;
            let mut stream = client.subscribe("t", QoS::ExactlyOnce).await.unwrap();
            let mut deliveries = Vec::new();
            for n in 0..400 {
                if n == 100 {
                    path.hold(true);
                }
                if n == 220 {
                    path.hold(false); // 6 s later
                }
                let publish = client.publish("t", n.to_string()).qos(QoS::ExactlyOnce);
                deliveries.push(publish.send().unwrap());
                sleep(Duration::from_millis(50)).await;
            }
            for delivery in deliveries {
                assert!(soon("delivery", delivery).await.is_delivered());
            }
            let wanted: Vec<String> = (0..400).map(|n| n.to_string()).collect();
            assert_eq!(model.accepted(), wanted, "{version:?}, adaptive {adaptive}");
            for n in &wanted {
                assert_eq!(support::text(&soon(n, stream.next()).await.unwrap()), *n);
            }
            assert!(stream.try_next().is_none());
            assert_eq!(client.stats().outages, u64::from(adaptive), "{version:?}");
            model.assert_conformant();
        }
    }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
