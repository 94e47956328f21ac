//! The front for boards: closed and opened again, any number of times; an idle board sleeps.
#![cfg(feature = "embassy")]

mod board;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use board::{Executor, LONG, VERSIONS, World, number, time};
use everlink::embedded::{Config, Finished, Outcome};
use everlink::{FirstConnect, QoS, Step, Version};

#[test]
fn closed_and_opened_again() {
    for version in VERSIONS {
        let world = World::new(9);
        let mut ex = Executor::new(world.clone());
        // Opening begins with a new session otherwise.
        let hub = board::hub(Config { clean_start: false, ..board::config(version) });
        let client = hub.client();
        let mut driver = Some(board::driver(hub, &world));
        let mut subscription = None;
        for round in 0..20 {
            let mut running = driver.take().expect("it came back");
            let back = Rc::new(Cell::new(None));
            let slot = back.clone();
            ex.spawn(async move {
                let finished = running.run().await;
                slot.set(Some((running, finished)));
            });
            let mut sub = subscription.take();
            subscription = ex.block_on("an exchange", async move {
                if sub.is_none() {
                    sub = client.subscribe("t", QoS::ExactlyOnce).await.ok();
                }
                let mut sub = sub.expect("granted");
                // Of the round before: published while nobody drove.
                if round > 0 {
                    assert_eq!(sub.next(|m| number(m.payload)).await, Some(round - 1));
                }
                let payload = (round + 100).to_string();
                client.publish("t", &payload).qos(QoS::ExactlyOnce).await.expect("delivered");
                assert_eq!(sub.next(|m| number(m.payload)).await, Some(round + 100));
                client.close();
                Some(sub)
            });
            ex.settle();
            let (again, finished) = back.take().expect("run has ended");
            assert_eq!((finished, client.state().step), (Finished::Closed, Step::Idle));
            driver = Some(again);
            let payload = round.to_string();
            assert!(client.publish("t", &payload).send().is_err(), "closed");
            // Leaves no trace.
            client.close();
            world.sim().broker_publishes("t", payload.as_bytes(), QoS::AtLeastOnce);
        }
        world.assert_conforms();
    }
}

#[test]
fn who_waits_when_the_client_is_closed_is_told() {
    let world = World::new(9);
    world.sim().kill_broker();
    let mut ex = Executor::new(world.clone());
    let hub = board::hub(board::config(Version::V5));
    let client = hub.client();
    let mut driver = board::driver(hub, &world);
    ex.spawn(async move {
        driver.run().await;
    });
    let ended = Rc::new(Cell::new(0));
    for kind in 0..5 {
        let ended = ended.clone();
        ex.spawn(async move {
            match kind {
                0 => {
                    let delivery =
                        client.publish("t", "1").qos(QoS::AtLeastOnce).send().expect("room");
                    assert_eq!(delivery.await, Outcome::Held);
                }
                1 => client.flush().await,
                2 => assert!(client.subscribe("t", QoS::AtMostOnce).await.is_err()),
                3 => {
                    let mut sub = client.subscribe("u", QoS::AtMostOnce).open().expect("room");
                    assert_eq!(sub.next(|_| ()).await, None);
                }
                _ => assert_eq!(client.ping(Duration::from_secs(1000)).await, None),
            }
            ended.set(ended.get() + 1);
        });
    }
    ex.run_for(Duration::from_secs(60));
    assert_eq!(ended.get(), 0);
    client.close();
    ex.run_for(Duration::from_secs(1));
    assert_eq!(ended.get(), 4, "all but the ping, which waits for its time");
    assert_eq!(client.held(), 1);
}

#[test]
fn what_is_held_goes_out_when_it_is_opened_again() {
    let world = World::new(9);
    world.sim().kill_broker();
    let mut ex = Executor::new(world.clone());
    let hub = board::hub(board::config(Version::V5));
    let client = hub.client();
    let first = board::driver(hub, &world);
    let id = ex.spawn(run(first));
    for n in 0..5 {
        client.publish("t", &n.to_string()).qos(QoS::ExactlyOnce).forget().expect("room");
    }
    ex.run_for(Duration::from_secs(10));
    assert_eq!(ex.block_on("drain", client_drain(client)), 5);
    ex.run_until("the end", LONG, |ex| !ex.is_alive(id));
    world.sim().restart_broker(true);
    ex.spawn(run(board::driver(hub, &world)));
    ex.block_on("the rest", async move { client.flush().await });
    assert_eq!(world.accepted(), ["0", "1", "2", "3", "4"]);
    world.assert_conforms();
}

