//! The command under test, and a real broker.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::process::{Child, ChildStdin, Command, Output, Stdio};

#[allow(unreachable_pub, reason = "shared with the client's tests")]
#[path = "../../../client/tests/support/mosquitto.rs"]
mod mosquitto;
pub use mosquitto::Mosquitto;

/// The command with these words.
pub fn everlink(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everlink"));
    command.args(words).stdin(Stdio::null()).env_remove("RUST_LOG").env_remove("EVERLINK_PASSWORD");
    command
}

/// Runs it to its end.
pub fn run(words: &[&str]) -> Output {
    everlink(words).output().expect("the command runs")
}

/// Starts it with pipes.
pub fn start(words: &[&str]) -> (Child, ChildStdin) {
    let mut command = everlink(words);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let input = child.stdin.take().expect("its input");
    (child, input)
}

/// What it said on standard error.
pub fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
