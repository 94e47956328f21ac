//! Acknowledgements that do not come, or come twice: nothing stalls, is lost or doubled.

mod support;

use std::time::{Duration, Instant};

use everlink::{QoS, Version};
use support::mosquitto::Mosquitto;
use support::{Direction, Kind, LONG, Proxy, VERSIONS, soon, text, wait_until};

const RESPONSE_TIME: Duration = Duration::from_secs(3);
const SWALLOWED_FOR: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_millis(100);
const MESSAGES: usize = 80;

/// What one packet type is swallowed on.
#[derive(Clone, Copy)]
struct Case {
    version: Version,
    qos: QoS,
    packet: Kind,
    /// The faulty path is the subscriber's.
    inbound: bool,
}

#[tokio::test]
async fn an_acknowledgement_swallowed_for_six_seconds_stalls_nothing() {
    let mut cases = tokio::task::JoinSet::new();
    for version in VERSIONS {
        let case = |qos, packet, inbound| Case { version, qos, packet, inbound };
        cases.spawn(swallow(case(QoS::AtLeastOnce, Kind::Puback, false)));
        cases.spawn(swallow(case(QoS::ExactlyOnce, Kind::Pubrec, false)));
        cases.spawn(swallow(case(QoS::ExactlyOnce, Kind::Pubcomp, false)));
        cases.spawn(swallow(case(QoS::ExactlyOnce, Kind::Pubrel, true)));
    }
    while let Some(result) = cases.join_next().await {
        result.unwrap();
    }
}

async fn swallow(case: Case) {
    let Case { version, qos, packet, inbound } = case;
    let name = format!("{version:?} {packet:?}");
    let broker = Mosquitto::start();
    let faulty = Proxy::start(broker.addr()).await.unwrap();
    let good = Proxy::start(broker.addr()).await.unwrap();
    let (out, back) = if inbound { (&good, &faulty) } else { (&faulty, &good) };
    let shape = |b: everlink::Builder| b.response_time(RESPONSE_TIME);
    let (publisher, _p) = support::through(out, version, "publisher", shape);
    let (subscriber, _s) = support::through(back, version, "subscriber", shape);
    let mut stream = soon("subscribe", subscriber.subscribe("t", qos)).await.unwrap();
    soon("up", publisher.up()).await;

    let rule = faulty.swallow(Direction::ToClient, packet, None);
    let started = Instant::now();
    let mut pending = tokio::task::JoinSet::new();
    for n in 0..MESSAGES {
        let delivery = publisher.publish("t", n.to_string()).qos(qos).send().unwrap();
        let sent = Instant::now();
        pending.spawn(async move { (delivery.await, sent.elapsed()) });
        tokio::time::sleep(PAUSE).await;
        if started.elapsed() >= SWALLOWED_FOR {
            faulty.lift(rule);
        }
    }
    let mut slowest = Duration::ZERO;
    while let Some(done) = soon(&name, pending.join_next()).await {
        let (outcome, took) = done.unwrap();
        assert!(outcome.is_delivered(), "{name}: {outcome:?}");
        slowest = slowest.max(took);
    }
    // Swallowed until the end, then noticed, then the connection made anew.
    let limit = SWALLOWED_FOR + RESPONSE_TIME + Duration::from_secs(1);
    assert!(slowest < limit, "{name}: {slowest:?}");

    let mut came = Vec::new();
    while came.last() != Some(&(MESSAGES - 1)) {
        let message =
            soon(&format!("{name}: message after {:?}", came.last()), stream.next()).await;
        let n: usize = text(&message.unwrap()).parse().unwrap();
        if qos == QoS::ExactlyOnce || !came.contains(&n) {
            came.push(n);
        }
    }
    assert_eq!(came, (0..MESSAGES).collect::<Vec<_>>(), "{name}: order, each once");
    println!("{name}: slowest {slowest:?}, {} connections", faulty.counters().joined);
}

#[tokio::test]
async fn a_second_acknowledgement_breaks_nothing() {
    for version in VERSIONS {
        let broker = Mosquitto::start();
        let proxy = Proxy::start(broker.addr()).await.unwrap();
        let (client, _driver) = support::through(&proxy, version, "twice", |b| b);
        let mut stream = soon("subscribe", client.subscribe("t", QoS::ExactlyOnce).capacity(1000))
            .await
            .unwrap();
        let connections = proxy.counters().accepted;
        for kind in [Kind::Puback, Kind::Pubrec, Kind::Pubcomp, Kind::Pubrel] {
            proxy.double(Direction::ToClient, kind, None);
        }
        let mut pending = Vec::new();
        for n in 0..200 {
            let qos = if n % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
            pending.push(client.publish("t", n.to_string()).qos(qos).send().unwrap());
        }
        for delivery in pending {
            assert!(soon("delivery", delivery).await.is_delivered());
        }
        // A broker may forward QoS 1 messages before QoS 2 messages that came earlier.
        let mut came = [Vec::new(), Vec::new()];
        for _ in 0..200 {
            let n: usize = text(&soon("message", stream.next()).await.unwrap()).parse().unwrap();
            came[n % 2].push(n);
        }
        for (parity, came) in came.iter().enumerate() {
            assert_eq!(*came, (parity..200).step_by(2).collect::<Vec<_>>(), "{version:?}");
        }
        assert_eq!(proxy.counters().accepted, connections, "{version:?}: the link was good");
        wait_until(|| proxy.counters().doubled >= 400).await;
        wait_until(|| client.stats().strays > 0).await;
    }
}

#[tokio::test]
async fn an_unknown_pubrel_gets_pubcomp() {
    for version in VERSIONS {
        let broker = Mosquitto::start();
        let proxy = Proxy::start(broker.addr()).await.unwrap();
        let (client, _driver) = support::through(&proxy, version, "unknown", |b| b);
        soon("up", client.up()).await;
        // The broker would not like the answer.
        let _rule = proxy.swallow(Direction::ToBroker, Kind::Pubcomp, None);
        let start = proxy.position();
        assert_eq!(proxy.inject(Direction::ToClient, &[0x62, 2, 0x12, 0x34]), 1);
        let answer = proxy.wait_for(start, LONG, |r| r.packet == Kind::Pubcomp).await;
        let answer = answer.expect("an answer");
        assert_eq!((answer.direction, answer.id), (Direction::ToBroker, Some(0x1234)));
        // 3.1.1 has no Reason Codes; 5 says that it knows no such identifier.
        assert_eq!(answer.len, if version == Version::V5 { 5 } else { 4 });
        soon("publish", client.publish("t", "x").qos(QoS::ExactlyOnce)).await.unwrap();
        assert!(client.state().is_up());
        assert_eq!(client.stats().outages, 0);
    }
}

#[tokio::test]
async fn a_pubrec_for_nothing_gets_pubrel() {
    for version in VERSIONS {
        let broker = Mosquitto::start();
        let proxy = Proxy::start(broker.addr()).await.unwrap();
        let (client, _driver) = support::through(&proxy, version, "nothing", |b| b);
        soon("up", client.up()).await;
        let _rule = proxy.swallow(Direction::ToBroker, Kind::Pubrel, Some(1));
        let start = proxy.position();
        proxy.inject(Direction::ToClient, &[0x50, 2, 0x43, 0x21]);
        let answer = proxy.wait_for(start, LONG, |r| r.packet == Kind::Pubrel).await;
        assert_eq!(answer.expect("an answer").id, Some(0x4321));
        wait_until(|| client.stats().strays == 1).await;
        assert_eq!(client.stats().outages, 0);
    }
}
