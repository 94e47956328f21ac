//! A path that is slow but moves is not taken for a dead one.

use everlink_proto::session::{Config, FirstConnect, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::Duration;
use everlink_proto::wire::{QoS, ReasonCode, Version};
use everlink_sim::host::Fate;
use everlink_sim::pair::Pair;

const OK: Fate = Fate::Delivered(ReasonCode::SUCCESS);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn connected(cfg: Config) -> Pair<Session<'static, RamStore>> {
    let cfg = Config { first_connect: FirstConnect::Forever, ..cfg };
    let memory = Memory::growing(&cfg);
    let mut pair = Pair::new(1, Session::new(cfg, RamStore::new(), memory));
    // The kernel's buffers are small here: what lies in them is out of the engine's sight.
    pair.net.path(0).buffer = 4 * 1024;
    pair.open();
    pair.run_until_up(secs(1));
    pair
}

fn versions() -> [Config; 2] {
    [Version::V311, Version::V5].map(|version| Config { version, ..Config::default() })
}

#[test]
fn a_message_that_takes_a_minute_to_send_is_delivered_on_one_connection() {
    for cfg in versions() {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut pair = connected(cfg.clone());
            pair.net.path(0).to_server.rate = Some(20_000);
            let tag = pair.publish("t", &vec![0; 1_200_000], qos);
            assert_eq!(pair.fate(tag, secs(90)), OK);
            assert_eq!(pair.opens.len(), 1);
            assert_eq!(pair.engine.stats().repeats, 0);
            pair.assert_conforms();
        }
    }
}

#[test]
fn a_message_that_waits_in_the_transmit_buffer_is_not_overdue() {
    for cfg in versions() {
        let mut pair = connected(cfg);
        pair.net.path(0).to_server.rate = Some(1_000);
        // The first takes a minute; the second lies behind it in the buffer.
        let tags = [60_000, 100].map(|n| pair.publish("t", &vec![0; n], QoS::AtLeastOnce));
        for tag in tags {
            assert_eq!(pair.fate(tag, secs(90)), OK);
        }
        assert_eq!(pair.opens.len(), 1);
        pair.assert_conforms();
    }
}

#[test]
fn a_ping_behind_a_large_message_has_the_time_it_takes() {
    let mut pair = connected(Config::default());
    pair.net.path(0).to_server.rate = Some(1_000);
    let tag = pair.publish("t", &vec![0; 55_000], QoS::AtMostOnce);
    assert_eq!(pair.fate(tag, secs(90)), OK);
    pair.run_for(secs(120));
    assert_eq!(pair.opens.len(), 1);
    pair.assert_conforms();
}

#[test]
fn an_acknowledgement_that_never_comes_is_noticed_while_a_large_message_is_sent() {
    for cfg in versions() {
        let mut pair = connected(Config { max_repeats: 1, ..cfg });
        let kind = everlink_proto::wire::PacketType::PubAck;
        pair.broker().faults.swallow(kind, 1);
        let lost = pair.publish("t", b"x", QoS::AtLeastOnce);
        pair.run_for(secs(1));
        pair.net.path(0).to_server.rate = Some(20_000);
        pair.net.path(0).to_client.rate = Some(20_000);
        let large = pair.publish("t", &vec![0; 1_200_000], QoS::AtMostOnce);
        assert_eq!(pair.fate(lost, secs(150)), OK);
        assert_eq!(pair.fate(large, secs(150)), OK);
        pair.assert_conforms();
    }
}

#[test]
fn many_subscriptions_on_a_slow_path_are_all_granted_at_the_first_attempt() {
    for cfg in versions() {
        let mut pair = connected(cfg);
        pair.net.path(0).to_server.rate = Some(500);
        pair.net.path(0).to_client.rate = Some(50);
        let tags: Vec<_> =
            (0..300).map(|n| pair.subscribe(&format!("a/{n}"), QoS::AtMostOnce)).collect();
        for tag in tags {
            assert_eq!(pair.fate(tag, secs(60)), OK);
        }
        assert_eq!(pair.opens.len(), 1);
        pair.assert_conforms();
    }
}

#[test]
fn a_stuck_path_is_left_within_the_response_time() {
    for cfg in versions() {
        let mut pair = connected(cfg);
        pair.publish("t", &vec![0; 1_200_000], QoS::AtLeastOnce);
        pair.net.path(0).hold();
        pair.run_for(secs(11));
        assert_eq!(pair.closes.len(), 1);
    }
}
