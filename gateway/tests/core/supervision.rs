//! Who is there, who sleeps, who is lost; discovery.

use everlink_gateway::core::{Close, Settings};
use everlink_proto::sn::wire::{Advertise, GwInfo, Message, ReturnCode, WillTopic};
use everlink_proto::time::Duration;
use everlink_proto::wire::QoS;

use crate::world::{Asked, arrival, octets, read, run, with};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn closed(asked: &[Asked]) -> Option<Close> {
    asked.iter().find_map(|asked| match asked {
        Asked::Close(_, how) => Some(*how),
        _ => None,
    })
}

#[test]
fn the_keep_alive_has_half_as_much_again() {
    run(|world| {
        world.connect(1, "node", true);
        world.after(seconds(89));
        assert_eq!(world.asked(), []);
        world.say(1, &Message::PingReq(None));
        world.expect(1, &[Message::PingResp]);
        world.after(seconds(89));
        assert_eq!(world.asked(), []);
        world.after(seconds(1));
        assert_eq!(closed(&world.asked()), Some(Close { will: true, forget: true }));
        assert_eq!(world.gateway.known(), 0, "nobody comes back to a clean session");
    });
}

#[test]
fn the_deadline_is_never_too_late() {
    run(|world| {
        world.connect(1, "node", true);
        assert!(world.gateway.deadline() <= Some(world.now + seconds(90)));
        for _ in 0..100 {
            let Some(deadline) = world.gateway.deadline() else { break };
            assert!(deadline >= world.now, "it comes to rest");
            world.now = deadline;
            world.gateway.tick(world.now, &mut world.list);
        }
        assert_eq!(world.gateway.known(), 0);
    });
}

#[test]
fn a_kept_session_is_forgotten_at_last() {
    run(|world| {
        world.connect(1, "node", false);
        world.say(1, &Message::Disconnect(None));
        assert_eq!(closed(&world.asked()), Some(Close { will: false, forget: false }));
        world.after(seconds(24 * 60 * 60 - 1));
        assert_eq!(world.gateway.known(), 1);
        world.after(seconds(1));
        assert_eq!(closed(&world.asked()), Some(Close { will: false, forget: true }));
        assert_eq!(world.gateway.known(), 0);
    });
}

#[test]
fn without_the_broker_a_node_is_told_after_a_while() {
    run(|world| {
        world.say_connect(1, "node", true, false);
        world.say_connect(1, "node", true, false);
        assert_eq!(world.sent(1), [] as [Vec<u8>; 0], "asked for again meanwhile");
        world.after(seconds(5));
        world.expect(1, &[Message::ConnAck(ReturnCode::CONGESTION)]);
        assert_eq!(world.gateway.known(), 0);
    });
}

#[test]
fn the_will_is_there_when_the_session_is_opened() {
    run(|world| {
        world.say_connect(1, "node", true, true);
        world.expect(1, &[Message::WillTopicReq]);
        let will = WillTopic { qos: QoS::AtLeastOnce, retain: true, topic: "will/node" };
        world.say(1, &Message::WillTopic(Some(will)));
        world.expect(1, &[Message::WillMsgReq]);
        world.say(1, &Message::WillMsg(b"gone"));
        let asked = world.asked();
        let open = |a: &Asked| matches!(a, Asked::Open { will: Some(will), .. } if will == "will/node gone");
        assert!(asked.iter().any(open), "{asked:?}");
    });
}

#[test]
fn a_kept_will_is_used_again() {
    run(|world| {
        let node = world.connect(1, "node", false);
        let will = WillTopic { qos: QoS::AtLeastOnce, retain: false, topic: "will/node" };
        world.say(1, &Message::WillTopicUpd(Some(will)));
        world.say(1, &Message::WillMsgUpd(b"gone"));
        world.subscribe(1, node, "t/1");
        world.say(1, &Message::Disconnect(None));
        world.asked();
        world.say_connect(1, "node", false, false);
        let asked = world.asked();
        let [Asked::Open { clean: false, will, filters, .. }] = &asked[..] else {
            panic!("{asked:?}")
        };
        assert_eq!(
            (will.as_deref(), &filters[..]),
            (Some("will/node gone"), &["t/1".to_owned()][..])
        );
    });
}

#[test]
fn two_nodes_cannot_be_at_one_address() {
    run(|world| {
        world.connect(1, "first", false);
        world.connect(1, "second", false);
        world.register(1, "a");
        // The first has no address any more, until it says something.
        world.connect(2, "first", false);
        world.register(2, "b");
    });
}

#[test]
fn a_gateway_with_a_broker_can_be_found() {
    run(|world| {
        world.say(1, &Message::SearchGw(1));
        assert_eq!(world.asked(), [], "not without a broker");
        world.gateway.broker(world.now, true, &mut world.list);
        let here = octets(&Message::Advertise(Advertise { gateway: 1, duration: 900 }));
        assert_eq!(world.asked(), [Asked::Broadcast(here.clone())]);
        world.say(1, &Message::SearchGw(1));
        let info = octets(&Message::GwInfo(GwInfo { gateway: 1, address: &[] }));
        assert_eq!(world.asked(), [Asked::Send(1, info.clone()), Asked::Broadcast(info)]);
        world.after(seconds(900));
        assert_eq!(world.asked(), [Asked::Broadcast(here)]);
        world.gateway.broker(world.now, false, &mut world.list);
        world.after(seconds(900));
        assert_eq!(world.asked(), []);
    });
    let mut silent = Settings::default();
    silent.advertise = Duration::ZERO;
    with(silent, |world| {
        world.gateway.broker(world.now, true, &mut world.list);
        assert_eq!(world.asked(), []);
    });
}

#[test]
fn what_only_an_active_node_says_ends_its_sleep() {
    run(|world| {
        let node = world.connect(1, "node", true);
        world.subscribe(1, node, "t/1");
        world.say(1, &Message::Disconnect(Some(600)));
        world.arrive(node, &arrival("t/1", QoS::AtLeastOnce, 1));
        world.asked();
        world.say(1, &Message::PingReq(None));
        let sent = world.sent(1);
        assert!(matches!(read(&sent[0]), Message::Publish(_)), "{sent:?}");
        assert_eq!(read(&sent[1]), Message::PingResp);
        // If that was a late copy, it sleeps, and is not lost for not answering.
        for _ in 0..4 {
            world.after(seconds(10));
        }
        world.asked();
        world.after(seconds(500));
        assert_eq!(world.asked(), []);
        world.say(1, &Message::PingReq(Some("node")));
        assert_eq!(world.sent(1).len(), 1);
    });
}
