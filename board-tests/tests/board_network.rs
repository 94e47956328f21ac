//! The NIC can be taken away and given back, by the board and by the host.

use std::time::Duration;

use board_tests::{Board, EchoServer, Firmware, Wire};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn board_loses_and_regains_the_network_by_command() {
    let mut board = Board::with(&Firmware::build("probe")).start();
    board.wait_for("net up address=10.0.2.15/24", PATIENCE);
    for _ in 0..3 {
        board.send("nic down");
        board.wait_for("net down", PATIENCE);
        board.send("nic up");
        board.wait_for("net up address=10.0.2.15/24", PATIENCE);
    }
}

#[test]
fn board_notices_a_pulled_cable() {
    let mut board = Board::with(&Firmware::build("probe")).start();
    board.wait_for("net up", PATIENCE);
    for _ in 0..3 {
        board.set_cable(false);
        board.wait_for("net down", PATIENCE);
        board.set_cable(true);
        board.wait_for("net up", PATIENCE);
    }
}

#[test]
fn a_deaf_nic_of_the_board_keeps_its_link_and_loses_frames() {
    let mut board = Board::with(&Firmware::build("probe")).start();
    board.wait_for("net up", PATIENCE);
    board.send("nic deaf");
    board.wait_for("nic deaf", PATIENCE);
    board.send("stats");
    let before = board.wait_for("stats", PATIENCE);
    // A new link wants a lease, and nobody hears it ask.
    board.set_cable(false);
    board.wait_for("net down", PATIENCE);
    board.set_cable(true);
    // It asks for the first time within a second.
    board.send("wait 3000");
    board.wait_for("waited", PATIENCE);
    board.send("stats");
    let after = board.wait_for("stats", PATIENCE);
    assert_eq!(after.value::<u32>("rx"), before.value::<u32>("rx"));
    assert!(!board.lines().iter().any(|line| line.at > before.at && line.text.contains("net up")));
    board.send("nic hear");
    // It would ask again in 10 s; a new link asks at once.
    board.send("nic down");
    board.send("wait 50");
    board.send("nic up");
    board.wait_for("net up", PATIENCE);
}

#[test]
fn a_board_without_cable_says_so() {
    let mut board = Board::with(&Firmware::build("hello"))
        .arg("port", EchoServer::start().port())
        .arg("patience-ms", 500)
        .without_network()
        .start();
    board.wait_for("failed: no address by DHCP", PATIENCE);
    assert_eq!(board.wait_exit(PATIENCE), 1);
}

#[test]
fn a_board_on_a_broken_wire_keeps_its_link_and_hears_nothing() {
    let (echo, wire) = (EchoServer::start(), Wire::new());
    wire.set_name("echo.test", Some(Board::HOST));
    let hello = Firmware::build("hello");
    let run = || {
        let setup = Board::with(&hello).arg("host", "echo.test").arg("port", echo.port());
        setup.arg("patience-ms", 1500).wire(&wire).start()
    };
    wire.set_broken(true);
    let mut board = run();
    board.wait_for("failed: no address by DHCP", PATIENCE);
    assert_eq!(board.wait_exit(PATIENCE), 1);

    wire.set_broken(false);
    wire.set_names_silent(true);
    let mut board = run();
    board.wait_for("failed: name server silent", PATIENCE);
    assert_eq!(board.wait_exit(PATIENCE), 1);

    wire.set_names_silent(false);
    assert_eq!(run().wait_exit(PATIENCE), 0);
}
