//! A short `everlink demo`: its verdict, its exit codes, its seed.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn demo(flags: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everlink"));
    command.arg("demo").args(flags.split_whitespace()).stdin(Stdio::null());
    command
}

fn run(flags: &str) -> Output {
    demo(flags).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Standard output as the one object it must be.
fn object(stdout: &[u8]) -> Value {
    let line = text(stdout).strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "{line}");
    serde_json::from_str(line).unwrap()
}

/// What of a QoS must be zero, whatever happens.
fn holds(lane: &Value) {
    let zero: &[&str] = match lane["qos"].as_u64().unwrap() {
        0 => &["doubled", "out_of_order", "alien", "unaccounted"],
        1 => &["lost", "out_of_order", "alien", "unaccounted", "expired", "rejected", "dropped"],
        _ => &["lost", "doubled", "out_of_order", "alien", "unaccounted", "expired", "dropped"],
    };
    for name in zero {
        assert_eq!(lane[name], 0, "{name} of {lane}");
    }
    assert_eq!(lane["holds"], true, "{lane}");
}

#[test]
fn the_object_has_the_verdict_and_accounts_for_every_message() {
    let output = run("--json --messages 900 --seed 7");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let verdict = object(&output.stdout);
    assert_eq!((&verdict["verdict"], &verdict["seed"]), (&"pass".into(), &7.into()));
    assert_eq!((&verdict["messages"], &verdict["interrupted"]), (&900.into(), &false.into()));
    let lanes = verdict["qos"].as_array().unwrap();
    assert_eq!(lanes.len(), 6); // two versions, three levels
    lanes.iter().for_each(holds);
    let sum: u64 = lanes.iter().map(|lane| lane["accepted"].as_u64().unwrap()).sum();
    assert_eq!(sum, 900);
    let happened = verdict["sequence"].as_array().unwrap().len() as u64;
    let counted = verdict["outages"].as_array().unwrap().iter();
    assert!(happened > 0);
    assert_eq!(counted.map(|row| row["count"].as_u64().unwrap()).sum::<u64>(), happened);
    // not a terminal: plain lines
    assert!(text(&output.stderr).contains("--seed 7"));
    assert!(!text(&output.stderr).contains('\x1b'));
}

#[test]
fn the_seed_repeats_the_schedule() {
    let verdict = |flags| object(&run(flags).stdout);
    let short = verdict("--json --messages 500 --seed 21 -V 5");
    let long = verdict("--json --messages 700 --seed 21 -V 311");
    let other = verdict("--json --messages 100 --seed 22 -V 311");
    assert_eq!(short["schedule"], long["schedule"]);
    assert_ne!(short["schedule"], other["schedule"]);
    let sequence = |verdict: &Value| verdict["sequence"].as_array().unwrap().clone();
    let both = sequence(&short).len().min(sequence(&long).len());
    assert!(both > 0);
    assert_eq!(sequence(&short)[..both], sequence(&long)[..both]);
}

#[test]
fn for_people_the_last_line_is_the_verdict() {
    let output = run("--messages 400 --seed 3 --qos 2 -V 311");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report = text(&output.stdout);
    assert!(report.lines().last().unwrap().starts_with("PASS"), "{report}");
    assert!(report.contains("400 messages") && report.contains("seed 3"), "{report}");
    let lanes: Vec<_> = report.lines().filter(|line| line.ends_with("kept")).collect();
    assert!(matches!(lanes[..], [lane] if lane.starts_with("3.1.1 QoS 2")), "{lanes:?}");
}

#[test]
fn an_interrupt_ends_it_early_with_a_verdict() {
    let mut child =
        demo("--json -V 5").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    // the head of the table, then the first outage
    assert!(lines.any(|line| line.contains("lasted")));
    lines.next().unwrap();
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    lines.for_each(drop);
    let mut stdout = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
    let verdict = object(&stdout);
    assert_eq!(child.wait().unwrap().code(), Some(0), "{verdict}");
    assert_eq!((&verdict["verdict"], &verdict["interrupted"]), (&"pass".into(), &true.into()));
    assert!(verdict["messages"].as_u64() > Some(0));
    verdict["qos"].as_array().unwrap().iter().for_each(holds);
}

#[test]
fn a_wrong_flag_is_one_line_and_exit_code_1() {
    for flags in ["--qos 3", "--messages 0", "--messages -5", "--seed x", "-V 4", "--bogus", "more"]
    {
        let output = run(flags);
        assert_eq!(output.status.code(), Some(1), "{flags}");
        assert!(output.stdout.is_empty(), "{flags}");
        let complaint = text(&output.stderr);
        assert!(complaint.starts_with("everlink: ") && complaint.ends_with('\n'), "{complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    }
}
