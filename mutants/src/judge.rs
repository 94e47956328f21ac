//! Which mutants the tests notice.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::plan::{Mutant, Place};
use crate::tree::{Built, Ended, Tree};

/// What takes longer is asked last.
const QUICK: Duration = Duration::from_secs(2);

/// What became of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A test failed.
    Caught,
    /// A test did not come to an end.
    Hung,
    /// All tests passed.
    Survived,
    /// No test comes by.
    Unreached,
    /// It cannot be built.
    Unviable,
}

/// A test program.
struct Program {
    path: PathBuf,
    /// How long it takes when nothing is changed.
    takes: Duration,
    /// The mutants that it comes by.
    reaches: BTreeSet<u32>,
}

/// Runs the tests against one mutant after the other.
pub struct Judge<'t> {
    tree: &'t Tree,
    programs: Vec<Program>,
    jobs: usize,
}

impl<'t> Judge<'t> {
    /// Learns how long each program takes, and which mutants it comes by.
    pub fn new(
        tree: &'t Tree,
        paths: Vec<PathBuf>,
        jobs: usize,
        within: Duration,
    ) -> Result<Self, String> {
        let mut programs = Vec::new();
        let list = std::env::temp_dir().join(format!("everlink-mutants-{}", std::process::id()));
        for path in paths {
            let _ = fs::remove_file(&list);
            let start = Instant::now();
            let ended = tree.run(&path, 0, Some(&list), Duration::from_secs(600))?;
            if ended != Ended::Passed {
                return Err(format!(
                    "{} fails although nothing is changed: {ended:?}",
                    path.display()
                ));
            }
            let reached = fs::read_to_string(&list).unwrap_or_default();
            let reaches: BTreeSet<u32> = reached.lines().filter_map(|id| id.parse().ok()).collect();
            let takes = start.elapsed();
            println!(
                "{:7.2} s, {:4} mutants: {}",
                takes.as_secs_f64(),
                reaches.len(),
                path.display()
            );
            programs.push(Program { path, takes, reaches });
        }
        let _ = fs::remove_file(&list);
        programs.retain(|program: &Program| program.takes <= within);
        // What is quick goes first.
        programs.sort_by_key(|program| program.takes);
        Ok(Self { tree, programs, jobs })
    }

    /// Judges mutants that are built already: all of them by the quick programs, then those that are
    /// left by the slow ones.
    pub fn all(&mut self, mutants: Vec<Mutant>) -> Result<Vec<(Mutant, Fate)>, String> {
        let quick = self.programs.iter().take_while(|p| p.takes < QUICK).count();
        let (quick, slow) = self.programs.split_at(quick);
        let mut fates = Vec::new();
        let mut left: Vec<(Mutant, Fate)> =
            mutants.into_iter().map(|mutant| (mutant, Fate::Unreached)).collect();
        for programs in [quick, slow] {
            let (pass, over) = self
                .pass(programs, left)?
                .into_iter()
                .partition(|(_, fate)| matches!(fate, Fate::Survived | Fate::Unreached));
            left = pass;
            fates.extend(over);
            println!("{} caught, {} left", fates.len(), left.len());
        }
        fates.extend(left);
        Ok(fates)
    }

    fn pass(
        &self,
        programs: &[Program],
        mutants: Vec<(Mutant, Fate)>,
    ) -> Result<Vec<(Mutant, Fate)>, String> {
        let next = AtomicUsize::new(0);
        let fates = Mutex::new(Vec::new());
        let work = || -> Result<(), String> {
            while let Some((mutant, before)) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                let fate = self.one(programs, mutant, *before)?;
                fates.lock().map_err(|e| e.to_string())?.push((mutant.clone(), fate));
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.jobs).map(|_| scope.spawn(work)).collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().map_err(|_| "a worker panicked".to_owned())?)
        })?;
        fates.into_inner().map_err(|e| e.to_string())
    }

    fn one(&self, programs: &[Program], mutant: &Mutant, mut fate: Fate) -> Result<Fate, String> {
        let mut by = String::new();
        for program in programs.iter().filter(|p| p.reaches.contains(&mutant.id)) {
            let patience = program.takes * 5 + Duration::from_secs(10);
            by = format!(" by {}", program.path.file_name().unwrap_or_default().display());
            fate = match self.tree.run(&program.path, mutant.id, None, patience)? {
                Ended::Passed => Fate::Survived,
                Ended::Failed => Fate::Caught,
                Ended::Hung => Fate::Hung,
            };
            if fate != Fate::Survived {
                break;
            }
        }
        println!("{fate:?}{by}: {}", mutant.name);
        Ok(fate)
    }

    /// Builds and judges one mutant after the other.
    pub fn one_by_one(
        &mut self,
        mutants: Vec<Mutant>,
        tests: &[&str],
    ) -> Result<Vec<(Mutant, Fate)>, String> {
        let mut fates = Vec::new();
        for mutant in mutants {
            let original = self.tree.original(&mutant.file)?;
            self.tree.put(&mutant.file, &replaced(&original, &mutant))?;
            // Most cannot be: the library alone tells.
            let fate = match self.tree.build(&["-p", "everlink-proto", "--lib"])? {
                Built::Errors(_) => Fate::Unviable,
                Built::Programs(_) => match self.tree.build(tests)? {
                    Built::Errors(_) => Fate::Unviable,
                    Built::Programs(paths) => self.built(&paths)?,
                },
            };
            println!("{fate:?}: {}", mutant.name);
            self.tree.put(&mutant.file, &original)?;
            fates.push((mutant, fate));
        }
        Ok(fates)
    }

    fn built(&self, paths: &[PathBuf]) -> Result<Fate, String> {
        for program in &self.programs {
            // The same program has another name after each change.
            let stem = |path: &PathBuf| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                name.rsplit_once('-').map_or(name.clone(), |(stem, _)| stem.to_owned())
            };
            let Some(path) = paths.iter().find(|path| stem(path) == stem(&program.path)) else {
                continue;
            };
            match self.tree.run(path, 0, None, program.takes * 5 + Duration::from_secs(10))? {
                Ended::Passed => {}
                Ended::Failed => return Ok(Fate::Caught),
                Ended::Hung => return Ok(Fate::Hung),
            }
        }
        Ok(Fate::Survived)
    }
}

/// The text with the mutant in it.
fn replaced(text: &str, mutant: &Mutant) -> String {
    let offset = |place: Place| {
        let before: usize = text.split_inclusive('\n').take(place.line - 1).map(str::len).sum();
        let line = &text[before..];
        before + line.chars().take(place.column - 1).map(char::len_utf8).sum::<usize>()
    };
    let (start, end) = (offset(mutant.span.start), offset(mutant.span.end));
    // A space keeps words apart where something is left out.
    format!("{} {} {}", &text[..start], mutant.replacement, &text[end..])
}
