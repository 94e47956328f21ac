//! Limits that keep the sources readable, and words that must not be left in them.
//!
//! Sizes are limited in production code only: not under a `tests/` or `benches/` directory, not in
//! a `tests.rs`, not in an item marked `#[cfg(test)]`. Leftovers are looked for everywhere.

mod leftovers;
mod size;

use std::fmt;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// One thing to mend.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Offence {
    /// Path of the file, relative to the root of the repository.
    file: PathBuf,
    /// Line, from 1.
    line: usize,
    what: String,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.what)
    }
}

/// What one run saw.
pub(crate) struct Report {
    /// How many files were read.
    pub(crate) files: usize,
    /// All offences, by file and line.
    pub(crate) offences: Vec<Offence>,
}

/// A line of one file and what is wrong there.
type Finding = (usize, String);

/// Checks every `.rs` file under `root`, except build output and hidden directories.
pub(crate) fn check_tree(root: &Path) -> io::Result<Report> {
    let files = sources(root)?;
    let mut offences = Vec::new();
    for path in &files {
        let text = fs::read_to_string(path)?;
        let file = path.strip_prefix(root).unwrap_or(path);
        offences.extend(
            check_file(&text, is_production(file)).into_iter().map(|(line, what)| Offence {
                file: file.to_owned(),
                line,
                what,
            }),
        );
    }
    Ok(Report { files: files.len(), offences })
}

/// Every `.rs` file under `root`, except build output and hidden directories, in order.
pub(crate) fn sources(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    collect(root, &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if name != "target" && !name.starts_with('.') {
                collect(&path, files)?;
            }
        } else if kind.is_file() && name.ends_with(".rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Whether the size limits hold for `file`, a path relative to the root.
fn is_production(file: &Path) -> bool {
    let in_tests = file.components().any(|part| {
        let part = part.as_os_str();
        part == "tests" || part == "benches"
    });
    !in_tests && file.file_name().is_some_and(|name| name != "tests.rs")
}

fn check_file(text: &str, production: bool) -> Vec<Finding> {
    let mut findings = leftovers::in_comments(text);
    match syn::parse_file(text) {
        Ok(file) => {
            findings.extend(leftovers::in_code(text));
            if production {
                findings.extend(size::check(text, &file));
            }
        }
        Err(error) => {
            findings.push((error.span().start().line, format!("cannot be parsed: {error}")));
        }
    }
    findings.sort();
    findings
}

#[cfg(test)]
mod tests;
