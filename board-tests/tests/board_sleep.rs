//! An idle board sleeps, and a deep sleep keeps what is to be kept.

use std::time::Duration;

use board_tests::{Board, Broker, EchoServer, Firmware, Line};

const PATIENCE: Duration = Duration::from_secs(30);

fn start(board: &Board) -> (String, u32, u32) {
    let start = board.wait_for("start ", PATIENCE);
    let count: Line = board.wait_for("retained", PATIENCE);
    board.wait_for("ready", PATIENCE);
    (start.value("cause"), start.value("starts"), count.value("count"))
}

#[test]
fn an_idle_board_with_a_connection_wakes_only_for_its_own_alarm() {
    let echo = EchoServer::start();
    let board = Board::with(&Firmware::build("hello"))
        .arg("port", echo.port())
        .arg("idle-ms", 4000)
        .start();
    board.wait_for("stream", PATIENCE);
    let cpu = board.cpu_time();
    let idle = board.wait_for("idle", PATIENCE);
    let cpu = board.cpu_time() - cpu;
    // One alarm ends the idle time; slirp may ask by ARP who is there.
    assert_eq!(idle.value::<u32>("alarms"), 1, "{idle:?}");
    let frames: u32 = idle.value("rx");
    assert!(idle.value::<u32>("wakeups") <= 1 + 2 * frames && frames <= 4, "{idle:?}");
    // A tenth at most: on a busy host the emulator itself waits for its turn.
    assert!(idle.value::<u64>("awake_us") < 400_000, "{idle:?}");
    // An emulated processor that does not sleep takes all of a host's.
    assert!(cpu < Duration::from_secs(2), "{cpu:?} of the host for 4.5 s");
}

#[test]
fn a_restarted_board_knows_why_and_keeps_retained_memory() {
    let mut board = Board::with(&Firmware::build("probe")).start();
    assert_eq!(start(&board), ("power-on".into(), 1, 1));
    board.send("restart");
    assert_eq!(start(&board), ("restart".into(), 2, 2));
    board.wait_for("net up", PATIENCE);
    board.monitor("system_reset");
    assert_eq!(start(&board), ("external".into(), 3, 3));
}

#[test]
fn a_board_in_deep_sleep_wakes_in_time() {
    let mut board = Board::with(&Firmware::build("probe")).start();
    assert_eq!(start(&board), ("power-on".into(), 1, 1));
    let before = std::time::Instant::now();
    board.send("deep-sleep 700");
    assert_eq!(start(&board), ("deep-sleep".into(), 2, 2));
    assert!(before.elapsed() >= Duration::from_millis(690));
    // It works as before.
    board.wait_for("net up", PATIENCE);
}

/// What woke a board whose client was idle.
fn idle_client(keep_alive: u32, time: Duration) -> Line {
    let broker = Broker::start();
    let mut board = Board::with(&Firmware::build("idle"))
        .arg("port", broker.port())
        .arg("keep-alive", keep_alive)
        // embassy does not take a timer back: the one for an answer that did come is over before.
        .arg("response-ms", 1500)
        .arg("idle-ms", time.as_millis())
        .start();
    board.wait_for("idle for", PATIENCE);
    let idle = board.wait_for("idle us=", time + PATIENCE);
    assert_eq!(board.wait_exit(PATIENCE), 0);
    println!("{}", idle.text);
    // Each wake was for an alarm or a frame, and short.
    let (alarms, frames): (u32, u32) = (idle.value("alarms"), idle.value("rx"));
    assert!(idle.value::<u32>("wakeups") <= alarms + frames, "{idle:?}");
    let time: u64 = idle.value("us");
    assert!(idle.value::<u64>("awake_us") < time / 20, "{idle:?}");
    idle
}

#[test]
fn no_timer_wakes_a_board_whose_client_is_idle() {
    // Nothing has to be kept alive in this minute.
    let idle = idle_client(600, Duration::from_secs(60));
    // The one that ends the minute.
    assert_eq!((idle.value("pings"), idle.value("alarms")), (0, 1), "{idle:?}");
}

#[test]
fn a_ping_wakes_the_board_no_more_than_it_must() {
    let idle = idle_client(20, Duration::from_secs(30));
    let pings: u32 = idle.value("pings");
    assert!((5..=6).contains(&pings), "one in 5 s: {idle:?}");
    // For each: to send it, to acknowledge the answer (TCP waits a moment with that), and the one
    // for the case that it does not come.
    assert!(idle.value::<u32>("alarms") <= 1 + 3 * pings, "{idle:?}");
}
