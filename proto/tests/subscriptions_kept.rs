//! Subscriptions outlive a loss of power, also if the broker loses its session meanwhile.
#![cfg(feature = "alloc")]

use everlink_proto::engine::Engine;
use everlink_proto::session::{Config, FirstConnect, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::Duration;
use everlink_proto::wire::{QoS, Version};
use everlink_sim::pair::Pair;

fn engine(version: Version) -> Session<'static, RamStore> {
    let first_connect = FirstConnect::Forever;
    let cfg = Config { version, clean_start: false, first_connect, ..Config::default() };
    let memory = Memory::growing(&cfg);
    Session::new(cfg, RamStore::new(), memory)
}

fn subscribed_once(version: Version, with_session: bool) {
    let mut pair = Pair::new(1, engine(version));
    pair.open();
    pair.run_until_up(Duration::from_secs(1));
    pair.subscribe("in/+", QoS::AtLeastOnce);
    pair.run_for(Duration::from_secs(1));
    assert!(pair.engine.has_unsaved_subscriptions());
    let mut record = Vec::new();
    pair.hosts[0].engine.unsaved_subscriptions(&mut record);
    assert!(!pair.engine.has_unsaved_subscriptions());

    let mut booted = engine(version);
    booted.restore_subscriptions(&record).expect("readable");
    assert!(booted.restore_subscriptions(&record[..record.len() - 1]).is_err());
    let mut booted = engine(version);
    booted.restore_subscriptions(&record).expect("readable");
    if with_session {
        let now = pair.now();
        pair.net.reset_server(now, 0);
    } else {
        pair.restart_broker(false);
    }
    pair.hosts[0].engine = booted;
    pair.hosts[0].check.power_cut();
    pair.settle();
    pair.open();
    pair.run_for(Duration::from_secs(5));
    pair.broker_publishes("in/x", b"after", QoS::AtLeastOnce);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.inbox.texts(), ["after"]);
    assert_eq!(pair.engine.held(), 0);
    let _ = pair.engine.status();
}

#[test]
fn the_broker_still_has_them_or_is_asked_again() {
    for version in [Version::V311, Version::V5] {
        for with_session in [true, false] {
            subscribed_once(version, with_session);
        }
    }
}
