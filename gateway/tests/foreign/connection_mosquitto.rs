//! Wills, sessions, sleep, and who is who.

use std::time::Duration;

use everlink::QoS::{AtLeastOnce, ExactlyOnce};

use crate::World;
use crate::peer::{
    CLEAN, CONNACK, DISCONNECT, GWINFO, PINGREQ, PINGRESP, PUBACK, RETAIN, SEARCHGW, WILL, WILLMSG,
    WILLMSGREQ, WILLMSGRESP, WILLMSGUPD, WILLTOPIC, WILLTOPICREQ, WILLTOPICRESP, WILLTOPICUPD, qos,
    wait_until,
};

const SHORTLY: Duration = Duration::from_millis(300);

#[test]
fn a_node_that_falls_silent_leaves_its_will() {
    let world = World::new();
    let mut wills = world.watch("will/#");
    let node = world.peer();
    node.connect_with_will("mortal", CLEAN, 1, (qos(1) | RETAIN, "will/mortal", "gone"));
    wills.expect("will/mortal", "gone");
    // It is told, and can begin again.
    node.expect(DISCONNECT);
    node.connect("mortal", CLEAN, 60);
}

#[test]
fn a_node_that_leaves_politely_does_not() {
    let world = World::new();
    let mut wills = world.watch("will/#");
    let node = world.peer();
    node.connect_with_will("polite", CLEAN, 60, (0, "will/polite", "no"));
    node.disconnect();
    wills.silence(SHORTLY);
}

#[test]
fn pings_keep_a_node_alive() {
    let world = World::new();
    let mut wills = world.watch("will/#");
    let node = world.peer();
    node.connect_with_will("alive", CLEAN, 1, (0, "will/alive", "no"));
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(700));
        node.ping();
    }
    wills.silence(Duration::from_millis(1));
}

#[test]
fn a_will_can_be_changed_and_deleted() {
    let world = World::new();
    let mut wills = world.watch("will/#");
    let node = world.peer();
    node.connect_with_will("changed", CLEAN, 2, (0, "will/first", "one"));
    node.send(WILLMSGUPD, &[b"two"]);
    assert_eq!(node.expect(WILLMSGRESP), [0]);
    node.send(WILLTOPICUPD, &[&[qos(1)], b"will/second"]);
    assert_eq!(node.expect(WILLTOPICRESP), [0]);
    wills.expect("will/second", "two");
    let other = world.peer();
    other.connect_with_will("deleted", CLEAN, 1, (0, "will/deleted", "no"));
    other.send(WILLTOPICUPD, &[]);
    assert_eq!(other.expect(WILLTOPICRESP), [0]);
    other.expect(DISCONNECT);
    wills.silence(SHORTLY);
}

#[test]
fn an_empty_will_topic_is_no_will() {
    let world = World::new();
    let node = world.peer();
    node.say_connect("no will", CLEAN | WILL, 60);
    node.expect(WILLTOPICREQ);
    node.send(WILLTOPIC, &[]);
    assert_eq!(node.expect(CONNACK), [0]);
}

#[test]
fn what_is_lost_while_connecting_is_asked_for_again() {
    let world = World::new();
    let node = world.peer();
    for _ in 0..2 {
        node.say_connect("slow", CLEAN | WILL, 60);
        node.expect(WILLTOPICREQ);
    }
    for _ in 0..2 {
        node.send(WILLTOPIC, &[&[0], b"will/slow"]);
        node.expect(WILLMSGREQ);
    }
    for _ in 0..2 {
        node.send(WILLMSG, &[b"?"]);
        assert_eq!(node.expect(CONNACK), [0]);
    }
}

#[test]
fn a_session_is_kept_with_subscriptions_and_messages() {
    let world = World::new();
    let node = world.peer();
    node.connect("keeps", CLEAN, 60);
    node.disconnect();
    node.connect("keeps", 0, 60);
    node.subscribe(1, 0, b"to/keeper");
    node.disconnect();
    for data in ["1", "2"] {
        world.publish("to/keeper", data, AtLeastOnce, false);
    }
    // From elsewhere: a node is its client identifier.
    let node = node.moved();
    node.connect("keeps", 0, 60);
    // The node may have forgotten what the id means (6.10).
    let (name, topic) = node.registered();
    assert_eq!(name, "to/keeper");
    for data in ["1", "2"] {
        let message = node.receive();
        assert_eq!((message.topic, message.data), (topic, data.as_bytes().to_vec()));
    }
    // And a clean session has nothing of it.
    node.disconnect();
    node.connect("keeps", CLEAN, 60);
    world.publish("to/keeper", "3", AtLeastOnce, false);
    node.silence(SHORTLY);
}

