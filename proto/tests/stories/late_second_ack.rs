//! An acknowledgement comes twice, or so late that its identifier went round: it must not be taken
//! for that of another message, and harms nothing.

use everlink_proto::session::Config;
use everlink_proto::time::Duration;
use everlink_proto::wire::Version;

use crate::support::*;

#[test]
fn a_second_acknowledgement_of_any_kind_is_counted_and_ignored() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        let tags = [s.publish("t", b"a", Q1), s.publish("t", b"b", Q2)];
        s.expect(publish(Q1, 1, "a"));
        s.expect(publish(Q2, 2, "b"));
        s.reply(puback(1));
        s.reply(puback(1));
        s.reply(pubrec(2));
        s.reply(pubrec(2));
        s.expect(pubrel(2));
        s.reply(pubcomp(2));
        s.reply(pubcomp(2));
        assert_eq!(tags.map(|tag| s.inbox.fate(tag)), [Some(OK); 2]);
        assert_eq!(s.engine.stats().strays, 3);
        assert_eq!(s.servers[0].connections, 1);
    }
}

#[test]
fn acknowledgements_of_the_wrong_kind_end_nothing() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        let tags = [s.publish("t", b"a", Q1), s.publish("t", b"b", Q2)];
        s.reply(pubcomp(1));
        s.reply(pubcomp(2));
        if version == Version::V5 {
            // With 3.1.1 that is a broker without QoS 2.
            s.reply(puback(2));
        }
        assert_eq!(tags.map(|tag| s.inbox.fate(tag)), [None; 2]);
        s.reply(puback(1));
        assert_eq!(s.inbox.fate(tags[0]), Some(OK));
    }
}

/// 3.1.1 sent message 1 twice and got one PUBACK, so another may come at any time. Meanwhile all
/// identifiers were used and it is the turn of 1 again.
#[test]
fn an_identifier_with_an_acknowledgement_outstanding_is_passed_over() {
    let mut s = connected(Config { window: 1000, ..config(Version::V311) });
    s.publish("t", b"a", Q1);
    s.expect(publish(Q1, 1, "a"));
    ping_after(&mut s, secs(5));
    ping_after(&mut s, secs(5));
    s.expect_after(secs(0), again(Q1, 1, "a"));
    s.reply(puback(1));

    // On to the last identifier.
    let mut last = 1;
    while last != u16::MAX {
        let batch = usize::from(u16::MAX - last).min(50);
        for _ in 0..batch {
            s.publish("t", b"x", Q1);
        }
        s.settle();
        let mut acks = Vec::new();
        while let Some((_, packet)) = s.next_within(Duration::ZERO) {
            last = u16::from_be_bytes([packet[5], packet[6]]);
            acks.extend(bytes(Version::V311, puback(last)));
        }
        s.reply_raw(&acks);
    }
    assert_eq!(s.engine.held(), 0);
    let tag = s.publish("t", b"b", Q1);
    s.expect(publish(Q1, 2, "b"));
    // Here it comes.
    s.reply(puback(1));
    assert_eq!(s.inbox.fate(tag), None);
    s.reply(puback(2));
    assert_eq!(s.inbox.fate(tag), Some(OK));
}

/// Sent three times: two more acknowledgements may come, and both are taken for what they are.
#[test]
fn each_sending_has_its_acknowledgement() {
    let mut s = connected(Config { window: 1000, max_repeats: 5, ..config(Version::V311) });
    let tag = s.publish("t", b"a", Q1);
    s.expect(publish(Q1, 1, "a"));
    for _ in 0..2 {
        ping_after(&mut s, secs(5));
        ping_after(&mut s, secs(5));
        s.expect_after(secs(0), again(Q1, 1, "a"));
    }
    s.reply(puback(1));
    assert_eq!(s.inbox.fate(tag), Some(OK));
    let strays = s.engine.stats().strays;
    // The identifier is free again after the second of them, and is the next but 65 534.
    for n in 1..=2 {
        s.reply(puback(1));
        assert_eq!(s.engine.stats().strays, strays + n);
    }
    let mut next = 1;
    while next != u16::MAX {
        let batch = usize::from(u16::MAX - next).min(50);
        for _ in 0..batch {
            s.publish("t", b"x", Q1);
        }
        s.settle();
        let mut acks = Vec::new();
        while let Some((_, packet)) = s.next_within(Duration::ZERO) {
            next = u16::from_be_bytes([packet[5], packet[6]]);
            acks.extend(bytes(Version::V311, puback(next)));
        }
        s.reply_raw(&acks);
    }
    s.publish("t", b"b", Q1);
    s.expect(publish(Q1, 1, "b"));
}
