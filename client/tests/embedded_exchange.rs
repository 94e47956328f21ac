//! The front for boards: every QoS both ways, both versions.
#![cfg(feature = "embassy")]

mod board;

use std::cell::RefCell;
use std::rc::Rc;

use board::{Executor, QOS, VERSIONS, World};
use everlink::QoS;
use everlink::embedded::Finished;

#[test]
fn every_qos_both_ways() {
    for version in VERSIONS {
        let world = World::new(1);
        let mut ex = Executor::new(world.clone());
        let hub = board::hub(board::config(version));
        let mut driver = board::driver(hub, &world);
        let client = hub.client();
        let finished = Rc::new(RefCell::new(None));
        let end = finished.clone();
        ex.spawn(async move { *end.borrow_mut() = Some(driver.run().await) });

        let seen = ex.block_on("the exchange", async move {
            let mut echo = client.subscribe("echo/+", QoS::ExactlyOnce).await.expect("granted");
            let mut seen = Vec::new();
            for (n, qos) in QOS.into_iter().enumerate() {
                let payload = n.to_string();
                let reason = client.publish("echo/x", &payload).qos(qos).await.expect("delivered");
                assert!(!reason.is_error());
                let got = echo.next(|m| (m.topic == "echo/x", m.qos, board::number(m.payload)));
                seen.push(got.await.expect("a message"));
            }
            client.close();
            seen
        });
        assert_eq!(seen, [0, 1, 2].map(|n| (true, QOS[n], n)));
        ex.settle();
        assert_eq!(*finished.borrow(), Some(Finished::Closed));
        world.assert_conforms();
    }
}
