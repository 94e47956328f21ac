//! Wake, exchange, sleep: one call, within its budget.
#![cfg(feature = "embassy")]

mod board;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use board::{Executor, LONG, VERSIONS, World, number};
use everlink::QoS;
use everlink::embedded::{Config, Exchange};

const BUDGET: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_millis(200);

#[test]
fn what_is_held_goes_out_and_what_waits_comes_in() {
    for version in VERSIONS {
        let world = World::new(4);
        let mut ex = Executor::new(world.clone());
        let hub = board::hub(Config { clean_start: false, ..board::config(version) });
        let client = hub.client();
        let mut driver = board::driver(hub, &world);
        let got = Rc::new(RefCell::new(Vec::new()));
        let list = got.clone();
        let mut sub = client.subscribe("to/board", QoS::AtLeastOnce).open().expect("room");
        ex.spawn(async move {
            loop {
                if let Some(n) = sub.next(|m| number(m.payload)).await {
                    list.borrow_mut().push(n);
                } else {
                    // Closed: asleep.
                    embassy_time::Timer::after_millis(10).await;
                }
            }
        });
        let reports = Rc::new(RefCell::new(Vec::<Exchange>::new()));
        let kept = reports.clone();
        let sim = world.clone();
        ex.block_on("three cycles", async move {
            for cycle in 0..3 {
                client
                    .publish("from/board", &cycle.to_string())
                    .qos(QoS::ExactlyOnce)
                    .forget()
                    .ok();
                let report = driver.exchange(BUDGET, QUIET).await;
                kept.borrow_mut().push(report);
                for n in 0..3 {
                    let payload = (cycle * 10 + n).to_string();
                    sim.sim().broker_publishes("to/board", payload.as_bytes(), QoS::AtLeastOnce);
                }
                embassy_time::Timer::after_secs(60).await;
            }
        });
        let reports = reports.borrow();
        for (n, report) in reports.iter().enumerate() {
            assert!(report.connected && report.bytes_in > 0 && report.bytes_out > 0, "{report:?}");
            assert_eq!(report.received, if n == 0 { 0 } else { 3 }, "{reports:?}");
            assert!(report.awake >= QUIET && report.awake < Duration::from_secs(2), "{report:?}");
        }
        assert!(reports.iter().all(|r| r.held == 0));
        assert_eq!(world.accepted(), ["0", "1", "2"]);
        assert_eq!(*got.borrow(), [0, 1, 2, 10, 11, 12]);
        world.assert_conforms();
    }
}

#[test]
fn an_absent_broker_costs_the_budget_and_no_more() {
    let world = World::new(4);
    world.sim().kill_broker();
    let mut ex = Executor::new(world.clone());
    let hub = board::hub(board::config(VERSIONS[1]));
    let client = hub.client();
    let mut driver = board::driver(hub, &world);
    client.publish("t", "1").qos(QoS::AtLeastOnce).forget().expect("accepted");
    let report = ex.block_on("the budget", async move { driver.exchange(BUDGET, QUIET).await });
    assert!(!report.connected);
    assert_eq!(report.held, 1);
    assert!(
        report.awake >= BUDGET && report.awake <= BUDGET + Duration::from_secs(1),
        "{report:?}"
    );
    ex.run_for(LONG);
}
