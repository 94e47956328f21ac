//! A program to run: without a shell, within a time, with what it says when it fails.

use std::boxed::Box;
use std::fmt;
use std::io;
use std::process::Stdio;
use std::string::String;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::vec::Vec;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::words::reason;

/// How much of what a program prints is kept, in bytes.
const KEPT: usize = 2048;
/// How much of it goes into a message, in characters.
const SHOWN: usize = 200;
/// What a program left running in the background may hold its output open; so long it is waited for.
const AFTERWARDS: Duration = Duration::from_millis(100);

/// A program and its arguments. No shell is involved, so nothing in them is anything but itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    name: String,
    arguments: Vec<String>,
    limit: Duration,
    expected: Option<String>,
}

/// Why a command line cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProgramError {
    /// There is no program in it.
    Empty,
    /// A quotation mark has no second one.
    Quote,
    /// A character that means something to a shell, outside quotation marks.
    Shell(char),
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is no program in it"),
            Self::Quote => f.write_str("a quotation mark is not closed"),
            Self::Shell(c) => write!(
                f,
                "no shell reads it, so {c} would be an argument; put it into quotation marks, or all into a script"
            ),
        }
    }
}

impl std::error::Error for ProgramError {}

impl Program {
    /// A program, looked for in `PATH` unless its name has a slash, that may take 30 s.
    pub fn new(name: impl Into<String>) -> Self {
        let limit = Duration::from_secs(30);
        Self { name: name.into(), arguments: Vec::new(), limit, expected: None }
    }

    /// Further arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// How long it may take before it is killed, with all that it started; 30 s by default.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// It also has to print this to succeed.
    #[must_use]
    pub fn expect(mut self, text: impl Into<String>) -> Self {
        self.expected = Some(text.into());
        self
    }

    /// Reads a command line: words, and quotation marks around words with spaces. A backslash takes the next
    /// character as it is. Nothing is expanded.
    ///
    /// # Errors
    /// If there is no program in it, or something that only a shell would understand.
    pub fn parse(line: &str) -> Result<Self, ProgramError> {
        let mut words = words(line)?.into_iter();
        let program = words.next().filter(|name| !name.is_empty()).ok_or(ProgramError::Empty)?;
        Ok(Self::new(program).arguments(words))
    }

    /// Runs it for the link of this name, which it finds in `EVERLINK_LINK`. The error is for a person.
    ///
    /// Dropping the future kills it, with all that it started.
    pub(super) async fn run(&self, link: &str) -> Result<(), String> {
        let failed = |why: String| std::format!("`{self}` {why}");
        let spawned = Command::new(&self.name)
            .args(&self.arguments)
            .env("EVERLINK_LINK", link)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let child = spawned.map_err(|e| failed(std::format!("cannot be run: {}", reason(&e))))?;
        let mut group = Group::new(child);
        let said = Mutex::new(Vec::new());
        let ended = timeout(self.limit, group.finish(&said)).await;
        let said = said.into_inner().unwrap_or_else(PoisonError::into_inner);
        let said = String::from_utf8_lossy(&said);
        match ended {
            Err(_) => {
                let seconds = self.limit.as_secs_f32();
                Err(failed(std::format!(
                    "took more than {seconds} s and was killed{}",
                    shown(&said)
                )))
            }
            Ok(Err(error)) => Err(failed(reason(&error))),
            Ok(Ok(status)) if !status.success() => {
                Err(failed(std::format!("failed ({status}){}", shown(&said))))
            }
            Ok(Ok(_)) => match &self.expected {
                Some(text) if !said.contains(text.as_str()) => {
                    Err(failed(std::format!("does not say {text}{}", shown(&said))))
                }
                _ => Ok(()),
            },
        }
    }
}

impl fmt::Display for Program {
    /// The program and its arguments, which may be long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {argument}"))
    }
}

/// A program and all that it started, killed together unless it came to its end.
struct Group {
    child: Child,
    id: Option<Pid>,
}

impl Group {
    fn new(child: Child) -> Self {
        let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Self { child, id }
    }

