use everlink_proto::wire::{Auth, Disconnect};

use super::*;

const V: [Version; 2] = [Version::V311, Version::V5];

fn ok(answer: &[String]) -> bool {
    answer.len() == 1 && answer[0].contains("reason: 0x00 Success")
}

#[test]
fn a_session_is_there_when_it_was_kept() {
    for version in V {
        let mut b = Bench::new();
        b.client(1, version, "c");
        b.drop(1);
        let answer = b.connect(2, version, Connect { client_id: "c", ..Connect::default() });
        assert!(ok(&answer) && answer[0].contains("session_present: true"), "{answer:?}");
        b.drop(2);
        let clean = Connect { client_id: "c", clean_start: true, ..Connect::default() };
        assert!(b.connect(3, version, clean)[0].contains("session_present: false"));
        assert_eq!(b.broker.connects().len(), 3);
    }
}

#[test]
fn a_session_ends_with_its_expiry() {
    let mut b = Bench::new();
    b.client(1, Version::V5, "c");
    b.drop(1);
    assert_eq!(b.broker.next_event(), Some(b.now + Duration::from_secs(3600)));
    b.pass(3599);
    assert!(b.broker.has_session("c"));
    b.pass(1);
    assert!(!b.broker.has_session("c"));
    // Without Session Expiry Interval it ends with the connection.
    b.connect(2, Version::V5, Connect { client_id: "d", ..Connect::default() });
    b.drop(2);
    assert!(!b.broker.has_session("d"));
}

#[test]
fn a_second_connection_takes_over() {
    let mut b = Bench::new();
    b.client(1, Version::V5, "c");
    b.client(2, Version::V5, "c");
    assert_eq!(b.take(1), ["Disconnect { reason: 0x8e Session taken over, props: [] }", "closed"]);
    assert!(b.broker.is_connected("c"));
    b.drop(1);
    assert!(b.broker.is_connected("c"));
}

#[test]
fn refusals_count_down() {
    for version in V {
        let mut b = Bench::new();
        b.broker.faults.refuse_connect.push_back(ReasonCode::SERVER_UNAVAILABLE.into());
        let template = Connect { client_id: "c", ..Connect::default() };
        let answer = b.connect(1, version, template);
        assert!(answer[0].contains("0x88") && answer[1] == "closed", "{answer:?}");
        assert!(ok(&b.connect(2, version, template)));
    }
}

