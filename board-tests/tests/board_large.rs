//! A message of 1 MiB reaches a board with 32 KiB of memory.

use std::time::Duration;

use board_tests::{Board, Broker, Firmware, TempDir, publish};

const PATIENCE: Duration = Duration::from_secs(60);
const RAM: usize = 32 * 1024;
const LARGE: usize = 1 << 20;

/// Bytes that are different everywhere.
fn image() -> Vec<u8> {
    let mut noise = 1_u32;
    let next = || {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        Some(noise as u8)
    };
    std::iter::from_fn(next).take(LARGE).collect()
}

fn sha256(path: &std::path::Path) -> String {
    let output = std::process::Command::new("sha256sum").arg(path).output().expect("coreutils");
    String::from_utf8_lossy(&output.stdout).split(' ').next().expect("a word").to_owned()
}

fn arrives(version: u16) {
    let broker = Broker::start();
    let dir = TempDir::new();
    let file = dir.join("image");
    std::fs::write(&file, image()).expect("a fresh directory can be written");
    let mut board = Board::with(&Firmware::build_with("large", &["ram-32k"]))
        .arg("port", broker.port())
        .arg("version", version)
        .start();
    board.wait_for("subscribed granted=true", PATIENCE);
    publish(&broker, &["-q", "1", "-t", "large", "-f", file.to_str().expect("text")]);
    for _ in 0..3 {
        board.wait_for("begins", PATIENCE);
        board.wait_for("came", PATIENCE);
        board.set_cable(false);
        board.wait_for("fault=", PATIENCE);
        board.set_cable(true);
    }
    let begun = board.wait_for("begins", PATIENCE);
    assert_eq!((begun.value("start"), begun.value("bytes")), (4, LARGE));
    let hash: String = board.wait_for("sha256=", PATIENCE).value("sha256");
    assert_eq!(hash, sha256(&file));
    let memory = board.wait_for("memory", PATIENCE);
    let used = memory.value::<usize>("statics") + memory.value::<usize>("stack");
    println!("version {version}: {}", memory.text);
    assert!(used <= RAM, "{memory:?}");
    assert_eq!(board.wait_exit(PATIENCE), 0);
}

#[test]
fn a_message_larger_than_the_boards_memory_arrives_v5() {
    arrives(5);
}

#[test]
fn a_message_larger_than_the_boards_memory_arrives_v311() {
    arrives(311);
}
