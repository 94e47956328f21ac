//! How the command ends.

use std::future::Future;

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All was delivered; all was received.
    Done,
    /// Wrong flags, or a file that cannot be read.
    Usage,
    /// The broker refused the connection, a message or a subscription.
    Refused,
    /// The broker could not be reached, or not everything was done in time.
    NotDone,
    /// This stage of a probe failed.
    Stage(u8),
}

impl Exit {
    /// What the shell sees.
    pub(crate) fn code(self) -> i32 {
        match self {
            Self::Done => 0,
            Self::Usage => 1,
            Self::Refused => 2,
            Self::NotDone => 3,
            Self::Stage(code) => code.into(),
        }
    }
}

/// For `after_help`.
pub(crate) const CODES: &str = "Exit codes:
  0  all delivered, or as much received as was asked for
  1  usage: a flag or file is wrong
  2  refused by the broker: the connection, a message or a subscription
  3  not all delivered or received in time, the broker could not be reached, or standard output
     is full";

/// Why the command fails: an exit code and one line.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// A mistake on the command line.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    /// The broker said no.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, message: message.into() }
    }

    /// It did not work out.
    pub(crate) fn not_done(message: impl Into<String>) -> Self {
        Self { exit: Exit::NotDone, message: message.into() }
    }
}

/// Says one line on standard error. That it may be closed is nobody's concern.
pub(crate) fn say(line: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "everlink: {}", plain(&line.to_string()));
}

/// A line that is one, whatever a broker or an argument put into it, and that tells the terminal
/// nothing. A very long one lacks its middle.
pub(crate) fn plain(line: &str) -> String {
    const KEPT: usize = 400;
    let left_out = KEPT..line.chars().count().saturating_sub(KEPT);
    let mut plain = String::with_capacity(line.len().min(3 * KEPT));
    for (n, c) in line.chars().enumerate() {
        match c {
            _ if n == left_out.start && !left_out.is_empty() => plain.push_str(" ... "),
            _ if left_out.contains(&n) => {}
            c if c.is_control() => plain.extend(c.escape_default()),
            c => plain.push(c),
        }
    }
    plain
}

/// With `-d`, or as the environment variable `RUST_LOG` says: tells on standard error what the client does.
pub(crate) fn explain_yourself(debug: bool) {
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::prelude::*;

    let wish = std::env::var("RUST_LOG").ok().filter(|wish| !wish.is_empty());
    let filter = match wish.as_deref().map(str::parse::<Targets>) {
        Some(Ok(targets)) if debug => targets.with_target("everlink", LevelFilter::DEBUG),
        Some(Ok(targets)) => targets,
        Some(Err(error)) => {
            say(format_args!("RUST_LOG: {error}; it is left out"));
            Targets::new().with_default(if debug { LevelFilter::DEBUG } else { LevelFilter::OFF })
        }
        None if debug => Targets::new().with_default(LevelFilter::DEBUG),
        None => return,
    };
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let lines = layer.with_target(false).with_filter(filter);
    // Fails if there is one already, which is as good.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

/// Runs a command on one thread: one connection is never short of CPU, and the order of what is
/// printed is the order in which it happened.
pub(crate) fn run(command: impl Future<Output = Result<Exit, Failure>>) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(format_args!("cannot start: {error}"));
            return Exit::NotDone;
        }
    };
    let result = runtime.block_on(command);
    // Standard output may be stuck for ever.
    runtime.shutdown_background();
    result.unwrap_or_else(|failure| {
        say(&failure.message);
        failure.exit
    })
}
