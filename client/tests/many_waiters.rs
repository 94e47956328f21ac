//! Any number of tasks can wait, none spins, and those that are gone leave nothing behind.

mod support;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use everlink::{FirstConnect, QoS, Version};
use support::{over_model, soon, spawn};
use tokio::time::sleep;

/// Counts how often a future is polled, and stops a spinning one.
struct Counted<F>(Pin<Box<F>>, Arc<AtomicUsize>);

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if self.1.fetch_add(1, Ordering::Relaxed) > 2_000_000 {
            return Poll::Pending;
        }
        self.0.as_mut().poll(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_publishers_wait_for_room_without_spinning() {
    let shape = |b: everlink::Builder| b.queue(1, 1000).first_connect(FirstConnect::Forever);
    let (client, driver, path, model) = over_model(Version::V5, shape);
    path.refuse(true);
    spawn(driver);
    let polls = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..1000 {
        let client = client.clone();
        let publish = async move {
            client.publish("t", n.to_string()).qos(QoS::AtLeastOnce).await.unwrap();
        };
        tasks.spawn(Counted(Box::pin(publish), polls.clone()));
    }
    sleep(Duration::from_secs(60)).await;
    let waiting = polls.load(Ordering::Relaxed);
    assert!(waiting <= 2000, "{waiting} polls of 1000 futures in an outage");
    path.refuse(false);
    soon("all", async { while tasks.join_next().await.is_some() {} }).await;
    assert_eq!(model.accepted().len(), 1000);
}

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

/// Each poll has a waker of its own, as under combinators; how many the client keeps shows in
/// how often they are referred to.
#[tokio::test(start_paused = true)]
async fn a_future_keeps_one_waker_and_none_when_it_is_dropped() {
    let shape = |b: everlink::Builder| b.queue(1, 1000).first_connect(FirstConnect::Forever);
    let (client, driver, path, _model) = over_model(Version::V5, shape);
    path.refuse(true);
    spawn(driver);
    sleep(Duration::from_secs(1)).await;
    client.publish("t", "full").qos(QoS::AtLeastOnce).send().unwrap();
    let subscription = client.subscribe("s", QoS::AtMostOnce).open().unwrap();
    let hour = Duration::from_secs(3600);
    let mut futures: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = vec![
        Box::pin(async { drop(client.publish("t", "x").accepted().await) }),
        Box::pin(client.flush()),
        Box::pin(async { assert!(client.ping(hour).await.is_some()) }),
        Box::pin(async { assert!(client.up().await) }),
        Box::pin(async { drop(subscription.granted().await) }),
    ];
    for (n, future) in futures.iter_mut().enumerate() {
        let wakers: Vec<_> = (0..100).map(|_| Arc::new(Nobody)).collect();
        for waker in &wakers {
            let waker = Waker::from(waker.clone());
            assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        let kept = wakers.iter().filter(|w| Arc::strong_count(w) > 1).count();
        assert_eq!(kept, 1, "future {n} while it is polled");
        assert!(Arc::strong_count(&wakers[99]) > 1, "future {n}: the latest waker counts");
    }
    let waker = Arc::new(Nobody);
    for _ in 0..100 {
        let waker = Waker::from(waker.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(pin!(client.publish("t", "x").accepted()).poll(&mut cx).is_pending());
        assert!(pin!(client.flush()).poll(&mut cx).is_pending());
        assert!(pin!(client.ping(hour)).poll(&mut cx).is_pending());
        assert!(pin!(client.up()).poll(&mut cx).is_pending());
    }
    assert_eq!(Arc::strong_count(&waker), 1, "dropped futures leave no waker behind");
}
