//! Runs the contenders in alternation, each in a process of its own, and collects the samples.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use clap::ValueEnum;

use crate::contenders::{self, Contender};
use crate::measure::Sample;
use crate::report::{Cell, Report};
use crate::sink::Counts;
use crate::{Direction, Pin, Result, RunArgs};

/// Messages of the run that finds out how fast a contender is.
const CALIBRATION: u64 = 20_000;
/// Messages of the run in which system calls are counted by `strace`, which slows things down.
const TRACED: u64 = 50_000;

pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let mut contenders: Vec<&Contender> = if args.only.is_empty() {
        contenders::ALL.iter().collect()
    } else {
        args.only.iter().map(|name| contenders::find(name)).collect::<Result<_>>()?
    };
    contenders.retain(|contender| contender.qos >= args.qos);
    let mut bench = Bench::start(args)?;
    if let Some(clients) = args.idle {
        return bench.idle(&contenders, clients as u64);
    }
    let mut cells = Vec::new();
    for direction in [Direction::Publish, Direction::Receive] {
        for contender in &contenders {
            cells.push(Cell::new(contender.name, direction));
        }
    }
    let mut jobs = Vec::new();
    for cell in &cells {
        bench.say(&format!("calibrating {}", cell.title()));
        let sample = bench.sample(cell, CALIBRATION)?;
        let rate = sample.messages as f64 / sample.seconds;
        jobs.push(((rate * args.seconds) as u64).max(CALIBRATION));
    }
    for round in 1..=args.rounds {
        for (cell, &messages) in cells.iter_mut().zip(&jobs) {
            bench.say(&format!("round {round} of {}: {}", args.rounds, cell.title()));
            let sample = bench.sample(cell, messages)?;
            cell.samples.push(sample);
        }
    }
    let mut counter = None;
    if !args.no_syscalls {
        let tool = Counter::find()?;
        for (cell, &messages) in cells.iter_mut().zip(&jobs) {
            bench.say(&format!("system calls of {}", cell.title()));
            cell.syscalls = Some(bench.syscalls(cell, tool, messages)?);
        }
        counter = Some(tool.name());
    }
    Report { args, counter, cells }.print()
}

/// The sink process and how to start clients against it.
struct Bench<'a> {
    args: &'a RunArgs,
    program: PathBuf,
    sink: Child,
    /// Held open: the sink ends when it closes.
    _sink_stdin: ChildStdin,
    sink_lines: BufReader<ChildStdout>,
    port: u16,
}

impl Drop for Bench<'_> {
    fn drop(&mut self) {
        // The sink has no state to lose. It may be gone already, which is as good.
        let _ = self.sink.kill();
        let _ = self.sink.wait();
    }
}

impl<'a> Bench<'a> {
    fn start(args: &'a RunArgs) -> Result<Self> {
        let program = std::env::current_exe()?;
        let mut command = Command::new(&program);
        command.arg("sink").args(["--window", &args.window.to_string()]);
        command.args(["--aliases", &args.aliases.to_string()]);
        let sink_core = match args.pin {
            Pin::Same => Some(args.core),
            Pin::Split => Some(args.core + 1),
            Pin::None => None,
        };
        pin(&mut command, sink_core);
        let mut sink = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let sink_stdin = sink.stdin.take().ok_or("the sink has no standard input")?;
        let stdout = sink.stdout.take().ok_or("the sink has no standard output")?;
        let mut sink_lines = BufReader::new(stdout);
        let mut line = String::new();
        sink_lines.read_line(&mut line)?;
        let port = line.trim().parse().map_err(|_| "the sink did not start")?;
        Ok(Self { args, program, sink, _sink_stdin: sink_stdin, sink_lines, port })
    }

    fn say(&self, what: &str) {
        if !self.args.json {
            eprintln!("{what}");
        }
    }

    /// One run, with a check that the sink saw what the client says it did.
    fn sample(&mut self, cell: &Cell, messages: u64) -> Result<Sample> {
        let program = self.program.clone();
        self.client(Command::new(program), cell, messages)
    }

    /// Memory of idle clients.
    fn idle(&mut self, contenders: &[&Contender], clients: u64) -> Result<()> {
        println!("{clients} idle clients in one process: KiB of memory for each");
        for contender in contenders.iter().filter(|contender| contender.idle.is_some()) {
            let sample = self.sample(&Cell::new(contender.name, Direction::Idle), clients)?;
            println!("{:<16}  {:>6.1}", contender.name, sample.bytes.unwrap_or(f64::NAN) / 1024.0);
        }
        Ok(())
    }

    /// System calls of one run divided by its messages, the few to connect included.
    fn syscalls(&mut self, cell: &Cell, counter: Counter, messages: u64) -> Result<f64> {
        let messages = counter.messages(messages);
        let output = std::env::temp_dir().join(format!("bench-calls-{}", std::process::id()));
        let command = counter.command(&output, &self.program);
        let done = self.client(command, cell, messages);
        let text = std::fs::read_to_string(&output).unwrap_or_default();
        let _ = std::fs::remove_file(&output);
        done?;
        let calls = counter.parse(&text).ok_or_else(|| format!("cannot read: {text}"))?;
        Ok(calls as f64 / messages as f64)
    }

