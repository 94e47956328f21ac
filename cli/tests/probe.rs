//! `everlink probe` names the stage that broke, by its line and its exit code.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;

use support::{Mosquitto, run};

/// The lines it prints, and its exit code.
fn probe(words: &[&str]) -> (Vec<String>, Option<i32>) {
    let output = run(&[&["probe"], words].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{text}");
    (text.lines().map(str::to_owned).collect(), output.status.code())
}

/// The probe fails at this stage, and says this.
fn fails(words: &[&str], stage: &str, code: i32, says: &str) {
    let (lines, exit) = probe(words);
    assert_eq!(exit, Some(code), "{words:?}: {lines:#?}");
    let [.., failed, check] = &lines[..] else { panic!("{lines:#?}") };
    assert!(failed.starts_with(stage) && failed.contains("FAILED"), "{lines:#?}");
    assert!(failed.contains(says), "{says:?}: {lines:#?}");
    assert!(check.trim_start().starts_with("check "), "{lines:#?}");
    assert!(lines.iter().rev().skip(2).all(|l| l.contains(" ok ")), "{lines:#?}");
}

#[test]
fn everything_works() {
    let broker = Mosquitto::start();
    let address = broker.addr().to_string();
    for version in ["5", "311"] {
        let (lines, exit) = probe(&[&address, "-V", version, "--pings", "3"]);
        assert_eq!(exit, Some(0), "{lines:#?}");
        // An address takes no time to resolve, and connecting on loopback may take none either.
        let last: Vec<_> = lines[lines.len() - 3..].iter().map(|l| &l[..8]).collect();
        assert_eq!(last, ["mqtt    ", "ping    ", "message "], "{lines:#?}");
        assert!(lines.iter().any(|l| l.contains("3 round trips")), "{lines:#?}");
    }
}

#[test]
fn each_line_is_an_object_with_json() {
    let broker = Mosquitto::start();
    let (lines, exit) = probe(&["-L", &format!("mqtt://{}", broker.addr()), "--json"]);
    assert_eq!(exit, Some(0), "{lines:#?}");
    for line in &lines {
        let value: serde_json::Value = serde_json::from_str(line).expect(line);
        assert_eq!((&value["ok"], &value["check"]), (&true.into(), &serde_json::Value::Null));
    }
    let (lines, exit) = probe(&["127.0.0.1:1", "--json"]);
    assert_eq!(exit, Some(12), "{lines:#?}");
    let value: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
    assert_eq!((&value["stage"], &value["ok"]), (&"tcp".into(), &false.into()));
    assert!(value["check"].as_str().is_some_and(|c| c.contains("127.0.0.1:1")), "{value}");
}

#[test]
fn the_stage_that_broke_is_named() {
    let broker = Mosquitto::start();
    let at = |scheme: &str| format!("{scheme}://{}", broker.addr());
    fails(&["no-such-host.invalid"], "name", 11, "name");
    fails(&["127.0.0.1:1"], "tcp", 12, "refused");
    fails(&["mqtt://shed", "--proxy", "http://127.0.0.1:1"], "tcp", 12, "proxy");
    fails(&[&at("mqtts")], "tls", 14, "no TLS on this port");
    fails(&[&at("ws")], "websocket", 15, "");
    fails(&["unix:///no/such/socket"], "link", 10, "/no/such/socket");
}

#[test]
fn a_broker_that_refuses_or_is_none() {
    let closed = Mosquitto::with("allow_anonymous false\n");
    fails(&[&closed.addr().to_string()], "mqtt", 16, "refused by the broker");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 64]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read(&mut [0; 64]);
    });
    fails(&[&address], "mqtt", 16, "protocol");
    server.join().unwrap();
}

#[test]
fn an_account_that_may_not_use_the_topic() {
    // Everybody may use what begins with `own`, and nothing else.
    let acl = [("acl", "topic readwrite own/#\n")];
    let broker = Mosquitto::with_files("allow_anonymous true\nacl_file DIR/acl\n", &acl);
    let address = broker.addr().to_string();
    fails(&[&address, "--response-time", "2"], "message", 18, "");
    let (lines, exit) = probe(&[&address, "-t", "own/probe"]);
    assert_eq!(exit, Some(0), "{lines:#?}");
}

#[test]
fn slips_are_usage() {
    for words in [&["127.0.0.1", "-t", "a/#"][..], &["127.0.0.1", "-p", "1"], &["ftp://shed"]] {
        assert_eq!(probe(words).1, Some(1), "{words:?}");
    }
}
