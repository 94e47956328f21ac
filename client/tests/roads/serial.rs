//! A serial line, with a broker at its other end.

use std::time::Duration;

use everlink::{Cause, Client, Fault, FirstConnect, QoS, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bridge::Bridge;
use crate::line::Line;
use crate::support::mosquitto::Mosquitto;
use crate::support::{VERSIONS, soon};
use crate::{attempt, echo, run};

#[tokio::test]
async fn messages_pass() {
    let broker = Mosquitto::start();
    let path = broker.directory().join("tty");
    let _bridge = Bridge::serial(broker.addr(), path.clone());
    for version in VERSIONS {
        // With bytes that a terminal would not leave alone, too.
        let url = format!("serial://{}?baud=115200&flow=hardware", path.display());
        echo(Client::builder(&url).version(version)).await;
        let (client, _driver) = run(Client::builder(&url).version(version));
        let mut every = soon("granted", client.subscribe("every", QoS::ExactlyOnce)).await.unwrap();
        let payload: Vec<u8> = (0..=255).collect();
        soon("out", client.publish("every", &payload).qos(QoS::ExactlyOnce)).await.unwrap();
        assert_eq!(soon("back", every.next()).await.unwrap().payload, payload);
    }
}

#[tokio::test]
async fn a_port_belongs_to_one_program() {
    let broker = Mosquitto::start();
    let path = broker.directory().join("tty");
    let _far = Line::plug_in(&path);
    let url = format!("serial://{}", path.display());
    let (first, _driver) = run(Client::builder(&url).first_connect(FirstConnect::Forever));
    let mut watch = first.watch();
    soon("open", watch.wait_for(|s| s.step == Step::Handshake)).await.unwrap();
    let (fault, line) = attempt(Client::builder(&url)).await.unwrap_err();
    assert_eq!(fault, Fault::new(Step::Link, Cause::Refused));
    assert_eq!(line, format!("link: {}: in use by another program", path.display()));
}

#[tokio::test]
async fn a_device_may_be_unplugged_and_come_back() {
    let broker = Mosquitto::start();
    let path = broker.directory().join("tty");
    let url = format!("serial://{}", path.display());
    let (fault, line) = attempt(Client::builder(&url)).await.unwrap_err();
    assert_eq!(fault, Fault::new(Step::Link, Cause::NotFound));
    assert_eq!(line, format!("link: {}: no such device; is it plugged in?", path.display()));

    let (client, _driver) = run(Client::builder(&url).first_connect(FirstConnect::Forever));
    let mut watch = client.watch();
    soon("missing", watch.wait_for(|s| s.fault.is_some())).await.unwrap();
    let bridge = Bridge::serial(broker.addr(), path.clone());
    soon("plugged in", client.up()).await;
    bridge.cut();
    let state = soon("unplugged", watch.wait_for(|s| !s.is_up())).await.unwrap().fault.unwrap();
    assert_eq!(state.cause, Cause::NotFound);
    soon("plugged in again", client.up()).await;
}

#[tokio::test]
async fn what_is_left_on_the_line_is_dropped() {
    let broker = Mosquitto::start();
    let path = broker.directory().join("tty");
    let mut far = Line::plug_in(&path);
    // The end of what an earlier connection was sent; it goes on while we open.
    far.write_all(&[0xff; 300]).await.unwrap();
    let url = format!("serial://{}", path.display());
    let (client, _driver) =
        run(Client::builder(&url).version(everlink::Version::V311).client_id("c"));
    for _ in 0..10 {
        let _ = far.write_all(&[0xff; 10]).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut connect = [0; 15];
    soon("CONNECT", far.read_exact(&mut connect)).await.unwrap();
    assert_eq!(connect[0], 0x10);
    far.write_all(b"\x20\x02\x00\x00").await.unwrap();
    assert!(soon("up", client.up()).await);
    assert_eq!(client.stats().attempts, 1);
}

#[tokio::test]
async fn noise_is_no_broker() {
    let broker = Mosquitto::start();
    let path = broker.directory().join("tty");
    let mut far = Line::plug_in(&path);
    let noise = tokio::spawn(async move { while far.write_all(&[0xa5; 256]).await.is_ok() {} });
    let builder = Client::builder(format!("serial://{}", path.display()));
    let (fault, _) = attempt(builder.connect_timeout(Duration::from_secs(2))).await.unwrap_err();
    assert_eq!(fault.step, Step::Handshake, "{fault}");
    noise.abort();
}
