//! Repository chores: `cargo run -p xtask -- tidy`, `cargo run -p xtask -- size`,
//! `cargo run -p xtask -- conformance`.

mod conformance;
mod size;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((verb, [])) if verb == "tidy" => run_tidy(),
        Some((verb, rest)) if verb == "size" => run_size(rest),
        Some((verb, [])) if verb == "conformance" => run_conformance(false),
        _ => {
            eprintln!("usage: cargo run -p xtask -- tidy | size [--record] | conformance");
            ExitCode::from(2)
        }
    }
}

/// The directory above this package, so that it works from any directory.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Prints what the client costs a board; fails when it grew.
fn run_size(arguments: &[String]) -> ExitCode {
    match size::run(root(), arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("size: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes `docs/conformance.md`, or fails if it is not what it should be.
fn run_conformance(check: bool) -> ExitCode {
    match conformance::run(root(), check) {
        Ok(summary) => {
            println!("conformance: {summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints every offender as `file:line: what is wrong`; fails when there is one,
/// or if `docs/conformance.md` is out of date.
fn run_tidy() -> ExitCode {
    match tidy::check_tree(root()) {
        Ok(report) => {
            for offence in &report.offences {
                println!("{offence}");
            }
            println!("tidy: {} files, {} offences", report.files, report.offences.len());
            if report.offences.is_empty() { run_conformance(true) } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("tidy: {error}");
            ExitCode::FAILURE
        }
    }
}
