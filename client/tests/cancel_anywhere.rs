//! Every public future, dropped at every await point: nothing breaks, nothing accepted is lost.
//!
//! Futures are polled by hand: `k` times, with a little time in between, then dropped; `k` grows
//! until the future completes. After each drop a full exchange must still work.

mod support;

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use everlink::{Client, PublishError, QoS, Refused, Subscription, Version};
use support::memory::Path;
use support::model::Model;
use support::{VERSIONS, over_memory, over_model, soon, spawn, text};
use tokio::time::sleep;

/// Counts wake-ups.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What happens to the connection meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    None,
    /// It is lost half-way.
    Cut,
    /// The broker has forgotten everything when it is back.
    Restart,
}

struct World {
    client: Client,
    path: Path,
    model: Model,
    check: Subscription,
    trouble: Trouble,
    count: usize,
    /// Payloads of messages known to be accepted.
    accepted: Vec<String>,
}

impl World {
    async fn new(version: Version, trouble: Trouble) -> Self {
        let shape = |b: everlink::Builder| b.window(3).queue(3, 10_000);
        let (client, driver, path, model) = over_model(version, shape);
        spawn(driver);
        let check = soon("subscribe", client.subscribe("check", QoS::ExactlyOnce)).await.unwrap();
        path.delay(Duration::from_millis(3), Duration::ZERO);
        if version == Version::V5 {
            answer_questions(&model, version).await;
        }
        Self { client, path, model, check, trouble, count: 0, accepted: Vec::new() }
    }

    fn name(&mut self) -> String {
        self.count += 1;
        format!("m{}", self.count)
    }

    fn make_trouble(&self) {
        match self.trouble {
            Trouble::None => {}
            Trouble::Cut => self.path.cut(),
            Trouble::Restart => self.model.restart(),
        }
    }

    /// Polls `future` at most `k` times.
    async fn step<F: IntoFuture>(&self, k: usize, future: F) -> Option<F::Output> {
        let mut future = pin!(future.into_future());
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        for n in 0..k {
            let woken = count.0.swap(0, Ordering::Relaxed) > 0;
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                assert!(n == 0 || woken, "it became ready and nobody was woken");
                return Some(output);
            }
            if n == k / 2 {
                self.make_trouble();
            }
            sleep(Duration::from_millis(if self.trouble == Trouble::None { 1 } else { 7 })).await;
        }
        None
    }

    /// Everything works.
    async fn exchange(&mut self) {
        soon("up", self.client.up()).await;
        let payload = self.name();
        let publish = self.client.publish("check", payload.clone()).qos(QoS::ExactlyOnce);
        let delivery = soon("room", publish.accepted()).await.unwrap();
        self.accepted.push(payload.clone());
        assert!(soon("delivery", delivery).await.is_delivered());
        if self.trouble != Trouble::Restart {
            let message = soon("message", self.check.next()).await.expect("the stream goes on");
            assert_eq!(text(&message), payload);
        }
    }

    /// All that was accepted arrived, once at QoS 2, and nothing is left behind.
    async fn account(mut self) {
        self.trouble = Trouble::None;
        soon("flush", self.client.flush()).await;
        let stats = self.client.stats();
        assert_eq!(stats.accepted, stats.delivered, "{stats:?}");
        self.model.assert_conformant();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(self.model.with(|b, _| b.subscriptions("client")), ["check"]);
        while self.check.try_next().is_some() {}
        self.exchange().await;
    }

    /// As far as the broker has not forgotten it.
    fn assert_arrived(&self) {
        let mut arrived = self.model.accepted();
        arrived.retain(|payload| payload.starts_with('m')); // but for questions and answers
        let once: BTreeSet<_> = arrived.iter().cloned().collect();
        for payload in &self.accepted {
            assert!(once.contains(payload), "{payload} is lost");
        }
        assert_eq!(once.len(), arrived.len(), "something came twice");
    }
}

