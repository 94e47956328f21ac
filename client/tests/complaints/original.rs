//! What the original gets wrong: X1 to X12 as far as they concern the client.

use super::*;

/// X1: with a session that was still there, the original reconnected for ever.
#[tokio::test(start_paused = true)]
async fn a_session_that_is_still_there_is_taken_for_an_error() {
    for version in VERSIONS {
        let mut lab = Lab::new(version, |b| b.clean_start(false));
        for _ in 0..2 {
            let mut peer = lab.up(true).await;
            assert!(lab.client.state().resumed);
            let serving = timeout(HOUR, peer.serve()).await;
            assert!(serving.is_err(), "the connection stays");
            drop(peer);
        }
        assert_eq!(lab.path.connections(), 2);
    }
}

/// X2: the end of the stream killed a task, and recovery waited for the next ping.
#[tokio::test(start_paused = true)]
async fn the_end_of_the_connection_goes_unnoticed_for_a_while() {
    for version in VERSIONS {
        let mut lab = Lab::new(version, |b| b.keep_alive(600));
        for nonsense in [false, true] {
            let mut peer = lab.up(false).await;
            if nonsense {
                peer.send_raw(&[0, 0]).await;
            } else {
                drop(peer);
            }
            sleep(Duration::from_millis(10)).await;
            assert!(!lab.client.state().is_up(), "at once");
            assert!(lab.client.state().fault.is_some(), "with its cause");
        }
    }
}

/// X3: a queue of N held N - 1, one of 1 nothing at all, and every message counted as lost.
#[tokio::test(start_paused = true)]
async fn a_queue_of_one_holds_nothing() {
    for version in VERSIONS {
        for capacity in 1..=3 {
            let (client, _path, model) = modelled(version, |b| b).await;
            let subscribe = client.subscribe("t", QoS::AtMostOnce).capacity(capacity);
            let mut stream =
                soon("subscribe", subscribe.overflow(Overflow::DropNewest)).await.unwrap();
            let send = |n: usize| {
                model.with(|b, now| b.publish(now, "t", n.to_string().as_bytes(), Q1, false));
            };
            (0..capacity).for_each(send);
            sleep(Duration::from_secs(1)).await;
            assert_eq!(stream.lost(), 0, "{capacity} of {capacity}");
            send(capacity);
            sleep(Duration::from_secs(1)).await;
            assert_eq!(stream.lost(), 1);
            for n in 0..capacity {
                assert_eq!(text(&stream.try_next().expect("held")), n.to_string());
            }
            assert!(stream.try_next().is_none());
        }
    }
}

/// X4: a message was acknowledged when it entered a queue, and dropped when that overflowed.
#[tokio::test(start_paused = true)]
async fn an_acknowledged_message_is_dropped() {
    for version in VERSIONS {
        let mut lab = Lab::new(version, |b| b.receive_maximum(10));
        let mut peer = lab.up(false).await;
        let mut stream = lab.client.subscribe("t", Q1).capacity(2).open().unwrap();
        peer.grant(1).await;
        for pid in 1..=5 {
            peer.publish("t", &pid.to_string(), Q1, pid, false).await;
        }
        for pid in 1..=2 {
            assert_eq!(peer.expect(PacketType::PubAck).await.pid().get(), pid);
        }
        // The others have no room, and are not acknowledged until they have.
        assert!(timeout(Duration::from_secs(5), peer.next()).await.is_err());
        for n in 1..=5 {
            assert_eq!(text(&soon("a message", stream.next()).await.unwrap()), n.to_string());
        }
        for pid in 3..=5 {
            assert_eq!(peer.expect(PacketType::PubAck).await.pid().get(), pid);
        }
        assert_eq!(stream.lost(), 0);
    }
}

/// X5: after a reconnection an unacknowledged message went again under a new identifier, without DUP.
#[tokio::test(start_paused = true)]
async fn a_message_sent_again_looks_like_a_new_one() {
    for version in VERSIONS {
        for qos in [Q1, Q2] {
            let mut lab = Lab::new(version, |b| b);
            let mut peer = lab.up(false).await;
            let _delivery = lab.client.publish("t", "x").qos(qos).send().unwrap();
            let first = peer.expect(PacketType::Publish).await;
            drop(peer);
            let again = lab.up(true).await.expect(PacketType::Publish).await;
            assert_eq!((first.pid(), first.publish().dup), (again.pid(), false));
            assert!(again.publish().dup);
            // Only where the session is lost it is a new one.
            let anew = lab.up(false).await.expect(PacketType::Publish).await;
            assert!(!anew.publish().dup);
        }
    }
}

/// X6: MQTT 5 forbids to send a message again on a connection that lives.
#[tokio::test(start_paused = true)]
async fn mqtt_5_repeats_itself_on_a_live_connection() {
    let mut lab = Lab::new(Version::V5, |b| b);
    let mut peer = lab.up(false).await;
    let delivery = lab.client.publish("t", "x").qos(Q1).send().unwrap();
    peer.expect(PacketType::Publish).await;
    // Pings are answered, the message is not.
    let rest = soon("the end", async {
        let mut rest = Vec::new();
        while let Some(got) = peer.next().await {
            rest.push(got.kind());
        }
        rest
    });
    assert_eq!(rest.await, []);
    let mut peer = lab.up(true).await;
    let again = peer.expect(PacketType::Publish).await;
    peer.ack(AckKind::PubAck, again.pid()).await;
    assert!(soon("delivery", delivery).await.is_delivered());
    assert_eq!(lab.path.violations(), [""; 0]);
}

/// X8: "no answer" and "success" were the same number.
#[tokio::test(start_paused = true)]
async fn no_answer_looks_like_success() {
    for version in VERSIONS {
        let mut lab = Lab::new(version, |b| b);
        let mut peer = lab.up(false).await;
        let delivery = lab.client.publish("t", "x").qos(Q1).send().unwrap();
        peer.expect(PacketType::Publish).await;
        lab.path.refuse(true);
        drop(peer);
        assert!(timeout(HOUR, delivery).await.is_err(), "nothing is said before it is known");
        assert_eq!((lab.client.held(), lab.client.stats().delivered), (1, 0));
    }
}

/// X9: after a refusal, the publisher waited for ever.
#[tokio::test(start_paused = true)]
async fn a_refused_publisher_waits_for_ever() {
    for qos in [Q1, Q2] {
        let (client, _path, model) = modelled(Version::V5, |b| b).await;
        let refusal = ("no".to_owned(), Code::NOT_AUTHORIZED);
        model.with(|b, _| b.faults.refuse_publish.push(refusal));
        let delivery = client.publish("no", "x").qos(qos).send().unwrap();
        let Outcome::Rejected(ack) = soon("an answer", delivery).await else { panic!("refused") };
        assert_eq!(ack.reason, ReasonCode::NOT_AUTHORIZED);
    }
}

/// X10: "accepted" was told as "delivered".
#[tokio::test(start_paused = true)]
async fn accepted_is_told_as_delivered() {
    for version in VERSIONS {
        let mut lab = Lab::new(version, |b| b);
        let mut peer = lab.up(false).await;
        let accepted = lab.client.publish("t", "x").qos(Q1).accepted();
        let mut delivery = soon("accepted", accepted).await.unwrap();
        let published = peer.expect(PacketType::Publish).await;
        assert!(timeout(Duration::from_secs(1), &mut delivery).await.is_err());
        peer.ack(AckKind::PubAck, published.pid()).await;
        assert!(soon("delivery", delivery).await.is_delivered());
    }
}
