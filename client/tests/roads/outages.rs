//! The same outages on every road: nothing is lost, nothing comes twice at QoS 2, the order stays.

use std::process::Command;
use std::time::Duration;

use everlink::{Builder, Client, FirstConnect, Ladder, QoS, Tls, Version};
use everlink_sim::modem::{Faults, Firmware, Lie, Modem};

use crate::authority::{Authority, Issued};
use crate::bridge::Bridge;
use crate::run;
use crate::support::mosquitto::Mosquitto;
use crate::support::{VERSIONS, soon, text, wait_until};

/// Longer than an outage, and short enough to wait for.
const RESPONSE_TIME: Duration = Duration::from_millis(1500);
/// Messages between two outages.
const BATCH: usize = 40;

/// A way from a client to a broker.
struct Way {
    broker: Mosquitto,
    bridge: Bridge,
    url: String,
    tls: Option<Tls>,
    /// A module in between.
    modem: Option<Modem>,
}

const COMMON: &str = "allow_anonymous true\npersistence true\npersistence_location DIR/\n\
    max_queued_messages 0\nmax_inflight_messages 100\n";

async fn plain() -> Way {
    let broker = Mosquitto::with(COMMON);
    let (bridge, addr) = Bridge::tcp(broker.addr()).await;
    Way { broker, bridge, url: format!("mqtt://{addr}"), tls: None, modem: None }
}

async fn unix() -> Way {
    let broker = Mosquitto::with(COMMON);
    let path = broker.directory().join("bridge.sock");
    let url = format!("unix://{}", path.display());
    let bridge = Bridge::unix(broker.addr(), path).await;
    Way { broker, bridge, url, tls: None, modem: None }
}

async fn tls() -> Way {
    let ca = Authority::new("Shed CA");
    let Issued { chain, key } = ca.broker();
    let options = format!("{COMMON}certfile DIR/cert.pem\nkeyfile DIR/key.pem\n");
    let broker = Mosquitto::with_files(&options, &[("cert.pem", &chain), ("key.pem", &key)]);
    let (bridge, addr) = Bridge::tcp(broker.addr()).await;
    let tls = Tls::new().authorities(ca.pem.as_bytes()).unwrap();
    Way { broker, bridge, url: format!("mqtts://{addr}"), tls: Some(tls), modem: None }
}

async fn serial() -> Way {
    let broker = Mosquitto::with(COMMON);
    let path = broker.directory().join("tty");
    let url = format!("serial://{}?baud=115200", path.display());
    let bridge = Bridge::serial(broker.addr(), path);
    Way { broker, bridge, url, tls: None, modem: None }
}

async fn websocket() -> Way {
    let options = format!("{COMMON}listener NEXT 127.0.0.1\nprotocol websockets\n");
    let broker = Mosquitto::with(&options);
    let (bridge, addr) = Bridge::tcp(broker.next_addr()).await;
    Way { broker, bridge, url: format!("ws://{addr}"), tls: None, modem: None }
}

async fn secure_websocket() -> Way {
    let ca = Authority::new("Shed CA");
    let Issued { chain, key } = ca.broker();
    let options = format!(
        "{COMMON}listener NEXT 127.0.0.1\nprotocol websockets\ncertfile DIR/cert.pem\nkeyfile DIR/key.pem\n"
    );
    let broker = Mosquitto::with_files(&options, &[("cert.pem", &chain), ("key.pem", &key)]);
    let (bridge, addr) = Bridge::tcp(broker.next_addr()).await;
    let tls = Tls::new().authorities(ca.pem.as_bytes()).unwrap();
    Way { broker, bridge, url: format!("wss://{addr}"), tls: Some(tls), modem: None }
}

async fn modem(firmware: Firmware) -> Way {
    let broker = Mosquitto::with(COMMON);
    let (bridge, addr) = Bridge::tcp(broker.addr()).await;
    let (modem, url) = crate::modem::resettable(&broker, firmware, addr);
    Way { broker, bridge, url, tls: None, modem: Some(modem) }
}

/// What happens to the path while messages flow.
#[derive(Clone, Copy, Debug)]
enum Outage {
    Cut,
    Refused,
    HalfOpen,
    /// After so many bytes of each connection, a few times.
    Anywhere(usize),
    Restart,
    Module(ModuleFails),
}