/// Another client answers requests.
async fn answer_questions(model: &Model, version: Version) {
    let (client, driver, _path, listener) = over_memory(version, |b| b.client_id("oracle"));
    model.listen(listener);
    spawn(driver);
    let mut questions = soon("subscribe", client.subscribe("ask", QoS::AtLeastOnce)).await.unwrap();
    tokio::spawn(async move {
        while let Some(question) = questions.next().await {
            let properties = question.properties();
            let topic = properties.response_topic.clone().unwrap_or_default();
            let correlation = properties.correlation_data.clone().unwrap_or_default();
            let answer = client.publish(&topic, "42").correlation_data(&correlation);
            let _ = answer.qos(QoS::AtLeastOnce).send();
        }
    });
}

/// Runs `$operation` with growing `k` until it completes.
macro_rules! at_every_step {
    ($world:ident, $k:ident, $operation:expr) => {
        for $k in 0.. {
            assert!($k < 2000, "it never completes");
            let done = $operation;
            $world.exchange().await;
            if done {
                break;
            }
        }
    };
}

async fn publishing(version: Version, trouble: Trouble) {
    let mut world = World::new(version, trouble).await;
    at_every_step!(world, k, {
        let payload = world.name();
        let publish = world.client.publish("t", &payload).qos(QoS::ExactlyOnce);
        let done = world.step(k, publish).await.map(|r| r.expect("delivered"));
        world.accepted.extend(done.is_some().then_some(payload));
        done.is_some()
    });
    at_every_step!(world, k, {
        let payload = world.name();
        let publish = world.client.publish("t", &payload).qos(QoS::ExactlyOnce);
        let delivery = publish.send().expect("there is room");
        world.accepted.push(payload);
        world.step(k, delivery).await.is_some()
    });
    at_every_step!(world, k, {
        // Fill the queue, so that there is something to wait for.
        loop {
            let payload = world.name();
            match world.client.publish("t", &payload).qos(QoS::ExactlyOnce).send() {
                Ok(_) => world.accepted.push(payload),
                Err(error) => {
                    assert_eq!(error, PublishError::Refused(Refused::QueueFull));
                    break;
                }
            }
        }
        let payload = world.name();
        let publish = world.client.publish("t", &payload).qos(QoS::ExactlyOnce);
        let accepted = world.step(k, publish.accepted()).await.map(|r| r.expect("accepted"));
        world.accepted.extend(accepted.is_some().then_some(payload));
        accepted.is_some()
    });
    world.finish().await;
}

async fn subscribing(version: Version, trouble: Trouble) {
    let mut world = World::new(version, trouble).await;
    at_every_step!(world, k, {
        world.step(k, world.client.subscribe("a/+", QoS::AtLeastOnce)).await.is_some()
    });
    at_every_step!(world, k, {
        let stream = world.client.subscribe("b", QoS::ExactlyOnce).open().unwrap();
        world.step(k, stream.granted()).await.is_some()
    });
    at_every_step!(world, k, {
        let stream = soon("c", world.client.subscribe("c", QoS::AtMostOnce)).await.unwrap();
        world.step(k, stream.unsubscribe()).await.is_some()
    });
    at_every_step!(world, k, {
        world.step(k, world.client.unsubscribe("nobody/subscribed")).await.is_some()
    });
    world.finish().await;
}

async fn receiving(version: Version, trouble: Trouble) {
    let mut world = World::new(version, trouble).await;
    let own = world.client.subscribe("own", QoS::ExactlyOnce);
    let mut own = soon("subscribe", own).await.unwrap();
    let mut came = Vec::new();
    let mut sent = Vec::new();
    at_every_step!(world, k, {
        let payload = world.name();
        world.client.publish("own", &payload).qos(QoS::ExactlyOnce).send().unwrap();
        world.accepted.push(payload.clone());
        sent.push(payload);
        let next = world.step(k, own.next()).await;
        let done = next.is_some();
        came.extend(next.flatten().map(|m| text(&m)));
        done
    });
    soon("flush", world.client.flush()).await;
    if trouble != Trouble::Restart {
        while came.len() < sent.len() {
            came.push(text(&soon("message", own.next()).await.unwrap()));
        }
        assert_eq!(came, sent, "no message is lost with the future that waited for it");
    }
    drop(own);
    world.finish().await;
}

