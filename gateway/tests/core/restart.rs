//! A node that was recorded is the same node in another gateway.

use everlink_gateway::core::{NodeId, Published};
use everlink_proto::sn::wire::{Message, WillTopic};
use everlink_proto::time::Duration;
use everlink_proto::wire::QoS::{AtLeastOnce, ExactlyOnce};

use crate::world::{Asked, World, arrival, read, run};

fn record(world: &World<'_>, node: NodeId) -> Vec<u8> {
    let mut octets = Vec::new();
    let recorded = world.gateway.record(node.slot, &mut |piece| octets.extend_from_slice(piece));
    assert_eq!(recorded, Some((node, Some(1))));
    octets
}

/// A node with everything, its topic id, and its record.
fn whole(test: impl FnOnce(&mut World<'_>, NodeId)) -> (u16, Vec<u8>) {
    let mut result = (0, Vec::new());
    run(|world| {
        let node = world.connect(1, "node", true);
        let will = WillTopic { qos: AtLeastOnce, retain: true, topic: "will/node" };
        world.say(1, &Message::WillTopicUpd(Some(will)));
        world.say(1, &Message::WillMsgUpd(b"gone"));
        world.asked();
        result.0 = world.register(1, "from/node");
        world.subscribe(1, node, "t/1");
        test(world, node);
        result.1 = record(world, node);
    });
    result
}

#[test]
fn it_publishes_and_receives_as_if_nothing_had_been() {
    let (topic, record) = whole(|_, _| ());
    run(|world| {
        assert!(world.gateway.restore(world.now, Some(1), &record, &mut world.list));
        let asked = world.asked();
        let node = world.gateway.node("node").unwrap();
        let open = asked.iter().find_map(|asked| match asked {
            Asked::Open { clean, will, filters, .. } => {
                Some((*clean, will.clone(), filters.clone()))
            }
            _ => None,
        });
        // The broker's session goes on, although the node had begun without one.
        let will = Some("will/node gone".to_owned());
        assert_eq!(open, Some((false, will, vec!["t/1".to_owned()])));
        world.gateway.up(world.now, node, true, &mut world.list);
        assert_eq!(world.asked(), [], "it is not told anything");
        world.publish(1, topic, AtLeastOnce, false, 5);
        assert!(matches!(&world.asked()[0], Asked::Publish { topic, .. } if topic == "from/node"));
        world.arrive(node, &arrival("t/1", AtLeastOnce, 1));
        let sent = world.sent(1);
        assert!(matches!(read(&sent[0]), Message::Publish(_)), "it knows the topic: {sent:?}");
    });
}

#[test]
fn what_the_broker_had_is_not_published_again() {
    let (topic, record) = whole(|world, node| {
        let topic = world.register(1, "from/node");
        for (msg_id, qos) in [(5, AtLeastOnce), (6, ExactlyOnce)] {
            world.publish(1, topic, qos, false, msg_id);
            world.published(node, msg_id, Published::Delivered);
        }
    });
    run(|world| {
        world.gateway.restore(world.now, Some(1), &record, &mut world.list);
        world.asked();
        world.publish(1, topic, AtLeastOnce, true, 5);
        world.publish(1, topic, ExactlyOnce, true, 6);
        let asked = world.asked();
        assert_eq!(asked.len(), 2, "{asked:?}");
        assert!(asked.iter().all(|asked| matches!(asked, Asked::Send(1, _))), "{asked:?}");
    });
}

#[test]
fn a_sleeper_sleeps_on_and_is_lost_in_its_time() {
    let (_, record) = whole(|world, _| {
        world.say(1, &Message::Disconnect(Some(100)));
    });
    run(|world| {
        world.gateway.restore(world.now, Some(1), &record, &mut world.list);
        let node = world.gateway.node("node").unwrap();
        world.arrive(node, &arrival("t/1", AtLeastOnce, 1));
        world.asked();
        world.say(2, &Message::PingReq(Some("node")));
        let sent = world.sent(2);
        assert!(matches!(read(&sent[0]), Message::Publish(_)), "{sent:?}");
        world.after(Duration::from_secs(111));
        assert_eq!(world.gateway.known(), 0);
    });
}

#[test]
fn whatever_stands_in_a_record_harms_nothing() {
    let (_, record) = whole(|_, _| ());
    let mut random = fastrand::Rng::with_seed(7);
    for cut in 0..record.len() {
        run(|world| {
            assert!(!world.gateway.restore(world.now, Some(1), &record[..cut], &mut world.list));
            assert_eq!(world.gateway.known(), 0);
        });
        let mut noisy = record.clone();
        noisy[cut] = random.u8(..);
        run(|world| {
            world.gateway.restore(world.now, Some(1), &noisy, &mut world.list);
            world.connect(3, "another", true);
        });
    }
}
