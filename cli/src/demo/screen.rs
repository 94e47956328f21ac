//! What is seen while the demo runs: on standard error, so that standard output has the verdict only.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use everlink::{Client, QoS, State, Step};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::report::{acknowledged, seconds};
use super::traffic::Account;
use super::verdict::Outage;

/// How often the panel is drawn.
const FRAME: Duration = Duration::from_millis(100);
/// How often the counters are printed where there is no terminal.
const REPORT: Duration = Duration::from_secs(10);

/// A client to be shown.
pub(super) struct Subject {
    pub(super) version: &'static str,
    pub(super) client: Client,
    pub(super) account: Arc<Account>,
}

/// What is going on, and since when.
#[derive(Clone, Debug)]
struct Phase {
    text: String,
    since: Instant,
}

/// The live display.
pub(super) struct Screen {
    started: Instant,
    lines: mpsc::UnboundedSender<String>,
    phase: watch::Sender<Phase>,
    task: JoinHandle<()>,
}

impl Screen {
    /// Prints the introduction, then shows these clients.
    pub(super) fn start(introduction: &str, subjects: Vec<Subject>, levels: Vec<QoS>) -> Self {
        let started = Instant::now();
        let (lines, inbox) = mpsc::unbounded_channel();
        let phase = watch::Sender::new(Phase { text: String::new(), since: started });
        let mut head = format!("{introduction}\n\n{:>8}  {:<26}{:>7}", "time", "outage", "lasted");
        head += "    messages move again after";
        if subjects.len() > 1 {
            let _ = write!(head, "\n{:43}", "");
            for subject in &subjects {
                let _ = write!(head, "{:>14}", format!("MQTT {}", subject.version));
            }
        }
        let drawer = Drawer {
            started,
            subjects,
            levels,
            live: io::stderr().is_terminal() && std::env::var("TERM").is_ok_and(|t| t != "dumb"),
            drawn: 0,
            phase: phase.subscribe(),
        };
        let task = tokio::spawn(drawer.run(head, inbox));
        Self { started, lines, phase, task }
    }

    /// Says what is going on.
    pub(super) fn phase(&self, text: String) {
        self.phase.send_replace(Phase { text, since: Instant::now() });
    }

    /// Shows an outage that is over.
    pub(super) fn outage(&self, outage: &Outage) {
        let lasted = Some(outage.lasted).filter(|t| *t >= Duration::from_millis(10));
        let mut line = format!(
            "{:>6.1} s  {:<26}{:>7}",
            self.started.elapsed().as_secs_f64(),
            outage.kind.label(),
            seconds(lasted)
        );
        for recovery in &outage.recoveries {
            let recovery = recovery.map_or("never".into(), |time| seconds(Some(time)));
            let _ = write!(line, "{recovery:>14}");
        }
        let _ = self.lines.send(line); // nobody listens once it has ended
    }

    /// Ends the display.
    pub(super) async fn end(self) {
        drop(self.lines);
        let _ = self.task.await; // it panicked: there is nothing to mend
    }
}

struct Drawer {
    started: Instant,
    subjects: Vec<Subject>,
    levels: Vec<QoS>,
    /// Whether lines can be drawn again in place.
    live: bool,
    /// Lines of the panel on the terminal.
    drawn: usize,
    phase: watch::Receiver<Phase>,
}

impl Drawer {
    async fn run(mut self, head: String, mut lines: mpsc::UnboundedReceiver<String>) {
        self.print(&head);
        let mut tick = interval(if self.live { FRAME } else { REPORT });
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.reset();
        loop {
            tokio::select! {
                line = lines.recv() => match line {
                    Some(line) => self.print(&line),
                    None => break,
                },
                _ = tick.tick() => match self.live {
                    true => self.draw(""),
                    false => self.print(&self.panel().join("\n")),
                },
            }
        }
        self.draw("");
        if self.live {
            self.put("\n");
        }
    }

    /// Adds a line that stays.
    fn print(&mut self, line: &str) {
        if self.live {
            self.draw(&format!("{line}\x1b[K\n"))
        } else {
            self.put(&format!("{line}\n"))
        }
    }

    /// Draws the panel again, below `above`.
    fn draw(&mut self, above: &str) {
        if !self.live {
            return;
        }
        let panel = self.panel();
        // Lines that wrap would spoil the count of lines to go up.
        // The cursor may be behind an echoed ^C.
        let mut out = String::from("\x1b[?7l\r");
        if self.drawn > 0 {
            let _ = write!(out, "\x1b[{}A", self.drawn);
        }
        out += above;
        let empty = String::new();
        for line in std::iter::once(&empty).chain(&panel) {
            let _ = writeln!(out, "\x1b[K{line}");
        }
        out += "\x1b[J\x1b[?7h";
        self.drawn = panel.len() + 1;
        self.put(&out);
    }

    fn put(&self, text: &str) {
        // closed, or full for ever: the demo goes on without it
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    fn panel(&self) -> Vec<String> {
        let phase = self.phase.borrow().clone();
        let (time, lasts) = (self.started.elapsed().as_secs_f64(), phase.since.elapsed());
        let mut lines =
            vec![format!("{time:>6.1} s  {} ({:.1} s)", phase.text, lasts.as_secs_f64())];
        for subject in &self.subjects {
            let state = connection(&subject.client.state());
            lines.push(format!("{:10}MQTT {:<7}{state}", "", subject.version));
        }
        let mut head = format!("{:10}{:<12}", "", "");
        for qos in &self.levels {
            let _ = write!(head, "{:<19}", format!("QoS {}", *qos as u8));
        }
        lines.push(head);
        lines.extend(self.subjects.iter().map(|subject| self.counts(subject)));
        lines.push(format!("{:22}(accepted/acknowledged/received)", ""));
        lines
    }

    fn counts(&self, subject: &Subject) -> String {
        let mut row = format!("{:10}MQTT {:<7}", "", subject.version);
        let ledger = subject.account.ledger();
        for qos in &self.levels {
            let tally = ledger.tally(*qos as u8);
            let acknowledged = acknowledged(&tally);
            let counts = format!("{}/{acknowledged}/{}", tally.accepted, tally.received);
            let _ = write!(row, "{counts:<19}");
        }
        row
    }
}

/// The state of the connection in words.
fn connection(state: &State) -> String {
    let fault = state.fault.map(|fault| format!(" ({})", fault.cause)).unwrap_or_default();
    match state.step {
        Step::Up => "connected".into(),
        Step::Backoff => {
            let next = state.next_attempt.map(|at| at.saturating_duration_since(Instant::now()));
            let next = next.unwrap_or_default().as_secs_f64();
            format!("next attempt in {next:.1} s{fault}")
        }
        Step::Handshake => format!("waiting for CONNACK{fault}"),
        Step::Idle | Step::Closing => state.step.name().into(),
        Step::Link
        | Step::Resolve
        | Step::Transport
        | Step::Proxy
        | Step::Tls
        | Step::WebSocket => format!("connecting{fault}"),
    }
}