    fn client(&mut self, mut command: Command, cell: &Cell, messages: u64) -> Result<Sample> {
        let direction = match cell.direction {
            Direction::Publish => "publish",
            Direction::Receive => "receive",
            Direction::Idle => "idle",
        };
        command.args(["client", cell.contender, direction]);
        for (flag, value) in [
            ("--port", u64::from(self.port)),
            ("--messages", messages),
            ("--payload", self.args.payload as u64),
            ("--window", u64::from(self.args.window)),
            ("--qos", u64::from(self.args.qos)),
        ] {
            command.args([flag, &value.to_string()]);
        }
        if let Some(protocol) = self.args.protocol.and_then(|p| p.to_possible_value()) {
            command.args(["--protocol", protocol.get_name()]);
        }
        pin(&mut command, (self.args.pin != Pin::None).then_some(self.args.core));
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        let mut line = String::new();
        let connections = if cell.direction == Direction::Idle { messages } else { 1 };
        for _ in 0..connections {
            line.clear();
            self.sink_lines.read_line(&mut line)?;
        }
        if !output.status.success() {
            return Err(format!("{} failed: {}", cell.title(), output.status).into());
        }
        let sample: Sample = serde_json::from_slice(&output.stdout)?;
        check(&sample, &serde_json::from_str(&line)?, cell, self.args)?;
        Ok(sample)
    }
}

fn check(sample: &Sample, counts: &Counts, cell: &Cell, args: &RunArgs) -> Result<()> {
    let right = match cell.direction {
        Direction::Publish => {
            // Each message in full: the bytes are at least those of the payloads.
            counts.publishes == sample.messages
                && counts.publish_bytes >= sample.messages * args.payload as u64
        }
        Direction::Receive if args.qos == 0 => true,
        // The last acknowledgements may be lost when the client leaves.
        Direction::Receive => counts.acks + u64::from(args.window) >= sample.messages,
        Direction::Idle => true,
    };
    if right {
        Ok(())
    } else {
        Err(format!("{}: client says {sample:?}, sink says {counts:?}", cell.title()).into())
    }
}

fn pin(command: &mut Command, core: Option<usize>) {
    if let Some(core) = core {
        command.args(["--core", &core.to_string()]);
    }
}

/// What counts system calls: `perf` where the kernel lets us, for it hardly disturbs; else `strace`.
#[derive(Clone, Copy)]
enum Counter {
    Perf,
    Strace,
}

impl Counter {
    fn find() -> Result<Self> {
        let works = |command: &mut Command| {
            let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            quiet.status().is_ok_and(|status| status.success())
        };
        if works(Command::new("perf").args(["stat", "-e", "raw_syscalls:sys_enter", "true"])) {
            return Ok(Self::Perf);
        }
        if works(Command::new("strace").args(["-c", "-f", "true"])) {
            return Ok(Self::Strace);
        }
        Err("counting system calls needs perf or strace; or give --no-syscalls".into())
    }

    fn name(self) -> &'static str {
        match self {
            Self::Perf => "perf",
            Self::Strace => "strace",
        }
    }

    fn messages(self, timed: u64) -> u64 {
        match self {
            Self::Perf => timed,
            Self::Strace => TRACED,
        }
    }

    fn command(self, output: &Path, program: &Path) -> Command {
        let mut command = Command::new(self.name());
        match self {
            Self::Perf => command.args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter"]),
            Self::Strace => command.args(["-c", "-f"]),
        };
        command.arg("-o").arg(output).arg(program);
        command
    }

    fn parse(self, text: &str) -> Option<u64> {
        match self {
            // 144,,raw_syscalls:sys_enter,1470687,100.00,,
            Self::Perf => {
                let line = text.lines().find(|line| line.contains("sys_enter"))?;
                line.split(',').next()?.parse().ok()
            }
            // 100.00    0.002417          16       144        19 total
            Self::Strace => {
                let line = text.lines().find(|line| line.ends_with(" total"))?;
                line.split_whitespace().nth(3)?.parse().ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Counter;

    #[test]
    fn both_counters_are_read() {
        let perf = "# started on Fri\n\n144,,raw_syscalls:sys_enter,1470687,100.00,,\n";
        assert_eq!(Counter::Perf.parse(perf), Some(144));
        let strace = "  0.54    0.000013          13         1           rseq\n\
                      ------ ----------- ----------- --------- --------- ------\n\
                      100.00    0.002417          16       145        19 total\n";
        assert_eq!(Counter::Strace.parse(strace), Some(145));
        assert_eq!(Counter::Perf.parse("<not supported>,,raw_syscalls:sys_enter,0"), None);
    }
}
