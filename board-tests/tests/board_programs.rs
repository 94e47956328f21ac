//! The programs that show what the client can do, each against a real broker: range test, sleep cycle,
//! properties, router, and what the session policies keep.

use std::time::Duration;

use board_tests::{Board, Broker, Firmware, Ledger, Wire, publish};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_range_program_of_the_board_counts_what_the_air_did() {
    const COUNT: u32 = 60;
    let (broker, wire) = (Broker::start(), Wire::new());
    let ledger = Ledger::follow(&broker, "range/#");
    let range = |id: &str, count: u32| {
        Board::with(&Firmware::build("range"))
            .arg("port", broker.port())
            .arg("id", id)
            .arg("will", "range/gone")
            .arg("every-ms", 100)
            .arg("count", count)
            .arg("keep-alive", 4)
            .arg("response-ms", 2000)
    };
    let mut board = range("walker", COUNT).wire(&wire).start();
    // Out of reach twice: once for so long that the board notices, once for a moment.
    board.wait_for("published n=10 ", PATIENCE);
    wire.set_broken(true);
    board.wait_for("fault=up", PATIENCE);
    wire.set_broken(false);
    board.wait_for("published n=40 ", PATIENCE);
    wire.set_broken(true);
    board.wait_for("published n=42 ", PATIENCE);
    wire.set_broken(false);
    let report = board.wait_for("range delivered", PATIENCE);
    println!("{}", report.text);
    assert_eq!((report.value("delivered"), report.value("lost")), (COUNT, 0));
    assert!(report.value::<u32>("outages") >= 1 && report.value::<u32>("repeats") >= 1);
    assert_eq!(board.wait_exit(PATIENCE), 0);

    let number = |line: &String| line.split(' ').next().and_then(|n| n.parse::<u32>().ok());
    let lines = ledger.received("range");
    // The record of the last one tells of the outage, too.
    assert!(!lines.last().expect("some").contains("outages=0 "), "{lines:?}");
    // QoS 1: one whose acknowledgement was lost comes twice.
    let mut numbers = Vec::new();
    for number in lines.iter().filter_map(number) {
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    assert_eq!(numbers, (1..=COUNT).collect::<Vec<_>>());
    // It left politely: only one that vanishes is gone.
    assert!(ledger.received("range/gone").is_empty());
    let mut board = range("lost", 1000).start();
    board.wait_for("published n=5 ", PATIENCE);
    board.kill();
    assert_eq!(ledger.received_any("range/gone", PATIENCE), ["gone"]);
}

#[test]
fn a_board_that_sleeps_between_exchanges_misses_nothing() {
    const CYCLES: u32 = 5;
    let broker = Broker::start();
    let ledger = Ledger::follow(&broker, "from/cycle");
    let mut board = Board::with(&Firmware::build("cycle"))
        .arg("port", broker.port())
        .arg("clean", 0)
        .arg("cycles", CYCLES)
        .arg("will", "from/cycle")
        .start();
    for cycle in 1..=CYCLES {
        let report = board.wait_for("cycle delivered", PATIENCE);
        println!("{}", report.text);
        assert_eq!((report.value("delivered"), report.value("number")), (true, cycle));
        // What was published while it slept.
        assert_eq!(report.value::<u32>("received"), 3 * (cycle - 1));
        // DHCP and the limit of ARP questions take most of it.
        assert!(report.value::<u32>("awake-ms") < 5000, "{report:?}");
        if cycle < CYCLES {
            for _ in 0..3 {
                publish(&broker, &["-q", "1", "-t", "to/cycle", "-m", "wake up"]);
            }
        }
    }
    assert_eq!(board.wait_exit(PATIENCE), 0);
    // No will, since it says goodbye each time.
    assert_eq!(ledger.received_until("from/cycle", "4", PATIENCE), ["0", "1", "2", "3", "4"]);
}

#[test]
fn properties_reach_the_board_and_come_back() {
    let broker = Broker::start();
    let format = "%p content=%C data=%D format=%F expiry=%E user=%P";
    let ledger = Ledger::follow_v5(&broker, "answers/#", format);
    let board = Board::with(&Firmware::build("properties")).arg("port", broker.port()).start();
    board.wait_for("ready", PATIENCE);
    let property = |name: &'static str, value: &'static str| ["-D", "publish", name, value];
    let user =
        |name: &'static str, value: &'static str| ["-D", "publish", "user-property", name, value];
    let mut arguments = vec!["-V", "5", "-q", "2", "-t", "to/properties", "-m", "20 degrees"];
    arguments.extend(property("response-topic", "answers/7"));
    arguments.extend(property("correlation-data", "request-7"));
    arguments.extend(property("content-type", "text/plain"));
    arguments.extend(property("payload-format-indicator", "1"));
    arguments.extend(property("message-expiry-interval", "600"));
    arguments.extend(user("room", "attic"));
    arguments.extend(user("room", "cellar"));
    publish(&broker, &arguments);
    board.wait_for("answered", PATIENCE);
    let said: Vec<String> = board.lines().into_iter().map(|line| line.text).collect();
    for wanted in [
        "payload-format-indicator: 1",
        // In seconds: one may have passed.
        "message-expiry-interval: ",
        "content-type: \"text/plain\"",
        "response-topic: \"answers/7\"",
        "correlation-data: [114, 101, 113, 117, 101, 115, 116, 45, 55]",
        "user-property: \"room\"=\"attic\"",
        "user-property: \"room\"=\"cellar\"",
    ] {
        let found = said.iter().filter(|line| line.starts_with(&format!("property {wanted}")));
        assert_eq!(found.count(), 1, "{wanted}: {said:#?}");
    }
    let answers = ledger.received_any("answers/7", PATIENCE);
    assert_eq!(answers.len(), 1, "{answers:?}");
    let answer = &answers[0];
    for wanted in
        ["20 degrees content=text/plain data=request-7 format=1", "user=board:mps2 board:an385"]
    {
        assert!(answer.contains(wanted), "{answer:?}");
    }
    let expiry = answer.split("expiry=").nth(1).and_then(|rest| rest.split(' ').next());
    assert!(expiry.is_some_and(|e| ["3599", "3600"].contains(&e)), "{answer:?}");
}

#[test]
fn each_task_of_the_board_gets_the_messages_of_its_filter() {
    let broker = Broker::start();
    let retained = ["-q", "1", "-r", "-t", "house/meter/power", "-m", "230"];
    publish(&broker, &retained);
    let board = Board::with(&Firmware::build("router")).arg("port", broker.port()).start();
    for filter in ["house/+/lamp", "house/meter/#", "house/#"] {
        // In any order.
        while !board.lines().iter().any(|line| line.text == format!("ready {filter}")) {
            board.wait_for("ready", PATIENCE);
        }
    }
    for (topic, text) in [("house/attic/lamp", "on"), ("house/door", "open")] {
        publish(&broker, &["-q", "1", "-t", topic, "-m", text]);
    }
    board.wait_for("house/# got house/door", PATIENCE);
    let got = |filter: &str| {
        let prefix = format!("{filter} got ");
        let lines = board.lines().into_iter();
        let mut got: Vec<String> =
            lines.filter_map(|l| l.text.strip_prefix(&prefix).map(str::to_owned)).collect();
        got.dedup();
        got
    };
    let [power, lamp, door] = [
        "house/meter/power 230 retain=true",
        "house/attic/lamp on retain=false",
        "house/door open retain=false",
    ];
    assert_eq!(got("house/+/lamp"), [lamp]);
    assert_eq!(got("house/meter/#"), [power]);
    assert_eq!(got("house/#"), [power, lamp, door]);
}

/// How many of 5 messages at each QoS, published while the board is away, it gets when it returns.
fn kept_while_away(clean_reconnect: u8) -> [u32; 3] {
    let broker = Broker::start();
    let mut board = Board::with(&Firmware::build("exchange"))
        .arg("port", broker.port())
        .arg("clean-reconnect", clean_reconnect)
        .start();
    board.wait_for("ready", PATIENCE);
    board.send("close");
    board.wait_for("client Closed", PATIENCE);
    let send = |number: u32| {
        for qos in ["0", "1", "2"] {
            let topic = format!("to/board/{qos}");
            publish(&broker, &["-q", qos, "-t", &topic, "-m", &number.to_string()]);
        }
    };
    (0..5).for_each(send);
    board.send("open");
    board.wait_for("state up", PATIENCE);
    // The subscriptions are there again when this one comes.
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        send(5);
        board.send("ledger");
        let look = |qos: usize| board.wait_for(&format!("ledger qos={qos}"), PATIENCE);
        let lines = [look(0), look(1), look(2)];
        if lines.iter().all(|line| line.value::<u32>("next") == 6) {
            return lines.map(|line| 5 - line.value::<u32>("lost"));
        }
        assert!(std::time::Instant::now() < deadline, "log:\n{}", board.raw_log());
    }
}

#[test]
fn an_unclean_session_of_the_board_keeps_what_a_clean_one_loses() {
    // At QoS 0 mosquitto keeps nothing for those who are away.
    assert_eq!(kept_while_away(0), [0, 5, 5]);
    assert_eq!(kept_while_away(1), [0, 0, 0]);
}
