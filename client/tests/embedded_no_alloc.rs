//! The front for boards never allocates: everything is on the stack of the test, or, on a board, in
//! statics.
#![cfg(feature = "embassy")]

mod board;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use board::{Executor, QOS, VERSIONS, World, alloc};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use everlink::embedded::{Connect, Handler, Hub, Memory, Message, Verdict};
use everlink::{QoS, Version};

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

#[test]
fn nothing_is_allocated() {
    for version in VERSIONS {
        let world = World::new(1);
        let handled = AtomicUsize::new(0);
        {
            let mut handler = |m: &Message<'_>| {
                handled.fetch_add(m.payload.len(), Ordering::Relaxed);
                Verdict::Taken
            };
            exchange(version, &world, &mut handler);
        }
        assert_eq!(alloc::count(), 0, "calls of the allocator");
        assert!(handled.into_inner() >= 9);
        world.assert_conforms();
    }
}

fn exchange<'m>(version: Version, world: &World, handler: &'m mut Handler<'m>) {
    let mut memory = Memory::<8, 1024, 8, 1024, 4>::new();
    let connect = Connect::new("board");
    let hub = Hub::<CriticalSectionRawMutex>::new(&mut memory, board::config(version), connect);
    let hub = hub.handler(handler);
    let (mut receive, mut transmit) = ([0; 512], [0; 512]);
    let mut driver = hub.driver(world.link(), &mut receive[..], &mut transmit[..]);
    let client = hub.client();
    let mut ex = Executor::new(world.clone());
    ex.spawn(async {
        driver.run().await;
    });
    ex.block_on("the exchange", async {
        let mut echo = client.subscribe("echo/+", QoS::ExactlyOnce).await.expect("granted");
        let _other = client.subscribe("other", QoS::AtLeastOnce).to_handler().await;
        for qos in QOS {
            let delivery = client.publish("echo/x", b"hello").qos(qos).send().expect("room");
            assert!(delivery.await.is_delivered());
            let length = echo.next(|m| m.payload.len()).await;
            assert_eq!(length, Some(5));
            client.publish("other", "abc").qos(qos).forget().expect("room");
            client.flush().await;
            alloc::unwatched(|| world.cut());
        }
        // The first goes down with the connection.
        assert_eq!(client.ping(Duration::from_secs(5)).await, None);
        client.ping(Duration::from_secs(5)).await.expect("an answer");
        client.drain(Duration::from_secs(5)).await;
    });
}

#[test]
fn an_allocation_would_be_seen() {
    let before = alloc::count();
    alloc::watched(|| drop(vec![0; 100]));
    assert_eq!(alloc::count() - before, 2);
}
