//! Leaving and coming back.

use everlink_proto::engine::{Engine as _, Event, Refused, Step};
use everlink_proto::session::Config;
use everlink_proto::wire::{Disconnect, PacketType, Version};
use everlink_sim::host::Post;

use crate::support::*;

fn is_closed(pair: &everlink_sim::host::Host<Engine>) -> bool {
    pair.events.last().is_some_and(|(_, e)| *e == Event::Closed)
}

// [MQTT-3.14.4-1] [MQTT-3.14.4-2]
#[test]
fn what_is_in_hand_is_said_first() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        s.inbox.manual = true;
        s.reply(publish(Q1, 9, "x"));
        let (now, receipt) = (s.now(), s.inbox.messages[0].receipt);
        s.acknowledge(now, receipt).expect("held");
        s.close();
        s.expect(puback(9));
        s.expect(Disconnect::default());
        s.silence(secs(1));
        assert!(is_closed(&s));
        assert!(!s.servers[0].is_connected());
        assert_eq!(s.engine.status().step, Step::Idle);
    }
}

#[test]
fn a_closed_client_accepts_nothing_and_stays_quiet() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        pair.close();
        pair.run_for(secs(1));
        let now = pair.now();
        assert_eq!(pair.try_post(Post::new("t", b"x", Q1)), Err(Refused::Closed));
        let options = Default::default();
        assert_eq!(pair.hosts[0].subscribe_with(now, "t", options, 0), Err(Refused::Closed));
        assert_eq!(pair.hosts[0].unsubscribe(now, "t"), Err(Refused::Closed));
        pair.run_for(secs(3_600));
        assert_eq!(pair.opens.len(), 1);
        assert_eq!(pair.hosts[0].next_event(), None, "it wants no time");
    }
}

#[test]
fn messages_in_hand_survive_it() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        let tags = [s.publish("t", b"1", Q1), s.publish("t", b"2", Q2)];
        s.settle();
        s.close();
        s.run_for(secs(60));
        assert!(is_closed(&s));
        assert_eq!(s.engine.held(), 2);
        s.open();
        s.accept(true);
        s.expect(again(Q1, 1, "1"));
        s.expect(again(Q2, 2, "2"));
        s.reply(puback(1));
        s.reply(pubrec(2));
        s.reply(pubcomp(2));
        assert_eq!(tags.map(|tag| s.inbox.fate(tag)), [Some(OK); 2]);
    }
}

#[test]
fn acknowledgements_that_come_after_disconnect_count() {
    for version in VERSIONS {
        let mut s = connected(config(version));
        let tag = s.publish("t", b"1", Q1);
        s.settle();
        s.net.path(0).to_server.held = true;
        s.net.path(0).buffer = 1;
        s.close();
        s.reply(puback(1));
        s.run_for(secs(20));
        assert_eq!(s.inbox.fate(tag), Some(OK));
        assert!(is_closed(&s));
    }
}

#[test]
fn a_path_that_takes_nothing_does_not_hold_it_up() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        pair.net.path(0).hold();
        pair.net.path(0).buffer = 1;
        let start = pair.now();
        pair.close();
        pair.run_until(secs(60), "the end", |p| is_closed(p));
        assert_eq!(pair.now().since(start), secs(10));
    }
}

#[test]
fn in_any_state() {
    use everlink_sim::netem::Listen;
    for version in VERSIONS {
        for mode in
            [Listen::Hang, Listen::Silent, Listen::Fail(everlink_proto::engine::Cause::Refused)]
        {
            for wait in [0, 1, 5_000] {
                let mut pair = everlink_sim::pair::Pair::new(1, engine(config(version)));
                pair.net.listener(0).mode = mode;
                pair.open();
                pair.run_for(millis(wait));
                pair.close();
                pair.run_for(millis(1));
                assert!(is_closed(&pair), "{mode:?} {wait}");
                pair.net.listener(0).mode = Listen::Accept;
                pair.run_for(secs(60));
                assert_eq!(pair.engine.status().step, Step::Idle);
                pair.open();
                pair.run_until_up(secs(1));
            }
        }
    }
}

#[test]
fn opening_again_while_leaving() {
    for version in VERSIONS {
        let mut pair = pair(config(version));
        pair.net.path(0).set_delay(millis(100), millis(0));
        pair.close();
        pair.settle();
        pair.open();
        pair.run_until_up(secs(5));
        let tag = pair.publish("t", b"x", Q2);
        assert_eq!(pair.fate(tag, secs(5)), OK);
        assert_eq!(pair.opens.len(), 2);
        pair.assert_conforms();
    }
}

#[test]
fn power_up_and_reconnection_have_their_own_session_policies() {
    for (clean_start, clean_reconnect) in
        [(false, false), (true, false), (false, true), (true, true)]
    {
        let cfg = Config { clean_start, clean_reconnect, ..config(Version::V5) };
        let mut pair = pair(cfg);
        let now = pair.now();
        pair.net.reset_client(now, 0);
        pair.run_until_up(secs(5));
        pair.close();
        pair.run_for(secs(1));
        pair.open();
        pair.run_until_up(secs(5));
        let cleans: Vec<_> = pair.broker().connects().iter().map(|c| c.clean_start).collect();
        // Opening again is no power-up.
        assert_eq!(cleans, [clean_start, clean_reconnect, clean_reconnect]);
    }
}

#[test]
fn a_disconnect_that_says_so_ends_the_session() {
    let mut s = connected(config(Version::V5));
    let list = const { &[everlink_proto::wire::Property::SessionExpiryInterval(0)] };
    let now = s.now();
    let disconnect = Disconnect {
        props: everlink_proto::wire::Properties::from_list(list),
        ..Disconnect::default()
    };
    s.engine.close(now, disconnect);
    s.touch();
    let bytes = s.expect_kind(PacketType::Disconnect);
    assert_eq!(bytes, [0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0]);
}
