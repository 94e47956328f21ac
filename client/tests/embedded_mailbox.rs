//! The front for boards: what happens to received messages when there is no room.
#![cfg(feature = "embassy")]

mod board;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use board::{BoardClient, Executor, LONG, VERSIONS, World, number};
use everlink::embedded::{
    Connect, Hub, Memory, NoMessage, Overflow, PublishError, Receipt, Verdict,
};
use everlink::{QoS, Version};

/// A running board and its broker.
fn start(version: Version) -> (World, Executor<'static>, BoardClient) {
    let world = World::new(5);
    let mut ex = Executor::new(world.clone());
    let hub = board::hub(board::config(version));
    let mut driver = board::driver(hub, &world);
    ex.spawn(async move {
        driver.run().await;
    });
    (world, ex, hub.client())
}

fn publish(world: &World, topic: &str, numbers: std::ops::Range<usize>, qos: QoS) {
    for n in numbers {
        world.sim().broker_publishes(topic, n.to_string().as_bytes(), qos);
    }
}

#[test]
fn a_full_mailbox_holds_the_broker_back_and_nothing_is_lost() {
    for version in VERSIONS {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let (world, mut ex, client) = start(version);
            let mut sub = ex.block_on("subscription", async move {
                client.subscribe("t", qos).await.expect("granted")
            });
            // 3.1.1 brokers cannot be told how many are too many; mosquitto sends at most 20.
            let many = if (version, qos) == (Version::V311, QoS::ExactlyOnce) { 20 } else { 40 };
            publish(&world, "t", 0..many, qos);
            // An hour of an application that does not look: no acknowledgement, no fault.
            ex.run_for(Duration::from_secs(3600));
            assert_eq!(client.stats().outages, 0);
            assert!(client.stats().received <= 8, "{} taken", client.stats().received);
            let all: Vec<_> = ex.block_on("all messages", async move {
                let mut all = Vec::new();
                while all.len() < many {
                    all.extend(sub.next(|m| number(m.payload)).await);
                }
                all
            });
            assert_eq!(all, (0..many).collect::<Vec<_>>(), "{version:?} {qos:?}");
            ex.run_for(Duration::from_secs(1));
            assert_eq!(world.sim().broker().backlog("board"), 0);
            assert_eq!((client.lost(), client.stats().outages), (0, 0));
            world.assert_conforms();
        }
    }
}

#[test]
fn a_broker_that_sends_more_than_there_is_memory_for_gets_there_in_the_end() {
    let (world, mut ex, client) = start(Version::V311);
    let mut sub = ex.block_on("subscription", async move {
        client.subscribe("t", QoS::ExactlyOnce).await.expect("granted")
    });
    publish(&world, "t", 0..100, QoS::ExactlyOnce);
    let all: Vec<_> = ex.block_on("all messages", async move {
        let mut all = Vec::new();
        while all.len() < 100 {
            all.extend(sub.next(|m| number(m.payload)).await);
        }
        all
    });
    assert_eq!(all, (0..100).collect::<Vec<_>>());
    world.assert_conforms();
}

#[test]
fn what_is_held_back_does_not_stop_the_rest() {
    let (world, mut ex, client) = start(Version::V5);
    let mut sub = ex.block_on("subscription", async move {
        client.subscribe("t", QoS::AtLeastOnce).await.expect("granted")
    });
    publish(&world, "t", 0..40, QoS::AtLeastOnce);
    ex.run_for(Duration::from_secs(10));
    // The mailbox is full, yet acknowledgements and answers to pings arrive.
    ex.block_on("a delivery behind the mailbox", async move {
        client.publish("x", "1").qos(QoS::ExactlyOnce).await.expect("delivered");
        client.ping(Duration::from_secs(5)).await.expect("an answer");
    });
    // Each message taken lets the broker send one more, in order.
    for n in 0..40 {
        ex.run_for(Duration::from_millis(10));
        assert_eq!(sub.try_next(|m| number(m.payload)), Some(n));
    }
    assert_eq!(sub.try_next(|_| ()), None);
    world.assert_conforms();
}

