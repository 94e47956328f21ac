//! What CONNACK rules out is not sent but rejected with the reason the broker would give; what is
//! just within the limits is delivered.

use everlink_proto::wire::{QoS, ReasonCode, Version};
use everlink_sim::broker::BrokerConfig;
use everlink_sim::host::{Fate, Post};
use everlink_sim::pair::Pair;

use crate::support::*;

fn offering(offers: BrokerConfig) -> Pair<Engine> {
    let mut pair = Pair::new(1, engine(config(Version::V5)));
    pair.broker().cfg = offers;
    pair.open();
    pair.run_until_up(secs(1));
    pair
}

#[track_caller]
fn ends(pair: &mut Pair<Engine>, post: Post<'_>, fate: Fate) {
    let tag = pair.try_post(post).expect("accepted");
    assert_eq!(pair.fate(tag, secs(1)), fate);
}

// [MQTT-3.2.2-11]
#[test]
fn a_higher_qos_than_the_broker_has() {
    for maximum_qos in [Q0, Q1] {
        let mut pair = offering(BrokerConfig { maximum_qos, ..BrokerConfig::default() });
        for qos in [Q0, Q1, Q2] {
            let refused = Fate::Rejected(ReasonCode::QOS_NOT_SUPPORTED);
            let fate = if qos > maximum_qos { refused } else { OK };
            ends(&mut pair, Post::new("t", b"x", qos), fate);
        }
        pair.assert_conforms();
    }
}

// [MQTT-3.2.2-14]
#[test]
fn retained_messages_where_none_are_kept() {
    let mut pair = offering(BrokerConfig { retain_available: false, ..BrokerConfig::default() });
    let refused = Fate::Rejected(ReasonCode::RETAIN_NOT_SUPPORTED);
    for qos in [Q0, Q1, Q2] {
        ends(&mut pair, Post { retain: true, ..Post::new("t", b"x", qos) }, refused);
        ends(&mut pair, Post::new("t", b"x", qos), OK);
    }
    pair.assert_conforms();
}

/// Bytes of a PUBLISH to `t` besides the payload: two of header, three of topic, one of
/// properties, two of identifier, five of expiry.
fn head(qos: QoS, expires: bool) -> usize {
    6 + if qos == Q0 { 0 } else { 2 } + if expires { 5 } else { 0 }
}

// [MQTT-3.2.2-15]
#[test]
fn a_packet_one_byte_too_large() {
    let limit = 100;
    let maximum_packet_size = Some(limit as u32);
    for qos in [Q0, Q1, Q2] {
        for expires in [false, true] {
            let mut pair =
                offering(BrokerConfig { maximum_packet_size, ..BrokerConfig::default() });
            let expiry = expires.then_some(secs(1_000));
            let fits = vec![b'x'; limit - head(qos, expires)];
            let post = Post { expiry, ..Post::new("t", &fits, qos) };
            ends(&mut pair, post, OK);
            let large = [fits.as_slice(), b"x"].concat();
            let post = Post { expiry, ..Post::new("t", &large, qos) };
            ends(&mut pair, post, Fate::Rejected(ReasonCode::PACKET_TOO_LARGE));
            assert_eq!(pair.opens.len(), 1);
            pair.assert_conforms();
        }
    }
}

#[test]
fn narrower_limits_on_the_next_connection_reject_what_cannot_be_sent_again() {
    for (offers, reason) in [
        (
            BrokerConfig { maximum_qos: Q1, ..BrokerConfig::default() },
            ReasonCode::QOS_NOT_SUPPORTED,
        ),
        (
            BrokerConfig { maximum_packet_size: Some(50), ..BrokerConfig::default() },
            ReasonCode::PACKET_TOO_LARGE,
        ),
    ] {
        let mut pair = offering(BrokerConfig::default());
        pair.net.path(0).hold();
        let tag = pair.publish("t", &[b'x'; 60], Q2);
        pair.settle();
        pair.net.path(0).heal();
        let now = pair.now();
        pair.net.reset_client(now, 0);
        pair.broker().cfg = offers;
        let next = pair.publish("t", b"x", Q1);
        assert_eq!(pair.fate(next, secs(5)), OK);
        assert_eq!(pair.inbox.fate(tag), Some(Fate::Rejected(reason)));
        pair.assert_conforms();
    }
}

#[test]
fn wider_ones_let_everything_through_again() {
    let mut pair = offering(BrokerConfig { maximum_qos: Q0, ..BrokerConfig::default() });
    pair.broker().cfg = BrokerConfig::default();
    let now = pair.now();
    pair.net.reset_client(now, 0);
    pair.run_until_up(secs(5));
    ends(&mut pair, Post { retain: true, ..Post::new("t", b"x", Q2) }, OK);
}
