//! The will: told by the broker when we are gone without a word, and only then.

use everlink_proto::wire::{Disconnect, Properties, ReasonCode, Version};
use everlink_sim::host::WillTemplate;
use everlink_sim::pair::Pair;

use crate::support::*;

fn with_will(version: Version, delay: u32) -> (Pair<Engine>, usize) {
    let mut pair = Pair::new(1, engine(config(version)));
    let will = WillTemplate {
        topic: "gone".to_owned(),
        payload: b"host-0".to_vec(),
        qos: Q1,
        retain: false,
        delay,
    };
    pair.template.will = Some(will);
    let watcher = pair.add_host(engine(config(Version::V5)));
    let now = pair.now();
    pair.open();
    pair.hosts[watcher].open(now);
    let options = everlink_proto::wire::SubscribeOptions::new(Q1);
    pair.hosts[watcher].subscribe_with(now, "gone", options, 0).expect("accepted");
    pair.run_for(secs(1));
    (pair, watcher)
}

#[test]
fn a_polite_end_keeps_it_quiet() {
    for version in VERSIONS {
        let (mut pair, watcher) = with_will(version, 0);
        pair.close();
        pair.run_for(secs(600));
        assert!(pair.hosts[watcher].inbox.messages.is_empty());
        pair.assert_conforms();
    }
}

#[test]
fn a_broken_connection_tells_it() {
    for version in VERSIONS {
        let (mut pair, watcher) = with_will(version, 0);
        let now = pair.now();
        pair.net.reset_client(now, 0);
        pair.run_for(secs(5));
        assert_eq!(pair.hosts[watcher].inbox.texts(), ["host-0"]);
        pair.assert_conforms();
    }
}

#[test]
fn delayed_it_is_not_told_if_we_are_back_in_time() {
    let (mut pair, watcher) = with_will(Version::V5, 10);
    for down in [2, 12] {
        pair.net.listener(0).mode =
            everlink_sim::netem::Listen::Fail(everlink_proto::engine::Cause::Refused);
        let now = pair.now();
        pair.net.reset_client(now, 0);
        pair.run_for(secs(down));
        pair.net.listener(0).mode = everlink_sim::netem::Listen::Accept;
        pair.run_until_up(secs(60));
        assert_eq!(pair.hosts[watcher].inbox.messages.len(), usize::from(down > 10));
    }
}

#[test]
fn closing_may_ask_for_it() {
    let (mut pair, watcher) = with_will(Version::V5, 0);
    let (now, props) = (pair.now(), Properties::EMPTY);
    let reason = ReasonCode::DISCONNECT_WITH_WILL_MESSAGE;
    everlink_proto::engine::Engine::close(&mut pair.engine, now, Disconnect { reason, props });
    pair.touch();
    pair.run_for(secs(1));
    assert_eq!(pair.hosts[watcher].inbox.texts(), ["host-0"]);
}
