//! `--record`, and what `everlink replay` makes of it.

mod common;

use std::path::PathBuf;

use common::mosquitto::Mosquitto;
use common::{everlink, run, run_on, run_with_input, words};

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("everlink-record-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
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

#[test]
fn a_run_with_outages_is_played_again_decision_by_decision() {
    let broker = Mosquitto::start();
    let file = Scratch::new("again");
    let line = format!(
        "pub BROKER -t n -l -q 2 -u anna -P hunter2 --break seed=3,cut=300..3000,first=6 --record {}",
        file.text()
    );
    let input: String = (1..=300).map(|n| format!("line {n}\n")).collect();
    let ran = run_with_input(&mut everlink(words(&line, &broker)), input.as_bytes());
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let played = run(["replay", file.text()]);
    played.succeeds();
    let text = played.text();
    assert!(text.contains("secrets written over"), "{text}");
    let mut at = 0;
    for step in [
        "publish \"n\" QoS 2, 6 bytes => accepted",
        "poll => open road 0",
        "-- now at: tcp",
        "send CONNECT",
        "user \"anna\", password ***",
        "packet CONNACK Success",
        "-- now at: up",
        "send PUBLISH \"n\"",
        "connection reset",
        "-- now at: backoff",
        "Up { resumed: true }",
        "send DISCONNECT",
    ] {
        let found = text[at..].find(step);
        at += found.unwrap_or_else(|| panic!("{step} is missing, or too early"));
    }
    assert!(text.lines().last().expect("a sum").contains(" 0 differences; 300 accepted, 300 del"));

    let objects = run(["replay", "--json", file.text()]).json();
    let (sum, calls) = objects.split_last().expect("a sum");
    assert_eq!(sum["summary"]["calls"], calls.len());
    assert_eq!(sum["summary"]["differences"], 0);
    assert!(calls.iter().all(|call| call["us"].is_u64() && call["told"].is_array()));
    let brief = run(["replay", "--brief", file.text()]);
    assert!(brief.text().lines().count() < text.lines().count());
}

#[test]
fn what_cannot_be_played_says_why() {
    let broker = Mosquitto::start();
    let file = Scratch::new("bad");
    run_on(&broker, &format!("pub BROKER -t n -m x -q 1 --record {}", file.text())).succeeds();
    let bytes = std::fs::read(&file.0).expect("the recording");

    std::fs::write(&file.0, &bytes[..bytes.len() - 3]).expect("a file");
    let ran = run(["replay", file.text()]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("torn off at byte"), "{ran:?}");
    assert!(ran.text().contains("open road 0"), "what is whole is shown: {ran:?}");

    let mut damaged = bytes.clone();
    damaged[40] ^= 4;
    std::fs::write(&file.0, &damaged).expect("a file");
    run(["replay", file.text()]).fails(1, "damaged at byte");
    run(["replay", "/etc/passwd"]).fails(1, "no recording of everlink");
    run(["replay", "/no/such/file"]).fails(1, "No such file");
    let line = format!("pub BROKER -t a -m x --record /no/such/dir/x --store {}", file.text());
    run_on(&broker, &line).fails(1, "cannot be used with");
    run_on(&broker, "pub BROKER -t a -m x --record /no/such/dir/x").fails(1, "No such file");
}

#[test]
fn a_recording_that_is_full_costs_no_message() {
    let broker = Mosquitto::start();
    let file = Scratch::new("full");
    let line = format!("pub BROKER -t n -l -q 1 --tap-limit 5000 --record {}", file.text());
    let input = "some line of text\n".repeat(500);
    let ran = run_with_input(&mut everlink(words(&line, &broker)), input.as_bytes());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("500 delivered"), "{ran:?}");
    assert!(ran.stderr.contains("its limit is reached"), "{ran:?}");
    // A whole recording of how it began.
    let played = run(["replay", file.text()]);
    played.succeeds();
    assert!(played.text().contains(" 0 differences"), "{played:?}");
}
