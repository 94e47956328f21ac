//! Reason codes and words of the broker reach whom they concern.

use super::*;

#[tokio::test(start_paused = true)]
async fn words_of_the_broker_reach_whom_they_concern() {
    let mut lab = Lab::new(|b| b);
    let (mut peer, _) = lab.up(false, &[]).await;
    assert_eq!(lab.client.last_rejection(), None);
    let list = [Property::ReasonString("because"), Property::UserProperty("a", "1")];
    let words = Properties::from_list(&list);
    for (qos, kind, reason) in [
        (QoS::AtLeastOnce, AckKind::PubAck, ReasonCode::NO_MATCHING_SUBSCRIBERS),
        (QoS::AtLeastOnce, AckKind::PubAck, ReasonCode::QUOTA_EXCEEDED),
        (QoS::ExactlyOnce, AckKind::PubRec, ReasonCode::PAYLOAD_FORMAT_INVALID),
    ] {
        let delivery = lab.client.publish("t", "x").qos(qos).send().unwrap();
        let pid = peer.expect(PacketType::Publish).await.pid();
        peer.send(Ack { kind, pid, reason, props: words }).await;
        let outcome = soon("outcome", delivery).await;
        assert_eq!(outcome.is_delivered(), !reason.is_error());
        let ack = match outcome {
            Outcome::Delivered(ack) | Outcome::Rejected(ack) => ack,
            other => panic!("{other:?}"),
        };
        assert_eq!((ack.reason, ack.reason_string()), (reason, Some("because")));
        assert_eq!(user(ack.user_properties()), [("a", "1")]);
    }
    let rejection = lab.client.last_rejection().expect("the last one");
    assert_eq!(rejection.reason, ReasonCode::PAYLOAD_FORMAT_INVALID);
    assert_eq!(rejection.reason_string(), Some("because"));

    let delivery = lab.client.publish("t", "x").qos(QoS::ExactlyOnce).send().unwrap();
    let pid = peer.expect(PacketType::Publish).await.pid();
    peer.ack(AckKind::PubRec, pid).await;
    peer.expect(PacketType::PubRel).await;
    peer.send(Ack { kind: AckKind::PubComp, pid, reason: ReasonCode::SUCCESS, props: words }).await;
    let Outcome::Delivered(ack) = soon("outcome", delivery).await else { panic!() };
    assert_eq!(ack.reason_string(), Some("because"));

    let stream = lab.client.subscribe("a", QoS::ExactlyOnce).open().unwrap();
    let pid = peer.expect(PacketType::Subscribe).await.pid();
    peer.send(SubAck { pid, props: words, codes: &[1] }).await;
    let ack = soon("granted", stream.granted()).await.unwrap();
    assert_eq!((ack.reason, ack.reason_string()), (ReasonCode(1), Some("because")));
    let leaving = tokio::spawn(stream.unsubscribe());
    let pid = peer.expect(PacketType::Unsubscribe).await.pid();
    peer.send(UnsubAck { pid, props: words, codes: &[0x11] }).await;
    let ack = soon("unsubscribed", leaving).await.unwrap().unwrap();
    assert_eq!((ack.reason.0, ack.reason_string()), (0x11, Some("because")));

    let stream = lab.client.subscribe("b", QoS::AtMostOnce).open().unwrap();
    let pid = peer.expect(PacketType::Subscribe).await.pid();
    peer.send(SubAck { pid, props: words, codes: &[0x87] }).await;
    let Err(SubscribeError::Rejected(ack)) = soon("refused", stream.granted()).await else {
        panic!()
    };
    assert_eq!(user(ack.user_properties()), [("a", "1")]);

    peer.send(Disconnect { reason: ReasonCode::SERVER_SHUTTING_DOWN, props: words }).await;
    let mut watch = lab.client.watch();
    let down = soon("down", watch.wait_for(|s| !s.is_up())).await.unwrap().fault;
    let cause = Cause::DisconnectedByBroker(ReasonCode::SERVER_SHUTTING_DOWN);
    assert_eq!(down.map(|f| f.cause), Some(cause));
    let info = lab.client.broker_info().unwrap();
    assert_eq!(info.reason, ReasonCode::SERVER_SHUTTING_DOWN);
    assert_eq!(info.reason_string.as_deref(), Some("because"));
}

#[tokio::test(start_paused = true)]
async fn options_of_a_subscription() {
    let mut lab = Lab::new(|b| b);
    let subscribe = lab.client.subscribe("a/+", QoS::ExactlyOnce).no_local();
    let subscribe = subscribe.retain_as_published().retain_handling(RetainHandling::Never);
    let subscribe = subscribe.user_property("k", "1").user_property("k", "2");
    let _stream = subscribe.open().unwrap();
    // The first connection, and one to a broker that has forgotten the session.
    for _ in 0..2 {
        let (mut peer, _) = lab.up(false, &[]).await;
        let got = peer.grant(2).await;
        let Packet::Subscribe(subscribe) = got.packet() else { unreachable!() };
        let (filter, options) = subscribe.filters.iter().next().unwrap();
        assert_eq!((filter, options.qos), ("a/+", QoS::ExactlyOnce));
        assert!(options.no_local && options.retain_as_published);
        assert_eq!(options.retain_handling, RetainHandling::Never);
        let words: Vec<_> = subscribe.props.user_properties().collect();
        assert_eq!(words, [("k", "1"), ("k", "2")]);
        assert_eq!(subscribe.props.subscription_ids().count(), 1);
    }
}

/// One subscription serves all streams on a filter: a modest one must not take from another.
#[tokio::test(start_paused = true)]
async fn streams_on_one_filter_share_the_highest_qos() {
    let mut lab = Lab::new(|b| b);
    let (mut peer, _) = lab.up(false, &[]).await;
    let mut streams = Vec::new();
    for (asked, said) in [
        (QoS::AtLeastOnce, QoS::AtLeastOnce),
        (QoS::ExactlyOnce, QoS::ExactlyOnce),
        (QoS::AtMostOnce, QoS::ExactlyOnce),
    ] {
        streams.push(lab.client.subscribe("a", asked).open().unwrap());
        let got = peer.grant(2).await;
        let Packet::Subscribe(subscribe) = got.packet() else { unreachable!() };
        assert_eq!(subscribe.filters.iter().next().unwrap().1.qos, said, "{asked:?}");
    }
}
