//! The front for boards over TLS, against a real broker: only the right certificate will do.
#![cfg(feature = "embassy")]

mod support;

use std::sync::OnceLock;
use std::task::Waker;
use std::time::{Duration, Instant};

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_time_driver::Driver as TimeDriver;
use everlink::embedded::{Config, Connect, Finished, Hub, Memory};
use everlink::{Cause, FirstConnect, QoS, Step};
use everlink_link::embedded::relay::Relay;
use everlink_link::embedded::tls::{Authority, NoClock, Tls, TlsClock};
use everlink_link::{Endpoint, TcpLink};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use support::mosquitto::Mosquitto;

/// Embassy's time is the host's.
struct Host;

embassy_time_driver::time_driver_impl!(static DRIVER: Host = Host);

impl TimeDriver for Host {
    fn now(&self) -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_micros() as u64
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        let time = Duration::from_micros(at.saturating_sub(self.now()));
        let waker = waker.clone();
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            waker.wake();
        });
    }
}

/// Who issues certificates.
struct Issue {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
    pem: String,
}

fn authority() -> Issue {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("P-256");
    let certificate = params.self_signed(&key).expect("signed");
    let (der, pem) = (certificate.der().to_vec(), certificate.pem());
    Issue { issuer: Issuer::new(params, key), der, pem }
}

/// A certificate for `name`: itself as an issuer, and its files.
fn issue(by: &Issue, name: &str) -> (Issue, String) {
    let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let key = KeyPair::generate().expect("P-256");
    let certificate = params.signed_by(&key, &by.issuer).expect("signed");
    let (der, pem, secret) = (certificate.der().to_vec(), certificate.pem(), key.serialize_pem());
    (Issue { issuer: Issuer::new(params, key), der, pem }, secret)
}

fn broker(chain: &str, key: &str) -> Mosquitto {
    let options =
        "allow_anonymous true\ncertfile DIR/cert.pem\nkeyfile DIR/key.pem\ntls_version tlsv1.3\n";
    Mosquitto::with_files(options, &[("cert.pem", chain), ("key.pem", key)])
}

/// Connects, and exchanges messages of all sizes if it can.
async fn client<C: TlsClock>(
    broker: &Mosquitto,
    authority: &[u8],
    read: usize,
    exchange: bool,
) -> Finished {
    let mut memory = Memory::<8, 8192, 8, 16384, 2>::new();
    let config = Config { first_connect: FirstConnect::Fail, ..Config::unattended(1) };
    let hub = Hub::<CriticalSectionRawMutex>::new(&mut memory, config, Connect::new("board"));
    let (mut receive, mut transmit) = (vec![0; 8192], vec![0; 2048]);
    let (mut up, mut down) = ([0; 300], [0; 300]);
    let relay = Relay::<CriticalSectionRawMutex>::new(&mut up, &mut down);
    let (mut read, mut write) = (vec![0; read], vec![0; 2048]);
    let endpoint = Endpoint::new("127.0.0.1", broker.addr().port()).expect("an address");
    let inner = TcpLink::new([endpoint]);
    let names = ["localhost"];
    let mut tls = Tls::new(inner, Authority::new(authority), &names, rand_core::OsRng);
    let mut driver = hub.driver(relay.link(), &mut receive[..], &mut transmit[..]);
    let client = hub.client();
    let application = async {
        if !exchange {
            return;
        }
        let mut echo = client.subscribe("echo", QoS::ExactlyOnce).await.expect("granted");
        for size in [0, 1, 100, 250, 600, 3000, 6000] {
            let payload = vec![b'x'; size];
            client.publish("echo", &payload).qos(QoS::ExactlyOnce).await.expect("delivered");
            assert_eq!(echo.next(|m| m.payload == payload).await, Some(true), "{size} bytes");
        }
        client.close();
    };
    let run = async { tokio::join!(driver.run(), application).0 };
    let pump = tls.pump::<C, _>(&relay, &mut read, &mut write);
    tokio::select! {
        finished = tokio::time::timeout(Duration::from_secs(60), run) => finished.expect("in time"),
        never = pump => match never {},
    }
}

fn assert_refused(finished: Finished) {
    match finished {
        Finished::GaveUp(fault) => assert_eq!((fault.step, fault.cause), (Step::Tls, Cause::Tls)),
        Finished::Closed => panic!("it was trusted"),
    }
}

#[tokio::test]
async fn messages_of_all_sizes_pass() {
    let ca = authority();
    let (certificate, key) = issue(&ca, "localhost");
    // Alone, and with the authority's certificate as brokers often send it.
    for chain in [certificate.pem.clone(), certificate.pem.clone() + &ca.pem] {
        let broker = broker(&chain, &key);
        // A read buffer for any record, and one that asks for shorter records.
        for read in [16_640, 1400] {
            let finished = client::<NoClock>(&broker, &ca.der, read, true).await;
            assert_eq!(finished, Finished::Closed, "{read} bytes");
        }
    }
}

#[tokio::test]
async fn another_name_is_refused() {
    let ca = authority();
    let (certificate, key) = issue(&ca, "elsewhere.test");
    assert_refused(
        client::<NoClock>(&broker(&certificate.pem, &key), &ca.der, 16_640, false).await,
    );
}

#[tokio::test]
async fn another_authority_is_refused() {
    let (ca, other) = (authority(), authority());
    let (certificate, key) = issue(&other, "localhost");
    assert_refused(
        client::<NoClock>(&broker(&certificate.pem, &key), &ca.der, 16_640, false).await,
    );
}

#[tokio::test]
async fn a_certificate_cannot_issue_another() {
    let ca = authority();
    // Any device of ours has such a one.
    let (device, _) = issue(&ca, "device.test");
    let (forged, key) = issue(&device, "localhost");
    let broker = broker(&(forged.pem + &device.pem), &key);
    assert_refused(client::<NoClock>(&broker, &ca.der, 16_640, false).await);
}

#[tokio::test]
async fn an_expired_certificate_is_refused_by_who_knows_the_time() {
    struct Future;
    impl TlsClock for Future {
        fn now() -> Option<u64> {
            // The year 5000.
            Some(95_600_000_000)
        }
    }
    let ca = authority();
    let (certificate, key) = issue(&ca, "localhost");
    let broker = broker(&certificate.pem, &key);
    assert_refused(client::<Future>(&broker, &ca.der, 16_640, false).await);
}
