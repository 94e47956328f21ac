//! `everlink gateway`: a node's message arrives, and what is wrong is said in one line.

mod common;
#[allow(dead_code)] // not all of it is needed here
#[path = "../../gateway/tests/foreign/peer.rs"]
mod peer;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::mosquitto::Mosquitto;
use common::{everlink, run};
use peer::{CLEAN, DUP, PUBCOMP, PUBREC, PUBREL, Peer, qos, wait_until};

/// Ended by the signal, if the test did not.
struct Gateway {
    child: Child,
    address: SocketAddr,
}

impl Gateway {
    fn start(words: &[&str]) -> Self {
        let words = ["gateway"].iter().chain(words);
        let mut child = everlink(words).stdout(Stdio::piped()).spawn().expect("the gateway starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening at udp://").expect(&line);
        Self { address: address.parse().expect("an address"), child }
    }

    /// As by a loss of power, but for the disk.
    fn kill(mut self) -> SocketAddr {
        self.child.kill().expect("killed");
        self.child.wait().expect("its end");
        self.address
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().expect("kill").success());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a message and waits for the answer.
fn ask(gateway: SocketAddr, octets: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    socket.send_to(octets, gateway).expect("sent");
    let mut room = [0; 100];
    let len = socket.recv(&mut room).expect("an answer");
    room[..len].to_vec()
}

const CONNECT: &[u8] = &[8, 4, 4, 1, 0, 60, b'm', b'e'];
const ACCEPTED: &[u8] = &[3, 5, 0];
const NOT_SUPPORTED: &[u8] = &[3, 5, 3];

#[test]
fn a_node_connects_and_the_gateway_leaves_politely() {
    let broker = Mosquitto::start();
    let url = format!("mqtt://{}", broker.addr());
    let words = ["--listen", "udp://127.0.0.1:0", "--broker", &url, "--predefined", "1=shed/temp"];
    let mut gateway = Gateway::start(&words);
    assert_eq!(ask(gateway.address, CONNECT), ACCEPTED);
    gateway.signal("-TERM");
    assert_eq!(gateway.child.wait().expect("its end").code(), Some(0));
}

#[test]
fn a_changed_file_is_read_again_on_sighup() {
    let broker = Mosquitto::start();
    let file = broker.directory().join("gateway.toml");
    let write = |allow: &str| {
        let url = format!("mqtt://{}", broker.addr());
        let text =
            format!("listen = [\"udp://127.0.0.1:0\"]\nbroker = \"{url}\"\nallow = [{allow}]\n");
        std::fs::write(&file, text).expect("the file");
    };
    write("\"you\"");
    let gateway = Gateway::start(&["--config", &file.to_string_lossy()]);
    assert_eq!(ask(gateway.address, CONNECT), NOT_SUPPORTED);
    write("\"you\", \"me\"");
    gateway.signal("-HUP");
    let mut answer = Vec::new();
    for _ in 0..200 {
        answer = ask(gateway.address, CONNECT);
        if answer == ACCEPTED {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("still {answer:?}");
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let file = std::env::temp_dir().join(format!("everlink-gateway-{}.toml", std::process::id()));
    std::fs::write(&file, "listen = [\"udp://127.0.0.1:0\"]\nbroker = 5\n").expect("the file");
    let name = file.to_string_lossy().into_owned();
    run(["gateway", "--config", &name]).fails(1, "line 2 (broker = 5)");
    std::fs::remove_file(&file).expect("removed");
    run(["gateway", "--config", &name]).fails(1, &name);
    let busy = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let listen = format!("udp://{}", busy.local_addr().expect("its address"));
    let words = ["gateway", "--listen", &listen, "--broker", "mqtt://127.0.0.1:1"];
    run(words).fails(1, "cannot listen at");
}

/// Publishes as somebody else, and waits until the broker has it.
fn publish(broker: &Mosquitto, topic: &str, data: &str) {
    common::run_on(broker, &format!("pub BROKER -t {topic} -m {data} -q 1")).succeeds();
}

#[test]
fn a_gateway_that_is_killed_goes_on_where_it_was() {
    let broker = Mosquitto::start();
    let state = broker.directory().join("state");
    let (url, state) = (format!("mqtt://{}", broker.addr()), state.to_string_lossy());
    let start =
        |listen: &str| Gateway::start(&["--listen", listen, "--broker", &url, "--state", &state]);
    let gateway = start("udp://127.0.0.1:0");
    let everything = common::Running::start(&mut everlink(common::words(
        "sub BROKER -t from/# -t will/# -i everything -q 2 -C 23 -v",
        &broker,
    )));
    common::wait_subscribed(&broker, "everything", 2);
    let awake = Peer::new(gateway.address);
    awake.connect_with_will("awake", CLEAN, 600, (0, "will/awake", "no"));
    let topic = awake.register("from/awake");
    let wanted = awake.subscribe(1, 0, b"to/awake");
    let sleeper = Peer::new(gateway.address);
    sleeper.connect("sleeper", 0, 600);
    sleeper.subscribe(1, 0, b"to/sleeper");
    sleeper.sleep(600);
    let mut address = gateway.kill();
    for round in 0..10 {
        // What comes while it is away waits at the broker.
        publish(&broker, "to/sleeper", &format!("s{round}"));
        publish(&broker, "to/awake", &format!("a{round}"));
        let gateway = start(&format!("udp://{address}"));
        // Nobody connects again, registers again or subscribes again.
        let message = awake.receive();
        assert_eq!((message.topic, message.data), (wanted, format!("a{round}").into_bytes()));
        assert_eq!(awake.publish_1(0, topic, format!("one {round}").as_bytes()), 0);
        awake.publish_2(0, topic, format!("two {round}").as_bytes());
        address = gateway.kill();
    }
    let gateway = start(&format!("udp://{address}"));
    // It may wake before the gateway has fetched all from the broker; then the rest comes next time.
    let mut fetched = Vec::new();
    wait_until("all is fetched", || {
        fetched.extend(sleeper.fetch("sleeper").into_iter().map(|message| message.data));
        fetched.len() >= 10
    });
    let sent: Vec<_> = (0..10).map(|round| format!("s{round}").into_bytes()).collect();
    assert_eq!(fetched, sent);
    // PUBREL for what was acknowledged before it was killed, and what is not answered twice.
    awake.say_publish(qos(2), topic, 999, b"over the gap");
    assert_eq!(awake.expect(PUBREC), 999_u16.to_be_bytes());
    let address = gateway.kill();
    let gateway = start(&format!("udp://{address}"));
    awake.say_publish(DUP | qos(2), topic, 999, b"over the gap");
    assert_eq!(awake.expect(PUBREC), 999_u16.to_be_bytes());
    awake.send(PUBREL, &[&999_u16.to_be_bytes()]);
    assert_eq!(awake.expect(PUBCOMP), 999_u16.to_be_bytes());
    awake.publish_1(0, topic, b"the end");
    drop(gateway);
    publish(&broker, "from/other", "last");
    let heard = everything.end();
    let mut wanted = Vec::new();
    for round in 0..10 {
        wanted.push(format!("from/awake one {round}"));
        wanted.push(format!("from/awake two {round}"));
    }
    wanted.extend(
        ["from/awake over the gap", "from/awake the end", "from/other last"].map(String::from),
    );
    assert_eq!(heard.text().lines().collect::<Vec<_>>(), wanted, "each once, in order, no will");
}
