//! Server Reference.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_broker_sends_us_elsewhere() {
    let there = [Property::ServerReference("other:1884 third")];
    for follow in [true, false] {
        let mut lab = Lab::new(|b| b.follow_redirects(follow));
        let mut peer = lab.accept().await;
        peer.expect(PacketType::Connect).await;
        peer.connack(false, ReasonCode::USE_ANOTHER_SERVER, &there).await;
        let start = Instant::now();
        let (mut peer, _) = lab.up(false, &[]).await;
        let mut wanted = vec![("other:1884 third".to_owned(), false)];
        if follow {
            assert_eq!(start.elapsed(), Duration::ZERO, "at once");
        } else {
            wanted.clear();
        }
        assert_eq!(lab.path.redirects(), wanted);
        peer.send(Disconnect {
            reason: ReasonCode::SERVER_MOVED,
            props: Properties::from_list(&there),
        })
        .await;
        let (_peer, _) = lab.up(false, &[]).await;
        if follow {
            wanted.push(("other:1884 third".to_owned(), true));
        }
        assert_eq!(lab.path.redirects(), wanted);
        let info = lab.client.broker_info().unwrap();
        assert_eq!(info.reason, ReasonCode::SUCCESS);
    }
}

#[tokio::test(start_paused = true)]
async fn servers_that_send_us_round_in_circles_are_not_chased() {
    let mut lab = Lab::new(|b| b);
    let end = Instant::now() + Duration::from_secs(60);
    while let Ok(io) = tokio::time::timeout_at(end, lab.listener.accept()).await {
        let mut peer = Peer::new(io, Version::V5);
        peer.expect(PacketType::Connect).await;
        let there = [Property::ServerReference("round")];
        peer.connack(false, ReasonCode::USE_ANOTHER_SERVER, &there).await;
    }
    let attempts = lab.path.attempts().len();
    assert!(attempts < 120, "{attempts}");
}