#[test]
fn redirects_name_a_server() {
    let mut b = Bench::new();
    let server = Some("other:1883".to_owned());
    b.broker.faults.refuse_connect.push_back(Refusal { reason: ReasonCode::SERVER_MOVED, server });
    let answer = b.connect(1, Version::V5, Connect { client_id: "c", ..Connect::default() });
    assert!(answer[0].contains(r#"server-reference: "other:1883""#), "{answer:?}");
    b.client(2, Version::V5, "c");
    b.broker.disconnect("c", ReasonCode::USE_ANOTHER_SERVER, Some("third"));
    assert!(b.take(2)[0].contains(r#"server-reference: "third""#));
}

#[test]
fn what_connack_says_is_what_is_configured() {
    let mut b = Bench::new();
    b.broker.cfg = BrokerConfig {
        receive_maximum: 2,
        maximum_packet_size: Some(100),
        topic_alias_maximum: 3,
        maximum_qos: QoS::AtLeastOnce,
        retain_available: false,
        server_keep_alive: Some(7),
        session_expiry: Some(8),
        ..BrokerConfig::default()
    };
    let answer = b.connect(1, Version::V5, Connect::default());
    for part in [
        "receive-maximum: 2",
        "maximum-packet-size: 100",
        "topic-alias-maximum: 3",
        "maximum-qos: 1",
        "retain-available: 0",
        "server-keep-alive: 7",
    ] {
        assert!(answer[0].contains(part), "{part} in {answer:?}");
    }
    b.pass(10);
    assert!(b.take(1).is_empty());
    b.pass(1);
    assert_eq!(b.take(1).len(), 2);
    assert!(b.broker.has_session("auto-1"));
}

#[test]
fn silence_beyond_one_and_a_half_keep_alives_ends_the_connection() {
    for version in V {
        let mut b = Bench::new();
        let template = Connect { client_id: "c", keep_alive: 10, ..Connect::default() };
        b.connect(1, version, template);
        b.pass(14);
        assert_eq!(b.ask(1, Packet::PingReq), ["PingResp"]);
        b.pass(14);
        assert!(b.take(1).is_empty());
        b.pass(1);
        assert_eq!(b.take(1).last().unwrap(), "closed");
    }
}

#[test]
fn the_first_packet_is_connect_and_no_other_is() {
    let mut b = Bench::new();
    b.broker.opened(b.now, PipeId(1));
    b.versions.insert(1, Version::V5);
    assert_eq!(b.ask(1, Packet::PingReq).last().unwrap(), "closed");
    b.client(2, Version::V5, "c");
    assert_eq!(b.ask(2, Connect::default()).last().unwrap(), "closed");
    assert_eq!(b.rules(), ["malformed packet", "unexpected packet"]);
}

#[test]
fn bytes_may_come_in_any_pieces_and_nonsense_ends_the_connection() {
    let mut b = Bench::new();
    b.client(1, Version::V311, "c");
    for byte in [0xc0, 0, 0xc0, 0] {
        b.broker.received(b.now, PipeId(1), &[byte]);
    }
    assert_eq!(b.take(1), ["PingResp", "PingResp"]);
    b.broker.received(b.now, PipeId(1), &[0xc1, 0]);
    assert_eq!(b.take(1), ["closed"]);
    assert_eq!(b.rules(), ["malformed packet"]);
}

#[test]
fn authentication_takes_its_rounds() {
    let mut b = Bench::new();
    let rounds = vec![(b"one?".to_vec(), b"one!".to_vec()), (b"two?".to_vec(), b"two!".to_vec())];
    let plan = AuthPlan { method: "M".to_owned(), rounds, last: b"fine".to_vec() };
    b.broker.cfg.auth = Some(plan);
    let method = [Property::AuthenticationMethod("M")];
    let props = Properties::from_list(&method);
    let template = Connect { client_id: "c", props, ..Connect::default() };
    let answer = |data| {
        let list = [Property::AuthenticationMethod("M"), Property::AuthenticationData(data)];
        (ReasonCode::CONTINUE_AUTHENTICATION, list)
    };
    assert!(b.connect(1, Version::V5, template)[0].contains("0x18"));
    let (reason, list) = answer(b"one!");
    let props = Properties::from_list(&list);
    assert!(b.ask(1, Auth { reason, props })[0].contains("0x18"));
    let (reason, list) = answer(b"two!");
    let props = Properties::from_list(&list);
    assert!(ok(&b.ask(1, Auth { reason, props })));

    let again = Auth { reason: ReasonCode::RE_AUTHENTICATE, props: Properties::from_list(&method) };
    assert!(b.ask(1, again)[0].contains("0x18"));
    let (reason, list) = answer(b"wrong");
    let props = Properties::from_list(&list);
    assert!(b.ask(1, Auth { reason, props })[0].contains("0x87"));

    let list = [Property::AuthenticationMethod("other")];
    let props = Properties::from_list(&list);
    let answer = b.connect(2, Version::V5, Connect { props, ..template });
    assert!(answer[0].contains("0x8c"), "{answer:?}");
}

#[test]
fn a_login_is_insisted_on() {
    let mut b = Bench::new();
    b.broker.cfg.login = Some(("me".to_owned(), b"secret".to_vec()));
    let right = Connect { username: Some("me"), password: Some(b"secret"), ..Connect::default() };
    assert!(ok(&b.connect(1, Version::V5, right)));
    let wrong = Connect { password: Some(b"guess"), ..right };
    assert!(b.connect(2, Version::V5, wrong)[0].contains("0x86"));
}

#[test]
fn a_session_expiry_cannot_come_from_nothing() {
    let mut b = Bench::new();
    b.connect(1, Version::V5, Connect { client_id: "c", ..Connect::default() });
    let list = [Property::SessionExpiryInterval(5)];
    b.send(1, Disconnect { props: Properties::from_list(&list), ..Disconnect::default() });
    assert_eq!(b.rules(), ["3.14.2.2.2"]);
}

#[test]
fn a_restart_keeps_sessions_or_not() {
    for keep in [true, false] {
        let mut b = Bench::new();
        b.client(1, Version::V311, "c");
        b.subscribe(1, "t", SubscribeOptions::new(QoS::AtLeastOnce));
        b.broker.restart(keep);
        assert_eq!(b.take(1), ["closed"]);
        assert_eq!(b.broker.has_session("c"), keep);
        let template = Connect { client_id: "c", ..Connect::default() };
        let answer = b.connect(2, Version::V311, template);
        assert!(answer[0].contains(&format!("session_present: {keep}")));
        assert_eq!(b.broker.subscriptions("c").len(), usize::from(keep));
    }
}
