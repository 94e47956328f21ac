//! Ways through proxies, and proxies that are none.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use everlink::{BuildError, Builder, Cause, Client, Fault, Road, RoadLink, Step, Tls};
use everlink_link::tcp::TcpOptions;
use everlink_link::{Endpoint, Link, Pipe, Progress};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use crate::authority::{Authority, Issued};
use crate::support::mosquitto::Mosquitto;
use crate::support::soon;
use crate::{attempt, echo, listener, says, websocket};

/// A proxy of either kind, which wants to know who we are if `login` is given. It knows a host that no
/// name server does.
async fn proxy(broker: SocketAddr, login: Option<&'static str>) -> SocketAddr {
    let (listener, addr) = listener().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = serve(stream, broker, login).await;
            });
        }
    });
    addr
}

async fn serve(
    mut stream: TcpStream,
    broker: SocketAddr,
    login: Option<&str>,
) -> std::io::Result<()> {
    let mut first = [0; 1];
    stream.peek(&mut first).await?;
    let allowed = match first[0] {
        5 => socks(&mut stream, broker, login).await?,
        _ => http(&mut stream, broker, login).await?,
    };
    if allowed {
        let mut upstream = TcpStream::connect(broker).await?;
        copy_bidirectional(&mut stream, &mut upstream).await?;
    }
    Ok(())
}

async fn http(
    stream: &mut TcpStream,
    broker: SocketAddr,
    login: Option<&str>,
) -> std::io::Result<bool> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let request = String::from_utf8(request).expect("text");
    // "u:p" in Base64.
    let known = login.is_none() || request.contains("Proxy-Authorization: Basic dTpw\r\n");
    let wanted =
        request.starts_with(&format!("CONNECT shed.invalid:{} HTTP/1.1\r\n", broker.port()));
    let answer = match (known, wanted) {
        (false, _) => "407 Proxy Authentication Required",
        (true, false) => "502 Bad Gateway",
        (true, true) => "200 Connection established",
    };
    stream.write_all(format!("HTTP/1.1 {answer}\r\nVia: test\r\n\r\n").as_bytes()).await?;
    Ok(known && wanted)
}

async fn socks(
    stream: &mut TcpStream,
    broker: SocketAddr,
    login: Option<&str>,
) -> std::io::Result<bool> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    let mut methods = vec![0; head[1].into()];
    stream.read_exact(&mut methods).await?;
    let method = if login.is_some() { 2 } else { 0 };
    if !methods.contains(&method) {
        stream.write_all(&[5, 0xff]).await?;
        return Ok(false);
    }
    stream.write_all(&[5, method]).await?;
    if login.is_some() {
        let mut words = [0; 5];
        stream.read_exact(&mut words).await?;
        let known = &words == b"\x01\x01u\x01p";
        stream.write_all(&[1, u8::from(!known)]).await?;
        if !known {
            return Ok(false);
        }
    }
    let wanted = [b"\x05\x01\x00\x03\x0cshed.invalid", &broker.port().to_be_bytes()[..]].concat();
    let mut request = vec![0; wanted.len()];
    stream.read_exact(&mut request).await?;
    let verdict = if request == wanted { 0 } else { 5 };
    // From where it connects: a name.
    stream.write_all(&[5, verdict, 0, 3, 2, b'm', b'e', 0, 9]).await?;
    Ok(verdict == 0)
}

/// To a broker that only the proxy knows.
fn behind(port: u16, scheme: &str, proxy: &str) -> Builder {
    Client::builder(format!("{scheme}://shed.invalid:{port}"))
        .proxy(proxy)
        .connect_timeout(Duration::from_millis(800))
}

#[tokio::test]
async fn tcp_tls_and_websockets_go_through() {
    let ca = Authority::new("Shed CA");
    let Issued { chain, key } = ca.issue(&["shed.invalid"], |_| {});
    let files = [("cert.pem", &*chain), ("key.pem", &*key)];
    let tls = "allow_anonymous true\ncertfile DIR/cert.pem\nkeyfile DIR/key.pem\n";
    let protected = Mosquitto::with_files(tls, &files);
    let web = format!("{}certfile DIR/cert.pem\nkeyfile DIR/key.pem\n", websocket::LISTENER);
    let web = Mosquitto::with_files(&web, &files);
    let trusting = || Tls::new().authorities(ca.pem.as_bytes()).unwrap();
    for kind in ["http", "socks5"] {
        for login in [None, Some("u:p")] {
            let at = async |broker: SocketAddr| {
                let user_info = login.map_or(String::new(), |login| format!("{login}@"));
                format!("{kind}://{user_info}{}", proxy(broker, login).await)
            };
            let plain = at(web.addr()).await;
            echo(behind(web.addr().port(), "mqtt", &plain)).await;
            let over_tls = at(protected.addr()).await;
            echo(behind(protected.addr().port(), "mqtts", &over_tls).tls(trusting())).await;
            let over_both = at(web.next_addr()).await;
            echo(behind(web.next_addr().port(), "wss", &over_both).tls(trusting())).await;
        }
    }
}

