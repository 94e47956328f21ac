//! The board's second UART is a byte stream to somewhere else.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use board_tests::{Board, Firmware};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn the_board_echoes_what_comes_over_its_uart() {
    let board = Board::with(&Firmware::build("probe")).without_network().start();
    board.wait_for("ready", PATIENCE);
    let mut link = board.link();
    let sent: Vec<u8> = (0..20_000u32).map(|index| (index * 7 % 251) as u8).collect();
    let mut writer = link.try_clone().expect("a socket can be shared");
    let wanted = sent.clone();
    let writing = thread::spawn(move || writer.write_all(&sent));
    let mut back = vec![0; wanted.len()];
    link.read_exact(&mut back).unwrap_or_else(|error| panic!("{error}; {}", board.raw_log()));
    assert!(back == wanted);
    writing.join().expect("no panic").expect("written");
}
