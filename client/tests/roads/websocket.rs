//! WebSockets against a real broker, and against servers that are none.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use everlink::{BuildError, Cause, Client, Fault, FirstConnect, Step, Tls};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::authority::{Authority, Issued};
use crate::support::mosquitto::Mosquitto;
use crate::support::{VERSIONS, memory_in_use, soon};
use crate::{attempt, echo, listener, run, says};

pub(crate) const LISTENER: &str = "allow_anonymous true\nlistener NEXT 127.0.0.1\nprotocol websockets\n\
    allow_anonymous true\n";

#[tokio::test]
async fn messages_pass() {
    let broker = Mosquitto::with(LISTENER);
    for version in VERSIONS {
        echo(Client::builder(format!("ws://{}", broker.next_addr())).version(version)).await;
    }
}

#[tokio::test]
async fn messages_pass_over_tls() {
    let ca = Authority::new("Shed CA");
    let Issued { chain, key } = ca.broker();
    let options = format!("{LISTENER}certfile DIR/cert.pem\nkeyfile DIR/key.pem\n");
    let broker = Mosquitto::with_files(&options, &[("cert.pem", &*chain), ("key.pem", &*key)]);
    let url = format!("wss://localhost:{}", broker.next_addr().port());
    let trusting = Tls::new().authorities(ca.pem.as_bytes()).unwrap();
    for version in VERSIONS {
        echo(Client::builder(&url).version(version).tls(trusting.clone())).await;
    }
    let (fault, line) = attempt(Client::builder(&url)).await.unwrap_err();
    assert_eq!(fault, Fault::new(Step::Tls, Cause::Tls), "{line}");
}

#[track_caller]
fn refused(result: Result<(), (Fault, String)>, cause: Cause, words: &str) {
    let (fault, line) = result.expect_err("it is refused");
    assert_eq!(fault, Fault::new(Step::WebSocket, cause), "{line}");
    assert!(line.starts_with("websocket: ") && line.contains(words), "{line:?} lacks {words:?}");
}

#[tokio::test]
async fn servers_that_are_none_say_what_they_are() {
    let head = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\n{more}\r\n");
    for (answer, cause, words) in [
        (head("404 Not Found", ""), Cause::WrongProtocol, "answers 404 Not Found to GET /mqtt"),
        (head("200 OK", "Content-Length: 0\r\n"), Cause::WrongProtocol, "opens no WebSocket there"),
        (head("401 Unauthorized", ""), Cause::Denied, "answers 401 Unauthorized"),
        (head("503 Busy\x1b[2J", ""), Cause::WrongProtocol, "does not speak HTTP"),
        (head("503 Busy", ""), Cause::Refused, "answers 503 Busy"),
        (
            head("301 Moved", "Location: wss://other/mqtt\r\n"),
            Cause::WrongProtocol,
            "answers 301 Moved and points to wss://other/mqtt",
        ),
        (
            head(
                "101 Yes",
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n",
            ),
            Cause::WrongProtocol,
            "does not speak WebSocket as it should",
        ),
        ("\x20\x02\0\0".into(), Cause::WrongProtocol, "the server does not speak HTTP"),
        ("SSH-2.0-OpenSSH_9.2\r\n".into(), Cause::WrongProtocol, "the server does not speak HTTP"),
        (head("200 OK", &"a: b\r\n".repeat(50_000)), Cause::WrongProtocol, "has no end"),
        (head("200 OK", &"a".repeat(5_000_000)), Cause::WrongProtocol, "has no end"),
        (String::new(), Cause::OpenTimeout, "connect timed out"),
    ] {
        let addr = says(answer).await;
        let builder = Client::builder(format!("ws://{addr}"));
        refused(attempt(builder.connect_timeout(Duration::from_millis(500))).await, cause, words);
    }
    // A broker without WebSockets closes.
    let plain = Mosquitto::start();
    let (fault, _) = attempt(Client::builder(format!("ws://{}", plain.addr()))).await.unwrap_err();
    assert_eq!(fault.step, Step::WebSocket);
}

/// Accepts a WebSocket as a broker would; gives what the client asked.
async fn accept(stream: &mut TcpStream, protocol: &str) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert!(stream.read_buf(&mut request).await.unwrap() > 0);
    }
    let request = String::from_utf8(request).unwrap();
    let key = request.lines().find_map(|l| l.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let proof = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let proof = BASE64_STANDARD.encode(Sha1::digest(proof));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nconnection: keep-alive, Upgrade\r\n\
         sec-websocket-accept: {proof}\r\n{protocol}\r\n"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    request
}

const MQTT: &str = "Sec-WebSocket-Protocol: mqtt\r\n";