async fn waiting(version: Version, trouble: Trouble) {
    let mut world = World::new(version, trouble).await;
    let hour = Duration::from_secs(3600);
    at_every_step!(world, k, {
        let payload = world.name();
        world.client.publish("t", &payload).qos(QoS::ExactlyOnce).send().unwrap();
        world.accepted.push(payload);
        world.step(k, world.client.flush()).await.is_some()
    });
    at_every_step!(world, k, world.step(k, world.client.ping(hour)).await.is_some());
    at_every_step!(world, k, {
        world.client.reconnect();
        world.step(k, world.client.up()).await.is_some()
    });
    if version == Version::V5 {
        at_every_step!(world, k, {
            let request = world.client.request("ask", "?", "answer", hour);
            let answer = world.step(k, request).await;
            if trouble != Trouble::Restart {
                let answer = answer.as_ref().map(|a| text(a.as_ref().expect("an answer")));
                assert!(answer.is_none_or(|a| a == "42"));
            }
            // A broker that forgot the subscription of the other side leaves the question open.
            answer.is_some() || trouble == Trouble::Restart && k > 60
        });
    }
    // Draining: all steps but the last, which closes the client.
    for k in 0..12 {
        let payload = world.name();
        world.client.publish("t", &payload).qos(QoS::ExactlyOnce).send().unwrap();
        world.accepted.push(payload);
        world.path.delay(Duration::from_secs(1), Duration::ZERO);
        assert!(world.step(k, world.client.drain(hour)).await.is_none());
        world.path.delay(Duration::from_millis(3), Duration::ZERO);
        world.exchange().await;
    }
    world.finish().await;
}

impl World {
    async fn finish(self) {
        if self.trouble != Trouble::Restart {
            soon("flush", self.client.flush()).await;
            self.assert_arrived();
        }
        self.account().await;
    }
}

macro_rules! with_every_trouble {
    ($($name:ident: $operations:ident;)*) => {
        $(#[tokio::test(start_paused = true)]
        async fn $name() {
            for version in VERSIONS {
                for trouble in [Trouble::None, Trouble::Cut, Trouble::Restart] {
                    $operations(version, trouble).await;
                }
            }
        })*
    };
}

with_every_trouble! {
    dropping_what_publishes: publishing;
    dropping_what_subscribes: subscribing;
    dropping_what_receives: receiving;
    dropping_what_waits: waiting;
}

#[tokio::test(start_paused = true)]
async fn dropping_the_running_driver() {
    for version in VERSIONS {
        for k in 0..40 {
            let (client, driver, path, model) = over_model(version, |b| b);
            path.delay(Duration::from_millis(3), Duration::ZERO);
            let mut stream = client.subscribe("t", QoS::ExactlyOnce).open().unwrap();
            let delivery = client.publish("t", "x").qos(QoS::ExactlyOnce).send().unwrap();
            let mut run = Box::pin(driver.run());
            let waker = Waker::from(Arc::new(Count::default()));
            for _ in 0..k {
                assert!(run.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                sleep(Duration::from_millis(1)).await;
            }
            drop(run);
            let delivered = soon("outcome", delivery).await.is_delivered();
            assert_eq!(client.held(), usize::from(!delivered));
            while soon("stream", stream.next()).await.is_some() {}
            sleep(Duration::from_secs(1)).await;
            assert!(!model.with(|b, _| b.is_connected("client")));
            model.assert_conformant();
        }
    }
}
