//! Measures against a real broker how soon the client recovers, and prints a table.
//!
//! `cargo run --release -p everlink --example recovery_times`
//!
//! Starts mosquitto and a fault proxy on free ports of the loopback interface. Twenty repetitions
//! of each case run side by side where they are slow, one after the other where they are quick.

#[path = "../tests/support/mod.rs"]
mod support;

use std::future::Future;
use std::time::{Duration, Instant};

use everlink::{Builder, Client, QoS, Version};
use everlink_sim::proxy::Heal;
use support::mosquitto::Mosquitto;
use support::{Direction, Proxy};
use tokio::time::sleep;

const TIMES: usize = 20;

/// One client on a path of its own.
struct Lane {
    client: Client,
    proxy: Proxy,
    _broker: Mosquitto,
}

impl Lane {
    async fn new(version: Version, shape: impl FnOnce(Builder) -> Builder) -> Self {
        let broker = Mosquitto::start();
        let proxy = Proxy::start(broker.addr()).await.expect("a port for the proxy");
        let (client, _driver) =
            support::through(&proxy, version, "lane", |b| shape(b.seed(seed())));
        client.up().await;
        Self { client, proxy, _broker: broker }
    }

    async fn delivery(&self) -> Duration {
        let start = Instant::now();
        self.client.publish("t", "x").qos(QoS::AtLeastOnce).await.expect("delivered");
        start.elapsed()
    }

    async fn left(&self) -> Duration {
        let start = Instant::now();
        let mut watch = self.client.watch();
        watch.wait_for(|s| !s.is_up()).await.expect("the client is there");
        start.elapsed()
    }
}

/// Repetitions must not all draw the same pauses.
fn seed() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn row(case: &str, goal: Duration, mut times: Vec<Duration>) -> bool {
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    let met = if median <= goal { "yes" } else { "NO" };
    let [goal_s, median_s, worst_s] = [goal, median, worst].map(|t| t.as_secs_f64());
    println!("| {case:<52} | {goal_s:>4.1} s | {median_s:>6.2} s | {worst_s:>6.2} s | {met:<4} |");
    median <= goal
}

fn count(case: &str, what: &str, n: u64) -> bool {
    println!(
        "| {case:<52} | {:>6} | {n:>8} | {what:<8} | {:<4} |",
        0,
        if n == 0 { "yes" } else { "NO" }
    );
    n == 0
}

async fn side_by_side<F: Future<Output = T> + Send + 'static, T: Send + 'static>(
    run: impl Fn(usize) -> F,
) -> Vec<T> {
    let tasks: Vec<_> = (0..TIMES).map(|n| tokio::spawn(run(n))).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.expect("the case runs"));
    }
    results
}

async fn lost(version: Version, reset: bool) -> Vec<Duration> {
    let lane = Lane::new(version, |b| b).await;
    let mut times = Vec::new();
    for _ in 0..TIMES {
        sleep(Duration::from_millis(1500)).await;
        if reset {
            lane.proxy.reset().await
        } else {
            lane.proxy.close().await
        }
        times.push(lane.delivery().await);
    }
    times
}

async fn refused(n: usize) -> Duration {
    let lane = Lane::new(Version::V5, |b| b).await;
    lane.proxy.refuse(true).await.expect("the port");
    sleep(Duration::from_millis(1000 + 450 * n as u64)).await;
    lane.proxy.refuse(false).await.expect("the port");
    lane.delivery().await
}

async fn half_open(lane: Lane, publishing: bool, n: usize) -> Duration {
    for _ in 0..5 {
        lane.delivery().await;
    }
    sleep(Duration::from_millis(150 * n as u64)).await;
    lane.proxy.black_hole(Direction::Both);
    if publishing {
        let _ = lane.client.publish("t", "x").qos(QoS::AtLeastOnce).send();
    }
    lane.left().await
}

