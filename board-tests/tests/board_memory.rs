//! The board with the memory of a small microcontroller.

use std::time::Duration;

use board_tests::{Board, EchoServer, Firmware};

const PATIENCE: Duration = Duration::from_secs(30);
const RAM: usize = 32 * 1024;

#[test]
fn a_board_with_32_kib_says_hello() {
    let echo = EchoServer::start();
    let hello = Firmware::build_with("hello", &["ram-32k"]);
    let mut board = Board::with(&hello).arg("port", echo.port()).start();
    board.wait_for("stream", PATIENCE);
    let memory = board.wait_for("memory", PATIENCE);
    let used = memory.value::<usize>("statics") + memory.value::<usize>("stack");
    assert!(used <= RAM, "{memory:?}");
    assert_eq!(board.wait_exit(PATIENCE), 0);
}
