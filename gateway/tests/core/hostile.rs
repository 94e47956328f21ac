//! Whatever comes, nothing panics and nothing grows: the memory is fixed, so what could grow would fail.

use everlink_gateway::core::Published;
use everlink_proto::time::Duration;
use everlink_proto::wire::QoS;

use crate::world::{Asked, NODES, World, arrival, octets, run};

/// A datagram: noise, or a message with noise in it, in a capsule perhaps.
fn datagram(random: &mut fastrand::Rng) -> Vec<u8> {
    let len = random.usize(0..40);
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(len).collect();
    if random.u8(..10) > 0 && len >= 2 {
        bytes[0] = len as u8;
        bytes[1] = random.u8(0..0x1E);
    }
    if bytes.get(1) == Some(&0x04) && random.bool() {
        bytes = vec![7, 4, random.u8(..) & 0x0C, 1, 0, random.u8(..), b'a' + random.u8(..5)];
    } else if len > 6 && random.bool() {
        // Small numbers meet what is there more often.
        bytes[3..7].fill(0);
        bytes[4] = random.u8(..8);
        bytes[6] = random.u8(..8);
    }
    if random.u8(..8) == 0 {
        let mut capsule = vec![4, 0xFE, 0, random.u8(..4)];
        capsule.append(&mut bytes);
        return capsule;
    }
    bytes
}

/// The broker's side answers some of what it is asked, and says some things unasked.
fn answer(world: &mut World<'_>, random: &mut fastrand::Rng) {
    for asked in world.asked() {
        let Some(node) = world.gateway.node(&char::from(b'a' + random.u8(..5)).to_string()) else {
            continue;
        };
        let (now, list) = (world.now, &mut world.list);
        match asked {
            Asked::Open { node, .. } if random.u8(..4) > 0 => {
                world.gateway.up(now, node, random.bool(), list);
            }
            Asked::Publish { token, .. } => {
                let how = match random.u8(..3) {
                    0 => Published::Rejected { busy: random.bool() },
                    _ => Published::Delivered,
                };
                world.gateway.published(now, node, token, how, list);
            }
            Asked::Subscribe { token, .. } => {
                let granted = random.bool().then_some(QoS::AtLeastOnce);
                world.gateway.subscribed(now, node, token, granted, list);
            }
            Asked::Unsubscribe { token, .. } => world.gateway.unsubscribed(now, node, token, list),
            _ => {}
        }
        match random.u8(..12) {
            0 => world.gateway.down(now, node, &mut world.list),
            1 => world.gateway.refused(now, node, &mut world.list),
            2..6 => {
                let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
                let topic = ["t/1", "t/2", "ab", "known/seven", "a/long/one/of/these"];
                let message = arrival(topic[random.usize(..5)], qos[random.usize(..3)], 1);
                world.arrive(node, &message);
            }
            _ => {}
        }
    }
}

#[test]
fn noise_harms_nothing() {
    for seed in 0..60 {
        run(|world| {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..3000 {
                let bytes = datagram(&mut random);
                let from = random.u8(..6);
                world.raw(from, &bytes);
                answer(world, &mut random);
                if random.u8(..20) == 0 {
                    world.after(Duration::from_millis(random.u64(..20_000)));
                }
                assert!(world.gateway.known() <= NODES);
            }
            // And it still works: all leave, somebody comes.
            world.after(Duration::from_secs(7 * 24 * 60 * 60));
            world.after(Duration::from_secs(7 * 24 * 60 * 60));
            assert_eq!(world.gateway.known(), 0, "seed {seed}");
            world.asked();
            world.connect(9, "sane", true);
            world.register(9, "still/here");
        });
    }
}

#[test]
fn strangers_do_not_talk_to_each_other_for_ever() {
    use everlink_proto::sn::wire::Message;
    run(|world| {
        world.raw(1, &octets(&Message::PubRec(1)));
        world.raw(1, &octets(&Message::PingResp));
        assert_eq!(world.asked(), []);
        world.raw(1, &octets(&Message::PingReq(None)));
        world.expect(1, &[Message::Disconnect(None)]);
    });
}
