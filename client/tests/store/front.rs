//! The client with a store, while there is no broker: what it says, and what the next one finds.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use everlink::store::{Durability, FileStore, StoreError};
use everlink::{BuildError, Client, FirstConnect, PublishError, QoS, Refused, WhenFull};

/// A directory for one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("everlink-store-{}-{n}", std::process::id())))
    }

    fn open(&self) -> FileStore {
        FileStore::open(&self.0).expect("a store")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A client whose broker is not there, and its driver's task.
fn client(store: FileStore, policy: WhenFull) -> (Client, tokio::task::JoinHandle<()>) {
    let builder = Client::builder("mqtt://127.0.0.1:1").first_connect(FirstConnect::Forever);
    let (client, driver) = builder.store(store).when_full(policy).build().expect("a client");
    (client, tokio::spawn(async move { drop(driver.run().await) }))
}

#[tokio::test]
async fn what_was_stored_is_there_for_the_next_client() {
    let scratch = Scratch::new();
    for durability in
        [Durability::Each, Durability::Within(Duration::from_millis(5)), Durability::System]
    {
        let before = scratch.open().messages();
        let (client, running) = client(scratch.open().durability(durability), WhenFull::Wait);
        assert_eq!(client.held() as u64, before);
        for n in 0..3_u8 {
            let mark = [n, 7];
            let message = client.publish("t", [n]).qos(QoS::AtLeastOnce).mark(&mark);
            let mut delivery = message.send().expect("accepted");
            assert!(delivery.stored().await);
        }
        let status = client.store().expect("it has a store");
        assert_eq!((status.messages, status.failures), (before + 3, 0));
        assert!(status.trouble.is_none());
        // As by kill -9: nobody says good bye.
        running.abort();
        drop((client, running.await));
        let store = scratch.open();
        assert_eq!(store.messages(), before + 3);
        assert_eq!(store.mark(), Some(&[2, 7][..]));
    }
}

#[tokio::test]
async fn what_memory_has_no_room_for_is_stored_as_well() {
    const COUNT: usize = 5000;
    let scratch = Scratch::new();
    let (client, running) = client(scratch.open().durability(Durability::System), WhenFull::Wait);
    let mut last = None;
    for n in 0..COUNT {
        let message = client.publish("t", n.to_string()).qos(QoS::ExactlyOnce);
        last = Some(message.accepted().await.expect("accepted"));
    }
    assert_eq!(client.held(), COUNT);
    assert!(last.expect("one").stored().await);
    assert!(client.saved().await);
    client.close();
    running.await.expect("closed");
    drop(client);
    let mut store = scratch.open();
    store.check().expect("whole");
    assert_eq!(store.messages(), COUNT as u64);
}

#[tokio::test]
async fn a_full_store_refuses_or_drops_as_the_queue_does() {
    const LIMIT: u64 = 1 << 20;
    let message = vec![0; 10_000];
    for policy in [WhenFull::Reject, WhenFull::DropOldest, WhenFull::DropNewest] {
        let scratch = Scratch::new();
        let store = scratch.open().limit(LIMIT).expect("enough");
        let (client, _running) = client(store, policy);
        let mut refused = 0;
        for _ in 0..300 {
            match client.publish("t", &message).qos(QoS::AtLeastOnce).send() {
                Ok(mut delivery) => drop(delivery.stored().await),
                Err(PublishError::Refused(Refused::QueueFull)) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(client.saved().await);
        let (held, stats) = (client.held(), client.stats());
        assert!((50..100).contains(&held), "{policy:?}: {held}");
        let dropped = stats.dropped as usize;
        let expected = if policy == WhenFull::Reject { (300 - held, 0) } else { (0, 300 - held) };
        assert_eq!((refused, dropped), expected, "{policy:?}");
        let files = std::fs::read_dir(&scratch.0).expect("the store").flatten();
        let bytes: u64 = files.map(|file| file.metadata().expect("facts").len()).sum();
        assert!(bytes <= LIMIT, "{policy:?}: {bytes}");
    }
}

#[tokio::test]
async fn a_store_belongs_to_one_client_and_one_process() {
    let scratch = Scratch::new();
    let builder = |id| Client::builder("mqtt://127.0.0.1:1").client_id(id);
    let (first, driver) = builder("first").store(scratch.open()).build().expect("a client");
    match FileStore::open(&scratch.0).expect_err("in use") {
        StoreError::Locked { pid, .. } => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other}"),
    }
    assert!(first.saved().await);
    drop((first, driver));
    let error = builder("second").store(scratch.open()).build().expect_err("another client");
    let words = "the store belongs to client \"first\", not to \"second\"";
    assert_eq!(error, BuildError::Store(words.into()));
    // Who does not say goes on as the first.
    let (again, _driver) = builder("").store(scratch.open()).build().expect("a client");
    assert_eq!(again.client_id(), "first");
}
