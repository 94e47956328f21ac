//! A socket in the file system.

use std::time::Duration;

use everlink::{Cause, Client, Fault, FirstConnect, Step};

use crate::support::mosquitto::Mosquitto;
use crate::support::{VERSIONS, soon};
use crate::{attempt, echo, run};

const LISTENER: &str = "allow_anonymous true\nlistener 0 DIR/sock\nallow_anonymous true\n";

#[tokio::test]
async fn messages_pass() {
    let broker = Mosquitto::with(LISTENER);
    let url = format!("unix://{}/sock", broker.directory().display());
    for version in VERSIONS {
        echo(Client::builder(&url).version(version)).await;
    }
}

#[tokio::test]
async fn what_is_not_there_may_yet_come() {
    let mut broker = Mosquitto::with(LISTENER);
    let url = format!("unix://{}/sock", broker.directory().display());
    broker.kill();
    // The file of a dead listener stays behind.
    let path = broker.directory().join("sock");
    let refused = attempt(Client::builder(&url)).await.unwrap_err();
    assert_eq!(refused.0, Fault::new(Step::Link, Cause::Refused));
    assert_eq!(refused.1, format!("link: {}: connection refused", path.display()));
    std::fs::remove_file(&path).unwrap();
    let missing = attempt(Client::builder(&url)).await.unwrap_err();
    assert_eq!(missing.0, Fault::new(Step::Link, Cause::NotFound));
    assert_eq!(missing.1, format!("link: {}: no such file or directory", path.display()));

    let builder = Client::builder(&url).first_connect(FirstConnect::Forever);
    let (client, _driver) = run(builder.connect_timeout(Duration::from_secs(1)));
    let mut watch = client.watch();
    soon("a fault", watch.wait_for(|s| s.fault.is_some())).await.unwrap();
    broker.restart();
    assert!(soon("up", client.up()).await);
}
