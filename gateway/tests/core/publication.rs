//! From a node to the broker.

use everlink_gateway::core::Published;
use everlink_proto::sn::wire::{Message, PubAck, RegAck, Register, ReturnCode};
use everlink_proto::wire::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

use crate::world::{Asked, run};

fn ack(topic_id: u16, msg_id: u16, code: ReturnCode) -> Message<'static> {
    Message::PubAck(PubAck { topic_id, msg_id, code })
}

#[test]
fn puback_follows_the_brokers() {
    run(|world| {
        let node = world.connect(1, "node", true);
        let topic = world.register(1, "from/node");
        world.publish(1, topic, AtLeastOnce, false, 5);
        let asked = world.asked();
        assert_eq!(asked.len(), 1, "nothing is acknowledged yet: {asked:?}");
        assert!(
            matches!(&asked[0], Asked::Publish { token: 5, topic, qos: AtLeastOnce, .. } if topic == "from/node")
        );
        world.published(node, 5, Published::Delivered);
        world.expect(1, &[ack(topic, 5, ReturnCode::ACCEPTED)]);
    });
}

#[test]
fn what_comes_again_meanwhile_is_not_published_twice() {
    run(|world| {
        let node = world.connect(1, "node", true);
        let topic = world.register(1, "from/node");
        world.publish(1, topic, ExactlyOnce, false, 5);
        world.asked();
        world.publish(1, topic, ExactlyOnce, true, 5);
        assert_eq!(world.asked(), []);
        world.published(node, 5, Published::Delivered);
        world.expect(1, &[Message::PubRec(5)]);
        world.publish(1, topic, ExactlyOnce, true, 5);
        world.expect(1, &[Message::PubRec(5)]);
        for _ in 0..2 {
            world.say(1, &Message::PubRel(5));
            world.expect(1, &[Message::PubComp(5)]);
        }
    });
}

#[test]
fn a_publication_outlives_the_nodes_reconnection() {
    run(|world| {
        let node = world.connect(1, "node", false);
        let topic = world.register(1, "from/node");
        world.publish(1, topic, AtLeastOnce, false, 5);
        // It starts again, at another address, and repeats itself.
        assert_eq!(world.connect(2, "node", false), node);
        world.publish(2, topic, AtLeastOnce, true, 5);
        assert_eq!(world.asked(), []);
        world.published(node, 5, Published::Delivered);
        world.expect(2, &[ack(topic, 5, ReturnCode::ACCEPTED)]);
    });
}

#[test]
fn a_clean_session_knows_nothing_of_the_one_before() {
    run(|world| {
        let before = world.connect(1, "node", true);
        let topic = world.register(1, "from/node");
        world.publish(1, topic, AtLeastOnce, false, 5);
        let after = world.connect(1, "node", true);
        assert_ne!(before, after);
        world.published(before, 5, Published::Delivered);
        assert_eq!(world.asked(), []);
        world.publish(1, topic, AtLeastOnce, false, 5);
        world.expect(1, &[ack(topic, 5, ReturnCode::INVALID_TOPIC_ID)]);
    });
}

#[test]
fn a_refusal_is_told_and_the_same_may_come_again() {
    run(|world| {
        let node = world.connect(1, "node", true);
        let topic = world.register(1, "from/node");
        for (busy, code) in [(true, ReturnCode::CONGESTION), (false, ReturnCode::NOT_SUPPORTED)] {
            world.publish(1, topic, AtLeastOnce, false, 5);
            world.asked();
            world.published(node, 5, Published::Rejected { busy });
            world.expect(1, &[ack(topic, 5, code)]);
        }
    });
}

#[test]
fn when_the_brokers_side_is_full_the_node_is_told_congestion() {
    run(|world| {
        world.connect(1, "node", true);
        let topic = world.register(1, "from/node");
        world.list.busy = true;
        world.publish(1, topic, AtLeastOnce, false, 5);
        world.expect(1, &[ack(topic, 5, ReturnCode::CONGESTION)]);
        world.publish(1, topic, AtMostOnce, false, 0);
        world.expect(1, &[ack(topic, 0, ReturnCode::CONGESTION)]);
    });
}

#[test]
fn a_full_table_of_topics_is_congestion() {
    run(|world| {
        world.connect(1, "node", true);
        for topic in ["1", "2", "3", "4"] {
            world.register(1, topic);
        }
        let register = Register { topic_id: 0, msg_id: 8, topic: "5" };
        world.say(1, &Message::Register(register));
        let code = ReturnCode::CONGESTION;
        world.expect(1, &[Message::RegAck(RegAck { topic_id: 0, msg_id: 8, code })]);
        // Those it has it keeps, with the same id.
        assert_eq!(world.register(1, "3"), world.register(1, "3"));
    });
}

#[test]
fn the_table_of_nodes_is_full() {
    run(|world| {
        for (at, name) in [(1, "a"), (2, "b"), (3, "c")] {
            world.connect(at, name, true);
        }
        world.say_connect(4, "d", true, false);
        world.expect(4, &[Message::ConnAck(ReturnCode::CONGESTION)]);
        // A node that leaves makes room.
        world.say(2, &Message::Disconnect(None));
        world.connect(4, "d", true);
        assert_eq!(world.gateway.known(), 3);
    });
}
