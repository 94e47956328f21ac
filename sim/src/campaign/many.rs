//! Many runs on all processors; a failing one made small.

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Counts, Plan, run, world};

/// A run in which something did not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// What did not hold.
    pub why: String,
}

/// One run.
///
/// # Errors
/// What did not hold.
pub fn one(plan: &Plan) -> Result<Counts, Failure> {
    catch_unwind(AssertUnwindSafe(|| run(plan))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic");
        // Behind it come the seed and the trace.
        let why = text.split("\nseed ").next().unwrap_or(text).to_owned();
        Failure { seed: plan.seed, why }
    })
}

/// Runs all `seeds` on `threads` threads, until `enough` have failed. `progress` is called after
/// each with the sums and the failures so far.
pub fn many(
    seeds: Range<u64>,
    threads: usize,
    enough: usize,
    progress: impl Fn(&Counts, &[Failure]) + Sync,
) -> (Counts, Vec<Failure>) {
    let next = AtomicU64::new(seeds.start);
    let stop = AtomicBool::new(false);
    let sums = Mutex::new((Counts::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let result = one(&Plan::new(seed));
                    let Ok(mut guard) = sums.lock() else { return };
                    let (counts, failures) = &mut *guard;
                    match result {
                        Ok(more) => counts.add(&more),
                        Err(failure) => failures.push(failure),
                    }
                    stop.fetch_or(failures.len() >= enough, Ordering::Relaxed);
                    progress(counts, failures);
                }
            });
        }
    });
    sums.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The fewest steps of a failing seed that still fail, as far as leaving out one part after the
/// other finds them.
pub fn shrink(seed: u64) -> BTreeSet<usize> {
    let fails = |only: &BTreeSet<usize>| {
        one(&Plan { only: Some(only.clone()), ..Plan::new(seed) }).is_err()
    };
    let mut kept: BTreeSet<usize> = (0..world::MOST_STEPS).collect();
    let mut part = kept.len();
    while part > 0 {
        let all: Vec<usize> = kept.iter().copied().collect();
        for left_out in all.chunks(part) {
            let fewer: BTreeSet<usize> =
                kept.iter().copied().filter(|step| !left_out.contains(step)).collect();
            if fails(&fewer) {
                kept = fewer;
            }
        }
        part /= 2;
    }
    kept
}
