//! `everlink demo`: a broker in this process, paths to it that break in many ways, and an account of
//! every message.

mod args;
mod broker;
mod director;
mod ledger;
mod outage;
mod pace;
mod party;
mod report;
mod schedule;
mod screen;
mod traffic;
mod verdict;

pub(crate) use args::DemoArgs;

use std::io::Write as _;

use crate::exit::{Exit, say};

/// Runs the demo and prints its verdict.
pub(crate) fn run(args: &DemoArgs) -> Exit {
    // two threads: the broker is not to steal the clients' time
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let verdict = runtime.and_then(|runtime| {
        let verdict = runtime.block_on(director::run(args));
        runtime.shutdown_background();
        verdict
    });
    let verdict = match verdict {
        Ok(verdict) => verdict,
        Err(error) => {
            say(format_args!("the demo cannot run: {error}"));
            return Exit::NotDone;
        }
    };
    let text = if args.json { verdict.json() + "\n" } else { verdict.text(report::colour()) };
    let mut stdout = std::io::stdout();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        say(format_args!("the verdict cannot be printed: {error}"));
        return Exit::NotDone;
    }
    if verdict.passed() { Exit::Done } else { Exit::NotDone }
}
