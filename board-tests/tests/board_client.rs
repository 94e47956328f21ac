//! The client on the board against a real broker: every QoS both ways, both versions, across every kind
//! of outage. At QoS 1 and 2 nothing is lost and the order is kept, at QoS 2 nothing is doubled.
//!
//! The board judges what it received; the host's ledger, which the broker keeps, judges what the board
//! sent.

use std::thread::sleep;
use std::time::{Duration, Instant};

use board_tests::{Board, Broker, Firmware, Ledger, Wire, publish};

const PATIENCE: Duration = Duration::from_secs(60);
/// Messages that the board's queue holds.
const QUEUE: u32 = 16;

/// A board that publishes all the time, a broker, the wire between them, and who counts.
struct Exchange {
    board: Board,
    broker: Broker,
    wire: Wire,
    ledger: Ledger,
    /// The number to be published next to the board, at each QoS.
    next: u32,
}

impl Exchange {
    fn start(version: &str) -> Self {
        Self::with(Broker::start(), version)
    }

    fn with(broker: Broker, version: &str) -> Self {
        let wire = Wire::new();
        wire.set_name("broker.test", Some(Board::HOST));
        let ledger = Ledger::keep(&broker, "from/board/+");
        let board = Board::with(&Firmware::build("exchange"))
            .arg("host", "broker.test")
            .arg("port", broker.port())
            .arg("version", version)
            // mosquitto 2.0 forgets an MQTT 5 session that began with Clean Start when it ends.
            .arg("clean", 0)
            // Silence is noticed after 2 s + 3 s.
            .arg("keep-alive", 8)
            .arg("response-ms", 3000)
            .wire(&wire)
            .start();
        board.wait_for("ready", PATIENCE);
        let mut exchange = Self { board, broker, wire, ledger, next: 0 };
        exchange.feed(5);
        exchange
    }

    /// Publishes so many further messages at each QoS to the board.
    fn feed(&mut self, count: u32) {
        for number in self.next..self.next + count {
            for qos in ["0", "1", "2"] {
                let topic = format!("to/board/{qos}");
                publish(&self.broker, &["-q", qos, "-t", &topic, "-m", &number.to_string()]);
            }
        }
        self.next += count;
    }

    fn is_up_again(&self) {
        self.board.wait_for("state up resumed=true", PATIENCE);
    }

    /// Number expected next at QoS 1 and at QoS 2, and messages held, by the board's word.
    fn look(&mut self) -> [u32; 3] {
        self.board.send("ledger");
        let [one, two] = [1, 2].map(|qos| {
            let line = self.board.wait_for(&format!("ledger qos={qos}"), PATIENCE);
            line.value("next")
        });
        [one, two, self.board.wait_for("stats accepted", PATIENCE).value("held")]
    }

