//! The roads to a broker, as they are typed.

mod common;

#[allow(dead_code)] // the tests of the client use more of it
#[path = "../../client/tests/roads/authority.rs"]
mod authority;

use std::io::Write;
use std::path::Path;

use authority::{Authority, Issued};
use common::mosquitto::Mosquitto;
use common::{Ran, Running, everlink, run, wait_until};

const MUTUAL: &str = "allow_anonymous true\ncertfile DIR/cert.pem\nkeyfile DIR/key.pem\n\
    cafile DIR/clients.pem\nrequire_certificate true\n";

/// A broker with TLS, and the certificate of its authority in `ca.pem`.
fn broker(ca: &Authority) -> Mosquitto {
    let Issued { chain, key } = ca.broker();
    let options = "allow_anonymous true\ncertfile DIR/cert.pem\nkeyfile DIR/key.pem\n";
    let files = [("cert.pem", &*chain), ("key.pem", &*key), ("ca.pem", &*ca.pem)];
    Mosquitto::with_files(options, &files)
}

/// Runs the command with `HOST` and `DIR` replaced.
fn run_on(broker: &Mosquitto, line: &str) -> Ran {
    run(words(broker, line))
}

fn words(broker: &Mosquitto, line: &str) -> Vec<String> {
    let dir = broker.directory().display().to_string();
    let line = line.replace("HOST", &format!("-h localhost -p {}", broker.addr().port()));
    let line = line.replace("URL", &format!("-L mqtts://localhost:{}", broker.addr().port()));
    line.replace("DIR", &dir).split_whitespace().map(str::to_owned).collect()
}

#[test]
fn tls_by_flag_and_by_address() {
    let ca = Authority::new("Shed CA");
    let broker = broker(&ca);
    run_on(&broker, "pub HOST --cafile DIR/ca.pem -t a -m by-flag -q 1 -r").succeeds();
    let ran = run_on(&broker, "sub URL --cafile DIR/ca.pem -t a -C 1");
    ran.succeeds();
    assert_eq!(ran.text(), "by-flag\n");

    let unknown = run_on(&broker, "pub URL -t a -m b");
    unknown.fails(3, &format!("everlink: mqtts://localhost:{}: tls: ", broker.addr().port()));
    let flagged = run_on(&broker, "pub HOST --tls -t a -m b");
    assert_eq!((flagged.code, flagged.stderr), (unknown.code, unknown.stderr));
    let named = run_on(&broker, "pub URL --cafile DIR/ca.pem --server-name barn -t a -m b");
    named.fails(3, "tls: the broker's certificate is for localhost, 127.0.0.1, not for barn");
}

#[test]
fn a_probe_shows_the_certificate() {
    let ca = Authority::new("Shed CA");
    let broker = broker(&ca);
    for version in ["311", "5"] {
        let ran = run_on(&broker, &format!("probe URL --cafile DIR/ca.pem --pings 1 -V {version}"));
        ran.succeeds();
        let text = ran.text();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("tls ")).collect();
        let [line] = &lines[..] else { panic!("{text}") };
        assert!(line.contains("TLS 1.3, ") && line.contains("-SHA"), "{line}");
        let whose = "certificate of localhost 127.0.0.1 from Shed CA until ";
        assert!(line.contains(whose) && line.contains(" days)"), "{line}");
    }
}

#[test]
fn insecure_works_and_warns() {
    let broker = broker(&Authority::new("Shed CA"));
    let ran = run_on(&broker, "pub HOST --insecure -t a -m b");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.starts_with("everlink: warning: with --insecure"), "{ran:?}");
    run_on(&broker, "pub HOST --insecure --quiet -t a -m b").succeeds();
}