#[test]
fn qos_0_is_dropped_where_waiting_would_lock_up() {
    let (world, mut ex, client) = start(Version::V311);
    let sub = ex.block_on("subscription", async move {
        client.subscribe("t", QoS::AtMostOnce).await.expect("granted")
    });
    publish(&world, "t", 0..40, QoS::AtMostOnce);
    ex.run_for(Duration::from_secs(5));
    // The same task would take the messages after this.
    ex.block_on("a delivery", async move {
        client.publish("x", "1").qos(QoS::AtLeastOnce).await.expect("delivered");
    });
    assert_eq!(sub.lost() + 4, 40);
    assert_eq!(client.stats().outages, 0);
}

#[test]
fn policies_by_name() {
    let expected = [
        (Overflow::DropOldest, vec![7, 8, 9], 7),
        (Overflow::DropNewest, vec![0, 1, 2], 7),
        // Topics 0 and 1 in turn, so the latest two of them, and one more that was there.
        (Overflow::Latest, vec![6, 8, 9], 7),
    ];
    for version in VERSIONS {
        for (policy, kept, lost) in expected.clone() {
            let (world, mut ex, client) = start(version);
            let mut sub = ex.block_on("subscription", async move {
                let sub = client.subscribe("t/+", QoS::AtLeastOnce).overflow(policy).capacity(3);
                sub.await.expect("granted")
            });
            for n in 0..10 {
                publish(&world, &format!("t/{}", n % 2), n..n + 1, QoS::AtLeastOnce);
                ex.run_for(Duration::from_millis(100));
            }
            let mut all = Vec::new();
            while let Some(n) = sub.try_next(|m| number(m.payload)) {
                all.push(n);
            }
            assert_eq!((all, sub.lost()), (kept, lost), "{policy:?}");
            assert_eq!(world.sim().broker().backlog("board"), 0, "all is acknowledged");
            world.assert_conforms();
        }
    }
}

#[test]
fn the_latest_of_each_topic() {
    let (world, mut ex, client) = start(Version::V5);
    let mut sub = ex.block_on("subscription", async move {
        let sub = client.subscribe("t/+", QoS::AtMostOnce).overflow(Overflow::Latest).capacity(3);
        sub.await.expect("granted")
    });
    for (topic, n) in [("t/a", 0), ("t/b", 1), ("t/c", 2), ("t/c", 3), ("t/c", 4), ("t/a", 5)] {
        publish(&world, topic, n..n + 1, QoS::AtMostOnce);
    }
    ex.run_for(Duration::from_secs(1));
    let mut all = Vec::new();
    while let Some(n) = sub.try_next(|m| number(m.payload)) {
        all.push(n);
    }
    assert_eq!(all, [1, 4, 5]);
}

#[test]
fn the_application_acknowledges() {
    for version in VERSIONS {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let (world, mut ex, client) = start(version);
            let mut sub = ex.block_on("subscription", async move {
                client.subscribe("t", qos).manual_ack().await.expect("granted")
            });
            publish(&world, "t", 0..3, qos);
            ex.run_for(Duration::from_secs(1));
            let receipts: Vec<Receipt> =
                (0..3).map(|_| sub.try_next(|m| m.receipt).expect("a message")).collect();
            assert_eq!(world.sim().broker().backlog("board"), 3);
            // Out of order: nothing may go out before the first is acknowledged.
            client.ack(receipts[1]).expect("fresh");
            ex.run_for(Duration::from_secs(1));
            assert_eq!(world.sim().broker().backlog("board"), 3);
            client.ack(receipts[0]).expect("fresh");
            client.ack(receipts[2]).expect("fresh");
            assert!(client.ack(receipts[2]).is_err(), "twice");
            ex.run_for(Duration::from_secs(1));
            assert_eq!(world.sim().broker().backlog("board"), 0);
            world.assert_conforms();
        }
    }
}

