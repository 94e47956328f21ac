//! Buffers that grow on demand: packets of every size pass both ways, before and after a rest.

mod support;

use std::time::Duration;

use everlink::{QoS, Will};
use support::{VERSIONS, over_model, soon, spawn};
use tokio::time::sleep;

/// Around the least size of a buffer, around its limit, and in between; the broker sends back with a
/// few bytes more.
const PAYLOADS: [usize; 9] = [0, 1, 490, 512, 1023, 5_000, 60_000, 65_000, 65_400];

#[tokio::test(start_paused = true)]
async fn packets_of_every_size_pass_both_ways() {
    for version in VERSIONS {
        let (client, driver, _path, model) = over_model(version, |b| b);
        let _running = spawn(driver);
        let long = "long/".repeat(12_000);
        for (round, topic) in ["short", "a/topic/of/middling/length", &long].iter().enumerate() {
            let filter = if round == 2 { "long/#" } else { topic };
            let mut stream =
                soon("granted", client.subscribe(filter, QoS::ExactlyOnce)).await.unwrap();
            for size in PAYLOADS.iter().map(|n| n.saturating_sub(topic.len())) {
                let payload: Vec<u8> = (0..size).map(|n| n as u8).collect();
                for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                    client.publish(topic, &payload).qos(qos).send().unwrap();
                    let message = soon("a message", stream.next()).await.unwrap();
                    assert_eq!(&*message.topic, *topic);
                    assert!(message.payload == payload, "{size} bytes at {qos:?}");
                }
            }
            // Long enough for the buffers to shrink.
            sleep(Duration::from_secs(120)).await;
        }
        model.assert_conformant();
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_connect_fits_at_every_connection() {
    for version in VERSIONS {
        let will = Will::new("will", vec![7; 60_000]).unwrap();
        let (client, driver, path, model) = over_model(version, |b| b.will(will));
        let _running = spawn(driver);
        for _ in 0..3 {
            soon("up", client.up()).await;
            sleep(Duration::from_secs(60)).await;
            path.cut();
            soon("down", client.watch().wait_for(|s| !s.is_up())).await.unwrap();
        }
        model.assert_conformant();
    }
}
