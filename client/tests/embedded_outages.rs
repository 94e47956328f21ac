//! The front for boards across outages: what was accepted arrives, in order, at QoS 2 once; both ways.
#![cfg(feature = "embassy")]

mod board;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use board::{Executor, LONG, VERSIONS, World};
use everlink::embedded::Config;
use everlink::{QoS, Version};

const MESSAGES: usize = 60;

#[test]
fn at_least_once_and_exactly_once() {
    let mut outages = 0;
    for seed in 0..20 {
        for version in VERSIONS {
            for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                outages += exchange(seed, version, qos);
            }
        }
    }
    assert!(outages > 400, "{outages} outages in 80 runs");
}

fn exchange(seed: u64, version: Version, qos: QoS) -> u64 {
    let world = World::new(seed);
    {
        let mut sim = world.sim();
        let path = sim.net.path(0);
        (path.to_server.delay, path.to_client.delay) =
            (Duration::from_millis(20), Duration::from_millis(30));
    }
    world.grain(1 + seed as usize * 7);
    let mut ex = Executor::new(world.clone());
    let config = Config { response_time: Duration::from_secs(4), ..board::config(version) };
    let hub = board::hub(config);
    let mut driver = board::driver(hub, &world);
    let client = hub.client();
    ex.spawn(async move {
        driver.run().await;
    });

    let received = Rc::new(RefCell::new(Vec::new()));
    let (list, subscribed) = (received.clone(), Rc::new(Cell::new(false)));
    let flag = subscribed.clone();
    ex.spawn(async move {
        let mut inbox = client.subscribe("to/board", qos).await.expect("granted");
        flag.set(true);
        while let Some(n) = inbox.next(|m| board::number(m.payload)).await {
            list.borrow_mut().push(n);
        }
    });
    let delivered = Rc::new(Cell::new(0));
    let count = delivered.clone();
    ex.spawn(async move {
        for n in 0..MESSAGES {
            let payload = n.to_string();
            let delivery = client.publish("from/board", &payload).qos(qos).accepted().await;
            if n % 3 == 0 {
                assert!(delivery.expect("accepted").await.is_delivered());
            }
            count.set(count.get() + 1);
        }
        client.flush().await;
        count.set(MESSAGES + 1);
    });
    ex.run_until("the subscription", LONG, |_| subscribed.get());

    let mut random = random(seed);
    for n in 0..MESSAGES {
        world.sim().broker_publishes("to/board", n.to_string().as_bytes(), qos);
        ex.run_for(Duration::from_millis(random() % 200));
        match random() % 8 {
            0 => world.cut(),
            1 => {
                // Nothing passes for a while, and nobody is told.
                world.sim().net.path(0).hold();
                ex.run_for(Duration::from_millis(random() % 9000));
                world.sim().net.path(0).heal();
            }
            2 => {
                world.sim().restart_broker(true);
            }
            _ => {}
        }
    }
    let all = |list: &[usize]| (0..MESSAGES).all(|n| list.contains(&n));
    ex.run_until("every message", LONG, |_| delivered.get() > MESSAGES && all(&received.borrow()));
    world.assert_conforms();
    let accepted: Vec<usize> =
        world.accepted().iter().map(|p| board::number(p.as_bytes())).collect();
    let once = qos == QoS::ExactlyOnce;
    check(&accepted, once, &format!("to the broker, seed {seed}, {version:?}, {qos:?}"));
    check(&received.borrow(), once, &format!("to the board, seed {seed}, {version:?}, {qos:?}"));
    client.stats().outages
}

/// In the order of first arrival, and once if so promised.
fn check(list: &[usize], once: bool, what: &str) {
    let mut first = Vec::new();
    for n in list {
        if !first.contains(n) {
            first.push(*n);
        }
    }
    assert_eq!(first, (0..MESSAGES).collect::<Vec<_>>(), "order {what}");
    assert!(!once || list.len() == MESSAGES, "doubled {what}: {list:?}");
}

fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 20
    }
}
