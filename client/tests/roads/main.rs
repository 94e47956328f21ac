//! Every road to a broker: what is refused, and that outages cost nothing on any of them.
#![cfg(all(feature = "tls", feature = "ws", feature = "proxy", feature = "serial"))]

#[path = "../support/mod.rs"]
mod support;

mod authority;
mod bridge;
mod flush;
mod line;
mod outages;
mod proxies;
mod serial;
mod tls;
mod unix;
mod websocket;

use std::net::{Ipv4Addr, SocketAddr};

use everlink::{Builder, Client, Fault, QoS, Stopped};
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
