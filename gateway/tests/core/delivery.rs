//! From the broker to a node.

use everlink_gateway::core::{Arrival, Limits, Verdict, WhenFull};
use everlink_proto::sn::wire::{Message, PubAck, RegAck, ReturnCode};
use everlink_proto::time::Duration;
use everlink_proto::wire::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

use crate::world::{Asked, RETRY, World, arrival, read, run};

/// Subscribed to everything, and knows the topic "t/1".
fn subscriber(world: &mut World<'_>) -> everlink_gateway::core::NodeId {
    let node = world.connect(1, "node", false);
    world.subscribe(1, node, "t/1");
    node
}

/// MsgId and DUP of the one PUBLISH that was sent.
#[track_caller]
fn publish(world: &mut World<'_>) -> (u16, bool) {
    let sent = world.sent(1);
    assert_eq!(sent.len(), 1, "{sent:?}");
    match read(&sent[0]) {
        Message::Publish(publish) => (publish.msg_id, publish.dup),
        other => panic!("{other:?}"),
    }
}

fn puback(world: &mut World<'_>, msg_id: u16, code: ReturnCode) {
    world.say(1, &Message::PubAck(PubAck { topic_id: 1, msg_id, code }));
}

fn acknowledged(asked: &[Asked]) -> Vec<u64> {
    let receipt = |asked: &Asked| match asked {
        Asked::Acknowledge(receipt) => Some(*receipt),
        _ => None,
    };
    asked.iter().filter_map(receipt).collect()
}

#[test]
fn the_broker_is_acknowledged_when_the_node_has_it() {
    run(|world| {
        let node = subscriber(world);
        assert_eq!(world.arrive(node, &arrival("t/1", AtLeastOnce, 41)), Verdict::Taken);
        let (id, dup) = publish(world);
        assert!(!dup);
        puback(world, id, ReturnCode::ACCEPTED);
        assert_eq!(acknowledged(&world.asked()), [41]);
    });
}

#[test]
fn at_qos_2_the_broker_is_acknowledged_at_pubrec() {
    run(|world| {
        let node = subscriber(world);
        world.arrive(node, &arrival("t/1", ExactlyOnce, 42));
        let (id, _) = publish(world);
        world.say(1, &Message::PubRec(id));
        let asked = world.asked();
        assert_eq!(acknowledged(&asked), [42]);
        // PUBREL was lost, and so was PUBREC: neither is PUBLISH again.
        world.after(RETRY);
        world.expect(1, &[Message::PubRel(id)]);
        world.say(1, &Message::PubRec(id));
        world.expect(1, &[Message::PubRel(id)]);
        world.say(1, &Message::PubComp(id));
        assert_eq!(acknowledged(&world.asked()), [] as [u64; 0]);
        assert_eq!(world.gateway.buffered(node), 0);
    });
}

#[test]
fn one_at_a_time_and_in_order() {
    run(|world| {
        let node = subscriber(world);
        for receipt in 1..=3 {
            world.arrive(node, &arrival("t/1", AtLeastOnce, receipt));
        }
        for receipt in 1..=3 {
            let (id, _) = publish(world);
            world.say(
                1,
                &Message::PubAck(PubAck { topic_id: 1, msg_id: id, code: ReturnCode::ACCEPTED }),
            );
            let asked = world.asked();
            assert_eq!(acknowledged(&asked), [receipt]);
            world.list.asked = asked;
        }
    });
}

