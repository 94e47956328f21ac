//! Received messages: bounded channels, what a full one does, acknowledgements, several streams.

mod support;

use std::time::Duration;

use everlink::{
    Builder, Client, Message, Overflow, QoS, ReasonCode, Refused, Subscription, Version,
};
use everlink_proto::wire::{AckKind, PacketType};
use support::model::Model;
use support::peer::Peer;
use support::{VERSIONS, over_memory, over_model, soon, spawn, text};
use tokio::time::{Instant, sleep, timeout};

const MOMENT: Duration = Duration::from_millis(50);

/// A client and its only connection, played by hand.
async fn by_hand(
    version: Version,
    shape: impl FnOnce(Builder) -> Builder,
) -> (Client, support::memory::Path, support::memory::Listener, Peer) {
    let (client, driver, path, mut listener) = over_memory(version, shape);
    spawn(driver);
    let mut peer = Peer::new(listener.accept().await, version);
    peer.accept(false, &[]).await;
    soon("up", client.up()).await;
    (client, path, listener, peer)
}

/// The identifiers of what the client acknowledges until it is silent.
async fn acknowledged(peer: &mut Peer) -> Vec<u16> {
    let mut ids = Vec::new();
    while let Ok(Some(got)) = timeout(MOMENT, peer.next()).await {
        assert!(
            matches!(got.kind(), PacketType::PubAck | PacketType::PubRec),
            "{:?}",
            got.packet()
        );
        ids.push(got.pid().get());
    }
    ids
}

/// A granted subscription to `t/#`.
async fn stream(
    client: &Client,
    peer: &mut Peer,
    (capacity, overflow, manual): (usize, Overflow, bool),
) -> Subscription {
    let mut subscribe = client.subscribe("t/#", QoS::ExactlyOnce).capacity(capacity);
    subscribe = subscribe.overflow(overflow);
    if manual {
        subscribe = subscribe.manual_ack();
    }
    let stream = subscribe.open().unwrap();
    peer.grant(2).await;
    stream
}

fn taken(stream: &mut Subscription) -> Vec<String> {
    std::iter::from_fn(|| stream.try_next()).map(|m| text(&m)).collect()
}

