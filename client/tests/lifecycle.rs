//! From the first attempt to the last word: giving up, closing, coming back.

mod support;

use std::time::Duration;

use everlink::{
    Cause, Client, FirstConnect, NotDelivered, Outcome, PublishError, QoS, ReasonCode, Refused,
    Step, SubscribeError, Version, Will,
};
use everlink_proto::wire::PacketType;
use support::peer::Peer;
use support::{VERSIONS, over_memory, over_model, soon, spawn, text};
use tokio::time::{Instant, sleep, timeout};

const MOMENT: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_client_can_be_closed_and_used_again_any_number_of_times() {
    for version in VERSIONS {
        let (client, mut driver, _path, model) = over_model(version, |b| b);
        let mut stream = client.subscribe("t", QoS::ExactlyOnce).open().unwrap();
        for n in 0..10 {
            let running = spawn(driver);
            soon("up", client.up()).await;
            soon("publish", client.publish("t", n.to_string()).qos(QoS::ExactlyOnce))
                .await
                .unwrap();
            assert_eq!(text(&soon("message", stream.next()).await.unwrap()), n.to_string());
            client.close();
            let stopped = soon("the driver", running).await.unwrap();
            assert_eq!(stopped.fault, None);
            assert_eq!(client.state().step, Step::Idle);
            assert!(!model.with(|b, _| b.is_connected("client")));
            driver = stopped.driver;
            assert!(matches!(
                client.publish("t", "x").send(),
                Err(PublishError::Refused(Refused::Closed))
            ));
            client.close(); // once more does nothing
        }
        model.assert_conformant();
        let wanted: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        assert_eq!(model.accepted(), wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_held_when_closed_goes_out_when_opened_again() {
    for version in VERSIONS {
        let (client, driver, path, model) = over_model(version, |b| b);
        let running = spawn(driver);
        soon("up", client.up()).await;
        path.hold(true);
        let mut deliveries = Vec::new();
        for n in 0..50 {
            let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][n % 2];
            deliveries.push(client.publish("t", n.to_string()).qos(qos).send().unwrap());
        }
        sleep(MOMENT).await;
        client.close();
        let stopped = soon("the driver", running).await.unwrap();
        for delivery in deliveries {
            assert_eq!(soon("outcome", delivery).await, Outcome::Held);
        }
        assert_eq!(client.held(), 50);
        path.cut();
        path.hold(false);

        // New waiters must not be told of the old messages' fate.
        let running = spawn(stopped.driver);
        sleep(Duration::ZERO).await;
        let late = client.publish("t", "50").qos(QoS::AtLeastOnce).send().unwrap();
        assert!(soon("late", late).await.is_delivered());
        soon("flush", client.flush()).await;
        assert_eq!(client.held(), 0);
        let mut came = model.accepted();
        came.sort_by_key(|n| n.parse::<u32>().unwrap());
        came.dedup(); // QoS 1 messages may have come twice
        assert_eq!(came, (0..51).map(|n| n.to_string()).collect::<Vec<_>>(), "{version:?}");
        let stats = client.stats();
        assert_eq!((stats.accepted, stats.delivered), (51, 51));
        client.close();
        soon("the driver", running).await.unwrap();
        model.assert_conformant();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_accepted_before_the_driver_runs_goes_out_when_it_does() {
    let (client, driver, _path, model) = over_model(Version::V5, |b| b);
    let delivery = client.publish("t", "early").qos(QoS::ExactlyOnce).send().unwrap();
    spawn(driver);
    assert!(soon("delivery", delivery).await.is_delivered());
    assert_eq!(model.accepted(), ["early"]);
}

#[tokio::test(start_paused = true)]
async fn closing_while_there_is_no_connection_ends_at_once() {
    let (client, driver, path, _model) = over_model(Version::V5, |b| b);
    path.refuse(true);
    let running = spawn(driver);
    sleep(Duration::from_secs(30)).await;
    client.close();
    let start = Instant::now();
    let stopped = soon("the driver", running).await.unwrap();
    assert_eq!((stopped.fault, start.elapsed()), (None, Duration::ZERO));

    // Also while a connection is being opened, and while CONNACK is awaited.
    path.refuse(false);
    path.hang(true);
    let running = spawn(stopped.driver);
    sleep(MOMENT).await;
    client.close();
    let stopped = soon("the driver", running).await.unwrap();
    path.hang(false);
    path.hold(true);
    let running = spawn(stopped.driver);
    sleep(MOMENT).await;
    assert_eq!(client.state().step, Step::Handshake);
    client.close();
    soon("the driver", running).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn closing_on_a_dead_path_takes_the_response_time_at_most() {
    let (client, driver, path, _model) = over_model(Version::V5, |b| b);
    let running = spawn(driver);
    soon("up", client.up()).await;
    path.hold(true);
    // More than the path takes: DISCONNECT cannot go out.
    for _ in 0..200 {
        client.publish("t", vec![0; 10_000]).send().unwrap();
    }
    sleep(MOMENT).await;
    let start = Instant::now();
    client.close();
    soon("the driver", running).await.unwrap();
    assert!(start.elapsed() <= Duration::from_secs(11), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_first_connection_may_fail_once_or_some_times_or_for_ever() {
    for (policy, attempts) in [
        (FirstConnect::Fail, Some(1)),
        (FirstConnect::Retry(3), Some(4)),
        (FirstConnect::Forever, None),
    ] {
        let (client, driver, path, _model) = over_model(Version::V5, |b| b.first_connect(policy));
        path.refuse(true);
        let running = spawn(driver);
        let subscribing = client.subscribe("t", QoS::AtMostOnce);
        let publishing = client.publish("t", "x").qos(QoS::AtLeastOnce).into_future();
        let Some(attempts) = attempts else {
            sleep(Duration::from_secs(600)).await;
            assert!(!running.is_finished());
            assert!(path.attempts().len() > 10);
            path.refuse(false);
            soon("up", client.up()).await;
            continue;
        };
        let (subscribed, published) =
            soon("answers", async { tokio::join!(subscribing.into_future(), publishing) }).await;
        assert_eq!(subscribed.unwrap_err(), SubscribeError::Closed);
        assert_eq!(published, Err(PublishError::NotDelivered(NotDelivered::Held)));
        let stopped = soon("the driver", running).await.unwrap();
        assert_eq!(stopped.fault.map(|f| f.cause), Some(Cause::Refused), "{policy:?}");
        assert_eq!(path.attempts().len(), attempts, "{policy:?}");
        assert_eq!(client.state().step, Step::Idle);
        assert_eq!(client.held(), 1);
        // Nobody is left who would send it.
        assert!(matches!(
            client.publish("t", "y").send(),
            Err(PublishError::Refused(Refused::Closed))
        ));

        path.refuse(false);
        spawn(stopped.driver);
        soon("up", client.up()).await;
        soon("flush", client.flush()).await;
        assert_eq!(client.held(), 0);
        // Once it was up, every outage is ridden.
        path.refuse(true);
        path.cut();
        sleep(Duration::from_secs(60)).await;
        path.refuse(false);
        soon("up again", client.up()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_the_broker_gives_up_as_well() {
    for version in VERSIONS {
        let (client, driver, _path, mut listener) =
            over_memory(version, |b| b.first_connect(FirstConnect::Fail));
        let running = spawn(driver);
        let mut peer = Peer::new(listener.accept().await, version);
        peer.expect(PacketType::Connect).await;
        peer.connack(false, ReasonCode::NOT_AUTHORIZED, &[]).await;
        let stopped = soon("the driver", running).await.unwrap();
        let cause = Cause::RefusedByBroker(ReasonCode::NOT_AUTHORIZED);
        assert_eq!(stopped.fault.map(|f| f.cause), Some(cause));
        assert_eq!(client.broker_info().unwrap().reason, ReasonCode::NOT_AUTHORIZED);
    }
}

/// Everything that can be waited for, waiting.
fn wait_for_everything(client: &Client) -> Vec<tokio::task::JoinHandle<&'static str>> {
    let mut tasks = Vec::new();
    let c = client.clone();
    tasks.push(tokio::spawn(async move {
        let _ = c.publish("t", "x").qos(QoS::AtLeastOnce).await;
        "publish"
    }));
    let c = client.clone();
    tasks.push(tokio::spawn(async move {
        let _ = c.publish("t", "full").qos(QoS::AtLeastOnce).accepted().await;
        "accepted"
    }));
    let c = client.clone();
    tasks.push(tokio::spawn(async move {
        let _ = c.subscribe("s", QoS::AtMostOnce).await;
        "subscribe"
    }));
    let mut stream = client.subscribe("r", QoS::AtMostOnce).open().unwrap();
    tasks.push(tokio::spawn(async move {
        assert!(stream.next().await.is_none());
        "next"
    }));
    let stream = client.subscribe("q", QoS::AtMostOnce).open().unwrap();
    tasks.push(tokio::spawn(async move {
        assert!(stream.unsubscribe().await.is_none());
        "unsubscribe"
    }));
    let c = client.clone();
    tasks.push(tokio::spawn(async move {
        c.flush().await;
        "flush"
    }));
    let c = client.clone();
    tasks.push(tokio::spawn(async move {
        c.drain(Duration::from_secs(3600)).await;
        "drain"
    }));
    let c = client.clone();
    tasks.push(tokio::spawn(async move {
        let _ = c.request("a", "b", "c", Duration::from_secs(3600)).await;
        "request"
    }));
    tasks
}

#[tokio::test(start_paused = true)]
async fn dropping_the_driver_ends_every_wait() {
    for running_first in [false, true] {
        let shape = |b: everlink::Builder| b.queue(1, 1000);
        let (client, driver, path, _model) = over_model(Version::V5, shape);
        path.hold(true);
        let running = if running_first {
            let running = spawn(driver);
            sleep(MOMENT).await;
            Ok(running)
        } else {
            Err(driver)
        };
        let tasks = wait_for_everything(&client);
        sleep(MOMENT).await;
        match running {
            Ok(running) => running.abort(),
            Err(driver) => drop(driver),
        }
        let start = Instant::now();
        for (n, task) in tasks.into_iter().enumerate() {
            let ended = timeout(MOMENT, task).await;
            let what = ended.unwrap_or_else(|_| panic!("wait {n} goes on")).unwrap();
            assert!(start.elapsed() < MOMENT, "{what}");
        }
        assert!(matches!(
            client.publish("t", "x").send(),
            Err(PublishError::Refused(Refused::Closed))
        ));
        let late = client.subscribe("late", QoS::AtMostOnce);
        assert!(soon("late", late).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn draining_waits_for_all_messages_or_for_the_time_given() {
    let (client, driver, path, model) = over_model(Version::V5, |b| b);
    let running = spawn(driver);
    soon("up", client.up()).await;
    path.delay(Duration::from_millis(300), Duration::ZERO);
    for n in 0..10 {
        client.publish("t", n.to_string()).qos(QoS::ExactlyOnce).send().unwrap();
    }
    assert_eq!(soon("drain", client.drain(Duration::from_secs(10))).await, 0);
    let stopped = soon("the driver", running).await.unwrap();
    assert_eq!(model.accepted().len(), 10);

    let running = spawn(stopped.driver);
    soon("up", client.up()).await;
    path.hold(true);
    for n in 0..10 {
        client.publish("t", n.to_string()).qos(QoS::AtLeastOnce).send().unwrap();
    }
    let start = Instant::now();
    assert_eq!(client.drain(Duration::from_secs(3)).await, 10);
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    soon("the driver", running).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_close_suppresses_the_will_unless_it_is_wanted() {
    for version in VERSIONS {
        for wanted in [false, true] {
            let will = Will::new("will", "gone").unwrap();
            let (client, driver, path, model) = over_model(version, |b| b.will(will));
            let (watcher, watching, _path, listener) =
                over_memory(version, |b| b.client_id("watcher"));
            model.listen(listener);
            let running = spawn(driver);
            spawn(watching);
            let mut wills =
                soon("subscribe", watcher.subscribe("will", QoS::AtMostOnce)).await.unwrap();
            soon("up", client.up()).await;
            if wanted {
                client.close_with_will();
            } else {
                client.close();
            }
            let stopped = soon("the driver", running).await.unwrap();
            sleep(MOMENT).await;
            let published = wills.try_next().is_some();
            assert_eq!(published, wanted && version == Version::V5, "{version:?}");

            // A lost connection publishes it.
            spawn(stopped.driver);
            soon("up", client.up()).await;
            path.cut();
            assert_eq!(text(&soon("will", wills.next()).await.unwrap()), "gone");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_older_than_the_process_gets_other_packet_identifiers() {
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..8 {
        let shape = |b: everlink::Builder| b.clean_start(false);
        let (client, driver, _path, mut listener) = over_memory(Version::V5, shape);
        let running = spawn(driver);
        let mut peer = Peer::new(listener.accept().await, Version::V5);
        peer.accept(true, &[]).await;
        client.publish("t", "x").qos(QoS::ExactlyOnce).send().unwrap();
        seen.insert(peer.expect(PacketType::Publish).await.pid());
        running.abort();
    }
    assert!(seen.len() > 1, "{seen:?}");
}
