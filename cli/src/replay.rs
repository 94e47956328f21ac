//! `everlink replay`.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::time::UNIX_EPOCH;

use everlink::Version;
use everlink::record::{Moment, RecordError, Replay};
use serde_json::json;

use crate::args::ReplayArgs;
use crate::exit::{Exit, plain, say};

/// Plays a recording and prints what the engine makes of it.
pub(crate) fn run(args: &ReplayArgs) -> Exit {
    let fails = |error: &dyn fmt::Display| say(format_args!("{}: {error}", args.file.display()));
    let mut replay = match Replay::open(&args.file) {
        Ok(replay) => replay,
        Err(error) => {
            fails(&error);
            return Exit::Usage;
        }
    };
    let mut printer = Printer { out: BufWriter::new(io::stdout().lock()), args };
    match printer.all(&mut replay) {
        // The reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            say(format_args!("standard output: {error}"));
            Exit::NotDone
        }
        Ok((differences, end)) => {
            let exit = match (&end, differences) {
                (None, 0) => Exit::Done,
                (None | Some(RecordError::Torn(_)), _) => Exit::NotDone,
                (Some(_), _) => Exit::Usage,
            };
            if let Some(error) = end {
                fails(&error);
            }
            exit
        }
    }
}

struct Printer<'a, W> {
    out: W,
    args: &'a ReplayArgs,
}

impl<W: Write> Printer<'_, W> {
    /// How many calls differ, and why the recording could not be played to its end.
    fn all(&mut self, replay: &mut Replay) -> io::Result<(u64, Option<RecordError>)> {
        if !self.args.json {
            self.head(replay)?;
        }
        let (mut calls, mut differences) = (0_u64, 0_u64);
        let end = loop {
            match replay.next() {
                Ok(Some(moment)) => {
                    calls += 1;
                    differences += u64::from(moment.difference.is_some());
                    match self.args.json {
                        true => self.object(&moment)?,
                        false => self.lines(&moment)?,
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        if self.args.json {
            let summary = json!({"summary": {"calls": calls, "differences": differences}});
            writeln!(self.out, "{summary}")?;
        } else {
            let stats = replay.stats();
            writeln!(
                self.out,
                "{calls} calls, {differences} differences; {} accepted, {} delivered, {} received, {} outages",
                stats.accepted, stats.delivered, stats.received, stats.outages
            )?;
        }
        self.out.flush()?;
        Ok((differences, end))
    }

    fn head(&mut self, replay: &Replay) -> io::Result<()> {
        let began = replay.began().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began = i64::try_from(began.as_micros()).ok();
        let began = began.and_then(chrono::DateTime::from_timestamp_micros);
        let began =
            began.map_or_else(String::new, |t| t.format(" on %F at %T%.6f UTC").to_string());
        let version = match replay.version() {
            Version::V311 => "3.1.1",
            Version::V5 => "5",
        };
        let secrets = if replay.is_masked() { "secrets written over" } else { "with its secrets" };
        let by = plain(replay.by());
        writeln!(self.out, "recorded{began} by everlink {by}, MQTT {version}, {secrets}")
    }

    fn lines(&mut self, moment: &Moment) -> io::Result<()> {
        let Moment { at, call, with, told, answer, step, difference, .. } = moment;
        let idle = answer.is_empty() || answer.starts_with("wait");
        let dull = matches!(*call, "poll" | "alive" | "wrote" | "opening") && idle;
        if self.args.brief && dull && told.is_empty() && step.is_none() && difference.is_none() {
            return Ok(());
        }
        write!(self.out, "{:>4}.{:06} {call}", at.as_secs(), at.subsec_micros())?;
        if !with.is_empty() {
            write!(self.out, " {}", plain(with))?;
        }
        if !answer.is_empty() {
            write!(self.out, " => {}", plain(answer))?;
        }
        writeln!(self.out)?;
        for words in told {
            writeln!(self.out, "            | {}", plain(words))?;
        }
        if let Some(step) = step {
            writeln!(self.out, "            -- now at: {}", step.name())?;
        }
        if let Some(then) = difference {
            writeln!(self.out, "            !! then: {}", plain(then))?;
        }
        Ok(())
    }

    fn object(&mut self, moment: &Moment) -> io::Result<()> {
        let Moment { at, call, with, told, answer, step, difference, .. } = moment;
        let object = json!({
            "us": u64::try_from(at.as_micros()).unwrap_or(u64::MAX),
            "call": call,
            "with": with,
            "told": told,
            "answer": answer,
            "step": step.map(|step| step.name()),
            "difference": difference,
        });
        writeln!(self.out, "{object}")
    }
}
