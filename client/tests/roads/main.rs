//! Every road to a broker: what is refused, and that outages cost nothing on any of them.
#![cfg(all(feature = "tls", feature = "ws", feature = "proxy", feature = "modem"))]

#[path = "../support/mod.rs"]
mod support;

mod authority;
mod bridge;
mod flush;
mod line;
mod modem;
mod outages;
mod proxies;
mod serial;
mod tls;
mod unix;
mod websocket;

use std::net::{Ipv4Addr, SocketAddr};

use everlink::{Builder, Client, Fault, QoS, RoadLink, Stopped};
use everlink_link::tcp::TcpOptions;
use everlink_link::{Endpoint, TcpLink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use support::{soon, text};

/// Connects once: how it went, and the fault in words.
async fn attempt(builder: Builder) -> Result<(), (Fault, String)> {
    let (client, driver) = builder.build().expect("the options are valid");
    let running = tokio::spawn(driver.run());
    if soon("an end", client.up()).await {
        client.close();
        soon("the driver", running).await.expect("no panic");
        return Ok(());
    }
    let Stopped { fault, .. } = soon("the driver", running).await.expect("no panic");
    let fault = fault.expect("it gave up");
    Err((fault, client.explain(&fault)))
}

/// A client and its running driver.
fn run(builder: Builder) -> (Client, JoinHandle<Stopped>) {
    let (client, driver) = builder.build().expect("the options are valid");
    (client, tokio::spawn(driver.run()))
}

/// Messages of many sizes go out and come back, and the client leaves in order.
async fn echo(builder: Builder) {
    let (client, driver) = run(builder);
    let mut echo = soon("granted", client.subscribe("echo", QoS::ExactlyOnce)).await.unwrap();
    for size in [0, 1, 125, 126, 1000, 16_384, 50_000] {
        let payload = "x".repeat(size);
        let publish = client.publish("echo", &payload).qos(QoS::ExactlyOnce);
        soon("delivered", publish).await.unwrap();
        assert_eq!(text(&soon("echo", echo.next()).await.unwrap()), payload);
    }
    client.close();
    assert!(soon("the driver", driver).await.unwrap().fault.is_none());
}

/// An idle client is to be small, so what only some roads need must not lie in every driver.
#[test]
fn a_driver_has_no_room_for_roads_it_does_not_take() {
    let size = |link: RoadLink| {
        let (_client, driver) = Client::builder("mqtt://shed").build_over(link).expect("valid");
        size_of_val(&driver.run())
    };
    let (_client, over_tcp) = {
        let endpoint = Endpoint::new("shed", 1883).expect("a name");
        Client::builder("mqtt://shed").build_over(TcpLink::new([endpoint])).expect("valid")
    };
    let over_tcp = size_of_val(&over_tcp.run());
    let over_any = size(RoadLink::new([], TcpOptions::default()));
    println!("{over_tcp} bytes over TCP, {over_any} over any road");
    assert!(over_any <= over_tcp, "{over_any} bytes instead of {over_tcp}");
}

/// A listener of ours, and its address.
async fn listener() -> (tokio::net::TcpListener, SocketAddr) {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    (listener, addr)
}

/// A peer that reads a little, says this to whoever comes, and then reads on until they leave.
async fn says(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let (listener, addr) = listener().await;
    let answer = answer.into();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut block = [0; 1024];
                let _ = stream.read(&mut block).await;
                let _ = stream.write_all(&answer).await;
                while stream.read(&mut block).await.is_ok_and(|n| n > 0) {}
            });
        }
    });
    addr
}
