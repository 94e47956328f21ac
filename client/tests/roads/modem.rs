//! An emulated WiFi module, with a broker behind its network.

use std::net::SocketAddr;
use std::time::Duration;

use everlink::{Builder, Cause, Client, Fault, FirstConnect, Ladder, QoS, Step};
use everlink_sim::modem::{Firmware, Modem, Module};

use crate::support::mosquitto::Mosquitto;
use crate::support::{VERSIONS, soon, text, wait_until};
use crate::{attempt, echo, listener, run};

const BOTH: [Firmware; 2] = [Firmware::V1, Firmware::V2];

/// A module in reach of one network, `shed`, in the directory of `broker`; and the URL of the way
/// through it to `to`.
pub(crate) fn through(
    broker: &Mosquitto,
    firmware: Firmware,
    to: SocketAddr,
    shape: impl FnOnce(Module) -> Module,
) -> (Modem, String) {
    let device = broker.directory().join("modem");
    let networks = broker.directory().join("networks");
    std::fs::write(&networks, "barn=another one\nshed=a secret, \"quoted\"\n").expect("a file");
    let module = Module::new(firmware)
        .network("shed", "a secret, \"quoted\"")
        .name("broker.test", [127, 0, 0, 1]);
    let modem = Modem::plug_in(&device, shape(module)).expect("a pseudo-terminal");
    let port = to.port();
    let url = format!(
        "esp-at://{}?networks={}&stable=0&to=mqtt://broker.test:{port}",
        device.display(),
        networks.display()
    );
    (modem, url)
}

/// The same with a reset line.
pub(crate) fn resettable(
    broker: &Mosquitto,
    firmware: Firmware,
    to: SocketAddr,
) -> (Modem, String) {
    use std::os::unix::fs::PermissionsExt;
    let line = broker.directory().join("reset-line");
    let program = broker.directory().join("reset");
    std::fs::write(&program, format!("#!/bin/sh\n: > {}\n", line.display())).expect("a file");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("a program");
    let (modem, url) = through(broker, firmware, to, |module| module.reset_file(line));
    (modem, format!("{url}&reset={}", program.display()))
}

fn patient(url: &str) -> Builder {
    Client::builder(url).first_connect(FirstConnect::Forever)
}

#[tokio::test]
async fn messages_pass() {
    for firmware in BOTH {
        let broker = Mosquitto::start();
        let (modem, url) = through(&broker, firmware, broker.addr(), |module| module);
        for version in VERSIONS {
            echo(Client::builder(&url).version(version)).await;
        }
        assert_eq!(modem.boots(), 1);
    }
}

#[tokio::test]
async fn the_stage_that_fails_is_named() {
    let broker = Mosquitto::start();
    let (modem, url) = through(&broker, Firmware::V2, broker.addr(), |module| module);
    let device = broker.directory().join("modem");
    let device = device.display();
    let (_, closed) = listener().await;
    for (fault, url, step, cause, words) in [
        ("no_wifi", url.clone(), Step::Link, Cause::Unreachable, "no such network in reach"),
        ("no_names", url.clone(), Step::Resolve, Cause::UnknownHost, "cannot resolve the name"),
        (
            "",
            url.replace("broker.test", "elsewhere.test"),
            Step::Resolve,
            Cause::UnknownHost,
            "cannot resolve the name",
        ),
        (
            "",
            url.replace(&broker.addr().port().to_string(), &closed.port().to_string()),
            Step::Transport,
            Cause::Refused,
            "the module cannot connect",
        ),
        ("hung", url.clone(), Step::Link, Cause::Silent, "does not answer"),
    ] {
        // No network is left from before.
        modem.restart();
        modem.faults(|faults| {
            faults.no_wifi = fault == "no_wifi";
            faults.no_names = fault == "no_names";
        });
        let boots = modem.boots();
        wait_until(|| modem.boots() > boots).await;
        modem.faults(|faults| faults.hung = fault == "hung");
        let (told, line) = attempt(Client::builder(url)).await.unwrap_err();
        assert_eq!(told, Fault::new(step, cause), "{fault}: {line}");
        assert!(line.contains(words) && line.contains(&device.to_string()), "{line}");
    }
    drop(modem);
    let (told, _) = attempt(Client::builder(url)).await.unwrap_err();
    assert_eq!(told, Fault::new(Step::Link, Cause::NotFound));
}

