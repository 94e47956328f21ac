//! A message that a full channel drops is acknowledged: nobody is left who could.

mod support;

use std::time::Duration;

use everlink::{Overflow, QoS, Version};
use support::{VERSIONS, over_model, soon, spawn, text};
use tokio::time::{sleep, timeout};

async fn dropped_messages_do_not_hold_up_the_others(version: Version, overflow: Overflow) {
    let shape = |b: everlink::Builder| b.receive_maximum(8);
    let (client, driver, _path, model) = over_model(version, shape);
    spawn(driver);
    let mut stream = soon(
        "subscribe",
        client.subscribe("t/#", QoS::ExactlyOnce).capacity(2).overflow(overflow).manual_ack(),
    )
    .await
    .unwrap();
    for n in 0..100 {
        let qos = if n % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        model
            .with(|b, now| b.publish(now, &format!("t/{n}"), n.to_string().as_bytes(), qos, false));
        sleep(Duration::from_millis(20)).await;
    }
    if overflow == Overflow::DropNewest {
        // The first two are kept, and acknowledgements keep their order: the broker waits for us.
        // 3.1.1 cannot tell the broker how many it takes.
        assert_eq!(stream.lost(), if version == Version::V5 { 6 } else { 98 });
    } else {
        assert_eq!(stream.lost(), 98, "{overflow:?}");
    }
    while let Ok(message) = timeout(Duration::from_secs(1), stream.next()).await {
        message.unwrap().ack().unwrap();
    }
    model.with(|b, now| b.publish(now, "t/last", b"last", QoS::ExactlyOnce, false));
    let mut last = soon("the last message", stream.next()).await.unwrap();
    assert_eq!(text(&last), "last");
    last.ack().unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(model.with(|b, _| b.backlog("client")), 0, "{overflow:?}: all is acknowledged");
    model.assert_conformant();
}

#[tokio::test(start_paused = true)]
async fn whatever_the_policy() {
    for version in VERSIONS {
        for overflow in [Overflow::DropOldest, Overflow::DropNewest, Overflow::Latest] {
            dropped_messages_do_not_hold_up_the_others(version, overflow).await;
        }
    }
}
