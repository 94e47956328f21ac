//! Without a Client Identifier one is made up, where the broker may not choose: the same for as long
//! as the client lives, so that the session is found again, and another for every client.

mod support;

use everlink::{Property, Version};
use everlink_proto::wire::PacketType;
use support::peer::Peer;
use support::{over_memory, soon, spawn};

#[tokio::test(start_paused = true)]
async fn it_stays_the_same_and_differs_between_clients() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (client, driver, _path, mut listener) = over_memory(Version::V311, |b| b.client_id(""));
        spawn(driver);
        for session_present in [false, true] {
            let mut peer = Peer::new(soon("an attempt", listener.accept()).await, Version::V311);
            let got = peer.accept(session_present, &[]).await;
            soon("up", client.up()).await;
            let id = got.connect().client_id.to_owned();
            // [MQTT-3.1.3-7] of 3.1.1: a broker refuses an empty one with a session that is kept.
            assert!(!id.is_empty() && !got.connect().clean_start);
            assert_eq!(client.client_id(), id);
            seen.push(id);
        }
    }
    assert!(seen[0] == seen[1] && seen[2] == seen[3] && seen[0] != seen[2], "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_can_come_back_to_it_so_the_broker_is_asked_to_forget_it() {
    for (id, told) in [("", Some(0)), ("shed", None)] {
        let (client, driver, _path, mut listener) = over_memory(Version::V5, |b| b.client_id(id));
        spawn(driver);
        let mut peer = Peer::new(soon("an attempt", listener.accept()).await, Version::V5);
        peer.accept(false, &[Property::AssignedClientIdentifier("given")]).await;
        soon("up", client.up()).await;
        client.close();
        let got = peer.expect(PacketType::Disconnect).await;
        let everlink_proto::wire::Packet::Disconnect(disconnect) = got.packet() else { panic!() };
        assert_eq!(disconnect.props.session_expiry(), told, "{id:?}");
    }
}