#[test]
fn a_sleeping_node_gets_its_messages_when_it_wakes() {
    let world = World::new();
    let node = world.peer();
    node.connect("sleeper", CLEAN, 60);
    let topic = node.subscribe(2, 0, b"to/sleeper");
    node.sleep(60);
    for (data, level) in [("1", AtLeastOnce), ("2", ExactlyOnce), ("3", AtLeastOnce)] {
        world.publish("to/sleeper", data, level, false);
    }
    node.silence(SHORTLY);
    // Its address changed while it slept.
    let node = node.moved();
    node.say_awake("sleeper");
    for data in ["1", "2", "3"] {
        let message = node.receive();
        assert_eq!((message.topic, message.data), (topic, data.as_bytes().to_vec()));
    }
    node.expect(PINGRESP);
    // It sleeps again.
    world.publish("to/sleeper", "4", AtLeastOnce, false);
    node.silence(SHORTLY);
    assert_eq!(node.fetch("sleeper").len(), 1);
    assert!(node.fetch("sleeper").is_empty());
    world.publish("to/sleeper", "5", AtLeastOnce, false);
    node.connect("sleeper", 0, 60);
    assert_eq!(node.registered().0, "to/sleeper");
    assert_eq!(node.receive().data, b"5");
}

#[test]
fn a_node_that_oversleeps_leaves_its_will() {
    let world = World::new();
    let mut wills = world.watch("will/#");
    let node = world.peer();
    node.connect_with_will("oversleeper", CLEAN, 60, (0, "will/oversleeper", "gone"));
    node.sleep(1);
    wills.expect("will/oversleeper", "gone");
}

#[test]
fn who_is_not_connected_is_told_to_connect() {
    let world = World::new();
    let node = world.peer();
    node.say_publish(qos(1), 1, 1, b"?");
    node.expect(DISCONNECT);
    node.send(PINGREQ, &[b"nobody"]);
    node.expect(DISCONNECT);
    node.connect("somebody", CLEAN, 60);
    node.disconnect();
    node.say_publish(qos(1), 1, 1, b"?");
    node.expect(DISCONNECT);
}

#[test]
fn who_searches_a_gateway_finds_it() {
    let world = World::with(|config| config.settings.gateway = 9);
    let node = world.peer();
    // As soon as it has a broker.
    wait_until("GWINFO", || {
        node.send(SEARCHGW, &[&[0]]);
        node.next_within(Duration::from_millis(200)) == Some((GWINFO, vec![9]))
    });
}

#[test]
fn nodes_behind_a_forwarder_are_told_apart() {
    let world = World::new();
    let mut all = world.watch("from/#");
    let forwarder = world.peer();
    let (one, two) = (forwarder.behind(b"\x01"), forwarder.behind(b"two"));
    one.connect("first", CLEAN, 60);
    two.connect("second", CLEAN, 60);
    let (of_one, of_two) = (one.register("from/one"), two.register("from/two"));
    one.publish_1(0, of_one, b"1");
    all.expect("from/one", "1");
    two.publish_2(0, of_two, b"2");
    all.expect("from/two", "2");
    one.disconnect();
    two.ping();
}

#[test]
fn who_is_not_on_the_list_is_refused() {
    let world = World::with(|config| config.allow = Some(vec!["friend".to_owned()]));
    let node = world.peer();
    node.say_connect("foe", CLEAN, 60);
    assert_eq!(node.expect(CONNACK), [3]);
    node.connect("friend", CLEAN, 60);
}

#[test]
fn without_a_broker_a_node_is_told_congestion() {
    let mut world = World::with(|config| config.settings.patience = SHORTLY);
    world.broker.kill();
    let node = world.peer();
    node.say_connect("early", CLEAN, 60);
    assert_eq!(node.expect(CONNACK), [1]);
    world.broker.restart();
    wait_until("accepted", || {
        node.say_connect("early", CLEAN, 60);
        node.next_within(Duration::from_secs(2)) == Some((CONNACK, vec![0]))
    });
}

#[test]
fn a_broker_that_comes_back_gets_what_was_published_meanwhile() {
    let mut world = World::new();
    let node = world.peer();
    node.connect("patient", CLEAN, 60);
    let topic = node.register("from/patient");
    world.broker.kill();
    node.say_publish(qos(1), topic, 5, b"late");
    // The broker does not have it, so there is no acknowledgement.
    node.silence(SHORTLY);
    world.broker.restart();
    assert_eq!(node.expect(PUBACK)[2..], [0, 5, 0]);
}

