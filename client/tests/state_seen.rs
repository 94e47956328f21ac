//! What the state says, to whom, and when.

mod support;

use std::time::Duration;

use everlink::{FirstConnect, QoS, Step, Version};
use support::{over_model, soon, spawn};
use tokio::time::sleep;

const MOMENT: Duration = Duration::from_secs(1);

/// Somebody who looks at the state holds up nobody who uses the client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_is_being_looked_at_blocks_no_call() {
    let (client, driver, path, _model) = over_model(Version::V5, |b| b);
    spawn(driver);
    soon("up", client.up()).await;
    let watch = client.watch();
    let (done, finished) = std::sync::mpsc::channel();
    let user = client.clone();
    let thread = std::thread::spawn(move || {
        let state = watch.borrow();
        path.cut();
        // The driver notices and wants to show it.
        std::thread::sleep(Duration::from_millis(200));
        let _ = user.publish("t", "x").qos(QoS::AtLeastOnce).send();
        user.stats();
        user.reconnect();
        user.close();
        drop(state);
        done.send(()).unwrap();
    });
    let in_time =
        tokio::task::spawn_blocking(move || finished.recv_timeout(Duration::from_secs(10)));
    let ended = in_time.await.unwrap();
    if ended.is_err() {
        // The runtime cannot be left while its threads are stuck.
        eprintln!("stuck");
        std::process::exit(101);
    }
    thread.join().unwrap();
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_connection_ends_when_none_will_come() {
    // The first connection fails and the policy says to give up.
    let (client, driver, path, _model) =
        over_model(Version::V5, |b| b.first_connect(FirstConnect::Fail));
    path.refuse(true);
    let running = spawn(driver);
    assert!(!soon("up after giving up", client.up()).await);
    let stopped = soon("the driver", running).await.unwrap();
    assert!(stopped.fault.is_some());
    assert!(!soon("up again", client.up()).await);
    assert_eq!(soon("ping", client.ping(Duration::from_secs(3600))).await, None);

    // Opened again, closed by the application.
    path.refuse(false);
    let running = spawn(stopped.driver);
    assert!(soon("up", client.up()).await);
    client.close();
    let stopped = soon("the driver", running).await.unwrap();
    assert!(!soon("up after closing", client.up()).await);

    // Opened again, and the driver is dropped.
    let running = spawn(stopped.driver);
    assert!(soon("up", client.up()).await);
    running.abort();
    sleep(MOMENT).await;
    assert!(!soon("up without driver", client.up()).await);
    assert_eq!(client.state().step, Step::Idle, "nothing moves any more");
}

#[tokio::test(start_paused = true)]
async fn closing_right_after_run_was_called_counts() {
    let (client, driver, _path, _model) = over_model(Version::V5, |b| b);
    let run = driver.run();
    client.close();
    let stopped = soon("run", run).await;
    assert_eq!(stopped.fault, None);
    // And again, on a client that was closed before.
    client.close();
    let run = stopped.driver.run();
    client.close();
    let stopped = soon("run again", run).await;
    let running = spawn(stopped.driver);
    assert!(soon("up", client.up()).await);
    running.abort();
}

/// What mqtt clients of old had callbacks for: each connection is seen, and whether the session goes on.
#[tokio::test(start_paused = true)]
async fn every_connection_says_whether_the_session_was_resumed() {
    let (client, driver, path, model) = over_model(Version::V5, |b| b);
    let mut watch = client.watch();
    spawn(driver);
    for resumed in [false, true, true, false, true] {
        let up = *soon("up", watch.wait_for(|s| s.is_up())).await.unwrap();
        assert_eq!((up.resumed, up.fault), (resumed, None));
        if model.with(|b, _| b.accepted().len()) == 2 {
            model.restart();
        } else {
            soon("delivery", client.publish("t", "x").qos(QoS::AtLeastOnce)).await.unwrap();
            path.cut();
        }
        let down = *soon("down", watch.wait_for(|s| !s.is_up())).await.unwrap();
        let fault = down.fault.expect("a reason");
        assert_eq!(fault.step, Step::Up);
        assert!(down.next_attempt.is_some() && down.since >= up.since, "{down:?}");
    }
}
