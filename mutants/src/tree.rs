//! The changed copy of the repository: written, built, run.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use serde_json::Value;

use crate::plan::Mutant;
use crate::plant::{Planted, plant};

/// A copy of the repository and where it is built.
pub struct Tree {
    root: PathBuf,
    copy: PathBuf,
    build: PathBuf,
    /// What git knows, from the root.
    files: Vec<String>,
}

/// What cargo made of the copy.
pub enum Built {
    /// The test programs.
    Programs(Vec<PathBuf>),
    /// The compiler's complaints: file from the root, and bytes within it.
    Errors(Vec<(String, Range<usize>, String)>),
}

/// How a test program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All passed.
    Passed,
    /// Something failed.
    Failed,
    /// It did not come to an end.
    Hung,
}

impl Tree {
    /// A copy of what git knows in `root`, in `place`. Files that did not change are left alone, so that
    /// a second build is quick.
    pub fn new(root: &Path, place: &Path) -> Result<Self, String> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .map_err(|e| format!("git cannot be run: {e}"))?;
        let names = listed.stdout.split(|b| *b == 0).filter(|name| !name.is_empty());
        let files = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let (copy, build) = (place.join("tree"), place.join("build"));
        let tree = Self { root: root.into(), copy, build, files };
        for name in &tree.files {
            if let Ok(content) = fs::read(root.join(name)) {
                tree.write(name, &content).map_err(|e| format!("{name}: {e}"))?;
            }
        }
        Ok(tree)
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let path = self.copy.join(name);
        if fs::read(&path).is_ok_and(|old| old == content) {
            return Ok(());
        }
        fs::create_dir_all(path.parent().unwrap_or(&self.copy))?;
        fs::write(path, content)
    }

    /// The text of a file as it is in the repository.
    pub fn original(&self, name: &str) -> Result<String, String> {
        fs::read_to_string(self.root.join(name)).map_err(|e| format!("{name}: {e}"))
    }

    /// Puts a file into the copy.
    pub fn put(&self, name: &str, text: &str) -> Result<(), String> {
        self.write(name, text.as_bytes()).map_err(|e| format!("{name}: {e}"))
    }

    /// Writes all `mutants` but the `left_out` into the copy of package `package`.
    pub fn plant(
        &self,
        package: &str,
        mutants: &[Mutant],
        left_out: &BTreeSet<u32>,
    ) -> Result<HashMap<String, Planted>, String> {
        let mut files: HashMap<String, Vec<&Mutant>> = HashMap::new();
        for mutant in mutants {
            let of_file = files.entry(mutant.file.clone()).or_default();
            if !left_out.contains(&mutant.id) {
                of_file.push(mutant);
            }
        }
        let mut planted = HashMap::new();
        for (name, mutants) in files {
            let changed =
                plant(&self.original(&name)?, &mutants).map_err(|e| format!("{name}: {e}"))?;
            self.put(&name, &changed.text)?;
            planted.insert(name, changed);
        }
        let crate_root = format!("{package}/src/lib.rs");
        let text = self.original(&crate_root)?;
        self.put(&crate_root, &format!("{text}\nextern crate std;\nmod mutant;\n"))?;
        let highest = mutants.iter().map(|m| m.id).max().unwrap_or(0);
        let switch = SWITCH.replace("COUNT", &(highest + 1).to_string());
        self.put(&format!("{package}/src/mutant.rs"), &switch)?;
        Ok(planted)
    }

    /// Takes everything planted out again.
    pub fn restore(&self, package: &str) -> Result<(), String> {
        for name in &self.files {
            if name.starts_with(&format!("{package}/src/")) {
                self.put(name, &self.original(name)?)?;
            }
        }
        Ok(())
    }

    /// Builds the tests.
    pub fn build(&self, arguments: &[&str]) -> Result<Built, String> {
        let output = Command::new("cargo")
            .args(["test", "--no-run", "--message-format=json", "--locked"])
            // Built once and run thousands of times.
            .args(FAST.iter().flat_map(|setting| ["--config", setting]))
            .args(arguments)
            .current_dir(&self.copy)
            .env("CARGO_TARGET_DIR", &self.build)
            // The changed text is no good style.
            .env("RUSTFLAGS", "--cap-lints allow")
            .stderr(Stdio::null())
            .output()
            .map_err(|e| format!("cargo cannot be run: {e}"))?;
        let (mut programs, mut errors) = (Vec::new(), Vec::new());
        for line in output.stdout.split(|b| *b == b'\n') {
            let Ok(message) = serde_json::from_slice::<Value>(line) else { continue };
            if let Some(path) = message["executable"].as_str()
                && message["profile"]["test"] == true
            {
                programs.push(path.into());
            }
            if message["message"]["level"] == "error" {
                errors.extend(places(&message["message"]));
            }
        }
        if output.status.success() {
            Ok(Built::Programs(programs))
        } else {
            Ok(Built::Errors(errors))
        }
    }

    /// Runs a test program with the mutant `id`; with `reached`, the numbers of the mutants that it
    /// comes by go there.
    pub fn run(
        &self,
        program: &Path,
        id: u32,
        reached: Option<&Path>,
        patience: Duration,
    ) -> Result<Ended, String> {
        // Tests find their data by the directory of their package.
        let mut command = Command::new(program);
        command
            .current_dir(self.copy.join("proto"))
            .env("EVERLINK_MUTANT", id.to_string())
            .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(path) = reached {
            command.env("EVERLINK_MUTANTS_REACHED", path);
        }
        let mut child = command.spawn().map_err(|e| format!("{}: {e}", program.display()))?;
        let deadline = Instant::now() + patience;
        loop {
            match child.try_wait().map_err(|e| e.to_string())? {
                Some(status) if status.success() => return Ok(Ended::Passed),
                Some(_) => return Ok(Ended::Failed),
                None if Instant::now() > deadline => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Ok(Ended::Hung);
                }
                None => thread::sleep(Duration::from_millis(3)),
            }
        }
    }
}

fn places(message: &Value) -> Vec<(String, Range<usize>, String)> {
    let text = message["message"].as_str().unwrap_or_default();
    let spans = message["spans"].as_array().map_or(&[][..], |v| v);
    let number = |v: &Value| v.as_u64().map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let of = |span: &Value| {
        let file = span["file_name"].as_str().unwrap_or_default().to_owned();
        (file, number(&span["byte_start"])..number(&span["byte_end"]), text.to_owned())
    };
    spans.iter().filter(|span| span["is_primary"] == true).map(of).collect()
}

const FAST: [&str; 3] = [
    "profile.dev.opt-level=1",
    "profile.dev.package.everlink-proto.opt-level=2",
    "profile.dev.package.everlink-sim.opt-level=2",
];

/// The module that says which mutant is in force.
const SWITCH: &str = r#"//! Which mutant is in force.
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static ACTIVE: OnceLock<u32> = OnceLock::new();
static REACHED: OnceLock<Option<std::fs::File>> = OnceLock::new();
static SEEN: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];

/// Whether it is this one.
pub(crate) fn on(id: u32) -> bool {
    let number = || std::env::var("EVERLINK_MUTANT").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let active = *ACTIVE.get_or_init(number);
    if active == 0 && !SEEN[id as usize].swap(true, Ordering::Relaxed) {
        let open = || {
            let path = std::env::var_os("EVERLINK_MUTANTS_REACHED")?;
            std::fs::File::options().create(true).append(true).open(path).ok()
        };
        if let Some(mut file) = REACHED.get_or_init(open).as_ref() {
            let _ = file.write_all(std::format!("{id}\n").as_bytes());
        }
    }
    active == id
}
"#;
