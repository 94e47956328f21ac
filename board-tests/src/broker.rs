//! mosquitto, which can be killed and comes back with what it had.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::dir::TempDir;
use crate::process::{Process, path_with_sbin};

/// A mosquitto on a free port of loopback. Its sessions survive [`Broker::stop`], and
/// [`Broker::kill`] as far as they were saved: mosquitto saves after it acknowledges, so what it had
/// acknowledged in its last moments is lost. Dropping it kills it.
#[derive(Debug)]
pub struct Broker {
    // Before the directory, so that it is gone before its files.
    process: Option<Process>,
    port: u16,
    tls_port: u16,
    dir: TempDir,
}

impl Broker {
    /// Starts a broker.
    ///
    /// # Panics
    /// When mosquitto is missing or does not start.
    pub fn start() -> Self {
        Self::with_config("")
    }

    /// Starts a broker with further lines in its configuration, for instance
    /// `max_inflight_messages 5`.
    ///
    /// # Panics
    /// When mosquitto is missing or does not start.
    pub fn with_config(lines: &str) -> Self {
        Self::in_dir(TempDir::new(), lines, 0)
    }

    /// Starts a broker that speaks TLS 1.3 as well, on a port of its own, with this certificate and its
    /// key, both in PEM form.
    ///
    /// # Panics
    /// When mosquitto is missing or does not start.
    pub fn with_tls(certificate: &str, key: &str) -> Self {
        let (dir, port) = (TempDir::new(), free_port());
        let file = |name: &str, content: &str| {
            let path = dir.join(name);
            fs::write(&path, content).expect("a fresh directory can be written");
            path.display().to_string()
        };
        let (certificate, key) = (file("cert.pem", certificate), file("key.pem", key));
        let lines = format!(
            "listener {port} 127.0.0.1\ncertfile {certificate}\nkeyfile {key}\ntls_version tlsv1.3"
        );
        Self::in_dir(dir, &lines, port)
    }

    fn in_dir(dir: TempDir, lines: &str, tls_port: u16) -> Self {
        let port = free_port();
        let config = format!(
            "listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {}/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
# Started by root, it would become a user who cannot write to the directory.
user root
log_type all
{lines}
",
            dir.path().display()
        );
        fs::write(dir.join("mosquitto.conf"), config).expect("a fresh directory can be written");
        let mut broker = Self { process: None, port, tls_port, dir };
        broker.restart();
        broker
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it speaks TLS.
    ///
    /// # Panics
    /// When it does not.
    pub fn tls_port(&self) -> u16 {
        assert!(self.tls_port != 0, "started without TLS");
        self.tls_port
    }

    /// Kills it as `kill -9` does. Harmless when it does not run.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Asks it to end: it saves everything first.
    ///
    /// # Panics
    /// When it does not run.
    pub fn stop(&mut self) {
        self.running().signal("TERM");
        let process = self.process.as_mut().expect("it runs");
        let ended = process.child().wait();
        assert!(ended.is_ok(), "mosquitto cannot be waited for");
        self.process = None;
    }

    /// Has it save everything now, and waits until that is done.
    ///
    /// # Panics
    /// When it does not run or takes more than 10 seconds.
    pub fn save(&self) {
        // It writes a new file and moves that over the old one.
        let saved = || fs::metadata(self.dir.join("mosquitto.db")).ok().map(|file| file.ino());
        let before = saved();
        self.running().signal("USR1");
        let deadline = Instant::now() + Duration::from_secs(10);
        while saved().is_none() || saved() == before {
            assert!(Instant::now() < deadline, "mosquitto does not save; log:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts it again on the same port, with the sessions it had saved. One that runs is killed.
    ///
    /// # Panics
    /// When it does not accept connections within 10 seconds.
    pub fn restart(&mut self) {
        self.kill();
        let log = File::options().create(true).append(true).open(self.dir.join("log"));
        let log = log.expect("the directory can be written");
        let mut command = Command::new("mosquitto");
        command
            .env("PATH", path_with_sbin())
            .arg("-c")
            .arg(self.dir.join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log);
        let mut process = Process::start(&mut command);
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Err(error) = TcpStream::connect(("127.0.0.1", self.port)) {
            let ended = process.child().try_wait().is_ok_and(|status| status.is_some());
            let early = error.kind() == ErrorKind::ConnectionRefused;
            assert!(
                early && !ended && Instant::now() < deadline,
                "mosquitto does not listen: {error}; log:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(10));
        }
        self.process = Some(process);
    }

    /// Stops the process in its tracks: connections stay open and nobody answers.
    ///
    /// # Panics
    /// When it does not run.
    pub fn freeze(&self) {
        self.running().signal("STOP");
    }

    /// Lets a frozen broker go on.
    ///
    /// # Panics
    /// When it does not run.
    pub fn thaw(&self) {
        self.running().signal("CONT");
    }

    /// What it logged, over all restarts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("the broker runs")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(60)..];
            eprintln!("the broker's last words:\n{}", last.join("\n"));
        }
    }
}

/// A port that stays free while the broker does not run: below those that the system gives to
/// connections, of which the emulator makes many.
fn free_port() -> u16 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..200 {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Tests are processes of their own with numbers close to each other.
        let port = 11_000 + (std::process::id() * 53 + count * 17) % 21_000;
        let port = u16::try_from(port).expect("below 32 000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port on loopback");
}