async fn run(mut driver: board::BoardDriver) {
    driver.run().await;
}

async fn client_drain(client: board::BoardClient) -> usize {
    client.drain(Duration::from_secs(2)).await
}

#[test]
fn a_full_queue_makes_publishers_wait_and_wakes_them_all() {
    let world = World::new(9);
    world.sim().kill_broker();
    let mut ex = Executor::new(world.clone());
    let hub = board::hub(board::config(Version::V5));
    let client = hub.client();
    ex.spawn(run(board::driver(hub, &world)));
    // More tasks than there are slots to wait in.
    let done = Rc::new(Cell::new(0));
    for task in 0..10 {
        let done = done.clone();
        ex.spawn(async move {
            for n in 0..5 {
                let payload = (task * 10 + n).to_string();
                let publish = client.publish("t", &payload).qos(QoS::AtLeastOnce);
                if task % 2 == 0 {
                    publish.await.expect("delivered");
                } else {
                    publish.accepted().await.expect("accepted");
                }
            }
            done.set(done.get() + 1);
        });
    }
    world.sim().restart_broker(true);
    ex.run_until("all publishers", LONG, |_| done.get() == 10);
    ex.block_on("the rest", async move { client.flush().await });
    assert_eq!(world.accepted().len(), 50);
    world.assert_conforms();
}

#[test]
fn the_first_connection_fails_as_told() {
    let world = World::new(9);
    world.sim().kill_broker();
    let mut ex = Executor::new(world.clone());
    let config = Config { first_connect: FirstConnect::Retry(2), ..board::config(Version::V5) };
    let hub = board::hub(config);
    let client = hub.client();
    let mut driver = board::driver(hub, &world);
    let finished = ex.block_on("giving up", async move { driver.run().await });
    assert!(matches!(finished, Finished::GaveUp(_)), "{finished:?}");
    assert_eq!((world.opens().len(), client.state().attempts), (3, 3));
}

#[test]
fn every_change_of_state_is_seen() {
    let world = World::new(9);
    let mut ex = Executor::new(world.clone());
    let hub = board::hub(board::config(Version::V5));
    let client = hub.client();
    ex.spawn(run(board::driver(hub, &world)));
    let steps = Rc::new(std::cell::RefCell::new(Vec::new()));
    let list = steps.clone();
    ex.spawn(async move {
        let mut state = client.state();
        loop {
            state = client.changed(&state).await;
            list.borrow_mut().push(state.step);
        }
    });
    ex.run_until("the session", LONG, |_| client.state().is_up());
    ex.run_for(Duration::from_secs(5));
    world.cut();
    ex.run_for(Duration::from_secs(5));
    let ups = steps.borrow().iter().filter(|s| **s == Step::Up).count();
    let pauses = steps.borrow().iter().filter(|s| **s == Step::Backoff).count();
    assert!(ups >= 2 && pauses >= 1, "{:?}", steps.borrow());
}

#[test]
fn an_idle_board_wakes_up_for_pings_only() {
    for version in VERSIONS {
        let world = World::new(9);
        let mut ex = Executor::new(world.clone());
        let hub = board::hub(board::config(version));
        let client = hub.client();
        ex.spawn(run(board::driver(hub, &world)));
        let sub = ex.block_on("subscription", async move {
            client.subscribe("t", QoS::AtLeastOnce).await.expect("granted")
        });
        // What was armed for the exchange may still fire once.
        ex.run_for(Duration::from_secs(60));
        let (wakes, pings) = (time::wakes(), client.stats().pings);
        ex.run_for(Duration::from_secs(3600));
        let (wakes, pings) = (time::wakes() - wakes, client.stats().pings - pings);
        // Keep Alive 60 s: a ping every 15 s; each arms the wait for its answer.
        assert!((235..=245).contains(&pings), "{pings} pings in an hour");
        assert!(wakes <= 2 * pings, "{wakes} alarms for {pings} pings");
        assert_eq!(client.stats().outages, 0);
        drop(sub);
        world.assert_conforms();
    }
}
