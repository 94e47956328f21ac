//! What cargo-mutants would change.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;

/// A place in a source file; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// From the first character to the one after the last.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Span {
    /// First character.
    pub start: Place,
    /// The one after the last.
    pub end: Place,
}

/// One change that a test should notice.
#[derive(Clone, Debug, Deserialize)]
pub struct Mutant {
    /// Its number, from 1; 0 before it has one.
    #[serde(skip)]
    pub id: u32,
    /// What is changed, in words, with file, line and column.
    pub name: String,
    /// The file, from the root of the repository.
    pub file: String,
    /// What kind of change.
    pub genre: String,
    /// The text that goes.
    pub span: Span,
    /// The text that comes.
    pub replacement: String,
}

impl Mutant {
    /// Its name without line and column, which other changes move.
    pub fn title(&self) -> String {
        let mut parts = self.name.splitn(4, ':');
        let file = parts.next().unwrap_or_default();
        let what = parts.nth(2).unwrap_or(&self.name);
        format!("{file}:{what}")
    }
}

/// Asks cargo-mutants what it would change in `files` (globs) of the package `package`.
pub fn list(root: &Path, package: &str, files: &[String]) -> Result<Vec<Mutant>, String> {
    let mut command = Command::new("cargo");
    command.args(["mutants", "--list", "--json", "-p", package]).current_dir(root);
    for file in files {
        command.args(["-f", file]);
    }
    let output = command.output().map_err(|e| format!("cargo cannot be run: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "cargo-mutants is needed for the list (`cargo install --locked cargo-mutants`):\n{said}"
        ));
    }
    let mut mutants: Vec<Mutant> = serde_json::from_slice(&output.stdout)
        .map_err(|e| format!("cargo-mutants lists what is not understood: {e}"))?;
    for (mutant, id) in mutants.iter_mut().zip(1..) {
        mutant.id = id;
    }
    Ok(mutants)
}
