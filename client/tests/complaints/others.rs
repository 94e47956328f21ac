//! Telling complaints of the users of other clients.

use super::*;

/// rumqtt 910: after so many messages offline, publishing blocked the whole service.
#[tokio::test(start_paused = true)]
async fn publishing_blocks_while_offline() {
    for version in VERSIONS {
        let (client, path, model) = modelled(version, |b| b.queue(500, 100_000)).await;
        path.refuse(true);
        path.cut();
        sleep(Duration::from_secs(1)).await;
        let mut accepted = 0;
        // Not a single await: nothing can block.
        while client.publish("t", accepted.to_string()).qos(Q1).send().is_ok() {
            accepted += 1;
        }
        assert_eq!((accepted, client.held()), (500, 500));
        path.refuse(false);
        soon("flush", client.flush()).await;
        assert_eq!(model.accepted().len(), 500);
    }
}

/// rumqtt 1025: publishing from the task that receives came to a deadlock under load.
#[tokio::test(start_paused = true)]
async fn publishing_from_the_task_that_receives_deadlocks() {
    for version in VERSIONS {
        let shape = |b: Builder| b.window(1).queue(1, 10_000).receive_maximum(4);
        let (client, path, model) = modelled(version, shape).await;
        path.delay(Duration::from_millis(5), Duration::from_millis(5));
        let mut stream = soon("subscribe", client.subscribe("in", Q1).capacity(1)).await.unwrap();
        for n in 0..200 {
            model.with(|b, now| b.publish(now, "in", n.to_string().as_bytes(), Q1, false));
        }
        let echo = async {
            for n in 0..200 {
                let message = stream.next().await.unwrap();
                assert_eq!(text(&message), n.to_string());
                for _ in 0..2 {
                    let publish = client.publish("out", &message.payload).qos(Q2);
                    publish.accepted().await.unwrap();
                }
            }
        };
        timeout(HOUR, echo).await.expect("no deadlock");
        client.flush().await;
        let out = model.with(|b, _| b.accepted().iter().filter(|a| a.topic == "out").count());
        assert_eq!(out, 400);
    }
}

/// rumqtt 805: nobody could say which message an acknowledgement was for.
#[tokio::test(start_paused = true)]
async fn nobody_knows_which_message_was_acknowledged() {
    for version in VERSIONS {
        let mut lab = Lab::new(version, |b| b);
        let mut peer = lab.up(false).await;
        let send = |n: u32| lab.client.publish("t", n.to_string()).qos(Q1).send().unwrap();
        let [mut one, two, mut three] = [1, 2, 3].map(send);
        let mut pids = Vec::new();
        for _ in 0..3 {
            pids.push(peer.expect(PacketType::Publish).await.pid());
        }
        peer.ack(AckKind::PubAck, pids[1]).await;
        assert!(soon("the second", two).await.is_delivered());
        let brief = Duration::from_millis(10);
        assert!(timeout(brief, &mut one).await.is_err());
        assert!(timeout(brief, &mut three).await.is_err());
        // Across a reconnection, too.
        drop(peer);
        let mut peer = lab.up(true).await;
        let again = [1, 3].map(|n| n.to_string().into_bytes());
        for payload in &again {
            assert_eq!(peer.expect(PacketType::Publish).await.publish().payload, payload);
        }
        peer.ack(AckKind::PubAck, pids[2]).await;
        assert!(soon("the third", three).await.is_delivered());
        assert!(timeout(brief, &mut one).await.is_err());
        peer.ack(AckKind::PubAck, pids[0]).await;
        assert!(soon("the first", one).await.is_delivered());
    }
}

/// rumqtt 703: reconnecting went on at full speed.
#[tokio::test(start_paused = true)]
async fn reconnecting_spins() {
    for version in VERSIONS {
        let (client, path, _model) = modelled(version, |b| b).await;
        path.refuse(true);
        path.cut();
        sleep(HOUR).await;
        let attempts = path.attempts().len();
        assert!((60..400).contains(&attempts), "{attempts} in an hour");
        path.refuse(false);
        timeout(Duration::from_secs(90), client.up()).await.expect("and it never gives up");
    }
}

/// rumqtt 923 and 1019: with a new session, messages that had never been sent were wiped.
#[tokio::test(start_paused = true)]
async fn a_new_session_wipes_what_was_never_sent() {
    for version in VERSIONS {
        let mut lab = Lab::new(version, |b| b.window(2));
        let mut peer = lab.up(false).await;
        let deliveries: Vec<_> = (0..6)
            .map(|n| lab.client.publish("t", n.to_string()).qos(Q1).send().unwrap())
            .collect();
        for _ in 0..2 {
            peer.expect(PacketType::Publish).await;
        }
        drop(peer);
        let mut peer = lab.up(false).await;
        for n in 0..6 {
            let got = peer.expect(PacketType::Publish).await;
            assert_eq!(got.publish().payload, n.to_string().as_bytes());
            peer.ack(AckKind::PubAck, got.pid()).await;
        }
        for delivery in deliveries {
            assert!(soon("delivery", delivery).await.is_delivered());
        }
    }
}

