//! A whole window of large messages over a slow path: each acknowledgement takes long, but they come.

use everlink_proto::session::Config;

use crate::support::*;

#[test]
fn a_window_that_takes_far_longer_than_the_response_time() {
    for version in VERSIONS {
        for qos in [Q1, Q2] {
            let mut pair = pair(Config { window: 50, ..config(version) });
            pair.net.path(0).to_server.rate = Some(4_000);
            pair.net.path(0).buffer = 8_000;
            // 200 KB: fifty seconds, one message a second.
            let tags: Vec<_> = (0..50).map(|_| pair.publish("t", &[b'x'; 4_000], qos)).collect();
            for tag in tags {
                assert_eq!(pair.fate(tag, secs(120)), OK);
            }
            assert_eq!(pair.opens.len(), 1, "{version:?} {qos:?}");
            assert_eq!(pair.engine.stats().repeats, 0);
            pair.assert_conforms();
        }
    }
}

#[test]
fn a_long_flight_is_no_silence() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        // 4 s there and back, less than the response time and more than half of a short one.
        pair.net.path(0).set_delay(secs(2), millis(500));
        for n in 0..100 {
            pair.publish("t", n.to_string().as_bytes(), Q2);
            pair.run_for(secs(1));
        }
        pair.run_for(secs(30));
        assert_eq!(pair.accepted().len(), 100);
        assert_eq!(pair.opens.len(), 1);
        pair.assert_conforms();
    }
}

#[test]
fn downloading_for_minutes_keeps_the_connection() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        pair.subscribe("t", Q1);
        pair.run_for(secs(1));
        pair.net.path(0).to_client.rate = Some(500);
        pair.broker_publishes("t", &[b'x'; 60_000], Q1);
        let tag = pair.publish("other", b"x", Q0);
        pair.fate(tag, secs(5));
        pair.run_for(secs(180));
        assert_eq!(pair.inbox.messages.len(), 1);
        assert_eq!(pair.opens.len(), 1);
        pair.assert_conforms();
    }
}