/// `[MQTT-6.0.0-3]`
#[tokio::test]
async fn the_request_says_what_it_must_and_what_was_asked_for() {
    let (listener, addr) = listener().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        accept(&mut stream, "").await
    });
    let builder = Client::builder(format!("ws://u:p@{addr}/a/b?token=c#d"));
    refused(
        attempt(builder.websocket_header("X-Key: secret")).await,
        Cause::WrongProtocol,
        "does not offer the subprotocol mqtt",
    );
    let request = soon("the request", server).await.unwrap();
    for line in [
        "GET /a/b?token=c HTTP/1.1\r\n",
        &format!("Host: {addr}\r\n"),
        "Sec-WebSocket-Version: 13\r\n",
        MQTT,
        "X-Key: secret\r\n",
    ] {
        assert!(request.contains(line), "{line:?} is not in {request:?}");
    }
    assert!(!request.contains("u:p"), "who we are is MQTT's affair");
    for header in ["", "no colon", "a b: c", "a: b\r\nc: d", "ä: b"] {
        let built = Client::builder("ws://shed").websocket_header(header).build().map(|_| ());
        assert!(matches!(built, Err(BuildError::Header(_))), "{header:?}");
    }
}

/// A client that met a server which, after the handshake, sent this: the fault in words.
async fn after_handshake(frames: Vec<u8>) -> (Fault, String) {
    let (listener, addr) = listener().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        accept(&mut stream, MQTT).await;
        let _ = stream.write_all(&frames).await;
        let mut block = [0; 1024];
        while stream.read(&mut block).await.is_ok_and(|n| n > 0) {}
    });
    let url = format!("ws://{addr}");
    let builder = Client::builder(url).response_time(Duration::from_millis(800));
    let result = attempt(builder).await.expect_err("it is no broker");
    server.abort();
    result
}

/// `[MQTT-6.0.0-1]`
#[tokio::test]
async fn servers_that_break_the_rules_are_left() {
    let text = after_handshake(b"\x81\x05hello".to_vec()).await;
    assert_eq!(text.0.cause, Cause::WrongProtocol);
    let words = "mqtt: the server sends text in the WebSocket; MQTT is sent in binary frames";
    assert_eq!(text.1, words);
    let masked = after_handshake(b"\x82\x81\x00\x00\x00\x00\x20".to_vec()).await;
    assert_eq!(masked.1, "mqtt: the server breaks the rules of WebSocket");
    let closed = after_handshake(b"\x88\x08\x03\xe9go off".to_vec()).await;
    assert_eq!(closed.0.cause, Cause::Eof);
    assert_eq!(closed.1, "mqtt: the server closes the WebSocket, 1001 go off");
}

#[tokio::test]
async fn nothing_a_server_sends_makes_us_grow() {
    let before = memory_in_use();
    // The longest frame there can be, with a packet of 256 MB inside, as far as it comes.
    let mut huge = b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff\x30\xff\xff\xff\x7f".to_vec();
    huge.resize(40_000_000, 0);
    let (fault, line) = after_handshake(huge).await;
    assert_eq!(fault.step, Step::Handshake, "{line}");
    // Pings and empty frames without end.
    let flood = [&b"\x89\x7d"[..], &[b'?'; 125], b"\x82\x00"].concat().repeat(100_000);
    let (fault, line) = after_handshake(flood).await;
    assert_eq!(fault, Fault::new(Step::Handshake, Cause::NoConnack), "{line}");
    let grown = memory_in_use().saturating_sub(before);
    // The server's own 40 MB and 13 MB, which the allocator may keep, and a little more.
    assert!(grown < 60_000_000, "{grown} bytes");
}

/// `[MQTT-6.0.0-2]`
#[tokio::test]
async fn packets_need_not_begin_where_frames_do() {
    let (listener, addr) = listener().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        accept(&mut stream, MQTT).await;
        // CONNACK of MQTT 3.1.1 byte by byte in a message of several frames, with a ping between.
        for frame in
            [&b"\x02\x01\x20"[..], b"\x00\x00", b"\x89\x02hi", b"\x00\x02\x02\x00", b"\x80\x01\x00"]
        {
            stream.write_all(frame).await.unwrap();
            stream.flush().await.unwrap();
        }
        // CONNECT, then the pong, masked.
        let mut came = Vec::new();
        while !came.windows(2).any(|w| w == [0x8a, 0x82]) {
            assert!(stream.read_buf(&mut came).await.unwrap() > 0, "{came:?}");
        }
        // DISCONNECT in a frame of its own, and the end of the WebSocket.
        while !came.windows(2).any(|w| w == [0x88, 0x82]) {
            assert!(stream.read_buf(&mut came).await.unwrap() > 0, "{came:?}");
        }
        stream.write_all(b"\x88\x02\x03\xe8").await.unwrap();
        stream.read_buf(&mut came).await.unwrap()
    });
    let builder = Client::builder(format!("ws://{addr}")).version(everlink::Version::V311);
    let (client, driver) = run(builder.first_connect(FirstConnect::Forever).client_id("c"));
    assert!(soon("up", client.up()).await);
    client.close();
    soon("the driver", driver).await.unwrap();
    assert_eq!(soon("the server", server).await.unwrap(), 0, "the end comes after both said so");
}
