//! The campaign of [`everlink_sim::campaign`], as far as every change can afford it.
//!
//! `just sim` runs as many seeds as you like, repeats one with its trace, and makes it small.

use everlink_sim::campaign::many;

const SEEDS: u64 = 2_000;

#[test]
fn whatever_breaks_every_message_is_accounted_for() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (counts, failures) = many(0..SEEDS, threads, 1, |_, _| ());
    for failure in &failures {
        eprintln!("seed {}: {}", failure.seed, failure.why);
        eprintln!("to repeat it: just sim --seed {}", failure.seed);
    }
    assert!(failures.is_empty(), "{} seeds failed; see above", failures.len());
    assert!(counts.accepted > 100 * SEEDS && counts.received > 30 * SEEDS, "{counts}");
    println!("{counts}");
}
