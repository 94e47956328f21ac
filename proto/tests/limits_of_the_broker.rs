//! What the broker's CONNACK rules out is not sent, and ends with the reason the broker would give.

use everlink_proto::session::{Config, FirstConnect, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::Duration;
use everlink_proto::wire::{QoS, ReasonCode, SubscribeOptions, Version};
use everlink_sim::broker::BrokerConfig;
use everlink_sim::host::{Fate, Post};
use everlink_sim::pair::Pair;

const OK: Fate = Fate::Delivered(ReasonCode::SUCCESS);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn connected(offers: BrokerConfig) -> Pair<Session<'static, RamStore>> {
    let cfg = Config { first_connect: FirstConnect::Forever, ..Config::default() };
    let memory = Memory::growing(&cfg);
    let mut pair = Pair::new(1, Session::new(cfg, RamStore::new(), memory));
    pair.broker().cfg = offers;
    pair.open();
    pair.run_until_up(secs(1));
    pair
}

/// The subscription is refused and nothing else suffers.
fn is_ruled_out(offers: BrokerConfig, filter: &str, reason: ReasonCode) {
    let mut pair = connected(offers);
    let tag = pair.subscribe(filter, QoS::AtLeastOnce);
    assert_eq!(pair.fate(tag, secs(5)), Fate::Rejected(reason), "{filter}");
    let tag = pair.publish("t", b"x", QoS::AtLeastOnce);
    assert_eq!(pair.fate(tag, secs(5)), OK);
    assert_eq!(pair.opens.len(), 1, "{filter}: the connection stays");
    pair.assert_conforms();
}

#[test]
fn wildcards_where_the_broker_has_none() {
    let offers = BrokerConfig { wildcards_available: false, ..BrokerConfig::default() };
    let reason = ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED;
    is_ruled_out(offers.clone(), "a/#", reason);
    is_ruled_out(offers.clone(), "+/a", reason);
    is_ruled_out(offers, "$share/g/+/a", reason);
}

#[test]
fn shared_subscriptions_where_the_broker_has_none() {
    let offers = BrokerConfig { shared_available: false, ..BrokerConfig::default() };
    is_ruled_out(offers, "$share/g/a", ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED);
}

#[test]
fn a_subscribe_larger_than_the_broker_takes() {
    let offers = BrokerConfig { maximum_packet_size: Some(100), ..BrokerConfig::default() };
    is_ruled_out(offers, &"x".repeat(100), ReasonCode::PACKET_TOO_LARGE);
}

#[test]
fn an_unsubscribe_larger_than_the_broker_takes() {
    let mut pair =
        connected(BrokerConfig { maximum_packet_size: Some(100), ..BrokerConfig::default() });
    let now = pair.now();
    let tag = pair.hosts[0].unsubscribe(now, &"x".repeat(100)).unwrap();
    assert_eq!(pair.fate(tag, secs(5)), Fate::Rejected(ReasonCode::PACKET_TOO_LARGE));
    pair.assert_conforms();
}

#[test]
fn restored_subscriptions_obey_the_limits_of_the_new_connection() {
    let mut pair = connected(BrokerConfig::default());
    let options = SubscribeOptions::new(QoS::AtLeastOnce);
    let now = pair.now();
    let tag = pair.hosts[0].subscribe_with(now, "a/#", options, 3).unwrap();
    assert!(matches!(pair.fate(tag, secs(1)), Fate::Delivered(_)));
    pair.broker().cfg.wildcards_available = false;
    pair.restart_broker(false);
    pair.run_for(secs(10));
    assert_eq!(pair.opens.len(), 2, "the connection stays");
    let last = pair.inbox.done.last().unwrap();
    assert_eq!(last.2, Fate::Rejected(ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED));
    pair.assert_conforms();
}

#[test]
fn a_topic_alias_never_makes_a_packet_too_large() {
    for (size, expiry) in (60..80).flat_map(|size| [(size, None), (size, Some(secs(1000)))]) {
        let mut pair = connected(BrokerConfig {
            maximum_packet_size: Some(80),
            topic_alias_maximum: 10,
            ..BrokerConfig::default()
        });
        let payload = vec![b'x'; size];
        let post = Post { expiry, ..Post::new("topic", &payload, QoS::AtLeastOnce) };
        let tag = pair.try_post(post).unwrap();
        let fate = pair.fate(tag, secs(5));
        let properties = if expiry.is_some() { 5 } else { 0 };
        let fits = 2 + 7 + 2 + 1 + properties + size <= 80;
        let wanted = if fits { OK } else { Fate::Rejected(ReasonCode::PACKET_TOO_LARGE) };
        assert_eq!(fate, wanted, "{size} bytes");
        pair.assert_conforms();
    }
}

#[test]
fn a_table_smaller_than_the_receive_maximum_is_what_is_announced() {
    let cfg = Config { receive_maximum: 100, ..Config::default() };
    let mut received = [Default::default(); 3];
    let memory = Memory {
        received: everlink_proto::mem::Table::fixed(&mut received),
        ..Memory::growing(&cfg)
    };
    let mut pair = Pair::new(1, Session::new(cfg, RamStore::new(), memory));
    pair.inbox.manual = true;
    pair.open();
    pair.run_until_up(secs(1));
    let tag = pair.subscribe("a", QoS::AtLeastOnce);
    assert!(matches!(pair.fate(tag, secs(1)), Fate::Delivered(_)));
    for _ in 0..10 {
        pair.broker_publishes("a", b"x", QoS::AtLeastOnce);
    }
    pair.run_for(secs(5));
    assert_eq!(pair.inbox.messages.len(), 3);
    assert_eq!(pair.opens.len(), 1, "the broker is not accused of exceeding its limit");
    assert_eq!(pair.version(), Version::V5);
}