#[test]
fn a_subscription_that_is_dropped_leaves_nothing_behind() {
    for manual in [false, true] {
        let (world, mut ex, client) = start(Version::V5);
        let sub = ex.block_on("subscription", async move {
            let sub = client.subscribe("t", QoS::ExactlyOnce);
            if manual { sub.manual_ack().await } else { sub.await }.expect("granted")
        });
        publish(&world, "t", 0..20, QoS::ExactlyOnce);
        ex.run_for(Duration::from_secs(1));
        drop(sub);
        ex.run_for(Duration::from_secs(1));
        assert_eq!(world.sim().broker().subscriptions("board"), Vec::<String>::new());
        assert_eq!(world.sim().broker().backlog("board"), 0, "all is acknowledged");
        // The memory is free for another.
        let mut sub = ex.block_on("another", async move {
            client.subscribe("u", QoS::ExactlyOnce).await.expect("granted")
        });
        publish(&world, "u", 0..20, QoS::ExactlyOnce);
        let all: Vec<_> = ex.block_on("messages", async move {
            let mut all = Vec::new();
            while all.len() < 20 {
                all.extend(sub.next(|m| number(m.payload)).await);
            }
            all
        });
        assert_eq!(all, (0..20).collect::<Vec<_>>());
        world.assert_conforms();
    }
}

#[test]
fn overlapping_filters_and_two_on_one_filter() {
    for version in VERSIONS {
        let (world, mut ex, client) = start(version);
        let mut subs = ex.block_on("subscriptions", async move {
            let mut subs = Vec::new();
            for (filter, qos) in
                [("a/+", QoS::AtMostOnce), ("a/b", QoS::AtLeastOnce), ("a/b", QoS::AtMostOnce)]
            {
                subs.push(client.subscribe(filter, qos).await.expect("granted"));
            }
            subs
        });
        publish(&world, "a/c", 1..2, QoS::AtLeastOnce);
        ex.run_for(Duration::from_secs(1));
        let mut take = |at: usize| subs[at].try_next(|m| number(m.payload));
        assert_eq!([take(0), take(1), take(2)], [Some(1), None, None]);
        publish(&world, "a/b", 2..3, QoS::AtLeastOnce);
        ex.run_for(Duration::from_secs(1));
        assert_eq!([take(0), take(1), take(2)], [Some(2), Some(2), Some(2)]);
        // The one left on the filter still gets its messages.
        subs.remove(1);
        ex.run_for(Duration::from_secs(1));
        publish(&world, "a/b", 3..4, QoS::AtLeastOnce);
        ex.run_for(Duration::from_secs(1));
        assert_eq!(subs[1].try_next(|m| number(m.payload)), Some(3));
        world.assert_conforms();
    }
}

#[test]
fn a_message_larger_than_the_mailbox_is_counted_and_blocks_nothing() {
    for version in VERSIONS {
        let world = World::new(5);
        let mut ex = Executor::new(world.clone());
        let memory = Box::leak(Box::new(Memory::<4, 256, 4, 100, 2>::new()));
        let hub =
            Box::leak(Box::new(Hub::new(memory, board::config(version), Connect::new("board"))));
        let mut driver = board::driver(hub, &world);
        let client = hub.client();
        ex.spawn(async move {
            driver.run().await;
        });
        let mut sub = ex.block_on("subscription", async move {
            client.subscribe("t", QoS::ExactlyOnce).await.expect("granted")
        });
        for qos in board::QOS {
            world.sim().broker_publishes("t", &[b'1'; 101], qos);
            // Larger than the receive buffer, even.
            world.sim().broker_publishes("t", &[b'1'; 600], qos);
            world.sim().broker_publishes("t", &[b'1'; 90], qos);
            ex.run_for(Duration::from_secs(2));
            assert_eq!(sub.try_next(|m| m.payload.len()), Some(90));
        }
        assert_eq!(client.lost(), 3);
        // MQTT 5 brokers are told the limit, and do not even send them.
        assert_eq!(client.stats().skipped, if version == Version::V5 { 0 } else { 3 });
    }
}

