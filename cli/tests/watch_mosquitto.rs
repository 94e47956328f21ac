//! Whoever watches the command while it runs: Prometheus, a topic, systemd, the log.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Child, Stdio};
use std::time::Duration;

use common::mosquitto::Mosquitto;
use common::{LONG, everlink, run_on, words};

/// A command that runs until this is dropped.
struct Running(Child);

impl Running {
    fn start(line: &str, broker: &Mosquitto, environment: &[(&str, &str)]) -> Self {
        let mut command = everlink(words(line, broker));
        command.envs(environment.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("the command starts"))
    }

    /// The first line on standard error.
    fn says(&mut self) -> String {
        let mut line = String::new();
        let stderr = self.0.stderr.as_mut().expect("piped");
        BufReader::new(stderr).read_line(&mut line).expect("a line");
        line
    }

    /// Asks it to end, and waits.
    fn end(mut self) -> Option<i32> {
        let pid = self.0.id().to_string();
        let killed = std::process::Command::new("kill").args(["-TERM", &pid]).status();
        assert!(killed.expect("kill").success());
        common::wait(&mut self.0).code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(LONG)).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// The value of a metric.
fn value(answer: &str, name: &str) -> f64 {
    let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in {answer}")).parse().expect("a number")
}

#[test]
fn prometheus_is_answered() {
    let broker = Mosquitto::start();
    let line = "pub BROKER -t n -l -q 1 --metrics 127.0.0.1:0";
    let mut running = Running::start(line, &broker, &[]);
    let says = running.says();
    let address = says.split("http://").nth(1).and_then(|rest| rest.strip_suffix("/metrics\n"));
    let address = address.unwrap_or_else(|| panic!("no address in {says:?}")).to_owned();
    let stdin = running.0.stdin.as_mut().expect("piped");
    stdin.write_all(b"one\ntwo\nthree\n").expect("it reads");

    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    let start = std::time::Instant::now();
    let answer = loop {
        let answer = get(&address, request);
        if value(&answer, "everlink_messages_delivered_total") == 3.0 {
            break answer;
        }
        assert!(start.elapsed() < LONG, "{answer}");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(value(&answer, "everlink_up"), 1.0);
    assert_eq!(value(&answer, "everlink_messages_accepted_total"), 3.0);
    assert_eq!(value(&answer, "everlink_round_trip_seconds_count"), 3.0);
    assert_eq!(value(&answer, "everlink_round_trip_seconds_bucket{le=\"+Inf\"}"), 3.0);
    assert!(value(&answer, "everlink_round_trip_seconds_sum") > 0.0);
    let lines = answer.split("\r\n\r\n").nth(1).expect("a body").lines();
    for line in lines {
        let fine = line.starts_with("# HELP everlink_") || line.starts_with("# TYPE everlink_");
        let (name, number) = line.rsplit_once(' ').expect("two words");
        assert!(fine || name.starts_with("everlink_") && number.parse::<f64>().is_ok(), "{line}");
    }
    assert!(get(&address, "GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 404"));
    assert!(get(&address, "POST /metrics HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 405"));
    // Whoever says nothing, or too much, is in nobody's way.
    let _silent: Vec<_> = (0..3).map(|_| TcpStream::connect(&address)).collect();
    let mut endless = TcpStream::connect(&address).expect("it listens");
    let _ = endless.write_all("x".repeat(10_000).as_bytes());
    let _ = endless.read(&mut [0; 1]);
    assert!(get(&address, request).starts_with("HTTP/1.1 200"));
    assert_eq!(running.end(), Some(0));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    run_on(&broker, &format!("pub BROKER -t n -m x --metrics {address}")).fails(1, "in use");
}

#[test]
fn the_numbers_are_a_retained_message_that_does_not_count() {
    let broker = Mosquitto::start();
    let line = "pub BROKER -t n -l -q 1 --stats-topic stats/pub --stats-every 0.1 --json";
    let mut running = Running::start(line, &broker, &[]);
    let stdin = running.0.stdin.as_mut().expect("piped");
    stdin.write_all(b"one\ntwo\n").expect("it reads");
    let ran = run_on(&broker, "sub BROKER -t stats/pub -C 3 -W 20 --json");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let last = ran.json().pop().expect("a message");
    let payload = last["payload"].as_str().expect("text");
    let numbers: serde_json::Value = serde_json::from_str(payload).expect("JSON");
    assert_eq!(numbers["everlink_up"], 1.0);
    assert!(numbers["everlink_messages_accepted_total"].as_u64() >= Some(2));
    assert!(numbers["everlink_round_trip_seconds"]["p99"].as_f64() > Some(0.0));
    let retained = run_on(&broker, "sub BROKER -t stats/pub -C 1 -W 20 --retained-only --json");
    assert_eq!(retained.json()[0]["retain"], true);

    drop(running.0.stdin.take());
    common::wait(&mut running.0);
    let mut text = String::new();
    running.0.stdout.as_mut().expect("piped").read_to_string(&mut text).expect("text");
    let lines = common::json(&text);
    let summary = &lines.last().expect("a summary")["summary"];
    let counts = ["accepted", "delivered", "held", "dropped", "expired"];
    assert_eq!(counts.map(|count| summary[count].as_u64()), [2, 2, 0, 0, 0].map(Some), "{text}");
    run_on(&broker, "pub BROKER -t n -m x --stats-topic a/+").fails(1, "--stats-topic");
}

fn hear(socket: &UnixDatagram) -> String {
    let mut buf = [0; 4096];
    let n = socket.recv(&mut buf).expect("systemd is told");
    String::from_utf8_lossy(&buf[..n]).into_owned()
}

/// Until this is told.
fn hear_until(socket: &UnixDatagram, wanted: &str) -> Vec<String> {
    let mut heard = Vec::new();
    while heard.last().is_none_or(|last: &String| !last.starts_with(wanted)) {
        heard.push(hear(socket));
        assert!(heard.len() < 1000, "{wanted} does not come: {heard:?}");
    }
    heard
}

#[test]
fn systemd_is_told() {
    let mut broker = Mosquitto::start();
    let path = std::env::temp_dir().join(format!("everlink-notify-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let name = format!("everlink-notify-{}", std::process::id());
    let hidden = SocketAddr::from_abstract_name(&name).expect("a name");
    let sockets = [
        (UnixDatagram::bind(&path).expect("a socket"), path.to_str().expect("text").to_owned()),
        (UnixDatagram::bind_addr(&hidden).expect("a socket"), format!("@{name}")),
    ];
    for (socket, name) in &sockets {
        socket.set_read_timeout(Some(LONG)).expect("a timeout");
        let environment = [("NOTIFY_SOCKET", name.as_str()), ("WATCHDOG_USEC", "200000")];
        let running = Running::start("sub BROKER -t n", &broker, &environment);
        assert_eq!(hear(socket), "READY=1");
        hear_until(socket, "STATUS=connected");
        hear_until(socket, "WATCHDOG=1");
        hear_until(socket, "WATCHDOG=1");
        broker.kill();
        hear_until(socket, "STATUS=not connected: ");
        // The driver is alive and tries again: that is what it is for.
        hear_until(socket, "WATCHDOG=1");
        broker.restart();
        hear_until(socket, "STATUS=connected");
        assert_eq!(running.end(), Some(0));
        hear_until(socket, "STOPPING=1");
    }
    // Not for us.
    let (socket, name) = &sockets[1];
    let environment =
        [("NOTIFY_SOCKET", name.as_str()), ("WATCHDOG_USEC", "100000"), ("WATCHDOG_PID", "1")];
    let running = Running::start("sub BROKER -t n -W 0.7", &broker, &environment);
    let heard = hear_until(socket, "STOPPING=1");
    assert!(!heard.iter().any(|line| line.starts_with("WATCHDOG")), "{heard:?}");
    drop(running);
    let _ = std::fs::remove_file(&path);
}

#[test]
fn the_log_is_as_wordy_as_asked_for() {
    let broker = Mosquitto::start();
    let with = |flags: &str, wish: &str| {
        let line = format!("pub BROKER -t n -m x -q 1 {flags}");
        let mut command = everlink(words(&line, &broker));
        command.env("RUST_LOG", wish);
        let ran = common::run_with_input(&mut command, b"");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stderr
    };
    assert!(with("-d", "").contains("connected"));
    assert!(with("", "info").contains("connected"));
    assert!(with("", "everlink=info").contains("connected"));
    assert_eq!(with("", "everlink=error"), "");
    assert_eq!(with("", "other=debug"), "");
    assert!(with("-d", "other=info").contains("connected"));
    assert!(with("", "everlink=loud").starts_with("everlink: RUST_LOG: "));
}