#[tokio::test]
async fn a_wrong_passphrase_is_told_apart() {
    let broker = Mosquitto::start();
    let (_modem, url) = through(&broker, Firmware::V1, broker.addr(), |module| module);
    let networks = broker.directory().join("networks");
    std::fs::write(networks, "shed=not this one\n").expect("a file");
    let (told, line) = attempt(Client::builder(url)).await.unwrap_err();
    assert_eq!(told, Fault::new(Step::Link, Cause::Denied));
    assert!(line.ends_with("the network does not take the passphrase"), "{line}");
}

#[tokio::test]
async fn a_module_that_hangs_is_reset() {
    let broker = Mosquitto::start();
    let (modem, url) = resettable(&broker, Firmware::V2, broker.addr());
    let ladder = Ladder { device_after: 1, ..Ladder::default() };
    let (client, _driver) = run(patient(&url).ladder(ladder));
    assert!(soon("up", client.up()).await);
    let mut watch = client.watch();
    watch.borrow_and_update();
    modem.faults(|faults| faults.hung = true);
    let fault = soon("noticed", watch.wait_for(|s| !s.is_up())).await.unwrap().fault;
    assert_eq!(fault, Some(Fault::new(Step::Up, Cause::Silent)));
    assert!(soon("up again", client.up()).await);
    assert_eq!(modem.boots(), 2);
}

#[tokio::test]
async fn a_busy_module_is_told_again() {
    let broker = Mosquitto::start();
    let (modem, url) = through(&broker, Firmware::V1, broker.addr(), |module| module);
    modem.faults(|faults| faults.busy = 5);
    let (client, _driver) = run(patient(&url));
    assert!(soon("up", client.up()).await);
    modem.faults(|faults| faults.busy = 3);
    soon("out", client.publish("a", "b").qos(QoS::AtLeastOnce)).await.unwrap();
    assert_eq!(client.stats().attempts, 1);
}

/// Random bytes, lines without end and huge lengths do no harm, and it goes on when they cease.
#[tokio::test]
async fn a_module_that_raves_does_no_harm() {
    let broker = Mosquitto::start();
    let (modem, url) = resettable(&broker, Firmware::V2, broker.addr());
    let builder = patient(&url).ladder(Ladder { device_after: 2, ..Ladder::default() });
    let (client, _driver) = run(builder.ping_interval(Duration::from_millis(200)));
    for said in [
        "x".repeat(300_000).into_bytes(),
        b"\r\n+IPD,4294967295\r\n".to_vec(),
        b"\r\n+CIPRECVDATA:4294967295,".to_vec(),
        b"\r\n+IPD,4294967295:".repeat(1000),
        b"OK\r\nready\r\nERROR\r\n>SEND OK\r\n".repeat(1000),
        vec![0; 10_000],
        (0..100_000).map(|_| fastrand::u8(..)).collect(),
    ] {
        assert!(soon("up", client.up()).await);
        modem.say(said);
        soon("out", client.publish("a", "b").qos(QoS::AtLeastOnce)).await.unwrap();
    }
    let outages = client.stats().outages;
    modem.faults(|faults| faults.raving = true);
    wait_until(|| client.stats().outages > outages).await;
    let attempts = client.stats().attempts;
    wait_until(|| client.stats().attempts > attempts).await;
    modem.faults(|faults| faults.raving = false);
    soon("out", client.publish("a", "b").qos(QoS::AtLeastOnce)).await.unwrap();
}

