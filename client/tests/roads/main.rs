//! Every road to a broker: what is refused, and that outages cost nothing on any of them.
#![cfg(feature = "tls")]

#[path = "../support/mod.rs"]
mod support;

mod authority;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};

use everlink::{Builder, Client, Fault, Stopped};
use tokio::task::JoinHandle;

use support::soon;

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

/// A listener of ours, and its address.
async fn listener() -> (tokio::net::TcpListener, SocketAddr) {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    (listener, addr)
}
