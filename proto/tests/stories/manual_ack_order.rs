//! The application acknowledges when it likes; acknowledgements go out in the order of the messages.

use everlink_proto::engine::{Refused, Verdict};
use everlink_proto::wire::Version;
use everlink_sim::script::Script;

use crate::support::*;

/// Connected, with messages 1 to 3 of this QoS received and not acknowledged.
fn holding(version: Version, qos: everlink_proto::wire::QoS) -> Script<Engine> {
    let mut s = connected(config(version));
    s.inbox.manual = true;
    for n in 1..=3 {
        s.reply(publish(qos, n, &n.to_string()));
    }
    s.silence(secs(1));
    s
}

fn acknowledge(s: &mut Script<Engine>, at: usize) -> Result<(), Refused> {
    let (now, receipt) = (s.now(), s.inbox.messages[at].receipt);
    s.acknowledge(now, receipt)
}

// [MQTT-4.6.0-2] [MQTT-4.6.0-3]
#[test]
fn those_before_are_waited_for() {
    for version in VERSIONS {
        for (qos, ack) in [(Q1, puback as fn(u16) -> _), (Q2, pubrec)] {
            let mut s = holding(version, qos);
            acknowledge(&mut s, 2).expect("held");
            acknowledge(&mut s, 1).expect("held");
            s.silence(secs(1));
            acknowledge(&mut s, 0).expect("held");
            for n in 1..=3 {
                s.expect(ack(n));
            }
        }
    }
}

#[test]
fn qos_1_and_qos_2_do_not_wait_for_each_other() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.inbox.manual = true;
        s.reply(publish(Q1, 1, "1"));
        s.reply(publish(Q2, 2, "2"));
        acknowledge(&mut s, 1).expect("held");
        s.expect(pubrec(2));
        acknowledge(&mut s, 0).expect("held");
        s.expect(puback(1));
    }
}

#[test]
fn one_that_is_taken_at_once_waits_for_those_before() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.inbox.manual = true;
        s.reply(publish(Q1, 1, "1"));
        s.inbox.manual = false;
        s.reply(publish(Q1, 2, "2"));
        s.silence(secs(1));
        acknowledge(&mut s, 0).expect("held");
        s.expect(puback(1));
        s.expect(puback(2));
    }
}

#[test]
fn once_is_enough() {
    for version in VERSIONS {
        for qos in [Q1, Q2] {
            let mut s = holding(version, qos);
            acknowledge(&mut s, 0).expect("held");
            assert_eq!(acknowledge(&mut s, 0), Err(Refused::Stale));
            let _ = Verdict::Later;
        }
    }
}

#[test]
fn a_qos_1_message_of_an_earlier_connection_comes_again() {
    for version in VERSIONS {
        let mut s = holding(version, Q1);
        s.reset();
        s.accept(true);
        assert_eq!(acknowledge(&mut s, 0), Err(Refused::Stale));
        s.reply(again(Q1, 1, "1"));
        assert_eq!(s.inbox.texts(), ["1", "2", "3", "1"]);
        acknowledge(&mut s, 3).expect("held");
        s.expect(puback(1));
    }
}

#[test]
fn a_qos_2_message_of_an_earlier_connection_can_still_be_acknowledged() {
    for version in VERSIONS {
        let mut s = holding(version, Q2);
        s.reset();
        s.accept(true);
        acknowledge(&mut s, 0).expect("of this session");
        // The broker sends it again; only that can be answered.
        s.silence(millis(100));
        s.reply(again(Q2, 1, "1"));
        s.expect(pubrec(1));
        s.reply(again(Q2, 2, "2"));
        s.silence(millis(100));
        acknowledge(&mut s, 1).expect("of this session");
        s.expect(pubrec(2));
        assert_eq!(s.inbox.texts(), ["1", "2", "3"], "delivered once");
    }
}

#[test]
fn of_a_lost_session_nothing_can() {
    for version in VERSIONS {
        let mut s = holding(version, Q2);
        s.reset();
        s.accept(false);
        assert_eq!(acknowledge(&mut s, 0), Err(Refused::Stale));
        s.reply(publish(Q2, 1, "another"));
        assert_eq!(acknowledge(&mut s, 0), Err(Refused::Stale));
        acknowledge(&mut s, 3).expect("held");
        s.expect(pubrec(1));
    }
}

#[test]
fn a_message_that_is_held_for_long_costs_no_connection() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        pair.subscribe("t", Q2);
        pair.run_for(secs(1));
        pair.inbox.manual = true;
        pair.broker_publishes("t", b"1", Q1);
        pair.broker_publishes("t", b"2", Q2);
        pair.run_for(secs(600));
        let now = pair.now();
        for at in 0..2 {
            let receipt = pair.inbox.messages[at].receipt;
            pair.acknowledge(now, receipt).expect("held");
        }
        pair.run_for(secs(1));
        assert_eq!(pair.broker().backlog("host-0"), 0);
        assert_eq!(pair.opens.len(), 1);
        pair.assert_conforms();
    }
}
