//! TLS against a real broker: who is believed, what a refusal says, and what changes while running.

use std::future::poll_fn;
use std::time::Duration;

use everlink::{
    Backoff, BuildError, Builder, Cause, Client, Fault, FirstConnect, QoS, Road, RoadLink, Step,
    Tls, TlsError, TlsFiles,
};
use everlink_link::tcp::TcpOptions;
use everlink_link::{Endpoint, Link, Pipe, Progress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::authority::{Authority, Issued, between, self_signed};
use crate::support::mosquitto::Mosquitto;
use crate::support::{VERSIONS, soon};
use crate::{attempt, echo, listener, run};

const ONE_WAY: &str = "allow_anonymous true\ncertfile DIR/cert.pem\nkeyfile DIR/key.pem\n";
const MUTUAL: &str = "allow_anonymous true\ncertfile DIR/cert.pem\nkeyfile DIR/key.pem\n\
    cafile DIR/clients.pem\nrequire_certificate true\nuse_identity_as_username true\n";

fn broker(certificate: &Issued) -> Mosquitto {
    Mosquitto::with_files(
        ONE_WAY,
        &[("cert.pem", &certificate.chain), ("key.pem", &certificate.key)],
    )
}

/// A broker that wants certificates of `clients`.
fn mutual(certificate: &Issued, clients: &Authority) -> Mosquitto {
    let files = [
        ("cert.pem", &*certificate.chain),
        ("key.pem", &*certificate.key),
        ("clients.pem", &*clients.pem),
    ];
    Mosquitto::with_files(MUTUAL, &files)
}

fn trusting(authority: &Authority) -> Tls {
    Tls::new().authorities(authority.pem.as_bytes()).expect("a certificate")
}

fn to(broker: &Mosquitto) -> Builder {
    Client::builder(format!("mqtts://localhost:{}", broker.addr().port()))
}

#[track_caller]
fn refused(result: Result<(), (Fault, String)>, cause: Cause, words: &str) {
    let (fault, line) = result.expect_err("it is refused");
    assert_eq!(fault, Fault::new(Step::Tls, cause), "{line}");
    assert!(line.starts_with("tls: ") && line.contains(words), "{line:?} lacks {words:?}");
    assert!(!line.contains(['\n', '{']) && !line.contains("Error"), "for a person: {line:?}");
}

#[tokio::test]
async fn messages_pass_when_the_certificate_is_good() {
    let ca = Authority::new("Shed CA");
    let broker = broker(&ca.broker());
    for host in ["localhost", "127.0.0.1"] {
        for version in VERSIONS {
            let url = format!("mqtts://{host}:{}", broker.addr().port());
            let builder = Client::builder(url).version(version).tls(trusting(&ca));
            echo(builder).await;
        }
    }
}

#[tokio::test]
async fn an_unknown_authority_is_named() {
    let (ours, theirs) = (Authority::new("Shed CA"), Authority::new("Other CA"));
    let broker = broker(&theirs.broker());
    let result = attempt(to(&broker).tls(trusting(&ours))).await;
    refused(result, Cause::Tls, "was issued by \"Other CA\", which is not a trusted authority");
    // Nor does the system trust it.
    refused(attempt(to(&broker)).await, Cause::Tls, "authorit");
}

#[tokio::test]
async fn a_certificate_signed_by_itself_is_refused() {
    let broker = broker(&self_signed());
    let result = attempt(to(&broker).tls(trusting(&Authority::new("Shed CA")))).await;
    refused(result, Cause::Tls, "signed by itself");
}

#[tokio::test]
async fn both_names_are_told_when_they_differ() {
    let ca = Authority::new("Shed CA");
    let nameless = broker(&ca.issue(&[], |_| {}));
    let result = attempt(to(&nameless).tls(trusting(&ca))).await;
    refused(result, Cause::Tls, "names no host (subjectAltName), so it is not for localhost");
    let broker = broker(&ca.issue(&["shed.example", "barn.example"], |_| {}));
    let result = attempt(to(&broker).tls(trusting(&ca))).await;
    refused(result, Cause::Tls, "is for shed.example, barn.example, not for localhost");
    let named = trusting(&ca).server_name("barn.example").unwrap();
    attempt(to(&broker).tls(named)).await.expect("the name is right");
}

#[tokio::test]
async fn the_date_is_told_when_it_is_over_or_not_yet_come() {
    let ca = Authority::new("Shed CA");
    let old = broker(&ca.issue(&["localhost"], between(2001, 2002)));
    let result = attempt(to(&old).tls(trusting(&ca))).await;
    refused(result, Cause::Tls, "certificate expired on 2002-01-01 00:00 UTC");
    let early = broker(&ca.issue(&["localhost"], between(2090, 2091)));
    let result = attempt(to(&early).tls(trusting(&ca))).await;
    refused(
        result,
        Cause::Tls,
        "is valid from 2090-01-01 00:00 UTC on; by the clock here it is 20",
    );
}

#[tokio::test]
async fn anybody_is_believed_only_on_request() {
    let broker = broker(&self_signed());
    attempt(to(&broker).tls(Tls::new().accept_any_certificate())).await.expect("as typed");
}

#[tokio::test]
async fn a_broker_that_wants_a_certificate_says_which() {
    let (ca, clients) = (Authority::new("Shed CA"), Authority::new("Clients CA"));
    let broker = mutual(&ca.broker(), &clients);
    let with = |issued: &Issued| {
        let tls = trusting(&ca).identity(issued.chain.as_bytes(), issued.key.as_bytes());
        attempt(to(&broker).tls(tls.expect("they belong together")))
    };
    let none = attempt(to(&broker).tls(trusting(&ca))).await;
    refused(none, Cause::Denied, "wants a client certificate");
    let foreign = with(&ca.client("shed")).await;
    refused(foreign, Cause::Denied, "does not trust the authority that issued our certificate");
    let expired = with(&clients.issue(&[], between(2001, 2002))).await;
    refused(expired, Cause::Denied, "our certificate has expired");
    with(&clients.client("shed")).await.expect("the right one");
    assert!(broker.log().contains("u'shed'"), "{}", broker.log());
}

#[tokio::test]
async fn a_refusal_is_tried_again_slowly() {
    let broker = broker(&self_signed());
    let (client, _driver) = run(to(&broker).first_connect(FirstConnect::Forever));
    let mut watch = client.watch();
    let state = soon("a fault", watch.wait_for(|s| s.step == Step::Backoff && s.fault.is_some()))
        .await
        .unwrap();
    let pause = state.next_attempt.unwrap() - state.since;
    assert!(pause > Duration::from_millis(4900), "{pause:?}");
}

/// Certificates in files, as an administrator replaces them.
fn write(broker: &Mosquitto, name: &str, issued: &Issued) {
    for (suffix, text) in [("pem", &issued.chain), ("key", &issued.key)] {
        std::fs::write(broker.directory().join(format!("{name}.{suffix}")), text).unwrap();
    }
}

#[tokio::test]
async fn certificates_are_replaced_while_running() {
    let (ca, clients) = (Authority::new("Shed CA"), Authority::new("Clients CA"));
    let mut broker = mutual(&ca.broker(), &clients);
    let dir = broker.directory().to_owned();
    std::fs::write(dir.join("trusted.pem"), &ca.pem).unwrap();
    write(&broker, "client", &clients.client("first"));
    let mut files = TlsFiles::new(Tls::new())
        .authorities(dir.join("trusted.pem"))
        .identity(dir.join("client.pem"), dir.join("client.key"));
    let backoff = Backoff { refused: Duration::from_millis(100), ..Backoff::default() };
    let builder = to(&broker).first_connect(FirstConnect::Forever).backoff(backoff);
    let (client, _driver) = run(builder.refresh_tls(move || files.changed()));
    soon("up", client.up()).await;

    // The broker gets other certificates, of other authorities.
    let (ca, clients) = (Authority::new("New CA"), Authority::new("New clients CA"));
    let issued = ca.broker();
    std::fs::write(dir.join("cert.pem"), &issued.chain).unwrap();
    std::fs::write(dir.join("key.pem"), &issued.key).unwrap();
    std::fs::write(dir.join("clients.pem"), &clients.pem).unwrap();
    broker.restart();
    let delivery = client.publish("t", "x").qos(QoS::ExactlyOnce).send().unwrap();
    let mut watch = client.watch();
    let fault = |cause| move |s: &everlink::State| s.fault.is_some_and(|f| f.cause == cause);
    soon("not believed", watch.wait_for(fault(Cause::Tls))).await.unwrap();
    std::fs::write(dir.join("trusted.pem"), &ca.pem).unwrap();
    soon("not welcome", watch.wait_for(fault(Cause::Denied))).await.unwrap();

    // Of two files one is replaced first.
    let next = clients.client("second");
    std::fs::write(dir.join("client.key"), &next.key).unwrap();
    let half = soon("half", async {
        loop {
            watch.changed().await.unwrap();
            let fault = watch.borrow().fault.expect("down");
            let line = client.explain(&fault);
            if line.contains("client.key") {
                return line;
            }
        }
    });
    assert!(half.await.ends_with("the private key does not belong to the certificate"));
    write(&broker, "client", &next);
    assert!(soon("delivered", delivery).await.is_delivered());
    assert!(broker.log().contains("u'second'"), "{}", broker.log());
}

/// One connection of a link: CONNECT, CONNACK, the end. Tells whether TLS went on with an earlier session.
async fn connection(link: &mut RoadLink) -> bool {
    let mut pipe = soon("open", link.open(0, &Progress::new())).await.expect("it opens");
    let connect = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00";
    let sent = soon("sent", poll_fn(|cx| pipe.poll_write(cx, connect))).await;
    assert_eq!(sent, Ok(connect.len()));
    soon("flushed", poll_fn(|cx| pipe.poll_flush(cx))).await.expect("it goes out");
    let mut ack = [0; 16];
    let n = soon("CONNACK", poll_fn(|cx| pipe.poll_read(cx, &mut ack))).await;
    assert_eq!(n, Ok(4), "{ack:?}");
    let facts = pipe.tls().expect("it is TLS");
    assert_eq!((&*facts.version, facts.certificates.len()), ("TLSv1_3", 1));
    soon("closed", poll_fn(|cx| pipe.poll_close(cx))).await;
    facts.resumed
}

#[tokio::test]
async fn a_session_of_tls_is_resumed_unless_the_options_changed() {
    let (ca, clients) = (Authority::new("Shed CA"), Authority::new("Clients CA"));
    let broker = mutual(&ca.broker(), &clients);
    let endpoint = Endpoint::new("localhost", broker.addr().port()).unwrap();
    let road = Road::Net { endpoint, tls: true, websocket: None };
    let identity = |name| {
        let issued = clients.client(name);
        trusting(&ca).identity(issued.chain.as_bytes(), issued.key.as_bytes()).unwrap()
    };
    let mut next = Some(identity("first"));
    let (sender, receiver) = std::sync::mpsc::channel();
    let refresh = move || Ok(next.take().or_else(|| receiver.try_recv().ok()));
    let mut link = RoadLink::new([road], TcpOptions::default()).refresh_tls(refresh);
    assert!(!connection(&mut link).await, "there is nothing yet to go on with");
    assert!(connection(&mut link).await);
    assert!(connection(&mut link).await);
    // A resumed session would still be the first one's.
    sender.send(identity("second")).unwrap();
    assert!(!connection(&mut link).await);
    assert!(broker.log().contains("u'second'"), "{}", broker.log());
    assert!(connection(&mut link).await);
}

#[tokio::test]
async fn peers_that_speak_no_tls_are_named() {
    // A broker without TLS on this port just closes.
    let plain = Mosquitto::start();
    let (fault, line) = attempt(to(&plain)).await.expect_err("no TLS there");
    assert_eq!(fault.step, Step::Tls);
    assert!(line.contains("perhaps there is no TLS on this port"), "{line}");

    for (answer, what) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "HTTP"),
        (b"\x20\x02\x00\x00", "MQTT"),
        (&[0xa5; 70_000], "noise"),
    ] {
        let (listener, addr) = listener().await;
        let peer = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(answer).await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        });
        let result = attempt(Client::builder(format!("mqtts://localhost:{}", addr.port()))).await;
        refused(result, Cause::WrongProtocol, "does not speak TLS");
        soon(what, peer).await.unwrap();
    }
}

