//! A kept session is resumed: what was under way goes again with its identifiers, and nothing is
//! subscribed again. Where the broker has lost the session, everything starts anew.

mod support;

use everlink::{Client, QoS, Version};
use support::mosquitto::Mosquitto;
use support::{Direction, Kind, LONG, Proxy, Record, VERSIONS, soon, text, wait_until};

fn of(records: &[Record], packet: Kind) -> Vec<&Record> {
    let to_broker = |r: &&Record| r.direction == Direction::ToBroker && r.packet == packet;
    records.iter().filter(to_broker).collect()
}

/// Waits until the client has connected after `position`; gives the CONNACK.
async fn connack(proxy: &Proxy, position: u64) -> Record {
    let connack = proxy.wait_for(position, LONG, |r| r.packet == Kind::Connack).await;
    connack.expect("the client connects again")
}

#[tokio::test]
async fn unacknowledged_messages_go_again_with_the_same_id_and_dup() {
    for version in VERSIONS {
        let broker = Mosquitto::start();
        let proxy = Proxy::start(broker.addr()).await.unwrap();
        let (client, driver) = support::through(&proxy, version, "resume", |b| b);
        let mut own = soon("subscribe", client.subscribe("out/#", QoS::ExactlyOnce)).await.unwrap();

        // Two at QoS 1 and two at QoS 2 reach the broker, but it cannot say so.
        let rules =
            [Kind::Puback, Kind::Pubrec].map(|k| proxy.swallow(Direction::ToClient, k, None));
        let start = proxy.position();
        let mut deliveries = Vec::new();
        for (n, qos) in [(1, QoS::AtLeastOnce), (2, QoS::AtLeastOnce)]
            .into_iter()
            .chain([(3, QoS::ExactlyOnce), (4, QoS::ExactlyOnce)])
        {
            let publish = client.publish("out/x", format!("{n}")).qos(qos);
            deliveries.push(publish.send().unwrap());
        }
        wait_until(|| rules.iter().map(|r| proxy.hits(*r)).sum::<u64>() == 4).await;
        let first: Vec<_> =
            of(&proxy.since(start), Kind::Publish).iter().map(|r| (r.id, r.qos, r.dup)).collect();
        assert_eq!(first.len(), 4);
        assert!(first.iter().all(|(_, _, dup)| !dup));

        let lost = proxy.position();
        rules.iter().for_each(|r| proxy.lift(*r));
        proxy.reset().await;
        for delivery in deliveries {
            assert!(soon("delivery", delivery).await.is_delivered());
        }
        let records = proxy.since(lost);
        let again: Vec<_> =
            of(&records, Kind::Publish).iter().map(|r| (r.id, r.qos, r.dup)).collect();
        let wanted: Vec<_> = first.iter().map(|(id, qos, _)| (*id, *qos, true)).collect();
        assert_eq!(again, wanted, "{version:?}: same order, same identifiers, DUP");
        let ack = records.iter().find(|r| r.packet == Kind::Connack).unwrap();
        assert!(ack.flag, "{version:?}: the session is present");
        assert!(
            of(&records, Kind::Subscribe).is_empty(),
            "{version:?}: nothing is subscribed again"
        );
        assert!(client.state().resumed);

        // At QoS 2 each came once. The broker cannot tell that a QoS 1 message came twice, and may
        // itself send one again whose acknowledgement the reset swallowed.
        let mut came = Vec::new();
        let count = |came: &[String], which: [&str; 2]| {
            came.iter().filter(|t| which.contains(&t.as_str())).count()
        };
        while count(&came, ["1", "2"]) < 4 || count(&came, ["3", "4"]) < 2 {
            came.push(text(&soon("own message", own.next()).await.unwrap()));
        }
        assert_eq!(came.iter().filter(|t| *t == "3").count(), 1, "{came:?}");
        assert_eq!(came.iter().filter(|t| *t == "4").count(), 1, "{came:?}");
        client.close();
        soon("the driver", driver).await.unwrap();
    }
}

#[tokio::test]
async fn a_released_message_is_continued_with_pubrel_only() {
    for version in VERSIONS {
        let broker = Mosquitto::start();
        let proxy = Proxy::start(broker.addr()).await.unwrap();
        let (client, _driver) = support::through(&proxy, version, "release", |b| b);
        soon("up", client.up()).await;
        let rule = proxy.swallow(Direction::ToClient, Kind::Pubcomp, None);
        let delivery = client.publish("t", "x").qos(QoS::ExactlyOnce).send().unwrap();
        wait_until(|| proxy.hits(rule) == 1).await;
        let lost = proxy.position();
        proxy.lift(rule);
        proxy.reset().await;
        assert!(soon("delivery", delivery).await.is_delivered());
        let records = proxy.since(lost);
        assert!(of(&records, Kind::Publish).is_empty(), "{version:?}");
        assert_eq!(of(&records, Kind::Pubrel).len(), 1, "{version:?}");
    }
}

#[tokio::test]
async fn after_a_restart_without_persistence_everything_starts_anew() {
    for version in VERSIONS {
        let mut broker = Mosquitto::start();
        let proxy = Proxy::start(broker.addr()).await.unwrap();
        let (client, _driver) = support::through(&proxy, version, "anew", |b| b);
        let mut lamps =
            soon("subscribe", client.subscribe("lamp/+", QoS::AtLeastOnce)).await.unwrap();
        let mut doors =
            soon("subscribe", client.subscribe("door/#", QoS::ExactlyOnce)).await.unwrap();

        let rule = proxy.swallow(Direction::ToClient, Kind::Puback, None);
        let delivery = client.publish("elsewhere", "x").qos(QoS::AtLeastOnce).send().unwrap();
        wait_until(|| proxy.hits(rule) == 1).await;
        proxy.lift(rule);
        let lost = proxy.position();
        broker.restart();
        let ack = connack(&proxy, lost).await;
        assert!(!ack.flag, "{version:?}: the session is gone");
        assert!(soon("delivery", delivery).await.is_delivered());
        soon("flush", client.flush()).await;
        let both = |r: &[Record]| of(r, Kind::Subscribe).len() == 2;
        wait_until(|| both(&proxy.since(lost))).await;
        let records = proxy.since(lost);
        let again: Vec<_> = of(&records, Kind::Publish).iter().map(|r| r.dup).collect();
        assert_eq!(again, [false], "{version:?}: goes again as new");

        exchange(&proxy, version, &client).await;
        assert_eq!(text(&soon("lamp", lamps.next()).await.unwrap()), "on");
        assert_eq!(text(&soon("door", doors.next()).await.unwrap()), "open");
    }
}

/// Another client publishes to both subscriptions.
async fn exchange(proxy: &Proxy, version: Version, restored: &Client) {
    // SUBACK is what says that the broker will deliver.
    let acks = || {
        let records = proxy.since(0);
        records.iter().filter(|r| r.packet == Kind::Suback).count() == 4
    };
    wait_until(acks).await;
    assert!(restored.state().is_up());
    let (other, driver) = support::through(proxy, version, "other", |b| b);
    for (topic, payload) in [("lamp/1", "on"), ("door/a/b", "open")] {
        soon("publish", other.publish(topic, payload).qos(QoS::ExactlyOnce)).await.unwrap();
    }
    other.close();
    soon("the driver", driver).await.unwrap();
}
