//! A real broker, started for one test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Tests that run at the same time, in this process or others, need different ports and directories.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A mosquitto on a port of its own; it is killed, and its directory removed, when dropped.
#[derive(Debug)]
pub struct Mosquitto {
    directory: PathBuf,
    port: u16,
    options: String,
    child: Option<Child>,
}

impl Mosquitto {
    /// Starts a broker that keeps nothing on disk and lets everybody do everything.
    pub fn start() -> Self {
        Self::with("allow_anonymous true\npersistence false\n")
    }

    /// Starts a broker with these lines in its configuration; `DIR` in them is its directory, and
    /// `NEXT` a second port.
    pub fn with(options: &str) -> Self {
        Self::with_files(options, &[])
    }

    /// As [`with`](Self::with), with these files (name, text) in the directory.
    pub fn with_files(options: &str, files: &[(&str, &str)]) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("everlink-test-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("a directory for the broker");
        for (name, text) in files {
            std::fs::write(directory.join(name), text).expect("a file for the broker");
        }
        let options = options.replace("DIR", &directory.to_string_lossy());
        for attempt in 0..50 {
            // Below the range from which the system picks ports by itself, so that a broker that
            // is restarted finds its port free.
            let start = 12_000 + (std::process::id() * 37 + number * 101 + attempt * 13) % 20_000;
            let Some(port) = free_port(start as u16) else { continue };
            let options = options.replace("NEXT", &next(port).to_string());
            let mut broker = Self { directory: directory.clone(), port, options, child: None };
            if broker.launch() {
                return broker;
            }
            std::mem::take(&mut broker.directory); // for the next attempt
        }
        panic!("mosquitto does not start; is it installed?");
    }

    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The address of the second port.
    pub fn next_addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, next(self.port)).into()
    }

    /// The broker dies as by `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Where it keeps its files.
    pub fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    /// What the broker logged since it was last started.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) {
        self.kill();
        let start = Instant::now();
        while !self.launch() {
            assert!(start.elapsed() < Duration::from_secs(20), "mosquitto does not start again");
        }
    }

    fn launch(&mut self) -> bool {
        let config = self.directory.join("mosquitto.conf");
        // As root, mosquitto would become a user who may not write here.
        let text =
            format!("user root\nlog_type all\nlistener {} 127.0.0.1\n{}", self.port, self.options);
        std::fs::write(&config, text).expect("the broker's configuration");
        let mut command = Command::new("mosquitto");
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        command.arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
        let log = std::fs::File::create(self.directory.join("log")).expect("the broker's log");
        let mut child = command.stderr(log).spawn().expect("mosquitto is installed");
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            if child.try_wait().expect("the broker's state").is_some() {
                return false;
            }
            let two = self.options.contains(&format!("listener {}", next(self.port)));
            let ready = |addr| TcpStream::connect(addr).is_ok();
            if ready(self.addr()) && (!two || ready(self.next_addr())) {
                self.child = Some(child);
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        let _ = child.wait();
        false
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
        if !self.directory.as_os_str().is_empty() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// A port that no other test starts its broker at.
fn next(port: u16) -> u16 {
    port - 6000
}

fn free_port(port: u16) -> Option<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|_| port)
}
