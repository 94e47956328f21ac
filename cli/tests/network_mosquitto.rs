//! The network below fails in every way it has, in network namespaces: each time the right stage is named, by
//! the state of a client and by `everlink probe`, and a link that is back is used within a second.
//!
//! A machine behind two cables, and at their other ends one with a broker. It takes root. Where the
//! tests run as root, or in CI, what is missing makes them fail; elsewhere they say that they did nothing.

#[path = "common/mod.rs"]
mod common;

use std::io::Write;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use common::{Running, wait_at_most, wait_until};
use serde_json::Value;

/// A link that is back is used within this time.
const RECOVERY: Duration = Duration::from_secs(1);

/// The broker's address, which lies behind both cables.
const BROKER: &str = "10.77.9.1";

/// Two network namespaces, a broker in the second one.
struct World {
    client: String,
    server: String,
    directory: PathBuf,
    broker: Option<Child>,
}

impl World {
    /// `None` where there are no rights to make one, and nobody expects them.
    fn new() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = |what: &str| format!("everlink-{}-{number}-{what}", std::process::id());
        let (client, server) = (name("c"), name("s"));
        let directory = std::env::temp_dir().join(name("net"));
        let world = Self { client, server, directory, broker: None };
        let made = Command::new("ip").args(["netns", "add", &world.client]).output();
        let worked = made.as_ref().is_ok_and(|made| made.status.success());
        let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
        if !worked && !root && std::env::var_os("CI").is_none() {
            eprintln!("NOT TESTED: network namespaces need root: {made:?}");
            return None;
        }
        assert!(worked, "a network namespace cannot be made: {made:?}");
        Some(world.build())
    }

    fn build(mut self) -> Self {
        ip(&["netns", "add", &self.server]);
        std::fs::create_dir_all(&self.directory).expect("a directory");
        for (name, n) in [("eth0", "1"), ("lte0", "2")] {
            let far = format!("far{n}");
            ip(&[
                "link",
                "add",
                name,
                "netns",
                &self.client,
                "type",
                "veth",
                "peer",
                "name",
                &far,
                "netns",
                &self.server,
            ]);
            self.here(&format!("addr add 10.77.{n}.2/24 dev {name}"));
            self.here(&format!("link set {name} up"));
            self.far(&format!("addr add 10.77.{n}.1/24 dev {far}"));
            self.far(&format!("link set {far} up"));
        }
        self.here("link set lo up");
        self.far("link set lo up");
        self.far(&format!("addr add {BROKER}/32 dev lo"));
        self.here("route add default via 10.77.1.1 dev eth0 metric 10");
        self.here("route add default via 10.77.2.1 dev lte0 metric 20");
        let settings = self.directory.join("mosquitto.conf");
        let lines = format!("listener 1883 {BROKER}\nallow_anonymous true\n");
        std::fs::write(&settings, lines).expect("a file");
        let mosquitto = Command::new("ip")
            .args(["netns", "exec", &self.server, "mosquitto", "-c"])
            .arg(&settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.broker = Some(mosquitto.expect("mosquitto"));
        wait_until("the broker listens", || self.probe(&[]).0 == 0);
        self
    }

    /// Something changes at this machine.
    fn here(&self, words: &str) {
        ip(&["-n", &self.client].into_iter().chain(words.split(' ')).collect::<Vec<_>>());
    }

    /// Something changes at the other ends of the cables.
    fn far(&self, words: &str) {
        ip(&["-n", &self.server].into_iter().chain(words.split(' ')).collect::<Vec<_>>());
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.client, env!("CARGO_BIN_EXE_everlink")]);
        command.args(words).env_remove("EVERLINK_PASSWORD").stdin(Stdio::null());
        command
    }

    /// The exit code of a probe, and what it printed.
    fn probe(&self, words: &[&str]) -> (i32, String) {
        let broker = if words.contains(&"-h") { &[][..] } else { &["-h", BROKER] };
        let words = [&["probe", "--pings", "1", "-k", "5"], broker, words].concat();
        let output = self.command(&words).output().expect("the command runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap_or(-1), text)
    }

    #[track_caller]
    fn probe_fails(&self, words: &[&str], code: i32, says: &str) {
        let (exit, text) = self.probe(words);
        assert_eq!(exit, code, "{text}");
        assert!(text.contains(says), "{says:?} is not in {text}");
    }

    /// A client that publishes what it is given.
    fn client(&self, words: &[&str]) -> Sender {
        let broker = if words.contains(&"-h") { &[][..] } else { &["-h", BROKER] };
        let words = [&["pub", "-t", "t", "-q", "1", "-l", "--json"], broker, words].concat();
        let mut sender = Sender { running: Running::start(&mut self.command(&words)), sent: 0 };
        sender.delivers(Duration::from_secs(20));
        sender
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(broker) = &mut self.broker {
            let _ = broker.kill();
            let _ = broker.wait();
        }
        for name in [&self.client, &self.server] {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
            let _ = std::fs::remove_dir_all(format!("/etc/netns/{name}"));
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[track_caller]
fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().expect("ip");
    assert!(output.status.success(), "ip {}: {output:?}", words.join(" "));
}

/// `everlink pub -l --json`, in the background.
struct Sender {
    running: Running,
    sent: usize,
}

impl Sender {
    /// A message arrives at the broker within this time; how long it took.
    #[track_caller]
    fn delivers(&mut self, limit: Duration) -> Duration {
        let start = Instant::now();
        self.sent += 1;
        let stdin = self.running.stdin.as_mut().expect("piped");
        stdin.write_all(b"x\n").expect("it reads");
        let told = format!("\"n\":{},\"outcome\":\"delivered\"", self.sent);
        while !self.running.lines().iter().any(|line| line.contains(&told)) {
            let (lines, errors) = (self.running.lines(), self.running.errors());
            assert!(start.elapsed() < limit, "not within {limit:?}: {lines:#?} {errors}");
            std::thread::sleep(Duration::from_millis(2));
        }
        start.elapsed()
    }

    /// Its states so far: `up`, or the stage that failed, and why.
    fn states(&self) -> Vec<(String, String)> {
        let lines = self.running.lines();
        let states = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let states = states.filter(|value| value["state"].is_string());
        states.map(|value| (text(&value["stage"]), text(&value["fault"]))).collect()
    }

    /// From now on some state is at this stage, and says this.
    #[track_caller]
    fn reports(&self, after: usize, stage: &str, says: &str) {
        let found = |(at, why): &(String, String)| at == stage && why.contains(says);
        let start = Instant::now();
        while !self.states().iter().skip(after).any(found) {
            let states = self.states();
            assert!(start.elapsed() < Duration::from_secs(30), "{stage} {says}: {states:#?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The endpoint of the last connection, if it was told.
    fn place(&self) -> Option<String> {
        let lines = self.running.lines();
        let values = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        values.fold(None, |last, value| value["endpoint"].as_str().map(str::to_owned).or(last))
    }
}

#[test]
fn a_cable_is_pulled_and_plugged_in_again() {
    let Some(world) = World::new() else { return };
    let mut sender = world.client(&[]);
    for away in [Duration::from_millis(1500), Duration::from_secs(6)] {
        let before = sender.states().len();
        world.here("route del default dev lte0");
        world.far("link set far1 down");
        sender.reports(before, "link", "eth0 has no carrier");
        world.probe_fails(&[], 10, "eth0 has no carrier");
        std::thread::sleep(away);
        world.far("link set far1 up");
        let took = sender.delivers(RECOVERY);
        eprintln!("after {away:?} without a cable: delivered {took:?} after it was back");
        world.here("route add default via 10.77.2.1 dev lte0 metric 20");
    }
    assert_eq!(world.probe(&[]).0, 0);
}

#[test]
fn the_address_changes() {
    let Some(world) = World::new() else { return };
    let mut sender = world.client(&[]);
    world.here("route del default dev lte0");
    let before = sender.states().len();
    world.here("addr del 10.77.1.2/24 dev eth0");
    sender.reports(before, "tcp", "unreachable");
    world.probe_fails(&[], 12, "unreachable");
    world.here("addr add 10.77.1.3/24 dev eth0");
    world.here("route add default via 10.77.1.1 dev eth0 metric 10");
    let took = sender.delivers(RECOVERY);
    eprintln!("with another address: delivered after {took:?}");
}

/// The connection of before has an address that the new way does not lead back to.
#[test]
fn the_route_moves_to_the_second_link() {
    let Some(world) = World::new() else { return };
    let mut sender = world.client(&[]);
    world.here("addr flush dev eth0");
    world.here("link set eth0 down");
    let took = sender.delivers(RECOVERY);
    eprintln!("over the second link: delivered after {took:?}");
    assert_eq!(world.probe(&[]).0, 0);
    world.probe_fails(&["--link", "eth0"], 10, "eth0 is down");
    world.probe_fails(&["--link", "eth9"], 10, "no interface eth9");
}

#[test]
fn the_client_goes_over_to_the_second_link_and_comes_back() {
    let Some(world) = World::new() else { return };
    let mut sender = world.client(&["--link", "eth0", "--link", "lte0"]);
    assert_eq!(sender.place(), None);
    let before = sender.states().len();
    world.far("link set far1 down");
    let took = sender.delivers(Duration::from_secs(3));
    eprintln!("over to the second link in {took:?}");
    sender.reports(before, "link", "eth0 has no carrier");
    assert!(sender.place().is_some_and(|place| place.ends_with("over lte0")));
    let back = Instant::now();
    world.far("link set far1 up");
    wait_at_most(Duration::from_secs(3), "back to the first link", || {
        sender.place().is_some_and(|place| place.ends_with("over eth0"))
    });
    eprintln!("back at the first link after {:?}", back.elapsed());
    sender.delivers(RECOVERY);
    let (ways, text) = world.probe(&["--link", "eth0", "--link", "lte0"]);
    assert_eq!(ways, 0, "{text}");
}

#[test]
fn a_link_that_went_down_is_brought_up_by_its_program() {
    let Some(world) = World::new() else { return };
    let script = |name: &str, lines: &str| {
        let path = world.directory.join(name);
        std::fs::write(&path, lines).expect("a file");
        format!("eth0=sh {}", path.display())
    };
    let up =
        "ip link set $EVERLINK_LINK up && ip route add default via 10.77.1.1 dev eth0 metric 10\n";
    let up = script("up", up);
    let status = script("status", "ip -br link show up dev $EVERLINK_LINK | grep .\n");
    let failing = script("failing", "echo no SIM card; exit 3\n");
    let link = ["--link", "eth0", "--link-status", &status];
    let mut sender = world.client(&[&link[..], &["--link-up", &up]].concat());
    world.here("link set eth0 down");
    let took = sender.delivers(Duration::from_secs(10));
    eprintln!("brought up again: delivered after {took:?}");
    drop(sender);
    world.here("link set eth0 down");
    let words = [&link[..], &["--link-up", &failing, "--first-connect", "fail"]].concat();
    world.probe_fails(&words, 10, "failed (exit status: 3): no SIM card");
    assert_eq!(world.probe(&[&link[..], &["--link-up", &up]].concat()).0, 0);
}

#[test]
fn the_gateway_is_dead() {
    let Some(world) = World::new() else { return };
    world.here("route del default dev lte0");
    let mut sender = world.client(&[]);
    let before = sender.states().len();
    world.far("addr del 10.77.1.1/24 dev far1");
    world.here("neigh flush dev eth0");
    std::io::Write::write_all(sender.running.stdin.as_mut().expect("piped"), b"y\n")
        .expect("it reads");
    sender.sent += 1;
    sender.reports(before, "tcp", "");
    world.probe_fails(&[], 12, "");
    world.far("addr add 10.77.1.1/24 dev far1");
    // Nothing tells that it is back: the pauses between attempts decide.
    sender.delivers(Duration::from_secs(15));
}

#[test]
fn the_name_server_is_dead() {
    let Some(world) = World::new() else { return };
    let directory = format!("/etc/netns/{}", world.client);
    std::fs::create_dir_all(&directory).expect("a directory");
    let lines = format!("nameserver {BROKER}\noptions timeout:1 attempts:1\n");
    std::fs::write(format!("{directory}/resolv.conf"), lines).expect("a file");
    let name = &["-h", "broker.shed.test"][..];
    // The port is closed, and then nobody answers at all.
    world.probe_fails(name, 11, "name resolution failed");
    let words = ["pub", "-t", "t", "-q", "1", "-l", "--json", "-h", "broker.shed.test"];
    let mut sender = Sender { running: Running::start(&mut world.command(&words)), sent: 0 };
    sender.reports(0, "resolve", "name resolution failed");
    let server = serve_names(&world.server);
    sender.delivers(Duration::from_secs(15));
    assert_eq!(world.probe(name).0, 0);
    drop(server);
}

/// Answers every question for an address with the broker's, in a network namespace, until it is dropped.
fn serve_names(namespace: &str) -> std::sync::mpsc::Sender<()> {
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    use std::os::fd::AsFd;

    let file = std::fs::File::open(format!("/var/run/netns/{namespace}")).expect("a namespace");
    let (sender, ended) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("entered");
        let socket = UdpSocket::bind((BROKER, 53)).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a time");
        let mut question = [0; 512];
        while !matches!(ended.try_recv(), Err(std::sync::mpsc::TryRecvError::Disconnected)) {
            let Ok((length, from)) = socket.recv_from(&mut question) else { continue };
            let mut answer = question[..length].to_vec();
            let end = 12 + answer[12..].iter().position(|b| *b == 0).unwrap_or(0);
            let asks_for_v4 = answer.get(end + 1..end + 3) == Some(&[0, 1]);
            answer.truncate(end + 5);
            // An answer, recursion available; one question, and an address if it is one of IPv4.
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, asks_for_v4.into(), 0, 0, 0, 0]);
            if asks_for_v4 {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 10, 77, 9, 1]);
            }
            let _ = socket.send_to(&answer, from);
        }
    });
    sender
}
