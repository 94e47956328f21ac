//! `everlink-sim N [--first S] [--threads T] [--failures F]` runs N seeds of the campaign;
//! `everlink-sim --seed S [--only 1,2,5]` repeats one, or some of its steps, with its trace.
//! `everlink-sim --exhaustive small|large [--first N] [--threads T]` visits every state within bounds,
//! from the bounds of number N on.
//!
//! Exit code: 0 if all held, 1 if not, 2 if the arguments make no sense.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use everlink_sim::campaign::{Counts, Failure, Plan, many, one, shrink};
use everlink_sim::explore::{Bounds, explore, retrace};

const USAGE: &str = "usage: everlink-sim N [--first S] [--threads T] [--failures F] | \
    --seed S [--only 1,2,5] | --exhaustive small|large [--first N] [--threads T]";
/// Between two lines of progress.
const PAUSE: Duration = Duration::from_secs(10);

struct Options {
    seeds: u64,
    first: u64,
    threads: usize,
    failures: usize,
    seed: Option<u64>,
    only: Option<BTreeSet<usize>>,
    exhaustive: Option<Vec<Bounds>>,
}

fn options() -> Option<Options> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options {
        seeds: 2_000,
        first: 0,
        threads,
        failures: 1,
        seed: None,
        only: None,
        exhaustive: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--first" => options.first = words.next()?.parse().ok()?,
            "--threads" => options.threads = words.next()?.parse().ok().filter(|n| *n > 0)?,
            "--failures" => options.failures = words.next()?.parse().ok().filter(|n| *n > 0)?,
            "--seed" => options.seed = Some(words.next()?.parse().ok()?),
            "--only" => options.only = Some(steps(&words.next()?)?),
            "--exhaustive" => options.exhaustive = Some(bounds(&words.next()?)?),
            n => options.seeds = n.parse().ok()?,
        }
    }
    Some(options)
}

fn steps(list: &str) -> Option<BTreeSet<usize>> {
    list.split(',').filter(|n| !n.is_empty()).map(|n| n.parse().ok()).collect()
}

fn bounds(size: &str) -> Option<Vec<Bounds>> {
    match size {
        "small" => Some(Bounds::small()),
        "large" => Some(Bounds::large()),
        _ => None,
    }
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    // The reason is printed below; the trace only where it is asked for.
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(bounds) = options.exhaustive {
        let first = bounds.len().min(options.first as usize);
        return exhaustive(&bounds[first..], options.threads);
    }
    match options.seed {
        Some(seed) => repeat(Plan { seed, only: options.only, verbose: true }),
        None => campaign(&options),
    }
}

fn exhaustive(bounds: &[Bounds], threads: usize) -> ExitCode {
    let (start, mut states, mut steps) = (Instant::now(), 0, 0);
    for bounds in bounds {
        let began = Instant::now();
        match explore(bounds, threads, usize::MAX) {
            Ok(report) => {
                (states, steps) = (states + report.states, steps + report.steps);
                let took = began.elapsed().as_secs_f32();
                println!("{bounds}: {report}, {took:.1} s");
            }
            Err(flaw) => {
                println!("flaw: {} ({} steps; {bounds})", flaw.why, flaw.path.len());
                println!("{}", retrace(bounds, &flaw.path));
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{states} states, {steps} steps in {} s", start.elapsed().as_secs());
    ExitCode::SUCCESS
}

fn repeat(plan: Plan) -> ExitCode {
    match one(&plan) {
        Ok(counts) => {
            println!("{counts}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("seed {}: {}", failure.seed, failure.why);
            ExitCode::FAILURE
        }
    }
}

fn campaign(options: &Options) -> ExitCode {
    let start = Instant::now();
    let said = Mutex::new((start, 0));
    let progress = |counts: &Counts, failures: &[Failure]| {
        let Ok(mut said) = said.lock() else { return };
        for Failure { seed, why } in &failures[said.1..] {
            println!("  failed: seed {seed}: {why}");
        }
        said.1 = failures.len();
        if said.0.elapsed() >= PAUSE {
            said.0 = Instant::now();
            println!("{:>6} s  {counts}", start.elapsed().as_secs());
        }
    };
    let seeds = options.first..options.first.saturating_add(options.seeds);
    let (counts, failures) = many(seeds, options.threads, options.failures, progress);
    println!("{:>6} s  {counts}", start.elapsed().as_secs());
    for (name, n) in &counts.faults {
        println!("{n:>10}  {name}");
    }
    for failure in &failures {
        report(failure);
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(failure: &Failure) {
    let Failure { seed, why } = failure;
    println!("\nseed {seed}: {why}\n  to repeat it:        just sim --seed {seed}");
    let kept: Vec<_> = shrink(*seed).iter().map(ToString::to_string).collect();
    println!("  what is needed of it: just sim --seed {seed} --only {}", kept.join(","));
}
