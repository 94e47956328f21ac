//! From a node to the broker.

use std::time::Duration;

use crate::World;
use crate::peer::{CLEAN, DUP, PREDEFINED, PUBACK, PUBCOMP, PUBREC, PUBREL, RETAIN, SHORT, qos};

const SHORT_TOPIC: u16 = u16::from_be_bytes(*b"ab");

#[test]
fn qos_0_to_2_reach_the_broker() {
    let world = World::new();
    let mut all = world.watch("from/#");
    let node = world.peer();
    node.connect("publisher", CLEAN, 60);
    let topic = node.register("from/node");
    node.say_publish(qos(0), topic, 0, b"zero");
    all.expect("from/node", "zero");
    assert_eq!(node.publish_1(0, topic, b"one"), 0);
    all.expect("from/node", "one");
    node.publish_2(0, topic, b"two");
    all.expect("from/node", "two");
    node.disconnect();
}

#[test]
fn a_retained_message_stays_at_the_broker() {
    let world = World::new();
    let node = world.peer();
    node.connect("keeper", CLEAN, 60);
    let topic = node.register("from/kept");
    node.publish_1(RETAIN, topic, b"still here");
    let mut later = world.watch("from/kept");
    let message = later.next();
    assert!(message.retain);
    assert_eq!(&*message.payload, b"still here");
}

#[test]
fn short_and_predefined_topics_need_no_registration() {
    let world = World::with(|config| config.status.clear());
    let mut all = world.watch("#");
    let node = world.peer();
    node.connect("brief", CLEAN, 60);
    node.publish_1(SHORT, SHORT_TOPIC, b"short");
    all.expect("ab", "short");
    node.publish_1(PREDEFINED, 7, b"seven");
    all.expect("known/seven", "seven");
    assert_eq!(node.publish_1(PREDEFINED, 8, b"eight"), 2, "invalid topic id");
}

#[test]
fn qos_minus_one_needs_no_connection() {
    let world = World::with(|config| config.status.clear());
    let mut all = world.watch("#");
    let node = world.peer();
    node.say_publish(qos(-1) | SHORT, SHORT_TOPIC, 0, b"anybody");
    all.expect("ab", "anybody");
    node.say_publish(qos(-1) | PREDEFINED, 7, 0, b"somebody");
    all.expect("known/seven", "somebody");
    // A topic id that was given needs somebody it was given to.
    node.say_publish(qos(-1), 7, 0, b"nobody");
    node.silence(Duration::from_millis(100));
}

#[test]
fn an_unknown_topic_id_is_told_whatever_the_qos() {
    let world = World::new();
    let node = world.peer();
    node.connect("lost its ids", CLEAN, 60);
    assert_eq!(node.publish_1(0, 4711, b"?"), 2);
    node.say_publish(qos(0), 4711, 0, b"?");
    assert_eq!(node.expect(PUBACK)[4], 2);
}

#[test]
fn what_comes_again_is_acknowledged_again_and_published_once() {
    let world = World::new();
    let mut all = world.watch("from/#");
    let node = world.peer();
    node.connect("again", CLEAN, 60);
    let topic = node.register("from/again");
    node.say_publish(qos(1), topic, 5, b"one");
    assert_eq!(node.expect(PUBACK)[2..4], [0, 5]);
    node.say_publish(DUP | qos(1), topic, 5, b"one");
    assert_eq!(node.expect(PUBACK)[2..4], [0, 5]);
    for flags in [0, DUP, DUP] {
        node.say_publish(flags | qos(2), topic, 6, b"two");
        assert_eq!(node.expect(PUBREC), [0, 6]);
    }
    for _ in 0..2 {
        node.send(PUBREL, &[&[0, 6]]);
        assert_eq!(node.expect(PUBCOMP), [0, 6]);
    }
    // The same MsgId, used for something new.
    node.say_publish(qos(1), topic, 6, b"three");
    node.expect(PUBACK);
    for data in ["one", "two", "three"] {
        all.expect("from/again", data);
    }
}

#[test]
fn a_long_topic_and_long_data_take_a_length_of_three_octets() {
    let world = World::new();
    let mut all = world.watch("long/#");
    let node = world.peer();
    node.connect("long", CLEAN, 60);
    let name = format!("long/{}", "x".repeat(400));
    let topic = node.register(&name);
    node.publish_1(0, topic, "y".repeat(1000).as_bytes());
    all.expect(&name, &"y".repeat(1000));
}
