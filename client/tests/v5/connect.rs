//! CONNECT and CONNACK: what is asked for, what the broker grants, how it ends.

use super::*;

#[tokio::test(start_paused = true)]
async fn connect_says_what_was_asked_for() {
    let will = Will::new("will/t", "gone").unwrap().qos(QoS::AtLeastOnce).retain(true);
    let will = will
        .delay(Duration::from_secs(30))
        .property(Property::PayloadFormatIndicator(true))
        .property(Property::MessageExpiryInterval(60))
        .property(Property::ContentType("text/plain"))
        .property(Property::ResponseTopic("will/answer"))
        .property(Property::CorrelationData(b"c"))
        .property(Property::UserProperty("k", "1"))
        .property(Property::UserProperty("k", "2"));
    let mut lab = Lab::new(|b| {
        b.client_id("id")
            .credentials(Credentials { username: None, password: Some(b"token".to_vec()) })
            .keep_alive(77)
            .session_expiry(Duration::from_secs(123))
            .receive_maximum(55)
            .maximum_packet_size(4321)
            .topic_aliases(3, 9)
            .user_property("b", "1")
            .user_property("a", "2")
            .user_property("b", "3")
            .request_response_information()
            .no_problem_information()
            .will(will)
    });
    let (_peer, got) = lab.up(false, &[]).await;
    let connect = got.connect();
    assert_eq!((connect.client_id, connect.clean_start, connect.keep_alive), ("id", true, 77));
    assert_eq!((connect.username, connect.password), (None, Some(&b"token"[..])));
    let p = &connect.props;
    assert_eq!(p.session_expiry(), Some(123));
    assert_eq!(p.receive_maximum(), Some(55));
    assert_eq!(p.maximum_packet_size(), Some(4321));
    assert_eq!(p.topic_alias_maximum(), Some(9));
    assert_eq!(p.user_properties().collect::<Vec<_>>(), [("b", "1"), ("a", "2"), ("b", "3")]);
    assert!(properties(p).contains(&Property::RequestResponseInformation(true)));
    assert!(properties(p).contains(&Property::RequestProblemInformation(false)));
    let will = connect.will.unwrap();
    assert_eq!((will.topic, will.payload), ("will/t", &b"gone"[..]));
    assert_eq!((will.qos, will.retain), (QoS::AtLeastOnce, true));
    assert_eq!(
        properties(&will.props),
        [
            Property::WillDelayInterval(30),
            Property::PayloadFormatIndicator(true),
            Property::MessageExpiryInterval(60),
            Property::ContentType("text/plain"),
            Property::ResponseTopic("will/answer"),
            Property::CorrelationData(b"c"),
            Property::UserProperty("k", "1"),
            Property::UserProperty("k", "2"),
        ]
    );
}

// [MQTT-3.1.3-2]
#[tokio::test(start_paused = true)]
async fn what_the_broker_assigns_is_kept() {
    let mut lab = Lab::new(|b| b.client_id("").keep_alive(60));
    let (peer, got) = lab
        .up(
            false,
            &[
                Property::AssignedClientIdentifier("given"),
                Property::ServerKeepAlive(8),
                Property::SessionExpiryInterval(5),
                Property::ReasonString("welcome"),
                Property::ResponseInformation("answers/"),
                Property::UserProperty("a", "1"),
                Property::UserProperty("a", "2"),
            ],
        )
        .await;
    assert_eq!(got.connect().client_id, "");
    assert_eq!(lab.client.client_id(), "given");
    let limits = lab.client.limits();
    assert_eq!((limits.keep_alive, limits.session_expiry), (8, 5));
    let info = lab.client.broker_info().unwrap();
    assert_eq!(info.reason_string.as_deref(), Some("welcome"));
    assert_eq!(info.response_information.as_deref(), Some("answers/"));
    assert_eq!(user(&info.user_properties), [("a", "1"), ("a", "2")]);

    // [MQTT-3.1.2-21] the server's keep-alive rules.
    let mut peer = peer;
    let mut last = Instant::now();
    for _ in 0..10 {
        let got = soon("a ping", peer.recv()).await.unwrap();
        assert_eq!(got.kind(), PacketType::PingReq);
        assert!(last.elapsed() <= Duration::from_secs(8), "{:?}", last.elapsed());
        last = Instant::now();
        peer.send(Packet::PingResp).await;
    }
    drop(peer);
    let mut peer = lab.accept().await;
    assert_eq!(peer.accept(true, &[]).await.connect().client_id, "given");
    soon("up", lab.client.up()).await;
    assert_eq!(lab.client.limits().keep_alive, 60, "as asked for again");
}

