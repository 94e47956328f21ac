//! The client of this project, as a node: the same handle, a gateway in between.

use std::time::Duration;

use everlink::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use everlink::{Client, FirstConnect};

use crate::World;

/// A client that reaches the broker through the gateway.
fn node(world: &World, id: &str) -> Client {
    let url = format!("mqttsn://{}", world.address);
    let builder = Client::builder(url).client_id(id).first_connect(FirstConnect::Forever);
    let _runtime = world.runtime.enter();
    let (client, driver) = builder.response_time(Duration::from_secs(1)).build().unwrap();
    world.runtime.spawn(driver.run());
    client
}

#[test]
fn every_message_both_ways() {
    let world = World::new();
    let mut all = world.watch("from/#");
    let node = node(&world, "own");
    world.runtime.block_on(async {
        let mut stream = node.subscribe("to/#", ExactlyOnce).await.unwrap();
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            for n in 0..20 {
                let topic = format!("from/{}", n % 3);
                node.publish(&topic, n.to_string()).qos(qos).await.unwrap();
            }
        }
        for n in 0..20 {
            let topic = format!("to/{}", n % 3);
            world.observer.publish(&topic, n.to_string()).qos(ExactlyOnce).await.unwrap();
        }
        for n in 0..20 {
            let message = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
            let message = message.expect("a message").expect("a stream");
            assert_eq!(&*message.topic, format!("to/{}", n % 3));
            assert_eq!(&*message.payload, n.to_string().as_bytes());
        }
    });
    for _ in 0..3 {
        for n in 0..20 {
            all.expect(&format!("from/{}", n % 3), &n.to_string());
        }
    }
}

#[test]
fn a_broker_that_is_killed_costs_no_message() {
    let mut world = World::new();
    let node = node(&world, "rider");
    world.runtime.block_on(async { assert!(node.up().await) });
    let mut sent = Vec::new();
    for n in 0..30 {
        if n == 10 {
            world.broker.kill();
        }
        sent.push(node.publish("from/rider", n.to_string()).qos(AtLeastOnce).send().unwrap());
    }
    world.broker.restart();
    world.runtime.block_on(async {
        for delivery in sent {
            let outcome = tokio::time::timeout(Duration::from_secs(60), delivery).await;
            let outcome = outcome.expect("its fate is known");
            assert!(outcome.is_delivered(), "{outcome:?}");
        }
    });
}