/// The deepest stack there is: proxy, TLS, WebSocket.
#[tokio::test]
async fn an_attempt_may_be_dropped_at_any_time() {
    let ca = Authority::new("Shed CA");
    let Issued { chain, key } = ca.issue(&["shed.invalid"], |_| {});
    let options = format!("{}certfile DIR/cert.pem\nkeyfile DIR/key.pem\n", websocket::LISTENER);
    let files = [("cert.pem", &*chain), ("key.pem", &*key)];
    let broker = Mosquitto::with_files(&options, &files);
    let port = broker.next_addr().port();
    let endpoint = Endpoint::new("shed.invalid", port).unwrap();
    let road = Road::Net { endpoint, tls: true, websocket: Some("/mqtt".into()) };
    let proxy = format!("socks5://{}", proxy(broker.next_addr(), None).await).parse().unwrap();
    let trusting = Tls::new().authorities(ca.pem.as_bytes()).unwrap();
    let mut link = RoadLink::new([road], TcpOptions::default()).proxy(proxy).tls(trusting);
    for step in [Step::Transport, Step::Proxy, Step::Tls, Step::WebSocket] {
        for _ in 0..3 {
            let progress = Progress::new();
            let mut attempt = pin!(link.open(0, &progress));
            let came = poll_fn(|cx| match attempt.as_mut().poll(cx) {
                Poll::Pending if progress.get() == step => Poll::Ready(true),
                Poll::Pending => Poll::Pending,
                Poll::Ready(_) => Poll::Ready(false),
            });
            assert!(soon("an attempt", came).await, "it never waits at {step:?}");
        }
    }
    let progress = Progress::new();
    let opened = soon("open", link.open(0, &progress)).await;
    let mut pipe = opened.expect("nothing is left of those that were dropped");
    assert!(pipe.tls().is_some());
    soon("closed", poll_fn(|cx| pipe.poll_close(cx))).await;
}

#[track_caller]
fn refused(result: Result<(), (Fault, String)>, cause: Cause, words: &str) {
    let (fault, line) = result.expect_err("it is refused");
    assert_eq!(fault, Fault::new(Step::Proxy, cause), "{line}");
    assert!(line.starts_with("proxy: ") && line.contains(words), "{line:?} lacks {words:?}");
}

#[tokio::test]
async fn what_a_proxy_refuses_it_says() {
    let broker = Mosquitto::start();
    let port = broker.addr().port();
    let guarded = proxy(broker.addr(), Some("u:p")).await;
    let open = proxy(broker.addr(), None).await;
    for kind in ["http", "socks5"] {
        let none = attempt(behind(port, "mqtt", &format!("{kind}://{guarded}"))).await;
        refused(none, Cause::Denied, "the proxy wants a user name and a password");
        let wrong = attempt(behind(port, "mqtt", &format!("{kind}://u:x@{guarded}"))).await;
        refused(wrong, Cause::Denied, "the proxy does not accept our user name and password");
    }
    let away = attempt(behind(1, "mqtt", &format!("http://{open}"))).await;
    refused(away, Cause::Unreachable, "cannot reach shed.invalid:1 (502 Bad Gateway)");
    let away = attempt(behind(1, "mqtt", &format!("socks5://{open}"))).await;
    refused(away, Cause::Refused, "no connection to shed.invalid:1: connection refused");
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let (listener, addr) = listener().await;
    drop(listener);
    let (fault, line) = attempt(behind(1, "mqtt", &format!("http://{addr}"))).await.unwrap_err();
    assert_eq!(fault, Fault::new(Step::Transport, Cause::Refused));
    assert_eq!(line, format!("tcp: proxy {addr}: connection refused"));
}

#[tokio::test]
async fn proxies_that_are_none() {
    for (kind, answer, cause, words) in [
        ("http", &b""[..], Cause::OpenTimeout, "connect timed out"),
        ("socks5", b"", Cause::OpenTimeout, "connect timed out"),
        ("socks5", b"\x05\x00", Cause::OpenTimeout, "connect timed out"),
        ("http", b"\x05\x00", Cause::WrongProtocol, "the proxy does not speak HTTP"),
        ("socks5", b"HTTP/1.1 400 Bad\r\n\r\n", Cause::WrongProtocol, "does not speak SOCKS5"),
        ("socks5", b"\x05\x07", Cause::WrongProtocol, "does not speak SOCKS5"),
        ("socks5", b"\x05\x00\x05\x00\x00\x09", Cause::WrongProtocol, "does not speak SOCKS5"),
        ("http", b"HTTP/1.1 405 No\r\n\r\n", Cause::WrongProtocol, "the proxy answers 405 No"),
        ("http", b"HTTP/1.1 403 No\r\n\r\n", Cause::Denied, "allows no connection"),
        ("http", b"HTTP/1.1 200 OK\r\n\r\nhello", Cause::WrongProtocol, "what nobody asked for"),
        ("http", &[b'H'; 100_000], Cause::WrongProtocol, "the proxy does not speak HTTP"),
    ] {
        let addr = says(answer).await;
        let result = attempt(behind(1, "mqtt", &format!("{kind}://{addr}"))).await;
        refused(result, cause, words);
    }
    let built = Client::builder("mqtt://shed").proxy("ftp://x").build().map(|_| ());
    assert!(matches!(built, Err(BuildError::Proxy(_))));
}