#[tokio::test(start_paused = true)]
async fn what_the_broker_does_not_offer_is_refused_here() {
    let mut lab = Lab::new(|b| b);
    let (mut peer, _) = lab
        .up(
            false,
            &[
                Property::ReceiveMaximum(2),
                Property::MaximumQoS(QoS::AtLeastOnce),
                Property::RetainAvailable(false),
                Property::MaximumPacketSize(100),
                Property::SubscriptionIdentifierAvailable(false),
                Property::WildcardSubscriptionAvailable(false),
                Property::SharedSubscriptionAvailable(false),
            ],
        )
        .await;
    let limits = lab.client.limits();
    assert_eq!((limits.receive_maximum, limits.maximum_qos), (2, QoS::AtLeastOnce));
    assert!(!limits.retain_available && !limits.wildcard_subscription_available);
    assert!(!limits.subscription_identifier_available && !limits.shared_subscription_available);

    let rejected = |outcome: Outcome| match outcome {
        Outcome::Rejected(ack) => ack.reason,
        other => panic!("{other:?}"),
    };
    let c = &lab.client;
    let send = |qos, retain, size| {
        c.publish("t", vec![b'x'; size]).qos(qos).retain(retain).send().unwrap()
    };
    let outcome = soon("QoS", send(QoS::ExactlyOnce, false, 1)).await;
    assert_eq!(rejected(outcome), ReasonCode::QOS_NOT_SUPPORTED);
    let outcome = soon("retain", send(QoS::AtLeastOnce, true, 1)).await;
    assert_eq!(rejected(outcome), ReasonCode::RETAIN_NOT_SUPPORTED);
    let outcome = soon("size", send(QoS::AtLeastOnce, false, 101)).await;
    assert_eq!(rejected(outcome), ReasonCode::PACKET_TOO_LARGE);

    // [MQTT-3.3.4-7] never more than two under way.
    let deliveries: Vec<_> = (0..6).map(|_| send(QoS::AtLeastOnce, false, 80)).collect();
    for _ in 0..3 {
        let first = peer.expect(PacketType::Publish).await;
        let second = peer.expect(PacketType::Publish).await;
        assert!(first.bytes.len() <= 100);
        let more = timeout(Duration::from_secs(1), peer.next()).await;
        assert!(more.is_err(), "{more:?}");
        peer.ack(AckKind::PubAck, first.pid()).await;
        peer.ack(AckKind::PubAck, second.pid()).await;
    }
    for delivery in deliveries {
        assert!(soon("delivery", delivery).await.is_delivered());
    }
    let _stream = c.subscribe("plain", QoS::AtMostOnce).open().unwrap();
    let got = peer.expect(PacketType::Subscribe).await;
    let Packet::Subscribe(subscribe) = got.packet() else { unreachable!() };
    assert_eq!(subscribe.props.subscription_ids().count(), 0);
    for (filter, reason) in [
        ("a/+", ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED),
        ("$share/group/a", ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED),
    ] {
        let refused = soon(filter, c.subscribe(filter, QoS::AtMostOnce)).await;
        assert!(matches!(&refused, Err(SubscribeError::Rejected(ack)) if ack.reason == reason));
        // It was not asked for; that nobody wants it any more is said in any case, because an
        // earlier run may have.
        peer.release().await;
    }
    assert_eq!(lab.path.violations(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_session_ends_when_it_was_asked_to() {
    for (session, expiry, told) in [
        (100, None, None),
        (100, Some(0), Some(0)),
        (100, Some(900), Some(900)),
        // What was to end with the connection cannot be prolonged.
        (0, Some(900), None),
    ] {
        let session = Duration::from_secs(session);
        let (client, driver, _path, mut listener) =
            over_memory(Version::V5, |b| b.session_expiry(session));
        let running = spawn(driver);
        let mut peer = Peer::new(listener.accept().await, Version::V5);
        peer.accept(false, &[]).await;
        soon("up", client.up()).await;
        match expiry {
            None => client.close(),
            Some(seconds) => client.close_expiring(Duration::from_secs(seconds)),
        }
        let got = peer.expect(PacketType::Disconnect).await;
        let Packet::Disconnect(disconnect) = got.packet() else { unreachable!() };
        assert_eq!(disconnect.reason, ReasonCode::SUCCESS);
        assert_eq!(disconnect.props.session_expiry(), told);
        assert!(peer.recv().await.is_none());
        soon("the driver", running).await.unwrap();
    }
}