    /// Waits for the end, and keeps what it says.
    async fn finish(&mut self, said: &Mutex<Vec<u8>>) -> io::Result<std::process::ExitStatus> {
        let (out, err) = (self.child.stdout.take(), self.child.stderr.take());
        let mut reading = Box::pin(async {
            tokio::join!(keep(out, said), keep(err, said));
        });
        let status = tokio::select! {
            biased;
            () = &mut reading => self.child.wait().await,
            status = self.child.wait() => {
                let _ = timeout(AFTERWARDS, reading).await;
                status
            }
        };
        // What it left running, such as a daemon that keeps the link up, is to stay.
        self.id = None;
        status
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

/// Reads to the end, so that it is never stuck, and keeps the beginning.
async fn keep(from: Option<impl AsyncRead + Unpin>, said: &Mutex<Vec<u8>>) {
    let Some(mut from) = from else { return };
    let mut chunk = [0; 512];
    while let Ok(n @ 1..) = from.read(&mut chunk).await {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEPT.saturating_sub(said.len()).min(n);
        said.extend_from_slice(&chunk[..room]);
    }
}

/// What it said in one line, if anything.
fn shown(said: &str) -> String {
    let words = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = words.collect::<Vec<_>>().join("; ");
    let line: String = line.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    if line.is_empty() { line } else { std::format!(": {line}") }
}

fn words(line: &str) -> Result<Vec<String>, ProgramError> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(mark), c) if c == mark => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                word.get_or_insert_default().push(chars.next().ok_or(ProgramError::Quote)?);
            }
            (None, '|' | '&' | ';' | '<' | '>' | '$' | '`' | '*' | '(' | ')') => {
                return Err(ProgramError::Shell(c));
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(ProgramError::Quote);
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn parsed(line: &str) -> Vec<String> {
        let program = Program::parse(line).unwrap();
        [program.name].into_iter().chain(program.arguments).collect()
    }

    #[test]
    fn words_and_quotation_marks() {
        assert_eq!(parsed("ip link set wwan0 up"), ["ip", "link", "set", "wwan0", "up"]);
        assert_eq!(
            parsed(r#"'/opt/my modem/up'  "a b" c\ d '' "\"$x" "#),
            ["/opt/my modem/up", "a b", "c d", "", "\"$x"]
        );
        assert_eq!(Program::parse("  "), Err(ProgramError::Empty));
        assert_eq!(Program::parse("''"), Err(ProgramError::Empty));
        assert_eq!(Program::parse("a 'b"), Err(ProgramError::Quote));
        assert_eq!(Program::parse("a \\"), Err(ProgramError::Quote));
        for c in "|&;<>$`*()".chars() {
            assert_eq!(Program::parse(&std::format!("a {c} b")), Err(ProgramError::Shell(c)));
        }
    }

    async fn shell(script: &str, limit: Duration) -> Result<(), String> {
        Program::new("sh").arguments(["-c", script]).limit(limit).run("wwan0").await
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn what_it_says_is_told_when_it_fails() {
        assert_eq!(shell("exit 0", LONG).await, Ok(()));
        let error = shell("echo no SIM; echo really >&2; exit 3", LONG).await.unwrap_err();
        assert!(error.contains("failed (exit status: 3)"), "{error}");
        assert!(error.contains("no SIM") && error.contains("really"), "{error}");
        let error = Program::new("/nonexistent/program").run("x").await.unwrap_err();
        assert!(error.contains("cannot be run: No such file"), "{error}");
        let program = Program::new("sh").arguments(["-c", "echo $EVERLINK_LINK"]);
        assert_eq!(program.clone().expect("wwan0").run("wwan0").await, Ok(()));
        let error = program.expect("100").run("wwan0").await.unwrap_err();
        assert!(error.ends_with("does not say 100: wwan0"), "{error}");
    }

    /// More than a pipe holds, control characters and all.
    #[tokio::test]
    async fn a_flood_neither_blocks_nor_grows() {
        let error = shell("yes \"$(printf '\\033[31m')\" | head -c 3000000; exit 1", LONG).await;
        let error = error.unwrap_err();
        assert!(error.len() < 500 && !error.contains('\u{1b}'), "{error:?}");
    }

    #[tokio::test]
    async fn what_takes_too_long_is_killed_with_all_that_it_started() {
        let file = std::env::temp_dir().join(std::format!("everlink-{}-group", std::process::id()));
        let script = std::format!("sleep 30 & echo $! > {}; echo dialling; wait", file.display());
        let start = Instant::now();
        let error = shell(&script, Duration::from_millis(700)).await.unwrap_err();
        assert!(error.contains("took more than 0.7 s and was killed: dialling"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(10));
        let child: u32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        std::fs::remove_file(&file).unwrap();
        let process = std::format!("/proc/{child}/stat");
        // A zombie may wait for whoever adopts it.
        let is_gone =
            || std::fs::read_to_string(&process).map_or(true, |stat| stat.contains(") Z "));
        while !is_gone() && start.elapsed() < Duration::from_secs(20) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(is_gone());
    }

    #[tokio::test]
    async fn a_daemon_it_leaves_is_not_waited_for() {
        let start = Instant::now();
        shell("sleep 3 & exit 0", LONG).await.unwrap();
        assert!(start.elapsed() < Duration::from_millis(2500));
    }
}
