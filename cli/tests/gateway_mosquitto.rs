//! `everlink gateway`: a node's message arrives, and what is wrong is said in one line.

mod common;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::mosquitto::Mosquitto;
use common::{everlink, run};

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
