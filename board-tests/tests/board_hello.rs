//! The board starts, gets an address, finds a name, talks TCP, keeps time and flash, and ends.

use std::time::Duration;

use board_tests::{Board, EchoServer, Firmware, TempDir, Wire};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn board_says_hello_over_dhcp_dns_and_tcp() {
    let (echo, dir) = (EchoServer::start(), TempDir::new());
    let wire = Wire::new();
    wire.set_name("echo.test", Some(Board::HOST));
    let hello = Firmware::build("hello");
    for starts in 1..=2 {
        let mut board = Board::with(&hello)
            .arg("host", "echo.test")
            .arg("port", echo.port())
            .flash(&dir.join("flash"))
            .wire(&wire)
            .start();
        assert_eq!(board.wait_for("start ", PATIENCE).value::<String>("cause"), "power-on");
        // Flash outlives the board.
        assert_eq!(board.wait_for("flash", PATIENCE).value::<u32>("starts"), starts);
        assert_eq!(board.wait_for("dhcp", PATIENCE).value::<String>("address"), "10.0.2.15/24");
        assert!(board.wait_for("dns", PATIENCE).text.contains("echo.test=10.0.2.2"));
        board.wait_for("connected", PATIENCE);
        assert_eq!(board.wait_for("round", PATIENCE).value::<u32>("trips"), 100);
        board.wait_for("stream", PATIENCE);
        assert_eq!(board.wait_exit(PATIENCE), 0);
    }
    assert!(wire.questions() >= 2);
}

#[test]
fn board_fails_with_its_status_when_a_name_is_unknown() {
    let wire = Wire::new();
    let mut board =
        Board::with(&Firmware::build("hello")).arg("host", "nobody.test").wire(&wire).start();
    board.wait_for("failed: name unknown", PATIENCE);
    assert_eq!(board.wait_exit(PATIENCE), 1);
}
