//! A session without Session Expiry Interval ends with its connection (MQTT 5).

use everlink_proto::session::Config;
use everlink_proto::wire::{PacketType, Version};
use everlink_sim::broker::BrokerConfig;
use everlink_sim::pair::Pair;

use crate::support::*;

/// The broker takes the message only at PUBREL. It forgets it with the session, begins another one
/// for a CONNECT whose answer is lost, and says "Session Present" at the next. Found by the campaign.
#[test]
fn another_session_is_not_taken_for_it() {
    let cfg = Config { session_expiry: 0, ..config(Version::V5) };
    let mut pair = Pair::new(1, engine(cfg));
    pair.broker().cfg.take_at_release = true;
    pair.open();
    pair.run_until_up(secs(1));
    pair.broker().faults.ignore(PacketType::PubRel, 1);
    let message = pair.publish("t", b"1", Q2);
    pair.drive();
    assert!(pair.accepted().is_empty());
    // Of another opinion from now on.
    pair.broker().cfg = BrokerConfig { session_expiry: Some(3600), ..BrokerConfig::default() };
    pair.broker().faults.swallow(PacketType::ConnAck, 1);
    let now = pair.now();
    pair.net.reset_client(now, 0);
    assert_eq!(pair.fate(message, secs(60)), OK);
    assert_eq!(pair.accepted(), ["1"]);
    pair.assert_conforms();
}