/// rumqtt 664 and 1053: a PUBREL for an unknown message ended the connection; the broker sent it
/// again on the next one.
#[tokio::test(start_paused = true)]
async fn an_unknown_pubrel_starts_a_storm_of_reconnections() {
    for version in VERSIONS {
        let mut lab = Lab::new(version, |b| b.clean_start(false));
        let mut peer = lab.up(true).await;
        for pid in 1..=3 {
            peer.ack(AckKind::PubRel, PacketId::new(pid).unwrap()).await;
            assert_eq!(peer.expect(PacketType::PubComp).await.pid().get(), pid);
        }
        assert!(timeout(HOUR, peer.serve()).await.is_err());
        assert_eq!(lab.path.connections(), 1);
    }
}

/// rumqtt 875: a publish or unsubscribe that was refused counted as a lost connection.
#[tokio::test(start_paused = true)]
async fn a_refusal_counts_as_a_disconnection() {
    let mut lab = Lab::new(Version::V5, |b| b);
    let mut peer = lab.up(false).await;
    let delivery = lab.client.publish("t", "x").qos(Q1).send().unwrap();
    let pid = peer.expect(PacketType::Publish).await.pid();
    let reason = Code::NOT_AUTHORIZED;
    peer.send(everlink_proto::wire::Ack {
        reason,
        ..everlink_proto::wire::Ack::new(AckKind::PubAck, pid)
    })
    .await;
    assert!(matches!(soon("an answer", delivery).await, Outcome::Rejected(_)));
    let (subscribed, _) = tokio::join!(lab.client.subscribe("a", Q1), peer.grant(0x87));
    assert!(subscribed.is_err());
    // That nobody wants it any more is said in any case.
    peer.release().await;
    let refuse = async {
        let pid = peer.expect(PacketType::Unsubscribe).await.pid();
        let codes = &[reason.0];
        let props = everlink_proto::wire::Properties::EMPTY;
        peer.send(everlink_proto::wire::UnsubAck { pid, props, codes }).await;
    };
    let (unsubscribed, ()) = tokio::join!(lab.client.unsubscribe("b"), refuse);
    assert!(unsubscribed.is_err());
    assert!(lab.client.state().is_up());
    assert_eq!((lab.path.connections(), lab.client.stats().outages), (1, 0));
}

/// rumqtt 211: after an outage, messages went out that were of no use any more.
#[tokio::test(start_paused = true)]
async fn stale_messages_are_sent_after_an_outage() {
    for version in VERSIONS {
        let (client, path, model) = modelled(version, |b| b).await;
        path.refuse(true);
        path.cut();
        sleep(Duration::from_secs(1)).await;
        let send = |text: &'static str| {
            client.publish("t", text).qos(Q1).expiry(Duration::from_secs(30)).send().unwrap()
        };
        let old = send("old");
        sleep(Duration::from_secs(25)).await;
        let young = send("young");
        sleep(Duration::from_secs(10)).await;
        path.refuse(false);
        client.reconnect();
        assert_eq!(soon("the old one", old).await, Outcome::Expired);
        assert!(soon("the young one", young).await.is_delivered());
        assert_eq!(model.accepted(), ["young"]);
    }
}

/// rumqtt 601 and rust-mqtt 38: bytes were lost when a future was dropped.
#[tokio::test(start_paused = true)]
async fn dropping_a_future_loses_bytes() {
    for version in VERSIONS {
        let (client, path, model) = modelled(version, |b| b).await;
        path.delay(Duration::from_millis(7), Duration::from_millis(20));
        let mut stream = soon("subscribe", client.subscribe("t", Q2)).await.unwrap();
        let mut received = Vec::new();
        for n in 0..100_u32 {
            let brief = Duration::from_millis(u64::from(n % 5));
            let publish = client.publish("t", n.to_string()).qos(Q2).accepted();
            // The publisher does not wait for its delivery, the reader gives up again and again.
            drop(soon("room", publish).await.unwrap());
            if let Ok(message) = timeout(brief, stream.next()).await {
                received.push(number(&text(&message.unwrap())));
            }
        }
        while received.len() < 100 {
            if let Ok(message) = timeout(Duration::from_millis(3), stream.next()).await {
                received.push(number(&text(&message.unwrap())));
            }
        }
        assert_eq!(received, (0..100).collect::<Vec<_>>());
        assert_eq!(path.connections(), 1);
        model.assert_conformant();
    }
}