#[test]
fn what_is_not_answered_is_sent_again_with_dup_then_the_node_is_lost() {
    run(|world| {
        let node = subscriber(world);
        // So that it is not the keep-alive that ends it.
        world.say(1, &Message::PingReq(None));
        world.asked();
        world.arrive(node, &arrival("t/1", AtLeastOnce, 1));
        let (id, _) = publish(world);
        for _ in 0..3 {
            world.after(RETRY);
            assert_eq!(publish(world), (id, true));
        }
        world.after(RETRY);
        let asked = world.asked();
        assert!(
            asked.contains(&Asked::Event("node: lost; its will is published".into())),
            "{asked:?}"
        );
        let closed = |a: &Asked| matches!(a, Asked::Close(_, how) if how.will && !how.forget);
        assert!(asked.iter().any(closed), "{asked:?}");
        // It comes back, and gets it.
        world.connect(1, "node", false);
        assert_eq!(world.gateway.buffered(node), 1);
    });
}

#[test]
fn what_the_broker_sends_again_after_an_outage_is_not_kept_twice() {
    run(|world| {
        let node = subscriber(world);
        world.say(1, &Message::Disconnect(Some(60)));
        world.arrive(node, &arrival("t/1", AtLeastOnce, 1));
        world.gateway.down(world.now, node, &mut world.list);
        world.gateway.up(world.now, node, true, &mut world.list);
        let again = Arrival { dup: true, ..arrival("t/1", AtLeastOnce, 2) };
        assert_eq!(world.arrive(node, &again), Verdict::Taken);
        assert_eq!(world.gateway.buffered(node), 1);
        world.asked();
        world.say(1, &Message::PingReq(Some("node")));
        let (id, _) = publish(world);
        puback(world, id, ReturnCode::ACCEPTED);
        assert_eq!(acknowledged(&world.asked()), [2]);
    });
}

#[test]
fn a_topic_id_that_the_node_forgot_is_registered_again_once() {
    run(|world| {
        let node = subscriber(world);
        world.arrive(node, &arrival("t/1", AtLeastOnce, 1));
        let (id, _) = publish(world);
        puback(world, id, ReturnCode::INVALID_TOPIC_ID);
        let sent = world.sent(1);
        let Message::Register(register) = read(&sent[0]) else { panic!("{sent:?}") };
        assert_eq!(register.topic, "t/1");
        let code = ReturnCode::ACCEPTED;
        let (topic_id, msg_id) = (register.topic_id, register.msg_id);
        world.say(1, &Message::RegAck(RegAck { topic_id, msg_id, code }));
        assert_eq!(publish(world), (id, true));
    });
}

#[test]
fn a_topic_that_the_node_refuses_is_given_up() {
    run(|world| {
        let node = world.connect(1, "node", true);
        world.subscribe(1, node, "t/+");
        world.arrive(node, &arrival("t/9", AtLeastOnce, 1));
        let sent = world.sent(1);
        let Message::Register(register) = read(&sent[0]) else { panic!("{sent:?}") };
        let (topic_id, msg_id) = (register.topic_id, register.msg_id);
        let code = ReturnCode::NOT_SUPPORTED;
        world.say(1, &Message::RegAck(RegAck { topic_id, msg_id, code }));
        let asked = world.asked();
        assert_eq!(acknowledged(&asked), [1]);
        assert_eq!(asked.iter().filter(|a| matches!(a, Asked::Event(_))).count(), 1);
    });
}

#[test]
fn more_topics_than_there_is_room_for_take_turns() {
    run(|world| {
        let node = world.connect(1, "node", true);
        world.subscribe(1, node, "#");
        let mut ids = Vec::new();
        for topic in ["t/1", "t/2", "t/3", "t/4", "t/5", "t/6"] {
            world.arrive(node, &arrival(topic, AtMostOnce, 0));
            let sent = world.sent(1);
            let Message::Register(register) = read(&sent[0]) else { panic!("{sent:?}") };
            assert_eq!(register.topic, topic);
            assert!(!ids.contains(&register.topic_id), "{ids:?}");
            ids.push(register.topic_id);
            let (topic_id, msg_id) = (register.topic_id, register.msg_id);
            let code = ReturnCode::ACCEPTED;
            world.say(1, &Message::RegAck(RegAck { topic_id, msg_id, code }));
            publish(world);
        }
    });
}

