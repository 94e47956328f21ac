//! Lines go through `everlink pub -l` while mosquitto is killed and started again: each line is
//! delivered, once by its own account, and the summary adds up.

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};

use serde_json::Value;
use support::{Mosquitto, start};

const LINES: usize = 3000;
const KILLS: usize = 3;
/// Lines before each kill and after the last.
const PART: usize = LINES / (KILLS + 1);
/// Of these, as many may be without an outcome when the broker is killed.
const UNDER_WAY: usize = 300;

fn ride_out_kills(qos: &str, version: &str, persistence: &str) {
    let mut broker = Mosquitto::with(&format!("allow_anonymous true\n{persistence}"));
    let port = broker.addr().port().to_string();
    let (mut child, mut input) = start(&[
        "pub",
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-t",
        "t",
        "-l",
        "-q",
        qos,
        "-V",
        version,
        "-i",
        "pub",
        "-c",
        "--json",
    ]);
    // Each part follows when the broker is back, so that there is something to do at every kill.
    let (next_part, parts) = std::sync::mpsc::channel();
    let feed = std::thread::spawn(move || {
        for n in 1..=LINES {
            writeln!(input, "{n}").expect("it reads on");
            if n % PART == 0 && n < LINES {
                parts.recv().expect("the broker is killed once more");
            }
        }
    });

    let mut outcomes = BTreeMap::new();
    let mut summary = Value::Null;
    let mut kills = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let value: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        if let Some(n) = value["n"].as_u64() {
            *outcomes.entry((n, value["outcome"].to_string())).or_insert(0) += 1;
            if kills < KILLS && outcomes.len() >= (kills + 1) * PART - UNDER_WAY {
                kills += 1;
                broker.kill();
                broker.restart();
                next_part.send(()).expect("it waits for that");
            }
        } else if value.get("summary").is_some() {
            summary = value["summary"].clone();
        }
    }
    feed.join().unwrap();
    let status = child.wait().unwrap();

    assert_eq!(kills, KILLS);
    assert_eq!(status.code(), Some(0), "{summary}");
    let once = |n: u64| outcomes.get(&(n, "\"delivered\"".to_owned())) == Some(&1);
    assert!((1..=LINES as u64).all(once), "each line is delivered, and told once");
    assert_eq!(outcomes.len(), LINES);
    for (name, expected) in [
        ("accepted", LINES),
        ("delivered", LINES),
        ("expired", 0),
        ("rejected", 0),
        ("dropped", 0),
        ("held", 0),
    ] {
        assert_eq!(summary[name], expected, "{name}: {summary}");
    }
    assert!(summary["outages"].as_u64().unwrap() >= KILLS as u64, "{summary}");
}

const KEPT: &str =
    "persistence true\npersistence_location DIR/\nautosave_on_changes true\nautosave_interval 1\n";
const FORGOTTEN: &str = "persistence false\n";

#[test]
fn qos_1_version_5_sessions_kept() {
    ride_out_kills("1", "5", KEPT);
}

#[test]
fn qos_2_version_5_sessions_kept() {
    ride_out_kills("2", "5", KEPT);
}

#[test]
fn qos_1_version_311_sessions_lost() {
    ride_out_kills("1", "311", FORGOTTEN);
}

#[test]
fn qos_2_version_311_sessions_lost() {
    ride_out_kills("2", "311", FORGOTTEN);
}
