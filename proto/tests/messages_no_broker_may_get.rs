//! What can never be written as a packet is refused at once: it must not block what comes behind it.

use everlink_proto::engine::{Refused, Tag};
use everlink_proto::session::{Config, FirstConnect, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::Duration;
use everlink_proto::wire::{Properties, Property, QoS, ReasonCode, SubscribeOptions, Version};
use everlink_sim::host::{Fate, Post};
use everlink_sim::pair::Pair;

const OK: Fate = Fate::Delivered(ReasonCode::SUCCESS);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn connected(version: Version) -> Pair<Session<'static, RamStore>> {
    let cfg = Config { version, first_connect: FirstConnect::Forever, ..Config::default() };
    let memory = Memory::growing(&cfg);
    let mut pair = Pair::new(1, Session::new(cfg, RamStore::new(), memory));
    pair.open();
    pair.run_until_up(secs(1));
    pair
}

fn delivers(pair: &mut Pair<Session<'static, RamStore>>) {
    let tag: Tag = pair.publish("t", b"behind", QoS::AtLeastOnce);
    assert_eq!(pair.fate(tag, secs(60)), OK);
    pair.assert_conforms();
}

// [MQTT-3.3.4-6]
#[test]
fn a_message_with_properties_no_publish_may_have_is_refused() {
    let cases: [&[Property<'_>]; 6] = [
        &[Property::ContentType("a"), Property::ContentType("b")],
        &[Property::SubscriptionIdentifier(7)],
        &[Property::ResponseTopic("a/#")],
        &[Property::ReasonString("no")],
        &[Property::MessageExpiryInterval(3)],
        &[Property::TopicAlias(3)],
    ];
    for list in cases {
        let mut raw = vec![0; 64];
        let n = Properties::from_list(list).encode_raw(&mut raw).unwrap();
        for props in [Properties::from_list(list), Properties::from_trusted_raw(&raw[..n])] {
            let mut pair = connected(Version::V5);
            let post = Post { props, ..Post::new("t", b"x", QoS::AtLeastOnce) };
            assert_eq!(pair.try_post(post), Err(Refused::Invalid), "{list:?}");
            delivers(&mut pair);
        }
    }
}

#[test]
fn with_3_1_1_properties_are_left_out_whatever_they_are() {
    let mut pair = connected(Version::V311);
    let list = [Property::ContentType("a"), Property::ContentType("b")];
    let props = Properties::from_list(&list);
    let tag = pair.try_post(Post { props, ..Post::new("t", b"x", QoS::AtLeastOnce) }).unwrap();
    assert_eq!(pair.fate(tag, secs(1)), OK);
    delivers(&mut pair);
}

// [MQTT-3.8.3-4]
#[test]
fn no_local_on_a_shared_subscription_is_refused() {
    let mut pair = connected(Version::V5);
    let options = SubscribeOptions { no_local: true, ..SubscribeOptions::new(QoS::AtLeastOnce) };
    let now = pair.now();
    let refused = pair.hosts[0].subscribe_with(now, "$share/g/a", options, 0);
    assert_eq!(refused, Err(Refused::Invalid));
    delivers(&mut pair);
}

#[test]
fn a_subscription_identifier_out_of_range_is_refused() {
    let mut pair = connected(Version::V5);
    let now = pair.now();
    let options = SubscribeOptions::new(QoS::AtLeastOnce);
    let refused = pair.hosts[0].subscribe_with(now, "a", options, 268_435_456);
    assert_eq!(refused, Err(Refused::Invalid));
    delivers(&mut pair);
}
