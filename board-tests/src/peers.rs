//! mosquitto's own clients, at the other side of the broker.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::dir::TempDir;
use crate::process::Process;

/// A subscriber that writes down all that the board sends, for as long as it lives. Its session
/// survives the broker's restarts.
#[derive(Debug)]
pub struct Ledger {
    // Before the directory, so that it is gone before its files.
    _process: Process,
    dir: TempDir,
}

impl Ledger {
    /// Subscribes to `filter` at QoS 2.
    ///
    /// # Panics
    /// When `mosquitto_sub` is missing, or is not subscribed within 10 seconds.
    pub fn follow(broker: &Broker, filter: &str) -> Self {
        Self::start(broker, filter, &["-F", "%t %p"])
    }

    /// As [`follow`](Self::follow), with MQTT 5: its lines are the Topic Name and what `format`, of
    /// `mosquitto_sub`'s kind, makes of the message.
    ///
    /// # Panics
    /// As [`follow`](Self::follow).
    pub fn follow_v5(broker: &Broker, filter: &str, format: &str) -> Self {
        Self::start(broker, filter, &["-V", "5", "-x", "3600", "-F", &format!("%t {format}")])
    }

    fn start(broker: &Broker, filter: &str, arguments: &[&str]) -> Self {
        let dir = TempDir::new();
        let output = File::create(dir.join("ledger")).expect("a fresh directory can be written");
        let mut command = Command::new("mosquitto_sub");
        command
            .args(["-h", "127.0.0.1", "-p", &broker.port().to_string()])
            .args(["-i", "ledger", "-c", "-q", "2", "-t", filter])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            // It complains about every restart of the broker.
            .stderr(Stdio::null());
        let ledger = Self { _process: Process::start(&mut command), dir };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !broker.log().contains("Sending SUBACK to ledger") {
            assert!(Instant::now() < deadline, "mosquitto_sub does not subscribe");
            sleep(Duration::from_millis(5));
        }
        ledger
    }

    /// The payloads received on `topic` so far.
    ///
    /// # Panics
    /// When the file cannot be read.
    pub fn received(&self, topic: &str) -> Vec<String> {
        let text = fs::read_to_string(self.dir.join("ledger")).expect("it is there");
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let of_topic = |line: &str| Some(line.strip_prefix(topic)?.strip_prefix(' ')?.to_owned());
        whole.lines().filter_map(of_topic).collect()
    }

    /// What was received on `topic` as soon as there is something, or else after `patience`.
    pub fn received_any(&self, topic: &str, patience: Duration) -> Vec<String> {
        self.wait(topic, patience, |received| !received.is_empty())
    }

    /// The payloads received on `topic` as soon as `last` is among them, or else after `patience`.
    pub fn received_until(&self, topic: &str, last: &str, patience: Duration) -> Vec<String> {
        self.wait(topic, patience, |received| received.iter().any(|payload| payload == last))
    }

    fn wait(
        &self,
        topic: &str,
        patience: Duration,
        enough: impl Fn(&[String]) -> bool,
    ) -> Vec<String> {
        let deadline = Instant::now() + patience;
        loop {
            let received = self.received(topic);
            if enough(&received) || Instant::now() > deadline {
                return received;
            }
            sleep(Duration::from_millis(20));
        }
    }
}

/// Publishes one message and waits for the broker's acknowledgement. `arguments` are those of
/// `mosquitto_pub`, without host and port.
///
/// # Panics
/// When `mosquitto_pub` is missing or fails.
pub fn publish(broker: &Broker, arguments: &[&str]) {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &broker.port().to_string()]).args(arguments);
    let status = Process::start(&mut command).child().wait();
    assert!(status.is_ok_and(|s| s.success()), "the broker does not take {arguments:?}");
}
