//! From the broker to a node.

use everlink::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

use crate::World;
use crate::peer::{CLEAN, PREDEFINED, RETAIN, SHORT, qos};

#[test]
fn qos_0_to_2_reach_the_node() {
    let world = World::new();
    let node = world.peer();
    node.connect("subscriber", CLEAN, 60);
    let topic = node.subscribe(2, 0, b"to/node");
    assert_ne!(topic, 0);
    for (level, qos_of) in [(0, AtMostOnce), (1, AtLeastOnce), (2, ExactlyOnce)] {
        world.publish("to/node", "hello", qos_of, false);
        let message = node.receive();
        assert_eq!((message.flags, message.topic), (qos(level), topic));
        assert_eq!(message.data, b"hello");
        assert_eq!(message.msg_id == 0, level == 0);
    }
    node.ping();
}

#[test]
fn a_wildcard_is_registered_before_the_first_message_of_each_topic() {
    let world = World::new();
    let node = world.peer();
    node.connect("wild", CLEAN, 60);
    assert_eq!(node.subscribe(1, 0, b"wild/#"), 0);
    world.publish("wild/a", "1", AtLeastOnce, false);
    let (name, a) = node.registered();
    assert_eq!(name, "wild/a");
    assert_eq!(node.receive().topic, a);
    world.publish("wild/a", "2", AtLeastOnce, false);
    assert_eq!(node.receive().topic, a);
    world.publish("wild/b", "3", AtLeastOnce, false);
    let (name, b) = node.registered();
    assert_eq!(name, "wild/b");
    assert_ne!(a, b);
    assert_eq!(node.receive().topic, b);
}

#[test]
fn a_retained_message_comes_at_once_and_says_so() {
    let world = World::new();
    world.publish("to/kept", "old", AtLeastOnce, true);
    let node = world.peer();
    node.connect("late", CLEAN, 60);
    let topic = node.subscribe(1, 0, b"to/kept");
    let message = node.receive();
    assert_eq!((message.flags, message.topic), (qos(1) | RETAIN, topic));
}

#[test]
fn short_and_predefined_topics_come_as_they_were_subscribed() {
    let world = World::new();
    let node = world.peer();
    node.connect("brief", CLEAN, 60);
    node.subscribe(1, SHORT, b"ab");
    world.publish("ab", "short", AtLeastOnce, false);
    let message = node.receive();
    assert_eq!((message.flags, message.topic), (qos(1) | SHORT, u16::from_be_bytes(*b"ab")));
    node.subscribe(1, PREDEFINED, &[0, 7]);
    world.publish("known/seven", "seven", AtLeastOnce, false);
    let message = node.receive();
    assert_eq!((message.flags, message.topic), (qos(1) | PREDEFINED, 7));
}

#[test]
fn after_unsubscribing_nothing_comes() {
    let world = World::new();
    let node = world.peer();
    node.connect("leaver", CLEAN, 60);
    node.subscribe(1, 0, b"to/leave");
    let other = node.subscribe(1, 0, b"to/stay");
    node.unsubscribe(0, b"to/leave");
    world.publish("to/leave", "no", AtLeastOnce, false);
    world.publish("to/stay", "yes", AtLeastOnce, false);
    assert_eq!(node.receive().topic, other);
}
