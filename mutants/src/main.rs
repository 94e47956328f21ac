//! `everlink-mutants`: changes the engine in two thousand small ways, and says which of them no test
//! notices. `just mutants`; docs/proof.md tells what it found.
//!
//! The list is cargo-mutants'. What can be is built into one program and switched on by number; the
//! rest is built one by one. A survivor is to have a reason in `mutants/survivors.txt`.

mod judge;
mod plan;
mod plant;
mod tree;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use judge::{Fate, Judge};
use plan::Mutant;
use tree::{Built, Tree};

/// What is changed: the session and the packets.
const FILES: [&str; 2] = ["proto/src/session/**", "proto/src/wire/**"];
/// What is to notice: the engine's tests, and the simulator's.
const TESTS: [&str; 4] = ["-p", "everlink-proto", "-p", "everlink-sim"];
const USAGE: &str =
    "usage: everlink-mutants [--only TEXT] [--jobs N] [--within SECS] [--no-rest | --rest]
  --only TEXT  only mutants whose name has TEXT in it
  --jobs N     so many test programs at a time (1)
  --within SECS  only test programs that take no longer
  --no-rest    leave out those that must be built one by one
  --rest       only those";

struct Arguments {
    only: String,
    jobs: usize,
    within: Duration,
    together: bool,
    rest: bool,
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("everlink-mutants: {error}\n{USAGE}");
            return ExitCode::from(1);
        }
    };
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("everlink-mutants: {error}");
            ExitCode::from(1)
        }
    }
}

fn arguments() -> Result<Arguments, String> {
    let mut found = Arguments {
        only: String::new(),
        jobs: 1,
        within: Duration::MAX,
        together: true,
        rest: true,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match &*word {
            "--only" => found.only = value()?,
            "--jobs" => {
                let jobs = value()?.parse().ok().filter(|n| (1..=64).contains(n));
                found.jobs = jobs.ok_or("--jobs takes a number from 1 to 64")?;
            }
            "--within" => {
                let seconds = value()?.parse().map_err(|_| "--within takes seconds")?;
                found.within = Duration::from_secs(seconds);
            }
            "--no-rest" => found.rest = false,
            "--rest" => found.together = false,
            _ => return Err(format!("{word} is not understood")),
        }
    }
    Ok(found)
}

fn run(arguments: &Arguments) -> Result<bool, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.parent().ok_or("no root")?;
    let mut mutants = plan::list(root, "everlink-proto", &FILES.map(str::to_owned))?;
    println!("{} mutants", mutants.len());
    // Helpers of tests are not what is tested.
    mutants.retain(|m| m.name.contains(&arguments.only) && !m.name.contains(" tests::"));
    let tree = Tree::new(root, &here.join("target"))?;
    let rest = build(&tree, &mutants)?;
    let (planted, rest): (Vec<_>, Vec<_>) =
        mutants.into_iter().partition(|mutant| !rest.contains(&mutant.id));
    println!("{} in one program; {} to be built one by one", planted.len(), rest.len());
    let mut fates = Vec::new();
    if arguments.together {
        let Built::Programs(programs) = tree.build(&TESTS)? else {
            return Err("the tests cannot be built with the mutants".into());
        };
        fates = Judge::new(&tree, programs, arguments.jobs, arguments.within)?.all(planted)?;
    }
    if arguments.rest {
        tree.restore("proto")?;
        let Built::Programs(programs) = tree.build(&TESTS)? else {
            return Err("the tests cannot be built without mutants".into());
        };
        fates.extend(Judge::new(&tree, programs, 1, arguments.within)?.one_by_one(rest, &TESTS)?);
    }
    Ok(report(here, &fates))
}

/// Writes all mutants that can be switched into the copy; the others' numbers come back.
fn build(tree: &Tree, mutants: &[Mutant]) -> Result<BTreeSet<u32>, String> {
    let mut left_out = BTreeSet::new();
    for round in 1..40 {
        let planted = tree.plant("proto", mutants, &left_out)?;
        let there: BTreeSet<u32> = planted
            .values()
            .flat_map(|p| p.regions.iter().flat_map(|(_, ids)| ids.clone()))
            .collect();
        let errors = match tree.build(&["-p", "everlink-proto", "--lib"])? {
            Built::Programs(_) => {
                let rest = mutants.iter().map(|m| m.id).filter(|id| !there.contains(id)).collect();
                return Ok(rest);
            }
            Built::Errors(errors) => errors,
        };
        let before = left_out.len();
        for (file, bytes, text) in &errors {
            if text.contains("non-const") {
                let name = text.split('`').nth(1).and_then(|path| path.rsplit("::").next());
                let plain = planted.values().flat_map(|p| &p.plain);
                let called = plain.filter(|(function, _)| Some(&**function) == name);
                left_out.extend(called.flat_map(|(_, ids)| ids));
                continue;
            }
            let Some(planted) = planted.get(file) else { continue };
            let around = planted
                .regions
                .iter()
                .filter(|(region, _)| region.start <= bytes.start && bytes.end <= region.end);
            if let Some((_, ids)) = around.min_by_key(|(region, _)| region.len()) {
                left_out.extend(ids);
            }
        }
        println!("build {round}: {} complaints, {} left out", errors.len(), left_out.len());
        if left_out.len() == before {
            let first =
                errors.first().map_or_else(String::new, |(f, b, t)| format!("{f} {b:?}: {t}"));
            return Err(format!(
                "the changed copy cannot be built, and no mutant is to blame; {first}"
            ));
        }
    }
    Err("the changed copy cannot be built".into())
}

/// Prints the result; whether every survivor has a reason.
fn report(here: &Path, fates: &[(Mutant, Fate)]) -> bool {
    let known = std::fs::read_to_string(here.join("survivors.txt")).unwrap_or_default();
    let known: BTreeSet<&str> = known.lines().filter(|line| line.starts_with("proto/")).collect();
    let count = |fate: Fate| fates.iter().filter(|(_, f)| *f == fate).count();
    let mut strangers = 0;
    for (mutant, fate) in
        fates.iter().filter(|(_, f)| matches!(f, Fate::Survived | Fate::Unreached))
    {
        let is_known = known.contains(&*mutant.title());
        strangers += usize::from(!is_known);
        println!("{}{fate:?}: {}", if is_known { "known " } else { "" }, mutant.name);
    }
    let (caught, hung) = (count(Fate::Caught), count(Fate::Hung));
    let (survived, unreached) = (count(Fate::Survived), count(Fate::Unreached));
    let viable = caught + hung + survived + unreached;
    println!(
        "{viable} viable mutants: {caught} caught, {hung} without end, {survived} survived, {unreached} \
         never reached ({:.1} % found); {} not viable; {strangers} survivors without a reason",
        100.0 * (caught + hung) as f64 / viable.max(1) as f64,
        count(Fate::Unviable),
    );
    strangers == 0
}
