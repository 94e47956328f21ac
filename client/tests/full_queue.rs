//! A full queue: who waits, who is told at once, and whose message goes.

mod support;

use std::time::Duration;

use everlink::{Client, Outcome, PublishError, QoS, Refused, WhenFull};
use support::{VERSIONS, over_model, soon, spawn};
use tokio::time::timeout;

const FULL: Result<(), PublishError> = Err(PublishError::Refused(Refused::QueueFull));

async fn accepted(client: &Client, payload: &str) -> Option<Result<(), PublishError>> {
    let accepting = client.publish("t", payload).qos(QoS::AtLeastOnce).accepted();
    let accepted = timeout(Duration::from_secs(60), accepting).await.ok()?;
    Some(accepted.map(|_| ()))
}

#[tokio::test(start_paused = true)]
async fn waiting_is_for_those_who_chose_it() {
    use WhenFull::*;
    for version in VERSIONS {
        for policy in [Wait, Reject, DropOldest, DropNewest, Latest] {
            let (client, driver, path, model) =
                over_model(version, |b| b.queue(1, 1000).when_full(policy));
            path.refuse(true);
            spawn(driver);
            let first = client.publish("t", "1").qos(QoS::AtLeastOnce).send().unwrap();
            let sent = client.publish("t", "2").qos(QoS::AtLeastOnce).send().map(|_| ());
            let then = accepted(&client, "3").await;
            let (wanted, arrives) = match policy {
                Wait => ((FULL, None), "1"),
                Reject => ((FULL, Some(FULL)), "1"),
                DropNewest => ((Ok(()), Some(Ok(()))), "1"),
                DropOldest | Latest => ((Ok(()), Some(Ok(()))), "3"),
            };
            assert_eq!((sent, then), wanted, "{policy:?}");
            path.refuse(false);
            client.reconnect();
            soon("delivery", client.flush()).await;
            assert_eq!(model.accepted(), [arrives], "{policy:?}");
            let kept = matches!(soon("its fate", first).await, Outcome::Delivered(_));
            assert_eq!(kept, arrives == "1");
            let stats = client.stats();
            assert_eq!(stats.accepted, stats.delivered + stats.dropped);
            model.assert_conformant();
        }
    }
}
