//! Properties of messages both ways, and what 3.1.1 does with them.

use super::*;

#[tokio::test(start_paused = true)]
async fn properties_of_messages_both_ways() {
    let mut lab = Lab::new(|b| b);
    let mut stream = lab.client.subscribe("t", QoS::AtLeastOnce).open().unwrap();
    let (mut peer, _) = lab.up(false, &[]).await;
    peer.grant(1).await;
    let sent = [
        Property::PayloadFormatIndicator(true),
        Property::ContentType("application/json"),
        Property::ResponseTopic("answer"),
        Property::CorrelationData(&[0, 255]),
        Property::UserProperty("k", "1"),
        Property::UserProperty("a", "2"),
        Property::UserProperty("k", "3"),
    ];
    let publish = lab.client.publish("t", "{}").qos(QoS::AtLeastOnce);
    let publish = publish.property(sent[0]).content_type("application/json");
    let publish = publish.response_topic("answer").correlation_data(&[0, 255]);
    let publish = publish.user_property("k", "1").user_property("a", "2").user_property("k", "3");
    let delivery = publish.expiry(Duration::from_secs(9)).send().unwrap();
    let got = peer.expect(PacketType::Publish).await;
    let mut wanted = sent.to_vec();
    wanted.push(Property::MessageExpiryInterval(9));
    assert_eq!(properties(&got.publish().props), wanted);
    peer.ack(AckKind::PubAck, got.pid()).await;
    assert!(soon("delivery", delivery).await.is_delivered());

    let mut back = sent.to_vec();
    back.push(Property::MessageExpiryInterval(7));
    back.push(Property::SubscriptionIdentifier(1));
    peer.send(Publish {
        dup: true,
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: "t",
        pid: PacketId::new(1),
        props: Properties::from_list(&back),
        payload: b"{}",
    })
    .await;
    let message = soon("message", stream.next()).await.unwrap();
    let p = message.properties();
    assert_eq!((message.qos, message.retain, message.dup), (QoS::AtLeastOnce, true, true));
    assert_eq!((p.payload_is_utf8, p.message_expiry), (Some(true), Some(7)));
    assert_eq!(p.content_type.as_deref(), Some("application/json"));
    assert_eq!(p.response_topic.as_deref(), Some("answer"));
    assert_eq!(p.correlation_data.as_deref(), Some(&[0, 255][..]));
    assert_eq!(p.subscription_ids, [1]);
    assert_eq!(user(&p.user_properties), [("k", "1"), ("a", "2"), ("k", "3")]);

    // What does not belong to a message is the caller's error.
    for wrong in [
        Property::TopicAlias(1),
        Property::MessageExpiryInterval(1),
        Property::SubscriptionIdentifier(1),
        Property::ReasonString("x"),
    ] {
        let refused = lab.client.publish("t", "x").property(wrong).send();
        assert!(matches!(refused, Err(PublishError::Property)), "{wrong:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_calls_work_with_3_1_1_and_leave_properties_out() {
    let (client, driver, _path, mut listener) = over_memory(Version::V311, |b| {
        b.user_property("a", "b").will(Will::new("w", "x").unwrap().delay(Duration::from_secs(1)))
    });
    spawn(driver);
    let mut peer = Peer::new(listener.accept().await, Version::V311);
    assert!(peer.accept(false, &[]).await.connect().props.is_empty());
    let publish = client.publish("t", "x").qos(QoS::AtLeastOnce).user_property("a", "b");
    let delivery = publish.content_type("c").send().unwrap();
    let got = peer.expect(PacketType::Publish).await;
    assert!(got.publish().props.is_empty());
    peer.ack(AckKind::PubAck, got.pid()).await;
    assert!(soon("delivery", delivery).await.is_delivered());
    let request = client.request("a", "b", "c", Duration::from_secs(1)).await;
    assert_eq!(request.unwrap_err(), RequestError::NeedsV5);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_expires_in_flight_is_not_sent_again_as_new() {
    let mut lab = Lab::new(|b| b);
    let (mut peer, _) = lab.up(false, &[]).await;
    let publish = lab.client.publish("t", "x").qos(QoS::AtLeastOnce);
    let delivery = publish.expiry(Duration::from_secs(5)).send().unwrap();
    peer.expect(PacketType::Publish).await;
    lab.path.refuse(true);
    drop(peer);
    sleep(Duration::from_secs(8)).await;
    lab.path.refuse(false);
    // The broker has forgotten the session, so it would be a new message, and it is too late.
    let (mut peer, _) = lab.up(false, &[]).await;
    let outcome = soon("outcome", delivery).await;
    assert_eq!(outcome.into_result(), Err(NotDelivered::Expired));
    let nothing = timeout(Duration::from_secs(1), peer.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

/// A broker may send a copy for each of two overlapping subscriptions; each says which it is for.
#[tokio::test(start_paused = true)]
async fn a_copy_goes_to_the_streams_it_is_for() {
    let mut lab = Lab::new(|b| b);
    let (mut peer, _) = lab.up(false, &[]).await;
    let mut streams = Vec::new();
    let mut ids = Vec::new();
    for filter in ["a/+", "#"] {
        streams.push(lab.client.subscribe(filter, QoS::AtMostOnce).open().unwrap());
        let got = peer.grant(0).await;
        let Packet::Subscribe(subscribe) = got.packet() else { unreachable!() };
        ids.extend(subscribe.props.subscription_ids());
    }
    let id = |n: usize| Property::SubscriptionIdentifier(ids[n]);
    // An identifier of an earlier run says nothing about the streams of this one.
    let unknown = Property::SubscriptionIdentifier(ids[1] + 1);
    let copies: [(&[Property<'_>], &str); 5] = [
        (&[id(0)], "first"),
        (&[id(1)], "second"),
        (&[id(1), id(0)], "both"),
        (&[], "whoever"),
        (&[unknown], "older"),
    ];
    for (list, payload) in copies {
        let (dup, qos, retain, pid) = (false, QoS::AtMostOnce, false, None);
        let (props, payload) = (Properties::from_list(list), payload.as_bytes());
        peer.send(Publish { dup, qos, retain, topic: "a/x", pid, props, payload }).await;
    }
    for (stream, wanted) in streams.iter_mut().zip(["first", "second"]) {
        for payload in [wanted, "both", "whoever", "older"] {
            assert_eq!(text(&soon(payload, stream.next()).await.unwrap()), payload);
        }
        assert!(stream.try_next().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn streams_that_come_and_go_between_messages_on_one_topic() {
    let mut lab = Lab::new(|b| b);
    let (mut peer, _) = lab.up(false, &[]).await;
    let (client, qos) = (lab.client.clone(), QoS::AtMostOnce);
    let mut one = client.subscribe("a/+", qos).open().unwrap();
    peer.grant(0).await;
    peer.publish("a/x", "1", qos, 0, false).await;
    assert_eq!(text(&soon("1", one.next()).await.unwrap()), "1");
    let mut all = client.subscribe("#", qos).open().unwrap();
    peer.grant(0).await;
    peer.publish("a/x", "2", qos, 0, false).await;
    for stream in [&mut one, &mut all] {
        assert_eq!(text(&soon("2", stream.next()).await.unwrap()), "2");
    }
    drop(all);
    peer.release().await;
    peer.publish("a/x", "3", qos, 0, false).await;
    assert_eq!(text(&soon("3", one.next()).await.unwrap()), "3");
    drop(one);
    peer.release().await;
    // For nobody any more, so it waits for who may still come.
    peer.publish("a/x", "4", qos, 0, false).await;
    sleep(Duration::from_millis(10)).await;
    let mut late = client.subscribe("a/x", qos).open().unwrap();
    assert_eq!(text(&soon("4", late.next()).await.unwrap()), "4");
    // Once is enough.
    let mut later = client.subscribe("a/+", qos).open().unwrap();
    assert!(later.try_next().is_none() && late.try_next().is_none());
}