#[tokio::test]
async fn the_network_that_served_last_comes_first() {
    let broker = Mosquitto::start();
    let (modem, url) = through(&broker, Firmware::V2, broker.addr(), |module| module);
    let (client, _driver) = run(patient(&url));
    assert!(soon("up", client.up()).await);
    let joins = || modem.commands().iter().filter(|c| c.starts_with("AT+CWJAP=")).count();
    assert_eq!(joins(), 2, "the first of the list is away");
    modem.lose_wifi();
    wait_until(|| client.stats().outages > 0).await;
    assert!(soon("up", client.up()).await);
    assert_eq!(joins(), 3);
}

#[tokio::test]
async fn a_module_may_know_its_network_by_itself() {
    let broker = Mosquitto::start();
    let shape = |module: Module| module.remembers("shed");
    let (modem, url) = through(&broker, Firmware::V1, broker.addr(), shape);
    let networks = broker.directory().join("networks");
    let url = url.replace(&format!("networks={}&", networks.display()), "");
    echo(Client::builder(url)).await;
    assert!(!modem.commands().iter().any(|c| c.starts_with("AT+CWJAP=")));
}

#[tokio::test]
async fn a_device_belongs_to_one_program_and_networks_must_be_readable() {
    let broker = Mosquitto::start();
    let (_modem, url) = through(&broker, Firmware::V2, broker.addr(), |module| module);
    let (client, _driver) = run(patient(&url));
    assert!(soon("up", client.up()).await);
    let (fault, line) = attempt(Client::builder(&url)).await.unwrap_err();
    assert_eq!(fault, Fault::new(Step::Link, Cause::Refused));
    assert!(line.ends_with("in use by another program"), "{line}");
    let networks = broker.directory().join("networks");
    std::fs::remove_file(&networks).expect("it was there");
    let (fault, line) = attempt(Client::builder(&url)).await.unwrap_err();
    assert_eq!(fault, Fault::new(Step::Link, Cause::NotFound));
    assert!(line.contains(&format!("networks: {}", networks.display())), "{line}");
}

#[tokio::test]
async fn a_slow_reader_holds_the_broker_back() {
    let broker = Mosquitto::start();
    let (_modem, url) = through(&broker, Firmware::V1, broker.addr(), |module| module);
    let (client, _driver) = run(patient(&url));
    let mut all =
        soon("granted", client.subscribe("all", QoS::AtLeastOnce).capacity(1)).await.unwrap();
    let payload = "x".repeat(3000);
    let sent: Vec<_> = (0..20)
        .map(|_| client.publish("all", &payload).qos(QoS::AtLeastOnce).send().unwrap())
        .collect();
    for delivery in sent {
        assert!(soon("delivery", delivery).await.is_delivered());
    }
    for _ in 0..20 {
        assert_eq!(text(&soon("message", all.next()).await.unwrap()), payload);
    }
}

/// What a line at the usual rate gives; the figures are in docs/links.md.
#[tokio::test]
async fn at_115200_bits_a_second() {
    let broker = Mosquitto::start();
    let shape = |module: Module| module.baud(115_200);
    let (_modem, url) = through(&broker, Firmware::V2, broker.addr(), shape);
    let (client, _driver) = run(patient(&url));
    assert!(soon("up", client.up()).await);
    let start = std::time::Instant::now();
    for _ in 0..20 {
        soon("out", client.publish("a", "21.5").qos(QoS::AtLeastOnce)).await.unwrap();
    }
    let one = start.elapsed() / 20;
    let payload = "x".repeat(1000);
    let start = std::time::Instant::now();
    let sent: Vec<_> = (0..50)
        .map(|_| client.publish("a", &payload).qos(QoS::AtLeastOnce).send().unwrap())
        .collect();
    for delivery in sent {
        assert!(soon("delivery", delivery).await.is_delivered());
    }
    let rate = 50_000.0 / start.elapsed().as_secs_f64();
    println!("a message and its acknowledgement: {one:?}; {rate:.0} bytes a second");
    // The original: 250 ms and 118 characters a second.
    assert!(one < Duration::from_millis(250) && rate > 1180.0);
}
