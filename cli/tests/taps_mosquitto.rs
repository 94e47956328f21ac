//! What `pub` and `sub` show of the connection, and how they break it, against a real broker.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::mosquitto::Mosquitto;
use common::{everlink, run_on, run_with_input, words};

/// A file that is not there yet, and is gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("everlink-tap-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn text(&self) -> &str {
        self.0.to_str().expect("text")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// These fields of each MQTT packet, as Wireshark's dissector reads them, and all it complains about.
fn tshark(file: &Path, fields: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-Y", "mqtt", "-T", "fields", "-E", "separator=|"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

#[test]
fn wireshark_reads_what_was_captured() {
    let broker = Mosquitto::start();
    for version in ["5", "311"] {
        let file = Scratch::new(&format!("pcap-{version}"));
        let line = format!(
            "pub BROKER -V {version} -t a/b -m 21.5 -q 2 -u anna -P hunter2 -i shed --pcap {}",
            file.text()
        );
        run_on(&broker, &line).succeeds();
        let fields = ["mqtt.msgtype", "mqtt.topic", "mqtt.msg", "mqtt.passwd", "mqtt.clientid"];
        let mut packets = tshark(file.path(), &fields);
        // 3.1.1 ends the session of this identifier by two connections more.
        packets.dedup();
        assert!(packets.contains(&"1|||*******|shed".into()), "{packets:?}");
        // The payload is four stars.
        assert!(packets.contains(&"3|a/b|2a2a2a2a||".into()), "{packets:?}");
        let kinds = ["2||||", "5||||", "6||||", "7||||", "14||||"].map(str::to_owned);
        assert!(kinds.iter().all(|kind| packets.contains(kind)), "{packets:?}");
        assert_eq!(tshark(file.path(), &["_ws.malformed"]).concat(), "");
        assert_eq!(tshark(file.path(), &["tcp.analysis.flags"]).concat(), "");
        let capture = std::fs::read(file.path()).expect("the capture");
        assert!(!capture.windows(7).any(|w| w == b"hunter2"));
    }
}

#[test]
fn secrets_are_there_if_they_are_asked_for() {
    let broker = Mosquitto::start();
    let file = Scratch::new("secrets");
    let line = format!(
        "pub BROKER -t a/b -m 21.5 -q 1 -u anna -P hunter2 --with-secrets --trace --pcap {}",
        file.text()
    );
    let ran = run_on(&broker, &line);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("password \"hunter2\""), "{ran:?}");
    assert!(ran.stderr.contains("4 bytes \"21.5\""), "{ran:?}");
    let packets = tshark(file.path(), &["mqtt.msg", "mqtt.passwd"]);
    assert!(packets.contains(&"|hunter2".into()), "{packets:?}");
    assert!(packets.contains(&"32312e35|".into()), "{packets:?}");
    run_on(&broker, "pub BROKER -t a -m x --with-secrets").fails(1, "--with-secrets");
}

#[test]
fn a_trace_tells_every_packet_and_no_secret() {
    let broker = Mosquitto::start();
    let ran = run_on(&broker, "pub BROKER -t a/b -m geheim -q 1 -u anna -P hunter2 --trace");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stderr.contains("hunter2") && !ran.stderr.contains("geheim"), "{ran:?}");
    let mut at = 0;
    for packet in
        ["-- open\n", "-> CONNECT", "<- CONNACK", "-> PUBLISH \"a/b\"", "<- PUBACK", "-> DISC"]
    {
        let found = ran.stderr[at..].find(packet);
        at += found.unwrap_or_else(|| panic!("{packet} is missing, or too early: {ran:?}"));
    }
}

#[test]
fn a_link_that_breaks_on_purpose_loses_nothing() {
    let broker = Mosquitto::start();
    let line = "pub BROKER -t n -l -q 2 --json --break seed=3,refuse=20%,cut=200..900,first=12";
    let input: String = (1..=200).map(|n| format!("line {n}\n")).collect();
    let ran = run_with_input(&mut everlink(words(line, &broker)), input.as_bytes());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let lines = ran.json();
    let summary = &lines.last().expect("a summary")["summary"];
    assert_eq!(summary["delivered"], 200, "{summary}");
    assert!(summary["outages"].as_u64() >= Some(3), "{summary}");
}

#[test]
fn a_capture_that_cannot_be_written_costs_no_message() {
    let broker = Mosquitto::start();
    run_on(&broker, "pub BROKER -t a -m x --pcap /no/such/dir/x").fails(1, "No such file");
    run_on(&broker, "pub BROKER -t a -m x --pcap /dev/full").fails(1, "No space left");
    let file = Scratch::new("limit");
    let line = format!("pub BROKER -t a -l -q 1 --tap-limit 2000 --pcap {}", file.text());
    let input = "some line of text\n".repeat(100);
    let ran = run_with_input(&mut everlink(words(&line, &broker)), input.as_bytes());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("100 delivered"), "{ran:?}");
    assert!(ran.stderr.contains("its limit is reached"), "{ran:?}");
    assert!(std::fs::metadata(file.path()).expect("a file").len() <= 2024);
    // What is there can be read.
    assert!(tshark(file.path(), &["mqtt.msgtype"]).len() > 2);
}