#[test]
fn websockets_and_sockets_by_address() {
    let options = "allow_anonymous true\nlistener 0 DIR/sock\nallow_anonymous true\n\
        listener NEXT 127.0.0.1\nprotocol websockets\nallow_anonymous true\n";
    let broker = Mosquitto::with(options);
    run_on(&broker, "pub -L unix://DIR/sock -t a -m by-file -q 2 -r").succeeds();
    let port = broker.next_addr().port();
    let line = format!("sub -L ws://127.0.0.1:{port} -t a -C 1 --ws-header Cookie:a=b");
    let ran = run_on(&broker, &line);
    ran.succeeds();
    assert_eq!(ran.text(), "by-file\n");

    let none = run_on(&broker, "pub -L unix://DIR/none -t a -m b");
    none.fails(3, "none: link: ");
    none.fails(3, "no such file or directory");
    let none = run_on(&broker, "pub -L serial:///dev/ttyNONE -t a -m b");
    none.fails(3, "link: /dev/ttyNONE: no such device; is it plugged in?");
    // A WebSocket is wanted where there is plain MQTT, and the other way round.
    let plain = broker.addr().port();
    run_on(&broker, &format!("pub -L ws://127.0.0.1:{plain} -t a -m b")).fails(3, "websocket: ");
    let web = run_on(&broker, &format!("pub -L mqtt://127.0.0.1:{port} -t a -m b"));
    assert_eq!(web.code, Some(3), "{web:?}");
    let proxied =
        run_on(&broker, &format!("pub -h h.invalid --proxy http://127.0.0.1:{plain} -t a -m b"));
    proxied.fails(3, "h.invalid:1883: proxy: ");
}

fn write(dir: &Path, name: &str, issued: &Issued) {
    std::fs::write(dir.join(format!("{name}.pem")), &issued.chain).expect("written");
    std::fs::write(dir.join(format!("{name}.key")), &issued.key).expect("written");
}

#[test]
fn our_certificate_is_read_again() {
    let (ca, clients) = (Authority::new("Shed CA"), Authority::new("Clients CA"));
    let Issued { chain, key } = ca.broker();
    let files = [
        ("cert.pem", &*chain),
        ("key.pem", &*key),
        ("ca.pem", &*ca.pem),
        ("clients.pem", &*clients.pem),
    ];
    let mut broker = Mosquitto::with_files(MUTUAL, &files);
    let dir = broker.directory().to_owned();
    let missing = run_on(&broker, "pub HOST --cafile DIR/ca.pem -t a -m b");
    missing.fails(2, "tls: the broker wants a client certificate");

    write(&dir, "own", &clients.client("first"));
    let line =
        "pub HOST --cafile DIR/ca.pem --cert DIR/own.pem --key DIR/own.key -t a -l -q 1 --json";
    let mut running = Running::start(&mut everlink(words(&broker, line)));
    let mut input = running.stdin.take().expect("piped");
    writeln!(input, "one").expect("it reads");
    wait_until("delivered", || running.lines().iter().any(|l| l.contains("delivered")));

    let next = Authority::new("Next CA");
    std::fs::write(dir.join("clients.pem"), &next.pem).expect("written");
    // Of two files one is replaced first: that is told, and does no harm.
    let issued = next.client("second");
    std::fs::write(dir.join("own.key"), &issued.key).expect("written");
    broker.restart();
    let says = |words: &str| running.lines().iter().any(|line| line.contains(words));
    wait_until("refused", || {
        says(r#""stage":"tls","fault":"the broker does not trust the authority that issued our"#)
    });
    assert!(running.errors().contains("own.key: the private key does not belong"));
    write(&dir, "own", &issued);
    writeln!(input, "two").expect("it reads");
    drop(input);
    let ran = running.end();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.text().matches("\"outcome\":\"delivered\"").count(), 2, "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 2, "once, and the sum: {ran:?}");
}

#[test]
fn through_a_wifi_module() {
    use everlink_sim::modem::{Firmware, Modem, Module};

    let broker = Mosquitto::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let module =
        Module::new(Firmware::V1).network("shed", "secretword").name("b.test", [127, 0, 0, 1]);
    let _modem = Modem::plug_in(broker.directory().join("modem"), module).expect("a device");
    let networks = broker.directory().join("networks");
    std::fs::write(&networks, "shed=secretword\n").expect("a file");
    let port = broker.addr().port();
    let url = format!("esp-at://DIR/modem?networks=DIR/networks&stable=0&to=mqtt://b.test:{port}");
    run_on(&broker, &format!("pub -L {url} -t a -m through -q 1 -r")).succeeds();
    let ran = run_on(&broker, &format!("sub -L {url} -t a -C 1"));
    ran.succeeds();
    assert_eq!(ran.text(), "through\n");

    std::fs::write(&networks, "shed=another one\n").expect("a file");
    // Until it restarts it stays where it is.
    _modem.lose_wifi();
    let line = "link: DIR/modem: the network does not take the passphrase";
    let line = line.replace("DIR", &broker.directory().display().to_string());
    run_on(&broker, &format!("pub -L {url} -t a -m b")).fails(3, &line);
    let wrong = run_on(&broker, "pub -L esp-at://DIR/modem?to=ftp://b.test -t a -m b");
    wrong.fails(1, "\"to=...\" is no setting of a modem");
}
