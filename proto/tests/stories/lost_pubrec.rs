//! A PUBREC never comes, though the broker lives.

use everlink_proto::engine::Cause;
use everlink_proto::wire::Version;

use crate::support::*;

// [MQTT-4.3.3-3]
#[test]
fn mqtt_5_resumes_on_a_new_connection() {
    let mut s = connected(config(Version::V5));
    let tag = s.publish("t", b"a", Q2);
    s.expect(publish(Q2, 1, "a"));
    ping_after(&mut s, secs(5));
    assert_eq!(s.expect_end(secs(60)), secs(5));
    assert_lost(&s, Cause::AckMissing);
    s.accept(true);
    s.expect(again(Q2, 1, "a"));
    s.reply(pubrec(1));
    s.expect(pubrel(1));
    s.reply(pubcomp(1));
    assert_eq!(s.inbox.fate(tag), Some(OK));
}

#[test]
fn mqtt_3_1_1_sends_the_publish_again() {
    let mut s = connected(config(Version::V311));
    let tag = s.publish("t", b"a", Q2);
    s.expect(publish(Q2, 1, "a"));
    ping_after(&mut s, secs(5));
    ping_after(&mut s, secs(5));
    s.expect_after(secs(0), again(Q2, 1, "a"));
    s.reply(pubrec(1));
    s.expect(pubrel(1));
    s.reply(pubcomp(1));
    assert_eq!(s.inbox.fate(tag), Some(OK));
    assert_eq!(s.servers[0].connections, 1);
}

#[test]
fn the_broker_has_it_once_whatever_is_lost() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        pair.broker().faults.swallow(everlink_proto::wire::PacketType::PubRec, 3);
        let tags = ["a", "b", "c"].map(|text| pair.publish("t", text.as_bytes(), Q2));
        for tag in tags {
            assert_eq!(pair.fate(tag, secs(60)), OK);
        }
        assert_eq!(pair.accepted(), ["a", "b", "c"]);
        pair.assert_conforms();
    }
}