    fn look_until(&mut self, wanted: impl Fn([u32; 3]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !wanted(self.look()) {
            assert!(Instant::now() < deadline, "not settled:\n{}", self.board.raw_log());
            sleep(Duration::from_millis(100));
        }
    }

    /// Waits until the board has all that was published to it. Before that, mosquitto 2.0 may send
    /// a new message before one that waits for the same board: it is not to be tested here.
    fn catch_up(&mut self) {
        self.is_up_again();
        let all = self.next;
        self.look_until(|[one, two, _]| [one, two] == [all, all]);
    }

    /// Stops publishing, and waits until nothing is under way in either direction.
    fn settle(&mut self) {
        self.board.send("pause");
        let all = self.next;
        self.look_until(|looks| looks == [all, all, 0]);
    }

    /// The board's verdict and the host's.
    fn judge(&mut self) {
        self.board.send(&format!("finish {}", self.next));
        let sent = [0, 1, 2].map(|qos| {
            let line = self.board.wait_for(&format!("ledger qos={qos}"), 2 * PATIENCE);
            println!("{}", line.text);
            line.value::<u32>("sent")
        });
        println!("{}", self.board.wait_for("stats accepted", PATIENCE).text);
        println!("{}", self.board.wait_for("memory", PATIENCE).text);
        let verdict = self.board.wait_for("verdict", PATIENCE);
        assert_eq!(verdict.text, "verdict right", "log:\n{}", self.board.raw_log());
        self.ledger.read();
        // QoS 0 last: its last one may be lost, and when the others are there, so is it.
        for qos in [1, 2, 0] {
            self.judge_received(qos, sent[qos]);
        }
    }

    /// What the host received of `sent` messages.
    fn judge_received(&self, qos: usize, sent: u32) {
        assert!(sent > 3, "the board sent hardly anything at QoS {qos}");
        let (topic, last) = (format!("from/board/{qos}"), (sent - 1).to_string());
        let patience = if qos == 0 { Duration::ZERO } else { PATIENCE };
        let received = self.ledger.received_until(&topic, &last, patience);
        let numbers: Vec<u32> = received.iter().map(|n| n.parse().expect("a number")).collect();
        let mut first: Vec<u32> = Vec::new();
        for number in &numbers {
            if !first.contains(number) {
                first.push(*number);
            }
        }
        let (all, different) = (numbers.len(), first.len());
        println!("host: qos={qos} sent={sent} received={all} different={different}");
        assert!(qos == 0 || different > 0, "nothing arrived at QoS {qos}");
        assert!(first.is_sorted(), "out of order at QoS {qos}: {numbers:?}");
        assert!(qos == 0 || different == sent as usize, "lost at QoS {qos}: {numbers:?}");
        assert!(qos == 1 || all == different, "doubled at QoS {qos}: {numbers:?}");
    }
}

/// The broker ends in order, in the middle of everything, and comes back.
fn restarted_broker(broker: Broker, version: &str) {
    let mut exchange = Exchange::with(broker, version);
    for _ in 0..3 {
        exchange.feed(3);
        exchange.broker.stop();
        exchange.board.wait_for("fault=tcp: connection refused", PATIENCE);
        exchange.broker.restart();
        exchange.catch_up();
    }
    exchange.judge();
}

/// The broker is killed with messages under way, and does not come back for a minute: longer than the
/// board's queue lasts.
///
/// mosquitto saves after it acknowledges, so what it acknowledged in the last moments before
/// `kill -9` is lost. There is nothing of the kind: it saves, and hears no more before it dies.
fn killed_broker(version: &str) {
    let mut exchange = Exchange::start(version);
    exchange.settle();
    exchange.broker.save();
    exchange.broker.freeze();
    exchange.board.send("resume");
    exchange.board.wait_for("fault=up", PATIENCE);
    exchange.broker.kill();
    sleep(Duration::from_secs(60));
    assert_eq!(exchange.look()[2], QUEUE);
    exchange.broker.restart();
    exchange.is_up_again();
    exchange.feed(5);
    exchange.settle();
    let line =
        exchange.board.lines().into_iter().rev().find(|l| l.text.starts_with("ledger qos=2"));
    assert_eq!(line.expect("settled").value::<u32>("waited"), 1, "the queue was full");
    exchange.judge();
}

/// The network is taken away, by the board and by the host, while the broker has more.
fn lost_network(version: &str) {
    let mut exchange = Exchange::start(version);
    // The first time there is more than the board's memory has room for.
    for count in [40, 10] {
        exchange.board.send("nic down");
        exchange.feed(count);
        exchange.board.send("nic up");
        exchange.catch_up();
        exchange.board.set_cable(false);
        exchange.feed(10);
        exchange.board.set_cable(true);
        exchange.catch_up();
    }
    exchange.judge();
}

/// The link looks well and nothing passes; then the broker hangs. The board finds out by itself.
fn half_open(version: &str) {
    let mut exchange = Exchange::start(version);
    exchange.wire.set_broken(true);
    exchange.feed(10);
    exchange.board.wait_for("fault=up", PATIENCE);
    exchange.wire.set_broken(false);
    exchange.catch_up();
    exchange.feed(3);
    exchange.broker.freeze();
    exchange.board.wait_for("fault=up", PATIENCE);
    exchange.broker.thaw();
    exchange.catch_up();
    exchange.feed(3);
    // Shorter than anybody notices.
    exchange.wire.set_broken(true);
    exchange.feed(5);
    exchange.wire.set_broken(false);
    exchange.judge();
}

/// Closed and opened again: what comes meanwhile waits at the broker.
fn closed_and_opened(version: &str) {
    let mut exchange = Exchange::start(version);
    for _ in 0..3 {
        exchange.board.send("close");
        exchange.board.wait_for("client Closed", PATIENCE);
        exchange.feed(5);
        exchange.board.send("open");
        exchange.catch_up();
        exchange.feed(10);
    }
    exchange.judge();
}

#[test]
fn board_and_a_restarted_broker_mqtt_5() {
    restarted_broker(Broker::start(), "5");
}

#[test]
fn board_and_a_restarted_broker_mqtt_3_1_1() {
    restarted_broker(Broker::start(), "311");
}

/// Without a limit of messages under way, mosquitto 2.0 takes QoS 2 messages from its disk as if they had
/// not been received, and sends them again.
#[test]
fn board_and_a_restarted_broker_that_repeats_what_is_over() {
    restarted_broker(Broker::with_config("max_inflight_messages 0"), "311");
}

#[test]
fn board_and_a_minute_without_a_broker_mqtt_5() {
    killed_broker("5");
}

#[test]
fn board_and_a_minute_without_a_broker_mqtt_3_1_1() {
    killed_broker("311");
}

#[test]
fn board_and_a_lost_network_mqtt_5() {
    lost_network("5");
}

#[test]
fn board_and_a_lost_network_mqtt_3_1_1() {
    lost_network("311");
}

#[test]
fn board_and_a_half_open_connection_mqtt_5() {
    half_open("5");
}

#[test]
fn board_and_a_half_open_connection_mqtt_3_1_1() {
    half_open("311");
}

#[test]
fn board_closed_and_opened_mqtt_5() {
    closed_and_opened("5");
}

#[test]
fn board_closed_and_opened_mqtt_3_1_1() {
    closed_and_opened("311");
}
