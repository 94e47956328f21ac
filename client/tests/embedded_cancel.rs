//! The front for boards: any future may be dropped at any await.
#![cfg(feature = "embassy")]

mod board;

use std::time::Duration;

use board::{BoardClient, Executor, Flag, LONG, VERSIONS, World};
use everlink::embedded::PublishError;
use everlink::{QoS, Version};

/// Everything an application can wait for.
async fn application(client: BoardClient, round: usize) {
    client.up().await;
    let mut echo = client.subscribe("echo", QoS::ExactlyOnce).await.expect("granted");
    let payload = round.to_string();
    let accepted = client.publish("echo", &payload).qos(QoS::ExactlyOnce).accepted().await;
    let delivery = accepted.expect("room");
    client.ping(Duration::from_secs(3)).await;
    while echo.next(|m| board::number(m.payload)).await != Some(round) {}
    assert!(delivery.await.is_delivered());
    client.publish("echo", &payload).qos(QoS::AtLeastOnce).await.expect("delivered");
    let mut buffer = [0; 64];
    let message = echo.next_into(&mut buffer).await.expect("a message");
    assert_eq!((message.topic, board::number(message.payload)), ("echo", round));
    client.flush().await;
    assert!(echo.unsubscribe().await.is_some());
}

fn world() -> World {
    let world = World::new(3);
    world.sim().net.path(0).set_delay(Duration::from_millis(10), Duration::ZERO);
    world
}

#[test]
fn the_application() {
    for version in VERSIONS {
        let mut cancelled = 0;
        loop {
            cancelled += 1;
            let world = world();
            let mut ex = Executor::new(world.clone());
            let hub = board::hub(board::config(version));
            let mut driver = board::driver(hub, &world);
            let client = hub.client();
            ex.spawn(async move {
                driver.run().await;
            });
            let first = ex.spawn(application(client, 1));
            ex.run_until("some polls", LONG, |ex| {
                !ex.is_alive(first) || ex.polls(first) >= cancelled
            });
            let whole = !ex.is_alive(first);
            ex.cancel(first);
            // Whatever was left behind is in nobody's way, the second time neither.
            ex.block_on("the application after one that was dropped", application(client, 2));
            ex.block_on("the application once more", application(client, 3));
            assert_eq!(client.held(), 0);
            world.assert_conforms();
            if whole {
                break;
            }
        }
        assert!(cancelled >= 6, "{cancelled} places to be dropped at");
    }
}

#[test]
fn the_driver() {
    for version in VERSIONS {
        for polls in 1..30 {
            driver_dropped_after(polls, version);
        }
    }
}

fn driver_dropped_after(polls: usize, version: Version) {
    let world = world();
    let mut ex = Executor::new(world.clone());
    let hub = board::hub(board::config(version));
    let client = hub.client();
    let done = Flag::default();
    let flag = done.clone();
    ex.spawn(async move {
        application(client, 1).await;
        application(client, 2).await;
        flag.set();
    });
    let mut driver = board::driver(hub, &world);
    for _ in 0..10 {
        let mut inner = Executor::new(world.clone());
        let id = inner.spawn(async {
            driver.run().await;
        });
        for _ in 0..100 {
            ex.settle();
            inner.settle();
            if inner.polls(id) >= polls {
                break;
            }
            inner.run_for(Duration::from_millis(1));
        }
        drop(inner);
        assert_ne!(client.state().step, everlink::Step::Up, "nobody holds a connection");
        ex.run_for(Duration::from_millis(20 + polls as u64 * 50));
    }
    ex.spawn(async move {
        driver.run().await;
    });
    ex.run_until("the application to end", LONG, |_| done.get());
    world.assert_conforms();
}

#[test]
fn a_delivery_that_nobody_waits_for_any_more() {
    let world = world();
    let mut ex = Executor::new(world.clone());
    let hub = board::hub(board::config(Version::V5));
    let mut driver = board::driver(hub, &world);
    let client = hub.client();
    // As many as there are slots, dropped: the slots are free again, although nothing was sent.
    for n in 0..8 {
        let qos = if n % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        drop(client.publish("t", "old").qos(qos).send().expect("room"));
    }
    assert_eq!(client.held(), 8);
    ex.spawn(async move {
        driver.run().await;
    });
    // Room comes one by one, and the end of an old message is not taken for that of a new one.
    let refused = Flag::default();
    let flag = refused.clone();
    ex.block_on("new messages", async move {
        for _ in 0..8 {
            let new = client.publish("refused/x", "new").qos(QoS::AtLeastOnce).accepted().await;
            let outcome = new.expect("accepted").await.into_result();
            assert!(outcome.is_ok());
        }
        flag.set();
    });
    assert!(refused.get());
    assert_eq!(client.stats().delivered, 16);
    world.assert_conforms();
}

#[test]
fn more_deliveries_than_slots() {
    let hub = board::hub(board::config(Version::V5));
    let client = hub.client();
    let mut kept = Vec::new();
    for _ in 0..8 {
        kept.push(client.publish("t", "").expiry(Duration::ZERO).send().expect("room"));
    }
    // They have expired, so there is room in the queue, but each is still waited for.
    let next = client.publish("t", "").send();
    assert!(matches!(next, Err(PublishError::TooManyDeliveries)), "{next:?}");
    client.publish("t", "").forget().expect("nobody waits");
    kept.pop();
    client.publish("t", "").send().expect("a free slot");
}