#[test]
fn a_full_buffer_does_what_its_policy_says() {
    let cases = [
        (WhenFull::Hold, Verdict::Busy, [1, 2, 3, 4], None),
        (WhenFull::DropOldest, Verdict::Taken, [2, 3, 4, 5], Some(1)),
        (WhenFull::DropNewest, Verdict::Taken, [1, 2, 3, 4], Some(5)),
        (WhenFull::Latest, Verdict::Taken, [1, 3, 4, 5], Some(2)),
    ];
    for (when_full, verdict, left, dropped) in cases {
        run(|world| {
            world.list.limits = Limits { when_full, ..Limits::default() };
            let node = subscriber(world);
            world.subscribe(1, node, "t/2");
            world.say(1, &Message::Disconnect(Some(60)));
            for (receipt, topic) in [(1, "t/1"), (2, "t/2"), (3, "t/1"), (4, "t/1")] {
                world.arrive(node, &arrival(topic, AtLeastOnce, receipt));
            }
            world.asked();
            assert_eq!(
                world.arrive(node, &arrival("t/2", AtLeastOnce, 5)),
                verdict,
                "{when_full:?}"
            );
            let asked = world.asked();
            assert_eq!(acknowledged(&asked), Vec::from_iter(dropped), "{when_full:?}");
            // What is dropped is always told.
            let told = asked
                .iter()
                .any(|a| matches!(a, Asked::Event(text) if text.contains("buffer is full")));
            assert_eq!(told, dropped.is_some());
            world.say(1, &Message::PingReq(Some("node")));
            for receipt in left {
                let (id, _) = publish(world);
                puback(world, id, ReturnCode::ACCEPTED);
                let asked = world.asked();
                assert_eq!(acknowledged(&asked), [receipt], "{when_full:?}");
                let room = asked.contains(&Asked::Room);
                assert_eq!(room, when_full == WhenFull::Hold && receipt == 1);
                world.list.asked = asked;
            }
            world.expect(1, &[Message::PingResp]);
        });
    }
}

#[test]
fn a_message_that_fits_nowhere_is_told_and_given_up() {
    run(|world| {
        let node = subscriber(world);
        let long = Arrival { data: &[7; 500], ..arrival("t/1", AtLeastOnce, 1) };
        assert_eq!(world.arrive(node, &long), Verdict::Taken);
        let asked = world.asked();
        assert_eq!(acknowledged(&asked), [1]);
        assert!(matches!(&asked[0], Asked::Event(text) if text.contains("too long")), "{asked:?}");
    });
}

#[test]
fn a_flood_does_not_keep_a_node_awake() {
    run(|world| {
        let node = subscriber(world);
        world.say(1, &Message::Disconnect(Some(60)));
        world.arrive(node, &arrival("t/1", AtLeastOnce, 1));
        world.asked();
        world.say(1, &Message::PingReq(Some("node")));
        let (id, _) = publish(world);
        world.arrive(node, &arrival("t/1", AtLeastOnce, 2));
        puback(world, id, ReturnCode::ACCEPTED);
        world.expect(1, &[Message::PingResp]);
        assert_eq!(world.gateway.buffered(node), 1);
    });
}

#[test]
fn a_sleeper_that_does_not_answer_gets_it_at_the_next_waking() {
    run(|world| {
        let node = subscriber(world);
        world.say(1, &Message::Disconnect(Some(600)));
        world.arrive(node, &arrival("t/1", AtLeastOnce, 1));
        world.asked();
        world.say(1, &Message::PingReq(Some("node")));
        let (id, _) = publish(world);
        for _ in 0..3 {
            world.after(RETRY);
            assert_eq!(publish(world), (id, true));
        }
        world.after(RETRY + Duration::from_secs(1));
        assert_eq!(world.asked(), [], "it sleeps, and is not lost");
        world.say(1, &Message::PingReq(Some("node")));
        assert_eq!(publish(world), (id, true));
    });
}
