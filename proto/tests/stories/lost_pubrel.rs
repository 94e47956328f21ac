//! The broker owes a PUBREL for a message we received: its window stays narrower until it comes.

use everlink_proto::engine::Cause;

use crate::support::*;

#[test]
fn the_connection_is_made_anew_and_the_exchange_goes_on() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.reply(publish(Q2, 7, "in"));
        s.expect(pubrec(7));
        ping_after(&mut s, secs(5));
        assert_eq!(s.expect_end(secs(60)), secs(5));
        assert_lost(&s, Cause::AckMissing);
        s.accept(true);
        // The broker may not have seen the PUBREC.
        s.reply(again(Q2, 7, "in"));
        s.expect(pubrec(7));
        s.reply(pubrel(7));
        s.expect(pubcomp(7));
        assert_eq!(s.inbox.texts(), ["in"]);
        s.silence(secs(10));
    }
}

#[test]
fn a_broker_that_forgot_it_is_not_left_again_and_again() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.reply(publish(Q2, 7, "in"));
        s.expect(pubrec(7));
        ping_after(&mut s, secs(5));
        s.expect_end(secs(60));
        let mut ends = Vec::new();
        for _ in 0..3 {
            s.accept(true);
            let start = s.now();
            while s.servers[0].is_connected() {
                if s.next_within(secs(1)).is_some() {
                    s.reply(everlink_proto::wire::Packet::PingResp);
                }
            }
            ends.push(s.now().since(start).as_secs());
        }
        // Each connection waits twice as long.
        assert!(ends[0] >= 20 && ends[1] >= 40 && ends[2] >= 80, "{ends:?}");
    }
}