/// minimq 189: after a redesign, keep-alive had stopped working.
#[tokio::test(start_paused = true)]
async fn keep_alive_stops_working() {
    for version in VERSIONS {
        let (client, path, model) = modelled(version, |b| b.keep_alive(30)).await;
        let mut stream = soon("subscribe", client.subscribe("t", Q1)).await.unwrap();
        for round in 1..=4 {
            sleep(5 * HOUR).await;
            // The model broker leaves a client that is silent for too long.
            assert_eq!(path.connections(), round);
            path.cut();
            soon("up again", async {
                sleep(Duration::from_millis(1)).await;
                client.up().await
            })
            .await;
        }
        model.with(|b, now| b.publish(now, "t", b"x", Q1, false));
        soon("a message", stream.next()).await.unwrap();
        model.assert_conformant();
    }
}

/// mqtt5 8 and 45: a wrong password was tried again for ever, without a word.
#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_tried_again_in_silence() {
    for version in VERSIONS {
        let credentials = Credentials::new("me", "wrong");
        let (client, driver, path, model) = over_model(version, |b| b.credentials(credentials));
        model.with(|b, _| b.cfg.login = Some(("me".to_owned(), b"right".to_vec())));
        spawn(driver);
        sleep(Duration::from_secs(2)).await;
        let state = client.state();
        let fault = state.fault.expect("it is told");
        assert_eq!(fault.step, Step::Handshake);
        let refused = [ReasonCode::BAD_USER_NAME_OR_PASSWORD, ReasonCode::NOT_AUTHORIZED];
        assert!(refused.map(Cause::RefusedByBroker).contains(&fault.cause), "{fault}");
        assert!(state.next_attempt.is_some_and(|at| at > Instant::now()));
        sleep(HOUR).await;
        let attempts = path.attempts().len();
        assert!(attempts < 250, "{attempts} in an hour");
        client.set_credentials(Credentials::new("me", "right"));
        client.reconnect();
        soon("up", client.up()).await;
    }
}

/// coreMQTT 183 and 308: connecting blocked the loop, and unacknowledged messages were the
/// application's to keep.
#[tokio::test(start_paused = true)]
async fn connecting_blocks_everything() {
    for version in VERSIONS {
        let (client, path, model) = modelled(version, |b| b).await;
        path.hang(true);
        path.cut();
        sleep(Duration::from_secs(1)).await;
        assert!(!client.state().is_up());
        let began = Instant::now();
        let delivery = client.publish("t", "kept").qos(Q2).send().unwrap();
        let _stream = client.subscribe("t", Q1).open().unwrap();
        assert_eq!(client.held(), 1);
        assert_eq!(began.elapsed(), Duration::ZERO);
        path.hang(false);
        client.reconnect();
        assert!(soon("delivery", delivery).await.is_delivered());
        assert_eq!(model.accepted(), ["kept"]);
    }
}

/// micropython-mqtt 44 and 134: with WiFi or broker down at power up, the program ended.
#[tokio::test(start_paused = true)]
async fn the_broker_comes_up_last() {
    for version in VERSIONS {
        let (client, driver, path, model) = over_model(version, |b| b);
        path.refuse(true);
        let running = spawn(driver);
        let delivery = client.publish("t", "x").qos(Q1).send().unwrap();
        let mut stream: Subscription = client.subscribe("in", Q1).open().unwrap();
        sleep(HOUR).await;
        assert!(!running.is_finished());
        path.refuse(false);
        assert!(timeout(Duration::from_secs(90), delivery).await.unwrap().is_delivered());
        soon("subscribed", stream.granted()).await.unwrap();
        model.with(|b, now| b.publish(now, "in", b"x", Q1, false));
        soon("a message", stream.next()).await.unwrap();
    }
}

/// micropython-mqtt 54: under load acknowledgements were not handled; what was sent again piled up
/// until memory was exhausted.
#[tokio::test(start_paused = true)]
async fn acknowledgements_drown_under_load() {
    for version in VERSIONS {
        let shape = |b: Builder| b.window(20).queue(50, 100_000);
        let (client, path, model) = modelled(version, shape).await;
        path.delay(Duration::from_millis(20), Duration::from_millis(20));
        let mut stream = soon("subscribe", client.subscribe("in", Q1)).await.unwrap();
        let flood = async {
            for n in 0..2_000_u32 {
                client.publish("out", n.to_string()).qos(Q1).accepted().await.unwrap();
                assert!(client.held() <= 70, "{} held", client.held());
                model.with(|b, now| b.publish(now, "in", n.to_string().as_bytes(), Q1, false));
            }
        };
        let drink = async {
            for n in 0..2_000 {
                assert_eq!(number(&text(&stream.next().await.unwrap())), n);
            }
        };
        timeout(HOUR, async { tokio::join!(flood, drink) }).await.expect("it goes on");
        soon("flush", client.flush()).await;
        assert_eq!((client.stats().repeats, path.connections()), (0, 1));
        model.assert_conformant();
    }
}
