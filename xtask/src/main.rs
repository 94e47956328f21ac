//! Repository chores: `cargo run -p xtask -- tidy`.

mod tidy;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => run_tidy(),
        _ => {
            eprintln!("usage: cargo run -p xtask -- tidy");
            ExitCode::from(2)
        }
    }
}

/// Prints every offender as `file:line: what is wrong`; fails when there is one.
fn run_tidy() -> ExitCode {
    // The directory above this package, so that it works from any directory.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    match tidy::check_tree(root) {
        Ok(report) => {
            for offence in &report.offences {
                println!("{offence}");
            }
            println!("tidy: {} files, {} offences", report.files, report.offences.len());
            if report.offences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("tidy: {error}");
            ExitCode::FAILURE
        }
    }
}
