//! Ten minutes without a broker at a thousand messages a second: what arrives afterwards is exactly
//! what the queue's policy says, memory stays within its limit, every message is accounted for.

mod support;

use std::collections::VecDeque;
use std::time::Duration;

use everlink::{Client, Outcome, PublishError, QoS, Refused, Version, WhenFull};
use support::memory::Path;
use support::model::Model;
use support::{over_model, soon, spawn};
use tokio::time::{Instant, sleep};

const OUTAGE: Duration = Duration::from_secs(600);
/// Messages are published in small groups, a thousand a second.
const GROUP: usize = 20;
const GROUP_PAUSE: Duration = Duration::from_millis(20);
const QUEUE_MESSAGES: usize = 5000;
const QUEUE_BYTES: usize = 400_000;
/// What a message costs beside its bytes, and what the test itself and the runtime need.
const SLACK: usize = QUEUE_MESSAGES * 512 + (6 << 20);

/// The queue as its documentation describes it.
struct Predicted {
    policy: WhenFull,
    queue: VecDeque<(usize, usize, usize)>,
    bytes: usize,
    dropped: u64,
}

impl Predicted {
    fn new(policy: WhenFull) -> Self {
        Self { policy, queue: VecDeque::new(), bytes: 0, dropped: 0 }
    }

    fn is_full(&self, cost: usize) -> bool {
        self.queue.len() >= QUEUE_MESSAGES || self.bytes + cost > QUEUE_BYTES
    }

    /// Message `n` is offered; `false` if the caller is to be told that there is no room.
    fn offer(&mut self, n: usize, topic: usize, cost: usize) -> bool {
        while self.is_full(cost) {
            let victim = match self.policy {
                WhenFull::Wait | WhenFull::Reject => return false,
                WhenFull::DropNewest => {
                    self.dropped += 1;
                    return true;
                }
                WhenFull::DropOldest => 0,
                WhenFull::Latest => {
                    self.queue.iter().position(|(_, t, _)| *t == topic).unwrap_or(0)
                }
            };
            let (_, _, freed) = self.queue.remove(victim).unwrap();
            self.bytes -= freed;
            self.dropped += 1;
        }
        self.queue.push_back((n, topic, cost));
        self.bytes += cost;
        true
    }
}

