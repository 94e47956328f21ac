//! Enhanced authentication, and once more on a live connection.

use super::*;

/// Answers `n` with `n + 1`, and notes what it is asked.
#[derive(Debug, Default)]
struct Counting {
    log: Arc<Mutex<Vec<String>>>,
    trusts: bool,
}

impl Counting {
    fn note(&self, what: &str, data: &[u8]) {
        self.log.lock().unwrap().push(format!("{what}{}", String::from_utf8_lossy(data)));
    }
}

impl Authenticator for Counting {
    fn method(&self) -> &str {
        "COUNTING"
    }

    fn start(&mut self) -> Vec<u8> {
        self.note("start", b"");
        b"0".to_vec()
    }

    fn challenge(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        self.note("?", data);
        let n: u32 = std::str::from_utf8(data).ok()?.parse().ok()?;
        Some((n + 1).to_string().into_bytes())
    }

    fn finish(&mut self, data: &[u8]) -> bool {
        self.note("!", data);
        self.trusts
    }
}

async fn challenge(peer: &mut Peer, reason: ReasonCode, data: &[u8]) {
    let list = [Property::AuthenticationMethod("COUNTING"), Property::AuthenticationData(data)];
    peer.send(Auth { reason, props: Properties::from_list(&list) }).await;
}

async fn expect_auth(peer: &mut Peer, reason: ReasonCode, data: &[u8]) {
    let got = peer.expect(PacketType::Auth).await;
    let Packet::Auth(auth) = got.packet() else { unreachable!() };
    assert_eq!(auth.reason, reason);
    assert_eq!(auth.props.authentication_method(), Some("COUNTING"));
    assert_eq!(auth.props.authentication_data(), Some(data));
}

#[tokio::test(start_paused = true)]
async fn enhanced_authentication_and_once_more() {
    let authenticator = Counting { trusts: true, ..Counting::default() };
    let log = authenticator.log.clone();
    let mut lab = Lab::new(|b| b.authenticator(authenticator));
    let mut peer = lab.accept().await;
    let got = peer.expect(PacketType::Connect).await;
    let props = got.connect().props;
    assert_eq!(props.authentication_method(), Some("COUNTING"));
    assert_eq!(props.authentication_data(), Some(&b"0"[..]));
    let go_on = ReasonCode::CONTINUE_AUTHENTICATION;
    for (asked, answer) in [("1", "2"), ("10", "11")] {
        challenge(&mut peer, go_on, asked.as_bytes()).await;
        expect_auth(&mut peer, go_on, answer.as_bytes()).await;
    }
    let list = [Property::AuthenticationMethod("COUNTING"), Property::AuthenticationData(b"ok")];
    peer.connack(false, ReasonCode::SUCCESS, &list).await;
    soon("up", lab.client.up()).await;
    assert_eq!(*log.lock().unwrap(), ["start", "?1", "?10", "!ok"]);

    // Re-authentication, while messages flow.
    log.lock().unwrap().clear();
    let delivery = lab.client.publish("t", "x").qos(QoS::AtLeastOnce).send().unwrap();
    lab.client.reauthenticate().unwrap();
    let mut seen = Vec::new();
    let mut pid = None;
    for _ in 0..2 {
        let got = soon("a packet", peer.next()).await.unwrap();
        seen.push(got.kind());
        match got.packet() {
            Packet::Auth(auth) => {
                assert_eq!(auth.reason, ReasonCode::RE_AUTHENTICATE);
                assert_eq!(auth.props.authentication_data(), Some(&b"0"[..]));
            }
            _ => pid = Some(got.pid()),
        }
    }
    seen.sort();
    assert_eq!(seen, [PacketType::Publish, PacketType::Auth]);
    challenge(&mut peer, go_on, b"7").await;
    expect_auth(&mut peer, go_on, b"8").await;
    peer.ack(AckKind::PubAck, pid.unwrap()).await;
    challenge(&mut peer, ReasonCode::SUCCESS, b"fine").await;
    assert!(soon("delivery", delivery).await.is_delivered());
    sleep(Duration::from_millis(1)).await;
    assert_eq!(*log.lock().unwrap(), ["start", "?7", "!fine"]);
    assert_eq!(lab.client.stats().outages, 0);
    assert_eq!(lab.path.violations(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_authentication_that_fails_is_a_fault() {
    // We do not understand the broker; the broker does not convince us; it refuses.
    for case in 0..3 {
        let authenticator = Counting { trusts: false, ..Counting::default() };
        let mut lab = Lab::new(|b| b.authenticator(authenticator));
        let mut peer = lab.accept().await;
        peer.expect(PacketType::Connect).await;
        match case {
            0 => challenge(&mut peer, ReasonCode::CONTINUE_AUTHENTICATION, b"nonsense").await,
            1 => {
                let list = [
                    Property::AuthenticationMethod("COUNTING"),
                    Property::AuthenticationData(b"x"),
                ];
                peer.connack(false, ReasonCode::SUCCESS, &list).await;
            }
            _ => peer.connack(false, ReasonCode::NOT_AUTHORIZED, &[]).await,
        }
        let mut watch = lab.client.watch();
        let down = soon("a fault", watch.wait_for(|s| s.fault.is_some())).await.unwrap().fault;
        let wanted = match case {
            2 => Cause::RefusedByBroker(ReasonCode::NOT_AUTHORIZED),
            _ => Cause::Protocol(ReasonCode::NOT_AUTHORIZED),
        };
        assert_eq!(down.map(|f| f.cause), Some(wanted), "case {case}");
        assert!(!lab.client.state().is_up());
        // And again from the start, next time.
        let mut peer = lab.accept().await;
        let got = peer.expect(PacketType::Connect).await;
        assert_eq!(got.connect().props.authentication_data(), Some(&b"0"[..]));
    }
}