#[tokio::test(start_paused = true)]
async fn what_has_no_room_is_not_acknowledged_until_there_is() {
    for (qos, version) in [(QoS::AtLeastOnce, Version::V5), (QoS::ExactlyOnce, Version::V311)] {
        let (client, _path, _listener, mut peer) = by_hand(version, |b| b.receive_maximum(5)).await;
        let mut stream = stream(&client, &mut peer, (3, Overflow::Hold, false)).await;
        for pid in 1..=8 {
            peer.publish("t/a", &pid.to_string(), qos, pid, false).await;
        }
        assert_eq!(acknowledged(&mut peer).await, [1, 2, 3]);
        for n in 1..=3u16 {
            assert_eq!(text(&soon("message", stream.next()).await.unwrap()), n.to_string());
            assert_eq!(acknowledged(&mut peer).await, [n + 3], "room for one");
        }
        assert_eq!(taken(&mut stream), ["4", "5", "6", "7", "8"]);
        assert_eq!(acknowledged(&mut peer).await, [7, 8]);
        assert_eq!((client.lost(), client.stats().outages), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_broker_is_held_back_at_qos_0_and_hears_us_all_the_same() {
    for version in VERSIONS {
        let (client, _path, _listener, mut peer) = by_hand(version, |b| b.keep_alive(4)).await;
        let mut stream = stream(&client, &mut peer, (10, Overflow::Hold, false)).await;
        let large = "x".repeat(300);
        for n in 0..1000 {
            peer.publish("t/a", &format!("{n} {large}"), QoS::AtMostOnce, 0, false).await;
        }
        // Nobody takes anything for a minute. The broker must not give us up for that.
        let mut last = Instant::now();
        let end = last + Duration::from_secs(60);
        while let Ok(got) = tokio::time::timeout_at(end, peer.recv()).await {
            assert_eq!(got.expect("still there").kind(), PacketType::PingReq);
            assert!(last.elapsed() <= Duration::from_secs(4), "{:?}", last.elapsed());
            last = Instant::now();
        }
        for n in 0..1000 {
            let message = soon("message", stream.next()).await.unwrap();
            assert_eq!(text(&message).split(' ').next(), Some(n.to_string().as_str()));
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!((stream.lost(), client.stats().outages), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_behind_what_was_held_back_is_not_overdue() {
    let (client, _path, _listener, mut peer) = by_hand(Version::V5, |b| b).await;
    let mut stream = stream(&client, &mut peer, (2, Overflow::Hold, false)).await;
    let delivery = client.publish("x", "x").qos(QoS::AtLeastOnce).send().unwrap();
    let pid = peer.expect(PacketType::Publish).await.pid();
    for n in 0..4 {
        peer.publish("t/a", &n.to_string(), QoS::AtMostOnce, 0, false).await;
    }
    peer.ack(AckKind::PubAck, pid).await;
    sleep(Duration::from_secs(45)).await;
    assert_eq!(text(&stream.next().await.unwrap()), "0");
    sleep(Duration::from_secs(45)).await;
    for n in 1..4 {
        assert_eq!(text(&stream.next().await.unwrap()), n.to_string());
    }
    assert!(soon("delivery", delivery).await.is_delivered());
    assert_eq!(client.stats().outages, 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_policies_keep_what_they_say_and_acknowledge_all() {
    for manual in [false, true] {
        let keep: [(Overflow, &[&str]); 3] = [
            (Overflow::DropOldest, &["8", "9", "10"]),
            (Overflow::DropNewest, &["1", "2", "3"]),
            // Topics a, b, a, b ...: 4 replaces 2, 5 replaces 1, 6 replaces 4, and so on.
            (Overflow::Latest, &["7", "9", "10"]),
        ];
        for (policy, kept) in keep {
            // Acknowledgements keep their order, so what is dropped behind a message that the
            // application holds has to wait for that.
            let most = if manual { 10 } else { 1 };
            let (client, _path, _listener, mut peer) =
                by_hand(Version::V5, |b| b.receive_maximum(most)).await;
            let mut stream = stream(&client, &mut peer, (3, policy, manual)).await;
            let mut ids = Vec::new();
            for pid in 1..=10 {
                let topic = ["t/b", "t/a"][usize::from(pid % 2)];
                peer.publish(topic, &pid.to_string(), QoS::AtLeastOnce, pid, false).await;
                ids.extend(acknowledged(&mut peer).await);
            }
            assert_eq!(client.stats().outages, 0, "{policy:?} manual {manual}");
            assert_eq!(stream.lost(), 7, "{policy:?}");
            let mut left = Vec::new();
            while let Some(mut message) = stream.try_next() {
                message.ack().unwrap();
                left.push(text(&message));
            }
            assert_eq!(left, kept, "{policy:?}");
            ids.extend(acknowledged(&mut peer).await);
            assert_eq!(ids, (1..=10).collect::<Vec<_>>(), "{policy:?} manual {manual}: in order");
            assert_eq!(client.lost(), 7);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn latest_keeps_one_of_each_topic() {
    let (client, _path, _listener, mut peer) = by_hand(Version::V311, |b| b).await;
    let mut stream = stream(&client, &mut peer, (3, Overflow::Latest, false)).await;
    for (topic, payload) in [("t/a", "1"), ("t/b", "2"), ("t/c", "3"), ("t/b", "4"), ("t/b", "5")] {
        peer.publish(topic, payload, QoS::AtMostOnce, 0, false).await;
    }
    sleep(MOMENT).await;
    assert_eq!(taken(&mut stream), ["1", "3", "5"]);
}

#[tokio::test(start_paused = true)]
async fn the_application_acknowledges_itself_in_any_order() {
    for version in VERSIONS {
        let (client, path, mut listener, mut peer) =
            by_hand(version, |b| b.receive_maximum(10)).await;
        let mut stream = stream(&client, &mut peer, (100, Overflow::Hold, true)).await;
        for pid in 1..=3 {
            peer.publish("t/a", "x", QoS::AtLeastOnce, pid, false).await;
            peer.publish("t/a", "y", QoS::ExactlyOnce, pid + 10, false).await;
        }
        let mut messages = Vec::new();
        for _ in 0..6 {
            messages.push(soon("message", stream.next()).await.unwrap());
        }
        assert!(acknowledged(&mut peer).await.is_empty(), "nothing by itself");
        let mut ack = |n: usize| messages[n].ack();
        ack(4).unwrap(); // 3
        ack(2).unwrap(); // 2
        assert!(acknowledged(&mut peer).await.is_empty(), "1 was first");
        ack(0).unwrap();
        assert_eq!(acknowledged(&mut peer).await, [1, 2, 3]);
        ack(0).unwrap(); // a second time it does nothing
        assert!(acknowledged(&mut peer).await.is_empty());
        ack(1).unwrap();
        assert_eq!(acknowledged(&mut peer).await, [11]);

        // Over a lost connection: QoS 1 comes again, QoS 2 goes on.
        peer.publish("t/a", "x", QoS::AtLeastOnce, 4, false).await;
        let mut lost = soon("message", stream.next()).await.unwrap();
        path.cut();
        let mut peer = Peer::new(listener.accept().await, version);
        peer.accept(true, &[]).await;
        soon("up", client.up()).await;
        assert_eq!(lost.ack(), Err(Refused::Stale));
        messages[3].ack().unwrap();
        assert!(acknowledged(&mut peer).await.is_empty(), "the broker asks again first");
        peer.publish("t/a", "y", QoS::ExactlyOnce, 12, true).await;
        peer.publish("t/a", "y", QoS::ExactlyOnce, 13, true).await;
        assert_eq!(acknowledged(&mut peer).await, [12]);
        messages[5].ack().unwrap();
        assert_eq!(acknowledged(&mut peer).await, [13]);
        peer.publish("t/a", "x", QoS::AtLeastOnce, 4, true).await;
        let mut again = soon("message", stream.next()).await.unwrap();
        assert!(again.dup);
        again.ack().unwrap();
        assert_eq!(acknowledged(&mut peer).await, [4]);
        assert!(stream.try_next().is_none(), "QoS 2 came once");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_dropped_stream_held_is_acknowledged() {
    let (client, _path, _listener, mut peer) = by_hand(Version::V5, |b| b).await;
    for manual in [false, true] {
        let stream = stream(&client, &mut peer, (1, Overflow::Hold, manual)).await;
        for pid in 1..=3 {
            peer.publish("t/a", "x", QoS::AtLeastOnce, pid, false).await;
        }
        let early = acknowledged(&mut peer).await;
        assert_eq!(early, if manual { vec![] } else { vec![1] });
        drop(stream);
        for pid in early.len() as u16 + 1..=3 {
            assert_eq!(peer.expect(PacketType::PubAck).await.pid().get(), pid);
        }
        peer.release().await;
    }
}

/// The other side publishes as fast as the path takes it.
fn flood(model: &Model, messages: usize, qos: QoS) {
    let model = model.clone();
    tokio::spawn(async move {
        for n in 0..messages {
            model.with(|b, now| b.publish(now, "flood", n.to_string().as_bytes(), qos, false));
            if n % 50 == 0 {
                tokio::task::yield_now().await;
            }
        }
    });
}

/// What the application does inside its loop.
async fn answer(client: &Client, how: usize, message: &Message) {
    let echo = client.publish("echo", text(message)).qos(QoS::AtLeastOnce);
    match how {
        0 => drop(echo.await.unwrap()),
        1 => drop(echo.accepted().await.unwrap()),
        2 => drop(client.subscribe("other", QoS::AtMostOnce).await.unwrap()),
        3 => drop(client.ping(Duration::from_secs(3600)).await.unwrap()),
        _ => {
            drop(echo.accepted().await.unwrap());
            client.flush().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_application_that_waits_inside_its_loop_is_not_locked_up() {
    for version in VERSIONS {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            for how in 0..5 {
                let shape = |b: Builder| b.window(1).queue(1, 1000).receive_maximum(20);
                let (client, driver, _path, model) = over_model(version, shape);
                spawn(driver);
                let stream = client.subscribe("flood", qos).capacity(5);
                let mut stream = soon("subscribe", stream).await.unwrap();
                flood(&model, 500, qos);
                let start = Instant::now();
                let mut came = 0;
                while let Ok(Some(message)) = timeout(Duration::from_secs(30), stream.next()).await
                {
                    // It is noticed within two seconds, long before the next ping.
                    let answered = timeout(Duration::from_secs(3), answer(&client, how, &message));
                    answered.await.unwrap_or_else(|_| {
                        panic!("{version:?} {qos:?} {how}: locked up after {came} messages")
                    });
                    came += 1;
                }
                let case = format!("{version:?} {qos:?} {how}: {came} in {:?}", start.elapsed());
                assert_eq!(client.stats().outages, 0, "{case}");
                assert_eq!(came + stream.lost(), 500, "{case}");
                if qos == QoS::AtLeastOnce {
                    assert_eq!(stream.lost(), 0, "{case}");
                }
                model.assert_conformant();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn several_streams_on_the_same_and_on_overlapping_filters() {
    for version in VERSIONS {
        let (client, driver, _path, model) = over_model(version, |b| b);
        spawn(driver);
        let open = |filter: &'static str| client.subscribe(filter, QoS::ExactlyOnce).into_future();
        let mut one = soon("one", open("a/+")).await.unwrap();
        let mut two = soon("two", open("a/+")).await.unwrap();
        let mut all = soon("all", open("#")).await.unwrap();
        let mut other = soon("other", open("b")).await.unwrap();
        model.with(|b, now| {
            b.publish(now, "a/x", b"1", QoS::ExactlyOnce, false);
            b.publish(now, "b", b"2", QoS::AtLeastOnce, false);
            b.publish(now, "c", b"3", QoS::AtMostOnce, false);
        });
        sleep(MOMENT).await;
        assert_eq!(taken(&mut one), ["1"]);
        assert_eq!(taken(&mut two), ["1"]);
        assert_eq!(taken(&mut all), ["1", "2", "3"]);
        assert_eq!(taken(&mut other), ["2"]);

        // The broker keeps a filter for as long as a stream is on it.
        assert_eq!(one.unsubscribe().await, None);
        drop(other);
        sleep(MOMENT).await;
        assert_eq!(model.with(|b, _| b.subscriptions("client")), ["#", "a/+"]);
        model.with(|b, now| b.publish(now, "a/x", b"4", QoS::AtMostOnce, false));
        sleep(MOMENT).await;
        assert_eq!(taken(&mut two), ["4"]);
        let ack = soon("unsubscribe", two.unsubscribe()).await.expect("an answer");
        assert_eq!(ack.reason, ReasonCode::SUCCESS);
        assert_eq!(model.with(|b, _| b.subscriptions("client")), ["#"]);
        model.assert_conformant();
    }
}

#[tokio::test(start_paused = true)]
async fn streams_go_on_after_the_broker_forgot_everything() {
    for version in VERSIONS {
        let (client, driver, _path, model) = over_model(version, |b| b);
        spawn(driver);
        let mut streams = Vec::new();
        for n in 0..20 {
            let filter = format!("f/{n}/#");
            streams.push(soon("open", client.subscribe(&filter, QoS::AtLeastOnce)).await.unwrap());
        }
        // One of them meanwhile left, and must not come back.
        streams.pop();
        for round in 0..3 {
            model.restart();
            soon("down", async {
                while client.state().is_up() {
                    sleep(MOMENT).await
                }
            })
            .await;
            soon("up", client.up()).await;
            sleep(MOMENT).await;
            assert_eq!(model.with(|b, _| b.subscriptions("client")).len(), 19, "round {round}");
            for (n, stream) in streams.iter_mut().enumerate() {
                let topic = format!("f/{n}/x");
                model.with(|b, now| b.publish(now, &topic, b"x", QoS::AtLeastOnce, false));
                assert_eq!(&*soon("message", stream.next()).await.unwrap().topic, topic);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_it_is_refused_on_restoring() {
    for version in VERSIONS {
        let (client, driver, _path, model) = over_model(version, |b| b);
        spawn(driver);
        let mut good = soon("good", client.subscribe("good", QoS::AtLeastOnce)).await.unwrap();
        let mut bad = soon("bad", client.subscribe("bad", QoS::AtLeastOnce)).await.unwrap();
        model.with(|b, now| b.publish(now, "bad", b"last", QoS::AtLeastOnce, false));
        sleep(MOMENT).await;
        model.restart();
        model.with(|b, _| {
            b.faults.refuse_subscribe.push(("bad".into(), ReasonCode::NOT_AUTHORIZED));
        });
        assert_eq!(text(&soon("last", bad.next()).await.unwrap()), "last");
        assert!(soon("the end", bad.next()).await.is_none());
        assert!(bad.granted().await.is_err());
        model.with(|b, now| b.publish(now, "good", b"on", QoS::AtLeastOnce, false));
        assert_eq!(text(&soon("good", good.next()).await.unwrap()), "on");
        assert_eq!(client.stats().outages, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_an_old_session_wait_for_their_stream() {
    for version in VERSIONS {
        let (client, driver, _path, model) = over_model(version, |b| b);
        let running = spawn(driver);
        let stream = client.subscribe("t", QoS::AtLeastOnce);
        let stream = soon("subscribe", stream).await.unwrap();
        client.close();
        soon("the driver", running).await.unwrap();
        std::mem::forget(stream); // as if the process had died
        for n in 0..5 {
            model.with(|b, now| {
                b.publish(now, "t", n.to_string().as_bytes(), QoS::AtLeastOnce, false);
            });
        }
        let (client, driver, _path, listener) = over_memory(version, |b| b.clean_start(false));
        model.listen(listener);
        spawn(driver);
        soon("up", client.up()).await;
        sleep(MOMENT).await;
        assert!(client.state().resumed);
        let mut stream = client.subscribe("t", QoS::AtLeastOnce).open().unwrap();
        sleep(MOMENT).await;
        assert_eq!(taken(&mut stream), ["0", "1", "2", "3", "4"], "{version:?}");
        assert_eq!(client.lost(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_parked_over_a_lost_connection_is_taken_once_at_qos_2() {
    for version in VERSIONS {
        let (client, driver, path, model) = over_model(version, |b| b.receive_maximum(5));
        spawn(driver);
        let stream = client.subscribe("t", QoS::ExactlyOnce).capacity(2);
        let mut stream = soon("subscribe", stream).await.unwrap();
        for n in 0..20 {
            model.with(|b, now| {
                b.publish(now, "t", n.to_string().as_bytes(), QoS::ExactlyOnce, false);
            });
        }
        let mut came = Vec::new();
        while came.len() < 20 {
            sleep(MOMENT).await;
            if came.len() % 3 == 0 {
                path.cut();
                sleep(Duration::from_secs(1)).await;
            }
            came.push(text(&soon("message", stream.next()).await.unwrap()));
        }
        assert_eq!(came, (0..20).map(|n| n.to_string()).collect::<Vec<_>>(), "{version:?}");
        sleep(Duration::from_secs(1)).await;
        assert!(stream.try_next().is_none());
        model.assert_conformant();
    }
}
