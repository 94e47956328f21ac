//! A path that only pauses for 6 s and heals: nothing is lost, doubled or torn down.

use crate::support::*;

#[test]
fn at_qos_2_both_ways() {
    for version in VERSIONS {
        for at in [0, 1, 3, 7] {
            let mut pair = pair(config(version));
            pair.net.path(0).set_delay(millis(20), millis(10));
            pair.subscribe("in", Q2);
            pair.run_for(secs(1));
            let mut tags = Vec::new();
            for n in 0..100 {
                tags.push(pair.publish("t", format!("{n}").as_bytes(), Q2));
                pair.broker_publishes("in", format!("{n}").as_bytes(), Q2);
                if n == 50 + at {
                    pair.net.path(0).hold();
                    pair.run_for(secs(6));
                    pair.net.path(0).heal();
                }
                pair.run_for(millis(7));
            }
            for tag in tags {
                assert_eq!(pair.fate(tag, secs(60)), OK);
            }
            pair.run_for(secs(30));
            let all: Vec<_> = (0..100).map(|n| n.to_string()).collect();
            assert_eq!(pair.accepted(), all);
            assert_eq!(pair.inbox.texts(), all);
            assert_eq!(pair.opens.len(), 1, "the connection stays");
            pair.assert_conforms();
        }
    }
}
