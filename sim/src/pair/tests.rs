use everlink_proto::engine::Cause;
use everlink_proto::session::{Config, FirstConnect, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::wire::{ReasonCode, Version};

use super::*;

const OK: Fate = Fate::Delivered(ReasonCode::SUCCESS);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn session(version: Version) -> Session<'static, RamStore> {
    let first_connect = FirstConnect::Forever;
    let cfg = Config { version, first_connect, ..Config::default() };
    let memory = Memory::growing(&cfg);
    Session::new(cfg, RamStore::new(), memory)
}

#[test]
fn an_engine_and_the_broker_understand_each_other() {
    for version in [Version::V311, Version::V5] {
        let mut pair = Pair::new(1, session(version));
        pair.net.path(0).set_delay(Duration::from_millis(20), Duration::from_millis(5));
        pair.open();
        pair.run_until_up(secs(1));
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let tag = pair.subscribe("a/#", qos);
            assert!(matches!(pair.fate(tag, secs(1)), Fate::Delivered(_)));
            let tag = pair.publish("a/b", b"x", qos);
            assert_eq!(pair.fate(tag, secs(1)), OK);
            pair.run_for(secs(1));
            let got = pair.inbox.messages.last().unwrap();
            assert_eq!((got.text().as_str(), got.qos), ("x", qos));
        }
        assert_eq!(pair.inbox.messages.len(), 3);
        pair.close();
        pair.run_for(secs(1));
        assert_eq!(pair.events.last().unwrap().1, Event::Closed);
        pair.assert_conforms();
    }
}

#[test]
fn a_killed_broker_is_ridden_out() {
    let mut pair = Pair::new(2, session(Version::V5));
    pair.open();
    pair.run_until_up(secs(1));
    pair.kill_broker();
    pair.run_for(secs(20));
    assert!(
        pair.events.iter().any(|(_, e)| matches!(e, Event::Down(f) if f.cause == Cause::Refused))
    );
    let tag = pair.publish("t", b"held", QoS::ExactlyOnce);
    pair.restart_broker(true);
    assert_eq!(pair.fate(tag, secs(60)), OK);
    assert_eq!(pair.accepted(), ["held"]);
    pair.assert_conforms();
}

#[test]
fn a_seed_repeats_the_run() {
    let run = |seed| {
        let mut pair = Pair::new(seed, session(Version::V5));
        pair.net.path(0).set_delay(Duration::from_millis(1), Duration::from_millis(300));
        pair.net.path(0).segment = 7;
        pair.open();
        for n in 0..20 {
            pair.publish("t", format!("{n}").as_bytes(), QoS::ExactlyOnce);
        }
        pair.run_for(secs(30));
        pair.trace.to_string()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn two_hosts_share_a_broker() {
    let mut pair = Pair::new(3, session(Version::V5));
    let other = pair.add_host(session(Version::V311));
    pair.open();
    let now = pair.now();
    pair.hosts[other].open(now);
    pair.run_for(secs(1));
    pair.subscribe("t", QoS::AtLeastOnce);
    pair.run_for(secs(1));
    let now = pair.now();
    pair.hosts[other].post(now, Post::new("t", b"hi", QoS::ExactlyOnce)).unwrap();
    pair.run_for(secs(1));
    assert_eq!(pair.inbox.texts(), ["hi"]);
    pair.assert_conforms();
}

#[test]
#[should_panic(expected = "waited 1s in vain for a miracle")]
fn waiting_in_vain_fails() {
    let mut pair = Pair::new(3, session(Version::V5));
    pair.open();
    pair.run_until(secs(1), "a miracle", |_| false);
}
