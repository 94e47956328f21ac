//! Topic Aliases both ways.

use super::*;

#[tokio::test(start_paused = true)]
async fn topic_aliases_towards_the_broker() {
    let mut lab = Lab::new(|b| b.topic_aliases(10, 0));
    let (mut peer, connect) = lab.up(false, &[Property::TopicAliasMaximum(2)]).await;
    assert_eq!(connect.connect().props.topic_alias_maximum().unwrap_or(0), 0);
    let c = lab.client.clone();
    let send = |topic: &str| {
        c.publish(topic, "x").qos(QoS::AtLeastOnce).send().unwrap();
    };
    for topic in ["topic/a", "topic/b", "topic/a", "topic/c", "topic/b", "topic/c"] {
        send(topic);
    }
    let wanted = [
        ("topic/a", Some(1)),
        ("topic/b", Some(2)),
        ("", Some(1)),
        ("topic/c", None),
        ("", Some(2)),
        ("topic/c", None),
    ];
    for (topic, alias) in wanted {
        let got = peer.expect(PacketType::Publish).await;
        let publish = got.publish();
        assert_eq!((publish.topic, publish.props.topic_alias()), (topic, alias));
    }
    // None is acknowledged. They go again, and the aliases begin anew [MQTT-3.3.2-7].
    drop(peer);
    let (mut peer, _) = lab.up(true, &[Property::TopicAliasMaximum(1)]).await;
    let wanted = [
        ("topic/a", Some(1)),
        ("topic/b", None),
        ("", Some(1)),
        ("topic/c", None),
        ("topic/b", None),
        ("topic/c", None),
    ];
    for (topic, alias) in wanted {
        let got = peer.expect(PacketType::Publish).await;
        let publish = got.publish();
        assert_eq!((publish.topic, publish.props.topic_alias()), (topic, alias));
        assert!(publish.dup);
        peer.ack(AckKind::PubAck, got.pid()).await;
    }
    drop(peer);
    let (mut peer, _) = lab.up(true, &[]).await;
    send("topic/a");
    let got = peer.expect(PacketType::Publish).await;
    assert_eq!((got.publish().topic, got.publish().props.topic_alias()), ("topic/a", None));
    assert_eq!(lab.path.violations(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn topic_aliases_from_the_broker() {
    let mut lab = Lab::new(|b| b.topic_aliases(0, 2));
    let mut stream = lab.client.subscribe("#", QoS::AtMostOnce).open().unwrap();
    let (mut peer, connect) = lab.up(false, &[]).await;
    assert_eq!(connect.connect().props.topic_alias_maximum(), Some(2));
    peer.grant(0).await;
    for (topic, alias) in [("a", 1), ("b", 2), ("", 1), ("", 2), ("c", 1), ("", 1)] {
        aliased(&mut peer, topic, alias).await;
    }
    for topic in ["a", "b", "a", "b", "c", "c"] {
        assert_eq!(&*soon(topic, stream.next()).await.unwrap().topic, topic);
    }
    drop(peer);
    let (mut peer, _) = lab.up(true, &[]).await;
    aliased(&mut peer, "", 1).await;
    let got = peer.expect(PacketType::Disconnect).await;
    let Packet::Disconnect(told) = got.packet() else { unreachable!() };
    assert_eq!(told.reason, ReasonCode::TOPIC_ALIAS_INVALID, "it lived with its connection");
    assert!(stream.try_next().is_none());
}

async fn aliased(peer: &mut Peer, topic: &str, alias: u16) {
    let (dup, qos, retain, pid) = (false, QoS::AtMostOnce, false, None);
    let list = [Property::TopicAlias(alias)];
    let props = Properties::from_list(&list);
    peer.send(Publish { dup, qos, retain, topic, pid, props, payload: b"x" }).await;
}
