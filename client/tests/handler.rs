//! A callback instead of a loop.

mod support;

use everlink::{QoS, Version};
use support::{over_model, soon, spawn, text};

#[tokio::test(start_paused = true)]
async fn it_gets_each_message_until_the_stream_ends() {
    let (client, driver, path, model) = over_model(Version::V5, |b| b);
    let running = spawn(driver);
    let stream = soon("subscribe", client.subscribe("t/+", QoS::AtLeastOnce)).await.unwrap();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let handling = tokio::spawn(stream.for_each(move |message| {
        told.send(format!("{} {}", message.topic, text(&message))).unwrap();
    }));
    for n in 0..4 {
        let topic = format!("t/{n}");
        model.with(|b, now| b.publish(now, &topic, b"x", QoS::AtLeastOnce, false));
        assert_eq!(soon("a message", heard.recv()).await, Some(format!("{topic} x")));
        path.cut();
    }
    client.close();
    soon("the driver", running).await.unwrap();
    soon("the end of the stream", handling).await.unwrap();
    assert_eq!(heard.recv().await, None);
    model.assert_conformant();
}

#[tokio::test(start_paused = true)]
async fn dropped_it_unsubscribes() {
    let (client, driver, _path, model) = over_model(Version::V5, |b| b);
    spawn(driver);
    let stream = soon("subscribe", client.subscribe("t", QoS::AtLeastOnce)).await.unwrap();
    let handling = tokio::spawn(stream.for_each(|_| ()));
    tokio::task::yield_now().await;
    handling.abort();
    assert!(handling.await.is_err());
    // Behind UNSUBSCRIBE, so that the broker has taken it.
    soon("delivery", client.publish("other", "x").qos(QoS::AtLeastOnce)).await.unwrap();
    model.with(|b, now| b.publish(now, "t", b"x", QoS::AtLeastOnce, false));
    assert_eq!(model.with(|b, _| b.backlog("client")), 0);
    assert_eq!(client.stats().received, 0);
}