#[test]
fn junk_is_counted_and_harms_nobody() {
    let world = World::new();
    let node = world.peer();
    node.connect("steady", CLEAN, 60);
    let junk = world.peer();
    let mut random = fastrand::Rng::with_seed(6);
    for _ in 0..2000 {
        let len = random.usize(0..64);
        let mut octets: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(len).collect();
        if let Some(first) = octets.first_mut()
            && random.bool()
        {
            // Half of it looks like a message.
            *first = len as u8;
        }
        junk.raw(&octets);
    }
    // The system drops what it has no room for.
    wait_until("PINGRESP", || {
        node.send(PINGREQ, &[]);
        node.next_within(SHORTLY) == Some((PINGRESP, vec![]))
    });
    while node.next_within(SHORTLY).is_some() {}
    let topic = node.register("still/there");
    assert_eq!(node.publish_1(0, topic, b"yes"), 0);
}

#[test]
fn the_gateway_tells_about_itself_and_its_nodes() {
    let mut world = World::new();
    let mut told = world.watch("everlink/everlink-gateway/#");
    told.expect("everlink/everlink-gateway/status", "online");
    let node = world.peer();
    node.connect("seen", CLEAN, 60);
    told.expect("everlink/everlink-gateway/node/seen", "active");
    node.sleep(5);
    told.expect("everlink/everlink-gateway/node/seen", "asleep");
    node.disconnect();
    told.expect("everlink/everlink-gateway/node/seen", "disconnected");
    node.connect("seen", CLEAN, 1);
    told.expect("everlink/everlink-gateway/node/seen", "active");
    told.expect("everlink/everlink-gateway/node/seen", "lost");
    world.publish("everlink/everlink-gateway/query", "", AtLeastOnce, false);
    let asked = told.next();
    assert!(asked.topic.ends_with("query"));
    let answer = told.next();
    assert!(String::from_utf8_lossy(&answer.payload).contains("\"lost_nodes\":1"), "{answer:?}");
    drop(told);
    world.stop();
    world
        .watch("everlink/everlink-gateway/status")
        .expect("everlink/everlink-gateway/status", "offline");
}

#[test]
fn a_gateway_that_stops_publishes_no_will() {
    let mut world = World::new();
    let node = world.peer();
    node.connect_with_will("spared", CLEAN, 60, (0, "will/spared", "no"));
    world.stop();
    world.watch("will/#").silence(SHORTLY);
}

#[test]
fn what_a_full_buffer_holds_back_comes_later_in_order() {
    let world = World::with(|config| config.limits.messages = 5);
    let node = world.peer();
    node.connect("small", CLEAN, 600);
    node.subscribe(1, 0, b"to/small");
    node.sleep(600);
    let publish = |n: usize| world.publish("to/small", &n.to_string(), AtLeastOnce, false);
    (0..200).for_each(publish);
    let mut fetched = Vec::new();
    wait_until("all is fetched", || {
        let some = node.fetch("small");
        fetched.extend(some.into_iter().map(|message| String::from_utf8(message.data).unwrap()));
        fetched.len() >= 200
    });
    assert_eq!(fetched, (0..200).map(|n| n.to_string()).collect::<Vec<_>>());
    // And what was given up is gone, but told.
    let world = World::with(|config| {
        config.limits.messages = 5;
        config.limits.when_full = everlink_gateway::core::WhenFull::DropOldest;
    });
    let mut errors = world.watch("everlink/everlink-gateway/errors");
    let node = world.peer();
    node.connect("small", CLEAN, 600);
    node.subscribe(1, 0, b"to/small");
    node.sleep(600);
    (0..20).for_each(|n| world.publish("to/small", &n.to_string(), AtLeastOnce, false));
    (0..15).for_each(|_| drop(errors.next()));
    let fetched = node.fetch("small");
    let data: Vec<_> = fetched.iter().map(|message| message.data.as_slice()).collect();
    assert_eq!(data, [b"15", b"16", b"17", b"18", b"19"]);
}

#[test]
fn with_a_state_a_will_still_comes_at_once() {
    let directory = std::env::temp_dir().join(format!("everlink-gateway-{}", std::process::id()));
    let world = World::with(|config| config.state = Some(directory.clone()));
    let mut wills = world.watch("will/#");
    let node = world.peer();
    for flags in [CLEAN, 0] {
        node.connect_with_will("mortal", flags, 1, (qos(1), "will/mortal", "gone"));
        wills.expect("will/mortal", "gone");
        node.expect(DISCONNECT);
    }
    wills.silence(SHORTLY);
    drop(wills);
    drop(world);
    std::fs::remove_dir_all(directory).unwrap();
}
