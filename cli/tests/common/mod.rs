//! What the tests of the command share: they run the built binary against brokers of their own.
#![allow(dead_code, unreachable_pub)] // each test file uses a part of it

#[path = "../../../client/tests/support/mosquitto.rs"]
pub mod mosquitto;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mosquitto::Mosquitto;

/// Long enough that only a hang reaches it.
pub const LONG: Duration = Duration::from_secs(40);

/// What a finished command left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Ran {
    /// Standard output as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("text")
    }

    /// Standard output as one JSON value per line.
    pub fn json(&self) -> Vec<serde_json::Value> {
        json(self.text())
    }

    /// Exactly one line on standard error, and this exit code.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains(words), "{words:?} is not in {:?}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "one line: {:?}", self.stderr);
        assert!(self.stderr.starts_with("everlink: "), "{:?}", self.stderr);
    }

    /// Exit code 0 and nothing on standard error.
    #[track_caller]
    pub fn succeeds(&self) {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
    }
}

/// One JSON value per line.
pub fn json(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// The command, not yet started.
pub fn everlink<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everlink"));
    command.args(args).env_remove("EVERLINK_PASSWORD").stdin(Stdio::null());
    command
}

/// Words as arguments, with the broker's address put in for `BROKER`.
pub fn words(line: &str, broker: &Mosquitto) -> Vec<String> {
    let address = format!("-h 127.0.0.1 -p {}", broker.addr().port());
    line.replace("BROKER", &address).split_whitespace().map(str::to_owned).collect()
}

/// Runs the command to its end.
pub fn run<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    run_with_input(&mut everlink(args), b"")
}

/// As [`run`], with words and a broker.
pub fn run_on(broker: &Mosquitto, line: &str) -> Ran {
    run(words(line, broker))
}

/// Runs a command to its end with this on its standard input.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    // The command may end without reading it.
    std::thread::spawn(move || drop(stdin.write_all(&input)));
    let stdout = collect(child.stdout.take().expect("piped"));
    let stderr = collect(child.stderr.take().expect("piped"));
    let code = wait(&mut child).code();
    let stderr = String::from_utf8(stderr.join().expect("stderr")).expect("text");
    Ran { code, stdout: stdout.join().expect("stdout"), stderr }
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

/// Waits for the end of a process; one that hangs is killed, and the test fails.
#[track_caller]
pub fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the state of the command") {
            return status;
        }
        if start.elapsed() > LONG {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the command hangs");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until something is so.
#[track_caller]
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    wait_at_most(LONG, what, condition);
}

/// Waits until something is so, at most so long.
#[track_caller]
pub fn wait_at_most(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "it never happens: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A command in the background, killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pub stdin: Option<ChildStdin>,
    lines: Arc<Mutex<Vec<Vec<u8>>>>,
    errors: Arc<Mutex<Vec<Vec<u8>>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts it, with a pipe for its input.
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command starts");
        let (lines, errors) = (Arc::default(), Arc::default());
        let readers = vec![
            follow(child.stdout.take().expect("piped"), &lines),
            follow(child.stderr.take().expect("piped"), &errors),
        ];
        Self { stdin: child.stdin.take(), child, lines, errors, readers }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lines of standard output so far.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.lines.lock().expect("lines");
        lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    /// How many lines came so far.
    pub fn count(&self) -> usize {
        self.lines.lock().expect("lines").len()
    }

    /// Standard error so far.
    pub fn errors(&self) -> String {
        let errors = self.errors.lock().expect("errors");
        let lines = errors.iter().map(|line| String::from_utf8_lossy(line).into_owned() + "\n");
        lines.collect()
    }

    /// Sends it a signal by its name.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for its end; its exit code, and all it said.
    #[track_caller]
    pub fn end(mut self) -> Ran {
        drop(self.stdin.take());
        let code = wait(&mut self.child).code();
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader");
        }
        let mut stdout = Vec::new();
        for line in self.lines.lock().expect("lines").iter() {
            stdout.extend_from_slice(line);
            stdout.push(b'\n');
        }
        Ran { code, stdout, stderr: self.errors() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(from: impl Read + Send + 'static, to: &Arc<Mutex<Vec<Vec<u8>>>>) -> JoinHandle<()> {
    let to = to.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { return };
            to.lock().expect("lines").push(line);
        }
    })
}

/// Sends a signal by its name; there is no other way without unsafe code.
pub fn signal(pid: u32, name: &str) {
    let kill = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
    assert!(kill.expect("kill").success(), "kill -{name} {pid}");
}

/// Waits until the broker's log says that this client has subscribed `times` times since the start
/// of the broker.
#[track_caller]
pub fn wait_subscribed(broker: &Mosquitto, id: &str, times: usize) {
    let line = format!("Sending SUBACK to {id}");
    wait_until("subscribed", || broker.log().matches(&line).count() >= times);
}
