//! mosquitto's own clients, at the other side of the broker.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::dir::TempDir;
use crate::process::Process;

/// A subscriber that writes down all that the board sends. Its session survives the broker's restarts.
#[derive(Debug)]
pub struct Ledger {
    // Before the directory, so that it is gone before its files.
    process: Option<Process>,
    arguments: Vec<String>,
    dir: TempDir,
}

impl Ledger {
    /// Subscribes to `filter` at QoS 2, and leaves: the broker keeps everything until
    /// [`read`](Self::read). For tests that take the broker away: mosquitto's own client loses a message
    /// when its connection breaks just before PUBCOMP.
    ///
    /// # Panics
    /// When `mosquitto_sub` is missing, or cannot subscribe.
    pub fn keep(broker: &Broker, filter: &str) -> Self {
        Self::subscribe(broker, filter, &["-F", "%t %p"])
    }

    /// As [`keep`](Self::keep), and reads at once.
    ///
    /// # Panics
    /// As [`keep`](Self::keep).
    pub fn follow(broker: &Broker, filter: &str) -> Self {
        let mut ledger = Self::keep(broker, filter);
        ledger.read();
        ledger
    }

    /// As [`follow`](Self::follow), with MQTT 5: its lines are the Topic Name and what `format`, of
    /// `mosquitto_sub`'s kind, makes of the message.
    ///
    /// # Panics
    /// As [`keep`](Self::keep).
    pub fn follow_v5(broker: &Broker, filter: &str, format: &str) -> Self {
        let format = format!("%t {format}");
        let mut ledger = Self::subscribe(broker, filter, &["-V", "5", "-x", "3600", "-F", &format]);
        ledger.read();
        ledger
    }

    fn subscribe(broker: &Broker, filter: &str, format: &[&str]) -> Self {
        let port = broker.port().to_string();
        let mut arguments = vec!["-h", "127.0.0.1", "-p", &port, "-i", "ledger", "-c", "-q", "2"];
        arguments.extend(["-t", filter]);
        arguments.extend(format);
        let mut command = Command::new("mosquitto_sub");
        // Ends when it is subscribed.
        let status = Process::start(command.args(&arguments).arg("-E")).child().wait();
        assert!(status.is_ok_and(|s| s.success()), "mosquitto_sub cannot subscribe");
        let arguments = arguments.into_iter().map(str::to_owned).collect();
        Self { process: None, arguments, dir: TempDir::new() }
    }

    /// Takes what the broker has kept, and then whatever comes.
    ///
    /// # Panics
    /// When `mosquitto_sub` cannot be started.
    pub fn read(&mut self) {
        let output = File::create(self.file()).expect("a fresh directory can be written");
        let mut command = Command::new("mosquitto_sub");
        command.args(&self.arguments).stdin(Stdio::null()).stdout(output);
        self.process = Some(Process::start(&mut command));
    }

    fn file(&self) -> PathBuf {
        self.dir.join("ledger")
    }

    /// The payloads received on `topic` so far.
    ///
    /// # Panics
    /// When it does not read yet.
    pub fn received(&self, topic: &str) -> Vec<String> {
        assert!(self.process.is_some(), "it is to read first");
        let text = fs::read_to_string(self.file()).expect("it is there");
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

    /// The payloads received on `topic` as soon as all of `wanted` are among them, or else after
    /// `patience`.
    pub fn received_all(
        &self,
        topic: &str,
        wanted: impl IntoIterator<Item = String>,
        patience: Duration,
    ) -> Vec<String> {
        let mut missing: BTreeSet<String> = wanted.into_iter().collect();
        self.wait(topic, patience, |received| {
            missing.retain(|wanted| !received.contains(wanted));
            missing.is_empty()
        })
    }

    fn wait(
        &self,
        topic: &str,
        patience: Duration,
        mut enough: impl FnMut(&[String]) -> bool,
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
