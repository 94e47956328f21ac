//! What a person gets for a slip: one clear line and the documented exit code.

mod support;

use std::net::TcpListener;

use support::{Mosquitto, complaint, run};

/// It fails with this code and says this, in few lines.
fn fails(words: &[&str], code: i32, says: &str) {
    let output = run(words);
    let complaint = complaint(&output);
    assert_eq!(output.status.code(), Some(code), "{words:?}: {complaint}");
    assert!(complaint.to_lowercase().contains(says), "{words:?} should say {says:?}: {complaint}");
    assert!(complaint.lines().count() <= 6, "{words:?} says too much: {complaint}");
    assert!(!complaint.contains("panicked"), "{complaint}");
}

#[test]
fn wrong_flags_exit_with_1() {
    fails(&["pub", "-t", "t", "-m", "x", "-q", "3"], 1, "qos");
    fails(&["pub", "-t", "t", "-m", "x", "--no-such-flag"], 1, "--no-such-flag");
    fails(&["pub", "-t", "t"], 1, "-m");
    fails(&["pub", "-m", "x"], 1, "topic");
    fails(&["pub", "-t", "t", "-m", "x", "-k", "70000"], 1, "70000");
    fails(&["pub", "-t", "t", "-m", "x", "-V", "4"], 1, "4");
    fails(&["sub"], 1, "-t");
}

#[test]
fn bad_topics_exit_with_1() {
    fails(&["pub", "-t", "a/#", "-m", "x"], 1, "wildcard");
    fails(&["sub", "-t", "a/#/b"], 1, "#");
}

#[test]
fn an_unknown_host_exits_with_3() {
    fails(&["pub", "-h", "no-such-host.invalid", "-t", "t", "-m", "x"], 3, "name");
}

#[test]
fn a_broker_that_is_not_there_exits_with_3() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    fails(&["pub", "-h", "127.0.0.1", "-p", &free.to_string(), "-t", "t", "-m", "x"], 3, "refused");
}

#[test]
fn refused_by_mosquitto_exits_with_2() {
    let broker = Mosquitto::with("allow_anonymous false\n");
    let port = broker.addr().port().to_string();
    for version in ["5", "311"] {
        let words = ["pub", "-h", "127.0.0.1", "-p", &port, "-t", "t", "-m", "x", "-V", version];
        fails(&words, 2, "not authorized");
    }
}

#[test]
fn help_names_every_command() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    for command in ["pub", "sub", "demo"] {
        assert!(help.contains(command), "{help}");
    }
}
