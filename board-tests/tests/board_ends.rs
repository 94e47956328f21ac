//! However a program ends, its board says so.

use std::time::Duration;

use board_tests::{Board, Firmware};

const PATIENCE: Duration = Duration::from_secs(30);

fn probe() -> Board {
    let board = Board::with(&Firmware::build("probe")).without_network().start();
    board.wait_for("ready", PATIENCE);
    board
}

#[test]
fn a_board_ends_with_the_status_it_is_told() {
    let mut board = probe();
    board.send("exit 7");
    assert_eq!(board.wait_exit(PATIENCE), 7);
}

#[test]
fn a_board_that_panics_says_where() {
    let mut board = probe();
    board.send("panic");
    assert!(board.wait_for("PANIC", PATIENCE).text.contains("console.rs"));
    assert_eq!(board.wait_exit(PATIENCE), 101);
}

#[test]
fn a_board_that_faults_says_where() {
    let mut board = probe();
    board.send("fault");
    assert!(board.wait_for("FAULT", PATIENCE).text.contains("pc="));
    assert_eq!(board.wait_exit(PATIENCE), 102);
}

#[test]
fn a_board_whose_stack_overflows_does_not_go_on() {
    let mut board = probe();
    board.send("overflow");
    board.wait_for("FAULT stack overflow", PATIENCE);
    assert_eq!(board.wait_exit(PATIENCE), 104);
    assert!(!board.lines().iter().any(|line| line.text.starts_with("overflow")));
}
