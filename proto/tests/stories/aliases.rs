//! Topic Aliases: set and used by themselves, in both directions, for one connection.

use everlink_proto::engine::Cause;
use everlink_proto::session::Config;
use everlink_proto::wire::{
    Disconnect, Packet, Properties, Property, Publish, ReasonCode, Version,
};
use everlink_sim::script::Script;

use crate::support::*;

const TOPIC: &str = "a/long/topic";

/// Connected to a broker that allows so many aliases.
fn allowed(aliases: u16) -> Script<Engine> {
    let mut s = script(Config { topic_aliases: 8, ..config(Version::V5) });
    accept(&mut s, aliases, false);
    s
}

fn accept(s: &mut Script<Engine>, aliases: u16, session_present: bool) {
    s.connect();
    s.reply(connack(session_present, &[Property::TopicAliasMaximum(aliases)]));
}

#[track_caller]
fn expect(s: &mut Script<Engine>, topic: &str, alias: Option<u16>) {
    let list = alias.map(Property::TopicAlias);
    let props = Properties::from_list(list.as_slice());
    s.expect(Publish { topic, props, ..publish(Q0, 0, "x") });
}

// [MQTT-3.2.2-17] [MQTT-3.3.2-9]
#[test]
fn the_first_use_sets_it_the_next_leaves_the_name_out() {
    let mut s = allowed(2);
    for _ in 0..3 {
        s.publish(TOPIC, b"x", Q0);
        s.publish("another/topic", b"x", Q0);
        s.publish("one/too/many", b"x", Q0);
        s.publish("t", b"x", Q0);
    }
    expect(&mut s, TOPIC, Some(1));
    expect(&mut s, "another/topic", Some(2));
    for _ in 0..2 {
        expect(&mut s, "one/too/many", None);
        // The property would be longer than the name.
        expect(&mut s, "t", None);
        expect(&mut s, "", Some(1));
        expect(&mut s, "", Some(2));
    }
}

// [MQTT-3.2.2-18]
#[test]
fn none_where_the_broker_allows_none() {
    let mut s = allowed(0);
    for _ in 0..2 {
        s.publish(TOPIC, b"x", Q0);
        expect(&mut s, TOPIC, None);
    }
}

#[test]
fn a_message_sent_again_carries_its_name() {
    let mut s = allowed(8);
    s.publish(TOPIC, b"x", Q0);
    s.publish(TOPIC, b"x", Q1);
    expect(&mut s, TOPIC, Some(1));
    s.reset();
    accept(&mut s, 8, true);
    let list = [Property::TopicAlias(1)];
    let props = Properties::from_list(&list);
    s.expect(Publish { topic: TOPIC, props, ..again(Q1, 1, "x") });
}

/// From the broker.
fn aliased(topic: &str, list: &[Property<'_>]) -> Vec<u8> {
    let props = Properties::from_list(list);
    bytes(Version::V5, Publish { topic, props, ..publish(Q0, 0, "x") })
}

// [MQTT-3.3.2-10]
#[test]
fn the_brokers_are_resolved() {
    let mut s = connected(Config { topic_alias_maximum: 2, ..config(Version::V5) });
    let (one, two) = ([Property::TopicAlias(1)], [Property::TopicAlias(2)]);
    for (topic, list) in
        [("a/1", &one), ("b/2", &two), ("", &one), ("", &two), ("c/3", &one), ("", &one)]
    {
        s.reply_raw(&aliased(topic, list));
    }
    let topics: Vec<_> = s.inbox.messages.iter().map(|m| m.topic.as_str()).collect();
    assert_eq!(topics, ["a/1", "b/2", "a/1", "b/2", "c/3", "c/3"]);
}

#[test]
fn one_that_was_never_set_or_is_out_of_range_ends_the_connection() {
    for (topic, alias) in [("", 2), ("t", 3), ("t", u16::MAX)] {
        let mut s = connected(Config { topic_alias_maximum: 2, ..config(Version::V5) });
        s.reply_raw(&aliased(topic, &[Property::TopicAlias(alias)]));
        let reason = ReasonCode::TOPIC_ALIAS_INVALID;
        s.expect(Disconnect { reason, props: Properties::EMPTY });
        assert_lost(&s, Cause::Protocol(reason));
        assert!(s.inbox.messages.is_empty());
    }
}

// [MQTT-3.3.2-7]
#[test]
fn they_are_forgotten_with_the_connection() {
    let mut s = script(Config { topic_alias_maximum: 2, ..config(Version::V5) });
    let connect = s.accept(false);
    let (_, connect) = Packet::decode_connect(&connect).expect("CONNECT");
    assert_eq!(connect.props.topic_alias_maximum(), Some(2));
    s.reply_raw(&aliased("a/1", &[Property::TopicAlias(1)]));
    s.reset();
    s.accept(true);
    s.reply_raw(&aliased("", &[Property::TopicAlias(1)]));
    s.expect_kind(everlink_proto::wire::PacketType::Disconnect);
}
