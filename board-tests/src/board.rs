//! The emulated board as a process.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::dir::TempDir;
use crate::firmware::Firmware;
use crate::log::{Line, Log};
use crate::process::Process;
use crate::wire::Wire;

/// How a board is to be started.
#[derive(Debug)]
pub struct Setup {
    firmware: Firmware,
    arguments: Vec<String>,
    network: Vec<OsString>,
}

impl Setup {
    /// Adds `key=value` to the board's command line.
    ///
    /// # Panics
    /// When it holds a space or a comma, which the way to the board does not carry.
    pub fn arg(mut self, key: &str, value: impl Display) -> Self {
        let argument = format!("{key}={value}");
        assert!(!argument.contains([' ', ',']), "{argument:?} cannot be passed");
        self.arguments.push(argument);
        self
    }

    /// Keeps the board's flash in `image`, which the board makes when it is missing.
    pub fn flash(self, image: &Path) -> Self {
        self.arg("flash", image.display())
    }

    /// Leads the board's cable through `wire`.
    pub fn wire(mut self, wire: &Wire) -> Self {
        self.network = wire.network();
        self
    }

    /// Takes the network away: the board has a NIC, but no cable that leads anywhere.
    pub fn without_network(mut self) -> Self {
        self.network = vec!["-nic".into(), "none".into()];
        self
    }

    /// Switches the board on.
    ///
    /// # Panics
    /// When the emulator cannot be started.
    pub fn start(self) -> Board {
        let dir = TempDir::new();
        let arguments: String = self.arguments.iter().map(|arg| format!(",arg={arg}")).collect();
        let mut command = Command::new("qemu-system-arm");
        command
            .current_dir(dir.path())
            .args(["-M", "mps2-an385", "-display", "none"])
            .args(["-monitor", "unix:monitor,server=on,wait=off"])
            .args(["-serial", "unix:console,server=on,wait=off"])
            .args(["-serial", "unix:link,server=on,wait=off"])
            .arg("-semihosting-config")
            .arg(format!("enable=on,target=native,arg=board{arguments}"))
            .arg("-kernel")
            .arg(self.firmware.elf())
            .args(&self.network)
            .stdin(Stdio::null());
        // The board logs to one, the emulator complains on the other.
        let (output, input) = io::pipe().expect("a pipe");
        command.stdout(input.try_clone().expect("a pipe can be shared")).stderr(input);
        let process = Process::start(&mut command);
        // It holds the writing end: the log would never end.
        drop(command);
        Board { process, log: Log::follow(output), console: None, monitor: None, dir }
    }
}

/// A running board. Dropping it switches it off, like [`Board::kill`].
#[derive(Debug)]
pub struct Board {
    process: Process,
    log: Log,
    console: Option<UnixStream>,
    monitor: Option<UnixStream>,
    // Last, so that the emulator is gone before its directory.
    dir: TempDir,
}

impl Board {
    /// The host as the board sees it: what listens on the host's loopback is reached here.
    pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

    /// A board with `firmware`, a network and no flash.
    pub fn with(firmware: &Firmware) -> Setup {
        let network = ["-nic", "user,model=lan9118"].map(Into::into).to_vec();
        Setup { firmware: firmware.clone(), arguments: Vec::new(), network }
    }

    /// The next line of the log that holds `text`, after the last one that was waited for. Waits at
    /// most `patience`.
    ///
    /// # Panics
    /// When it does not come, with the whole log.
    pub fn wait_for(&self, text: &str, patience: Duration) -> Line {
        self.log
            .wait_for(text, patience)
            .unwrap_or_else(|| panic!("no {text:?} in {patience:?}; log:\n{}", self.log.raw()))
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<Line> {
        self.log.lines()
    }

    /// Everything so far, also what the emulator itself printed: for a panic's message.
    pub fn raw_log(&self) -> String {
        self.log.raw()
    }

    /// Sends a line to the console.
    ///
    /// # Panics
    /// When the board is gone.
    pub fn send(&mut self, line: &str) {
        let console = match &mut self.console {
            Some(console) => console,
            empty => empty.insert(connect(&self.dir.join("console"))),
        };
        writeln!(console, "{line}").unwrap_or_else(|error| panic!("console: {error}"));
    }

    /// The other end of UART1; to be asked for once.
    ///
    /// # Panics
    /// When the board is gone.
    pub fn link(&self) -> UnixStream {
        connect(&self.dir.join("link"))
    }

    /// Plugs the Ethernet cable in or pulls it. The board's PHY notices.
    ///
    /// # Panics
    /// When the board is gone or has no network.
    pub fn set_cable(&mut self, plugged: bool) {
        let state = if plugged { "on" } else { "off" };
        let answer = self.monitor(&format!("set_link lan9118.0 {state}"));
        assert!(!answer.contains("Error"), "set_link: {answer}");
    }

    /// Has the emulator's monitor carry out `command`; returns what it says.
    ///
    /// # Panics
    /// When the board is gone.
    pub fn monitor(&mut self, command: &str) -> String {
        let monitor = match &mut self.monitor {
            Some(monitor) => monitor,
            empty => {
                let mut fresh = connect(&self.dir.join("monitor"));
                read_prompt(&mut fresh);
                empty.insert(fresh)
            }
        };
        writeln!(monitor, "{command}").unwrap_or_else(|error| panic!("monitor: {error}"));
        read_prompt(monitor)
    }

    /// Takes the power away at once: `kill -9`. Flash keeps what was written; the board may not come
    /// back under this value.
    pub fn kill(&mut self) {
        self.process.kill();
        assert!(self.log.wait_end(Duration::from_secs(10)), "the log of a dead board ends");
    }

    /// Waits at most `patience` for the board to end itself; returns its exit status.
    ///
    /// # Panics
    /// When it does not end, or was ended by a signal, with the whole log.
    pub fn wait_exit(&mut self, patience: Duration) -> i32 {
        let ended = self.log.wait_end(patience);
        assert!(ended, "no end in {patience:?}; log:\n{}", self.log.raw());
        let status = self.process.child().wait().expect("a child can be waited for");
        status.code().unwrap_or_else(|| panic!("{status}; log:\n{}", self.log.raw()))
    }

    /// Processor time of the host that the emulator has used.
    ///
    /// # Panics
    /// When the board is gone.
    pub fn cpu_time(&self) -> Duration {
        self.process.cpu_time().unwrap_or_else(|error| panic!("processor time: {error}"))
    }

    /// The process of the emulator.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

/// Connects to a socket that the emulator is about to make.
fn connect(path: &Path) -> UnixStream {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => {
                let limit = Some(Duration::from_secs(10));
                stream.set_read_timeout(limit).expect("not zero");
                return stream;
            }
            Err(error) => {
                let early =
                    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused);
                assert!(early && Instant::now() < deadline, "cannot connect to {path:?}: {error}");
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Reads up to the next prompt of the monitor.
fn read_prompt(monitor: &mut UnixStream) -> String {
    let mut text = Vec::new();
    let mut block = [0; 512];
    while !text.ends_with(b"(qemu) ") {
        match monitor.read(&mut block) {
            Ok(0) => panic!("the monitor closed; it said {:?}", String::from_utf8_lossy(&text)),
            Ok(read) => text.extend_from_slice(&block[..read]),
            Err(error) => panic!("monitor: {error}"),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}
