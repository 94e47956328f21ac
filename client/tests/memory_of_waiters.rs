//! What waits for the end of a message costs memory only while it waits.

mod support;

use everlink::Version;
use support::peer::Peer;
use support::{memory_in_use, over_memory, soon, spawn};

#[tokio::test(start_paused = true)]
async fn asking_in_vain_costs_no_memory() {
    let (client, _driver, _path, _listener) = over_memory(Version::V5, |b| b.queue(1, 1000));
    let _kept = client.publish("t", "1").send().unwrap();
    let before = memory_in_use();
    for _ in 0..1_000_000 {
        assert!(client.publish("t", "2").send().is_err());
    }
    let more = memory_in_use().saturating_sub(before);
    assert!(more < 2 << 20, "{more} bytes");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_nobody_waits_for_costs_none() {
    let (client, driver, _path, mut listener) = over_memory(Version::V5, |b| b);
    spawn(driver);
    let mut peer = Peer::new(soon("an attempt", listener.accept()).await, Version::V5);
    peer.accept(false, &[]).await;
    tokio::spawn(async move { while peer.next().await.is_some() {} });
    soon("up", client.up()).await;
    let mut before = 0;
    for round in 0..500 {
        for _ in 0..1000 {
            drop(client.publish("t", "x").send().unwrap());
        }
        soon("the end of all", client.flush()).await;
        if round == 10 {
            before = memory_in_use();
        }
    }
    let more = memory_in_use().saturating_sub(before);
    assert!(more < 2 << 20, "{more} bytes");
}
