//! The small bounds, and that a flaw is found.

use super::*;

#[test]
fn every_interleaving_within_the_small_bounds() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for bounds in Bounds::small() {
        match explore(&bounds, threads, usize::MAX) {
            Ok(report) => {
                assert!(report.complete && report.quiet > 0, "{bounds}: {report:?}");
                println!("{bounds}: {report}");
            }
            Err(flaw) => panic!("{bounds}: {flaw}\n{}", retrace(&bounds, &flaw.path)),
        }
    }
}