#[tokio::test]
async fn a_peer_that_never_answers_costs_the_connect_timeout() {
    let (listener, addr) = listener().await;
    let silent = tokio::spawn(async move {
        let (_stream, _) = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
    });
    let url = format!("mqtts://localhost:{}", addr.port());
    let result = attempt(Client::builder(url).connect_timeout(Duration::from_millis(300))).await;
    assert_eq!(result.unwrap_err().1, "tls: connect timed out");
    silent.abort();
}

#[test]
fn what_cannot_work_is_said_before_anything_is_tried() {
    let tls = Tls::new;
    let (first, second) = (self_signed(), self_signed());
    let (chain, key) = (first.chain.as_bytes(), first.key.as_bytes());
    assert_eq!(tls().authorities(key).unwrap_err(), TlsError::NoCertificate);
    let damaged = first.chain.replace("MI", "??");
    assert_eq!(tls().authorities(damaged.as_bytes()).unwrap_err(), TlsError::BadPem);
    assert_eq!(tls().identity(chain, chain).unwrap_err(), TlsError::NoKey);
    let other = second.key.as_bytes();
    assert_eq!(tls().identity(chain, other).unwrap_err(), TlsError::OtherKey);
    let locked = first.key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    assert_eq!(tls().identity(chain, locked.as_bytes()).unwrap_err(), TlsError::EncryptedKey);
    assert_eq!(tls().server_name("two words").unwrap_err(), TlsError::BadName);
    assert_eq!(tls().protocols([""]).unwrap_err(), TlsError::BadProtocol);
    let shown = format!("{:?}", tls().identity(chain, key).unwrap());
    let secret: String = first.key.lines().nth(1).unwrap().chars().take(20).collect();
    assert!(!shown.contains(&secret) && !shown.contains("MI"), "{shown}");

    // Options for TLS on a road without it would be of no use, unnoticed.
    let error = Client::builder("mqtt://shed").tls(tls()).build().map(|_| ()).unwrap_err();
    assert_eq!(error, BuildError::NoTls);
}