/// What a module does.
#[derive(Clone, Copy, Debug)]
enum ModuleFails {
    Restarts,
    /// Until it is reset.
    Hangs,
    LosesWifi,
    FailsToSend,
    /// Or the line does.
    LosesBytes,
    GetsNotAllOfACommand,
    GetsNotAllOfAMessage,
    SpeaksNoise,
    Lies(Lie),
}

const OF_MODULES: [Outage; 15] = [
    Outage::Module(ModuleFails::Restarts),
    Outage::Module(ModuleFails::Hangs),
    Outage::Module(ModuleFails::LosesWifi),
    Outage::Module(ModuleFails::FailsToSend),
    Outage::Module(ModuleFails::LosesBytes),
    Outage::Module(ModuleFails::GetsNotAllOfACommand),
    Outage::Module(ModuleFails::GetsNotAllOfAMessage),
    Outage::Module(ModuleFails::GetsNotAllOfAMessage),
    Outage::Module(ModuleFails::SpeaksNoise),
    Outage::Module(ModuleFails::Lies(Lie::More)),
    Outage::Module(ModuleFails::Lies(Lie::Huge)),
    Outage::Module(ModuleFails::Lies(Lie::Fewer)),
    Outage::Module(ModuleFails::Lies(Lie::None)),
    Outage::Module(ModuleFails::Lies(Lie::NoEnd)),
    Outage::Module(ModuleFails::Restarts),
];

const OUTAGES: [Outage; 8] = [
    Outage::Cut,
    Outage::HalfOpen,
    Outage::Anywhere(701),
    Outage::Restart,
    Outage::Refused,
    Outage::Anywhere(1733),
    Outage::HalfOpen,
    Outage::Cut,
];

impl Way {
    fn builder(&self, version: Version) -> Builder {
        let builder = Client::builder(&self.url)
            .version(version)
            .client_id(format!("outages-{version:?}"))
            .clean_start(false)
            .first_connect(FirstConnect::Forever)
            .response_time(RESPONSE_TIME)
            .ping_interval(Duration::from_millis(300))
            .queue(10_000, 1 << 24)
            .ladder(Ladder { link_after: 3, device_after: 2, ..Ladder::default() });
        match &self.tls {
            Some(tls) => builder.tls(tls.clone()),
            None => builder,
        }
    }

    async fn cause(&mut self, outage: Outage, client: &Client) {
        let outages = client.stats().outages;
        match outage {
            Outage::Cut => self.bridge.cut(),
            Outage::HalfOpen => self.bridge.hush(),
            Outage::Refused => {
                self.bridge.refuse(true);
                self.bridge.cut();
                let accepted = self.bridge.accepted();
                wait_until(|| self.bridge.accepted() > accepted + 1).await;
                self.bridge.refuse(false);
            }
            Outage::Anywhere(bytes) => {
                self.bridge.cut_after(Some(bytes));
                self.bridge.cut();
                let accepted = self.bridge.accepted();
                wait_until(|| self.bridge.accepted() > accepted + 3).await;
                self.bridge.cut_after(None);
                self.bridge.cut();
            }
            Outage::Restart => {
                // Not by kill: mosquitto writes its sessions to disk when it is asked to leave.
                let pid = self.broker.pid().to_string();
                assert!(Command::new("kill").arg(&pid).status().expect("kill").success());
                let database = self.broker.directory().join("mosquitto.db");
                wait_until(|| database.exists()).await;
                wait_until(|| client.stats().outages > outages).await;
                self.broker.restart();
            }
            Outage::Module(failure) => self.module_fails(failure),
        }
        wait_until(|| client.stats().outages > outages).await;
        if let Some(modem) = &self.modem {
            let hung = modem.faults(|faults| faults.hung);
            modem.faults(|faults| *faults = Faults { hung, ..Faults::default() });
        }
    }

    fn module_fails(&self, failure: ModuleFails) {
        let modem = self.modem.as_ref().expect("there is one");
        modem.faults(|faults| match failure {
            ModuleFails::Restarts => modem.restart(),
            ModuleFails::Hangs => faults.hung = true,
            ModuleFails::LosesWifi => modem.lose_wifi(),
            ModuleFails::FailsToSend => faults.send_fails = 1,
            ModuleFails::LosesBytes => faults.lost = 200,
            ModuleFails::GetsNotAllOfACommand => faults.short_commands = 10,
            ModuleFails::GetsNotAllOfAMessage => faults.short_messages = 1,
            ModuleFails::SpeaksNoise => faults.noise = 300,
            ModuleFails::Lies(lie) => faults.lie = Some(lie),
        });
    }
}