/// False alarms in a minute.
async fn jitter(n: usize) -> u64 {
    let lane = Lane::new(Version::V5, |b| b.adaptive(true)).await;
    lane.proxy.delay(Direction::Both, Duration::ZERO, Duration::from_secs(2));
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        let _ = lane.client.publish("t", "x").qos(QoS::AtLeastOnce).send();
        sleep(Duration::from_millis(100 + 100 * n as u64)).await;
    }
    lane.client.stats().outages
}

/// Messages lost and doubled at QoS 2 on a path that pauses for 6 s.
async fn pause(_: usize) -> u64 {
    let lane = Lane::new(Version::V5, |b| b).await;
    let proxy = Proxy::start(lane._broker.addr()).await.expect("a port for the proxy");
    let (reader, _driver) = support::through(&proxy, Version::V5, "reader", |b| b);
    let mut stream = reader.subscribe("n", QoS::ExactlyOnce).capacity(1000).await.expect("granted");
    let mut deliveries = Vec::new();
    for n in 0..200 {
        if n == 40 {
            lane.proxy.black_hole(Direction::Both);
        }
        if n == 160 {
            lane.proxy.heal(Heal::Forward).await;
        }
        let publish = lane.client.publish("n", n.to_string()).qos(QoS::ExactlyOnce);
        deliveries.push(publish.send().expect("accepted"));
        sleep(Duration::from_millis(50)).await;
    }
    for delivery in deliveries {
        delivery.await;
    }
    sleep(Duration::from_secs(1)).await;
    let mut wrong = 0;
    for n in 0..200 {
        wrong += u64::from(stream.try_next().is_none_or(|m| support::text(&m) != n.to_string()));
    }
    wrong + u64::from(stream.try_next().is_some())
}

#[tokio::main]
async fn main() {
    let ms = Duration::from_millis;
    let secs = Duration::from_secs;
    println!(
        "| {:<52} | {:>6} | {:>8} | {:>8} | {:<4} |",
        "case, 20 times each", "goal", "median", "worst", "met"
    );
    println!("|{0:-<54}|{0:->7}:|{0:->9}:|{0:->9}:|------|", "");
    let mut met = true;
    let [v311, v5] = support::VERSIONS;
    let (a, b, c, d) =
        tokio::join!(lost(v311, true), lost(v311, false), lost(v5, true), lost(v5, false));
    met &= row("MQTT 3.1.1: reset, next delivery", ms(600), a);
    met &= row("MQTT 3.1.1: clean close, next delivery", ms(600), b);
    met &= row("MQTT 5: reset, next delivery", ms(600), c);
    met &= row("MQTT 5: clean close, next delivery", ms(600), d);
    met &= row("refused for 1 to 10 s, delivery after that", secs(1), side_by_side(refused).await);
    let defaults =
        side_by_side(
            |n| async move { half_open(Lane::new(Version::V5, |b| b).await, true, n).await },
        );
    met &= row("half-open while publishing, left after", secs(12), defaults.await);
    let idle = side_by_side(|n| async move {
        half_open(Lane::new(Version::V5, |b| b.keep_alive(5)).await, false, n).await
    });
    met &= row("half-open while idle, keep-alive 5 s, left after", secs(5), idle.await);
    let quick = side_by_side(|n| async move {
        half_open(
            Lane::new(Version::V5, |b| b.response_time(Duration::from_secs(3))).await,
            true,
            n,
        )
        .await
    });
    met &= row("half-open, response time 3 s, left after", secs(5), quick.await);
    let adaptive = side_by_side(|n| async move {
        half_open(Lane::new(Version::V5, |b| b.adaptive(true)).await, true, n).await
    });
    met &= row("half-open, adaptive, left after", secs(3), adaptive.await);
    let alarms: u64 = side_by_side(jitter).await.iter().sum();
    met &= count("adaptive, 0 to 2 s of jitter each way for a minute", "alarms", alarms);
    let wrong: u64 = side_by_side(pause).await.iter().sum();
    met &= count("a pause of 6 s at QoS 2, lost or doubled", "messages", wrong);
    if !met {
        std::process::exit(1);
    }
}