#[test]
fn a_buffer_that_is_too_short_loses_nothing() {
    let (world, mut ex, client) = start(Version::V311);
    let mut sub = ex.block_on("subscription", async move {
        client.subscribe("t", QoS::AtLeastOnce).await.expect("granted")
    });
    publish(&world, "t", 12345..12346, QoS::AtLeastOnce);
    ex.block_on("the message", async move {
        let mut short = [0; 5];
        assert_eq!(sub.next_into(&mut short).await.err(), Some(NoMessage::TooShort(6)));
        let mut long = [0; 6];
        let message = sub.next_into(&mut long).await.expect("a message");
        assert_eq!((message.topic, number(message.payload)), ("t", 12345));
    });
}

#[test]
fn a_handler_gets_what_no_mailbox_wants() {
    for version in VERSIONS {
        let world = World::new(5);
        let seen = Rc::new(RefCell::new(Vec::new()));
        // A board's handler would write to a static; here the test runs in one thread.
        let log = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let list = log.clone();
        let mut busy = 2;
        let handler = Box::leak(Box::new(move |m: &everlink::embedded::Message<'_>| {
            if busy > 0 {
                busy -= 1;
                return Verdict::Busy;
            }
            list.lock().unwrap().push((m.topic.to_owned(), number(m.payload)));
            Verdict::Taken
        }));
        let connect = Connect::new("board");
        let hub = Hub::new(board::memory(), board::config(version), connect).handler(handler);
        let hub = Box::leak(Box::new(hub));
        let mut ex = Executor::new(world.clone());
        let mut driver = board::driver(hub, &world);
        let client = hub.client();
        ex.spawn(async move {
            driver.run().await;
        });
        let (_handled, mut sub) = ex.block_on("subscriptions", async move {
            let handled = client.subscribe("h", QoS::ExactlyOnce).to_handler().await;
            (
                handled.expect("granted"),
                client.subscribe("t", QoS::AtLeastOnce).await.expect("granted"),
            )
        });
        publish(&world, "h", 1..4, QoS::ExactlyOnce);
        publish(&world, "t", 4..5, QoS::AtLeastOnce);
        let list = seen.clone();
        ex.block_on("the message behind", async move {
            let n = sub.next(|m| number(m.payload)).await;
            list.borrow_mut().extend(n);
        });
        let handled: Vec<_> = log.lock().unwrap().iter().map(|(_, n)| *n).collect();
        assert_eq!((handled, seen.take()), (vec![1, 2, 3], vec![4]));
        world.assert_conforms();
    }
}

#[test]
fn messages_that_come_before_their_subscription_is_made() {
    let world = World::new(5);
    let mut ex = Executor::new(world.clone());
    let config = everlink::embedded::Config { clean_start: false, ..board::config(Version::V5) };
    for round in 0..2 {
        // The second round is the board after a reset: the broker still has its session.
        let hub = board::hub(config.clone());
        let mut driver = board::driver(hub, &world);
        let client = hub.client();
        let id = ex.spawn(async move {
            driver.run().await;
        });
        ex.run_until("the session", LONG, |_| client.state().is_up());
        ex.run_for(Duration::from_secs(1));
        let mut sub = ex.block_on("subscription", async move {
            client.subscribe("t", QoS::AtLeastOnce).await.expect("granted")
        });
        if round == 1 {
            let all: Vec<_> = (0..3).filter_map(|_| sub.try_next(|m| number(m.payload))).collect();
            assert_eq!(all, [0, 1, 2]);
        }
        std::mem::forget(sub);
        ex.cancel(id);
        publish(&world, "t", 0..3, QoS::AtLeastOnce);
        ex.run_for(Duration::from_secs(1));
    }
}

#[test]
fn a_message_is_looked_at_while_the_client_is_locked() {
    let (world, mut ex, client) = start(Version::V5);
    let mut sub = ex.block_on("subscription", async move {
        client.subscribe("t", QoS::AtLeastOnce).await.expect("granted")
    });
    publish(&world, "t", 0..2, QoS::AtLeastOnce);
    ex.run_for(Duration::from_secs(1));
    // Calling the client from there is an error, not a panic.
    let refused = sub.try_next(|_| client.publish("x", "1").forget()).expect("a message");
    assert_eq!(refused, Err(PublishError::InHandler));
    assert_eq!(sub.try_next(|_| client.held()), Some(0));
    assert!(client.state().is_up());
    client.publish("x", "1").forget().expect("room");
}
