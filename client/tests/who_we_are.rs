//! What CONNECT says of us may change while the client lives: each attempt says it anew.

mod support;

use everlink::{Client, Credentials, QoS, Version, Will};
use support::memory::Listener;
use support::peer::{Got, Peer};
use support::{VERSIONS, over_memory, soon, spawn};

async fn next(client: &Client, listener: &mut Listener, version: Version) -> (Peer, Got) {
    let mut peer = Peer::new(soon("an attempt", listener.accept()).await, version);
    let connect = peer.accept(true, &[]).await;
    soon("up", client.up()).await;
    (peer, connect)
}

fn credentials(got: &Got) -> (Option<String>, Option<Vec<u8>>) {
    let connect = got.connect();
    (connect.username.map(str::to_owned), connect.password.map(<[u8]>::to_vec))
}

fn name_and_password(name: &str, password: &str) -> (Option<String>, Option<Vec<u8>>) {
    (Some(name.to_owned()), Some(password.as_bytes().to_vec()))
}

// [MQTT-3.1.2-17] [MQTT-3.1.2-19]
#[tokio::test(start_paused = true)]
async fn credentials_can_be_exchanged() {
    for version in VERSIONS {
        let (client, driver, _path, mut listener) = over_memory(version, |b| {
            b.clean_start(false).credentials(Credentials::new("me", "old"))
        });
        spawn(driver);
        let (peer, connect) = next(&client, &mut listener, version).await;
        assert_eq!(credentials(&connect), name_and_password("me", "old"));
        client.set_credentials(Credentials::new("me", "new"));
        drop(peer);
        let (_peer, connect) = next(&client, &mut listener, version).await;
        assert_eq!(credentials(&connect), name_and_password("me", "new"));
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_are_asked_for_before_each_attempt() {
    for version in VERSIONS {
        let mut number = 0;
        let fresh = move || {
            number += 1;
            Credentials::new("me", format!("token {number}"))
        };
        let (client, driver, path, mut listener) =
            over_memory(version, |b| b.clean_start(false).refresh_credentials(fresh));
        spawn(driver);
        for number in 1..4 {
            let (peer, connect) = next(&client, &mut listener, version).await;
            let token = format!("token {number}");
            assert_eq!(credentials(&connect), name_and_password("me", &token), "{version:?}");
            drop(peer);
        }
        assert_eq!(path.violations(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_will_can_be_changed_and_withdrawn() {
    for version in VERSIONS {
        let will = |payload: &str| Will::new("w", payload).unwrap().qos(QoS::ExactlyOnce);
        let (client, driver, _path, mut listener) =
            over_memory(version, |b| b.clean_start(false).will(will("first")));
        spawn(driver);
        for (expected, then) in [
            (Some("first"), Some(will("second").retain(true))),
            (Some("second"), None),
            (None, Some(will("third"))),
            (Some("third"), None),
        ] {
            let (peer, connect) = next(&client, &mut listener, version).await;
            let said = connect.connect().will.map(|w| (w.payload.to_vec(), w.qos, w.retain));
            let expected =
                expected.map(|p| (p.as_bytes().to_vec(), QoS::ExactlyOnce, p == "second"));
            assert_eq!(said, expected);
            client.set_will(then);
            drop(peer);
        }
    }
}