/// Topic, payload and cost of message `n`: uneven sizes, topics of uneven popularity.
fn message(n: usize) -> (usize, String, String) {
    let random = (n as u64 ^ 0x5bd1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let topic = (random % 7).min(random / 7 % 7) as usize;
    let payload = format!("{n} {}", "x".repeat((random / 49 % 160) as usize));
    (topic, format!("sensor/{topic}"), payload)
}

fn number(payload: &str) -> usize {
    payload.split(' ').next().unwrap().parse().unwrap()
}

fn assert_accounted(client: &Client) {
    let stats = client.stats();
    let ended = stats.delivered + stats.expired + stats.rejected + stats.dropped;
    assert_eq!(stats.accepted, ended + client.held() as u64, "{stats:?}, held {}", client.held());
}

async fn ten_minutes(policy: WhenFull, version: Version, qos: QoS) {
    let shape = |b: everlink::Builder| b.queue(QUEUE_MESSAGES, QUEUE_BYTES).when_full(policy);
    let (client, driver, path, model) = over_model(version, shape);
    spawn(driver);
    soon("up", client.up()).await;
    path.refuse(true);
    path.cut();
    sleep(GROUP_PAUSE).await;

    let mut predicted = Predicted::new(policy);
    let (mut n, mut refused) = (0, 0);
    let before = support::memory_in_use();
    let mut most = 0;
    let end = Instant::now() + OUTAGE;
    while Instant::now() < end {
        for _ in 0..GROUP {
            let (topic, name, payload) = message(n);
            let taken = predicted.offer(n, topic, name.len() + payload.len());
            match client.publish(&name, payload).qos(qos).send() {
                Ok(_) => assert!(taken, "{n} should have been refused"),
                Err(error) => {
                    assert_eq!(error, PublishError::Refused(Refused::QueueFull));
                    assert!(!taken, "{n} should have been taken");
                    refused += 1;
                }
            }
            n += 1;
        }
        if n % 10_000 == 0 {
            most = most.max(support::memory_in_use().saturating_sub(before));
            assert_accounted(&client);
        }
        sleep(GROUP_PAUSE).await;
    }
    assert_eq!(n, 600_000);
    assert_eq!(client.held(), predicted.queue.len());
    assert!(most < QUEUE_BYTES + SLACK, "{policy:?}: {most} bytes more than before");

    path.refuse(false);
    soon("up", client.up()).await;
    soon("flush", client.flush()).await;
    let arrived: Vec<_> = model.accepted().iter().map(|p| number(p)).collect();
    let wanted: Vec<_> = predicted.queue.iter().map(|(n, ..)| *n).collect();
    assert_eq!(arrived, wanted, "{policy:?}");
    assert_accounted(&client);
    let stats = client.stats();
    assert_eq!(stats.delivered, wanted.len() as u64);
    assert_eq!(stats.dropped, predicted.dropped);
    assert_eq!(stats.accepted + refused, 600_000);
    model.assert_conformant();
    println!(
        "{policy:?}: {} arrived, {} dropped, {refused} refused, {} KiB at most",
        arrived.len(),
        stats.dropped,
        most >> 10
    );
}

#[tokio::test(start_paused = true)]
async fn wait_tells_at_once_who_will_not_wait() {
    ten_minutes(WhenFull::Wait, Version::V311, QoS::AtLeastOnce).await;
}

#[tokio::test(start_paused = true)]
async fn reject() {
    ten_minutes(WhenFull::Reject, Version::V5, QoS::AtLeastOnce).await;
}

#[tokio::test(start_paused = true)]
async fn drop_oldest() {
    ten_minutes(WhenFull::DropOldest, Version::V5, QoS::ExactlyOnce).await;
}

#[tokio::test(start_paused = true)]
async fn drop_newest() {
    ten_minutes(WhenFull::DropNewest, Version::V311, QoS::ExactlyOnce).await;
}

#[tokio::test(start_paused = true)]
async fn latest_per_topic() {
    ten_minutes(WhenFull::Latest, Version::V5, QoS::AtLeastOnce).await;
}

/// A running client whose broker is away.
async fn away(policy: WhenFull, messages: usize) -> (Client, Path, Model) {
    let shape = |b: everlink::Builder| b.queue(messages, 10 << 20).when_full(policy);
    let (client, driver, path, model) = over_model(Version::V5, shape);
    spawn(driver);
    soon("up", client.up()).await;
    path.refuse(true);
    path.cut();
    sleep(GROUP_PAUSE).await;
    (client, path, model)
}

#[tokio::test(start_paused = true)]
async fn wait_makes_the_publisher_wait() {
    let (client, path, model) = away(WhenFull::Wait, 500).await;
    let publisher = client.clone();
    let (done, stop) = tokio::sync::oneshot::channel::<()>();
    let publishing = tokio::spawn(async move {
        let mut n = 0;
        while !done.is_closed() {
            let publish = publisher.publish("t", n.to_string()).qos(QoS::AtLeastOnce);
            publish.accepted().await.unwrap();
            n += 1;
            sleep(Duration::from_millis(1)).await;
        }
        n
    });
    sleep(OUTAGE).await;
    assert_eq!(client.held(), 500, "and the publisher waits with the next");
    path.refuse(false);
    // The pause before the next attempt is drawn.
    soon("up", client.up()).await;
    sleep(Duration::from_secs(30)).await;
    drop(stop);
    let n: usize = publishing.await.unwrap();
    soon("flush", client.flush()).await;
    assert!(n > 500 + 20_000, "it went on at its pace: {n}");
    assert_eq!(model.accepted(), (0..n).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_accounted(&client);
}

#[tokio::test(start_paused = true)]
async fn every_message_is_told_its_fate() {
    for policy in [WhenFull::DropOldest, WhenFull::DropNewest, WhenFull::Latest] {
        let (client, path, model) = away(policy, 10).await;
        let mut fates = Vec::new();
        for n in 0..100 {
            let publish = client.publish(["a", "b"][n % 2], n.to_string()).qos(QoS::AtLeastOnce);
            fates.push(publish.send().unwrap());
        }
        path.refuse(false);
        let mut delivered = Vec::new();
        for (n, fate) in fates.into_iter().enumerate() {
            match soon("fate", fate).await {
                Outcome::Delivered(_) => delivered.push(n.to_string()),
                outcome => assert_eq!(outcome, Outcome::Dropped(policy)),
            }
        }
        assert_eq!(delivered.len(), 10);
        assert_eq!(model.accepted(), delivered, "{policy:?}");
        assert_accounted(&client);
    }
}

#[tokio::test(start_paused = true)]
async fn expired_messages_do_not_arrive_and_are_counted() {
    const EXPIRY: Duration = Duration::from_secs(30);
    let (client, path, model) = away(WhenFull::Wait, 100_000).await;
    let mut accepted = Vec::new();
    let end = Instant::now() + OUTAGE;
    while Instant::now() < end {
        for _ in 0..GROUP {
            let n = accepted.len();
            accepted.push(Instant::now());
            let publish = client.publish("t", n.to_string()).qos(QoS::AtLeastOnce);
            publish.expiry(EXPIRY).send().unwrap();
        }
        sleep(GROUP_PAUSE).await;
        // They are dropped as they expire, not when there is a connection at last.
        assert!(client.held() <= 32_000, "{}", client.held());
    }
    path.refuse(false);
    soon("up", client.up()).await;
    let back = client.state().since;
    soon("flush", client.flush()).await;
    let fresh = |at: &Instant| *at + EXPIRY > back;
    let wanted: Vec<_> = (0..accepted.len()).filter(|n| fresh(&accepted[*n])).collect();
    let arrived: Vec<_> = model.accepted().iter().map(|p| number(p)).collect();
    assert_eq!(arrived, wanted);
    // [MQTT-3.3.2-6] what the broker is told is what is left.
    let told = model.with(|b, _| b.accepted().iter().map(|a| a.expiry).collect::<Vec<_>>());
    for (n, expiry) in arrived.iter().zip(told) {
        let left = (accepted[*n] + EXPIRY - back).as_secs().max(1);
        assert_eq!(expiry, Some(left as u32), "message {n}");
    }
    assert_accounted(&client);
    assert_eq!(client.stats().expired, (accepted.len() - wanted.len()) as u64);
}