fn payload(n: usize) -> String {
    format!("{n:05}{}", "x".repeat(n % 90))
}

/// Numbered messages at both qualities go out and come back while the path breaks in every way.
async fn survive(mut way: Way, version: Version, breaks: &[Outage]) {
    let (client, driver) = run(way.builder(version));
    let mut once =
        soon("granted", client.subscribe("once", QoS::ExactlyOnce).capacity(5000)).await.unwrap();
    let mut least =
        soon("granted", client.subscribe("least", QoS::AtLeastOnce).capacity(5000)).await.unwrap();
    let mut sent = 0;
    let mut deliveries = Vec::new();
    for &outage in breaks {
        for half in 0..2 {
            for _ in 0..BATCH / 2 {
                let payload = payload(sent);
                for (topic, qos) in [("once", QoS::ExactlyOnce), ("least", QoS::AtLeastOnce)] {
                    deliveries.push(client.publish(topic, &payload).qos(qos).send().unwrap());
                }
                sent += 1;
            }
            if half == 0 {
                // While these are on their way.
                way.cause(outage, &client).await;
            }
        }
        soon(&format!("{outage:?}"), client.up()).await;
        if sent % (4 * BATCH) == 0 {
            // Not always with everything still to be done.
            wait_until(|| client.held() == 0).await;
        }
    }
    for delivery in deliveries {
        assert!(soon("delivery", delivery).await.is_delivered());
    }
    let number = |m: everlink::Message| {
        let text = text(&m);
        let n = text[..5].parse::<usize>().unwrap();
        assert_eq!(text, payload(n), "nothing has changed on the way");
        n
    };
    for n in 0..sent {
        let came = number(soon("once", once.next()).await.unwrap());
        assert_eq!(came, n, "in order, none twice");
    }
    let mut next = 0;
    while next < sent {
        let n = number(soon("at least once", least.next()).await.unwrap());
        assert!(n <= next, "{n} came, {next} is missing");
        next = next.max(n + 1);
    }
    assert_eq!(client.held(), 0);
    let outages = client.stats().outages;
    assert!(outages >= breaks.len() as u64, "{outages}");
    println!("{}: {sent} messages at each quality, {outages} outages", way.url);
    client.close();
    soon("the driver", driver).await.unwrap();
    assert!(once.next().await.is_none(), "nothing came twice");
}

async fn both<F: Future<Output = Way>>(way: impl Fn() -> F) {
    let [a, b] = VERSIONS;
    tokio::join!(survive(way().await, a, &OUTAGES), survive(way().await, b, &OUTAGES));
}

#[tokio::test]
async fn over_tcp() {
    both(plain).await;
}

#[tokio::test]
async fn over_tls() {
    both(tls).await;
}

#[tokio::test]
async fn over_websockets() {
    both(websocket).await;
}

#[tokio::test]
async fn over_websockets_and_tls() {
    both(secure_websocket).await;
}

#[tokio::test]
async fn over_a_serial_line() {
    both(serial).await;
}

#[tokio::test]
async fn over_a_modem_with_old_firmware() {
    both(|| modem(Firmware::V1)).await;
}

#[tokio::test]
async fn over_a_modem_with_new_firmware() {
    both(|| modem(Firmware::V2)).await;
}

#[tokio::test]
async fn over_a_modem_that_fails_in_every_way() {
    let [a, b] = VERSIONS;
    let (old, new) = (modem(Firmware::V1).await, modem(Firmware::V2).await);
    tokio::join!(survive(old, a, &OF_MODULES), survive(new, b, &OF_MODULES));
}

/// Whatever it was about to do.
#[tokio::test]
async fn over_a_modem_that_restarts_every_few_seconds() {
    let [a, b] = VERSIONS;
    let (old, new) = (modem(Firmware::V1).await, modem(Firmware::V2).await);
    let restarts = [Outage::Module(ModuleFails::Restarts); 8];
    tokio::join!(survive(old, a, &restarts), survive(new, b, &restarts));
}

#[tokio::test]
async fn over_a_unix_socket() {
    both(unix).await;
}
