//! Every interleaving within small bounds: the real engine, the model broker, a connection that may
//! break between any two packets.
//!
//! A state is reached by a list of [`Action`]s from the first one, and is told from others by what
//! engine, broker, wire checker and ledger hold. The engine is neither `Clone` nor `Hash`, because
//! its memory is the caller's, so a state is visited by going its way once more. States are searched
//! breadth first, so that a way to a flaw is a shortest one. Time stands still but for
//! [`Bounds::waits`].

mod bounds;
mod judge;
mod medium;
mod state;
#[cfg(test)]
mod tests;
mod world;

use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use bounds::Bounds;
pub use world::Action;

use world::World;

/// What a search saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Different states.
    pub states: usize,
    /// Steps from one state to another, or to one seen before.
    pub steps: usize,
    /// Most steps that a state is away from the first one.
    pub depth: usize,
    /// States in which nothing is under way any more.
    pub quiet: usize,
    /// The bounds were searched to the end.
    pub complete: bool,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, steps, depth, quiet, .. } = self;
        write!(f, "{states:7} states {steps:8} steps depth {depth:2} quiet {quiet}")
    }
}

/// A state in which something does not hold.
#[derive(Clone, Debug)]
pub struct Flaw {
    /// What.
    pub why: String,
    /// A shortest way there.
    pub path: Vec<Action>,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.why)?;
        self.path.iter().try_for_each(|action| writeln!(f, "  {action:?}"))
    }
}

/// What came of one state.
#[derive(Default)]
struct Expanded {
    next: Vec<(u64, Vec<Action>)>,
    quiet: bool,
    flaw: Option<Flaw>,
}

/// Visits every state within `bounds` on `threads` threads, at most about `most` states.
///
/// # Errors
/// The first flaw that was found.
pub fn explore(bounds: &Bounds, threads: usize, most: usize) -> Result<Report, Box<Flaw>> {
    let mut report = Report::default();
    let mut seen = HashSet::new();
    let mut frontier = vec![Vec::new()];
    seen.insert(World::new(bounds).digest());
    while !frontier.is_empty() && seen.len() < most {
        let mut next = Vec::new();
        for expanded in expand_all(bounds, &frontier, threads) {
            if let Some(flaw) = expanded.flaw {
                return Err(Box::new(flaw));
            }
            report.quiet += usize::from(expanded.quiet);
            report.steps += expanded.next.len();
            next.extend(expanded.next.into_iter().filter(|(d, _)| seen.insert(*d)).map(|(_, p)| p));
        }
        report.depth += usize::from(!next.is_empty());
        frontier = next;
    }
    report.states = seen.len();
    report.complete = frontier.is_empty();
    Ok(report)
}

/// The way of `path` step by step, each with what it caused.
pub fn retrace(bounds: &Bounds, path: &[Action]) -> String {
    let mut world = World::new(bounds);
    world.told = Some(Vec::new());
    path.iter().for_each(|action| world.apply(*action));
    world.told.unwrap_or_default().join("\n")
}

fn expand_all(bounds: &Bounds, frontier: &[Vec<Action>], threads: usize) -> Vec<Expanded> {
    let share = frontier.len().div_ceil(threads.max(1)).max(1);
    if share == frontier.len() {
        return frontier.iter().map(|path| expand(bounds, path)).collect();
    }
    std::thread::scope(|scope| {
        let work = |part: &'_ [Vec<Action>]| part.iter().map(|p| expand(bounds, p)).collect();
        let parts: Vec<_> =
            frontier.chunks(share).map(|part| scope.spawn(move || work(part))).collect();
        let done = parts.into_iter().map(|part| part.join().unwrap_or_else(|_| Vec::new()));
        done.flat_map(|part: Vec<Expanded>| part).collect()
    })
}

/// Takes every step that can be taken after `path`.
fn expand(bounds: &Bounds, path: &[Action]) -> Expanded {
    let flaw = |why: String, path: &[Action]| Some(Flaw { why, path: path.to_vec() });
    let mut expanded = Expanded::default();
    let mut world = reach(bounds, path);
    let actions = world.enabled();
    expanded.quiet = world.is_quiet();
    if !world.comes_to_rest() {
        expanded.flaw = flaw("packets go round for ever".to_owned(), path);
        return expanded;
    }
    for action in actions {
        let path: Vec<Action> = path.iter().copied().chain([action]).collect();
        match catch_unwind(AssertUnwindSafe(|| {
            let world = reach(bounds, &path);
            world.flaw().map_or_else(|| Ok(world.digest()), Err)
        })) {
            Ok(Ok(digest)) => expanded.next.push((digest, path)),
            Ok(Err(why)) => expanded.flaw = flaw(why, &path),
            Err(_) => expanded.flaw = flaw("panic".to_owned(), &path),
        }
        if expanded.flaw.is_some() {
            break;
        }
    }
    expanded
}

fn reach(bounds: &Bounds, path: &[Action]) -> World {
    let mut world = World::new(bounds);
    path.iter().for_each(|action| world.apply(*action));
    world
}
