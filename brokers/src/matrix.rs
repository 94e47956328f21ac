//! All checks against a broker, and the table of what they saw.

use everlink::Version;

use crate::broker::{Broker, Kind};
use crate::checks::{Check, Found};
use crate::known::{self, Known};

/// What one check saw at one broker.
#[derive(Clone, Debug)]
pub struct Row {
    /// At which broker.
    pub kind: Kind,
    /// In which version.
    pub version: Version,
    /// Which check.
    pub check: Check,
    /// What it saw.
    pub found: Found,
}

impl Row {
    /// What [`known`](mod@crate::known) says of it.
    pub fn known(&self) -> Option<&'static Known> {
        known::known(self.kind, self.version, self.check)
    }

    /// Why this is not as expected, if it is not.
    pub fn surprise(&self) -> Option<String> {
        let known = self.known();
        let what = match (&self.found, known) {
            (Found::Deviates(seen), None) => format!("deviates: {seen}"),
            (Found::Good | Found::NotOffered, Some(k)) if !k.sometimes => {
                format!("no longer deviates; take it from the list: {}", k.what)
            }
            _ => return None,
        };
        let (kind, version) = (self.kind.name(), version_name(self.version));
        Some(format!("{kind}, {version}, {}: {what}", self.check.title()))
    }
}

/// The version as people write it.
pub fn version_name(version: Version) -> &'static str {
    match version {
        Version::V311 => "3.1.1",
        Version::V5 => "5",
    }
}

/// Runs all checks against one broker; `tell` hears of each as it is done.
///
/// # Errors
/// If the broker is not installed or does not start.
pub async fn run(
    kind: Kind,
    only: &[Check],
    trace: bool,
    mut tell: impl FnMut(&Row),
) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for &version in kind.versions() {
        let mut broker = Broker::start(kind)?;
        for check in Check::ALL {
            if !check.is_in(version) || !(only.is_empty() || only.contains(&check)) {
                continue;
            }
            let found = check.run(&mut broker, version, trace).await;
            if matches!(found, Found::Deviates(_)) {
                // It may be in any state now.
                broker = Broker::start(kind)?;
            }
            let row = Row { kind, version, check, found };
            tell(&row);
            rows.push(row);
        }
    }
    Ok(rows)
}

/// The table for `docs/brokers.md`.
pub fn markdown(rows: &[Row]) -> String {
    let mut columns: Vec<(Kind, Version)> = Vec::new();
    for row in rows {
        if !columns.contains(&(row.kind, row.version)) {
            columns.push((row.kind, row.version));
        }
    }
    let mut notes: Vec<(&'static str, &'static str)> = Vec::new();
    let mut out = "| |".to_owned();
    for (kind, version) in &columns {
        out += &format!(" {} {} |", kind.name(), version_name(*version));
    }
    out += &format!("\n|-|{}\n", ":-:|".repeat(columns.len()));
    for check in Check::ALL {
        out += &format!("| {} |", check.title());
        for (kind, version) in &columns {
            let here = |r: &&Row| (r.kind, r.version, r.check) == (*kind, *version, check);
            let cell = match rows.iter().find(here) {
                None => String::new(),
                Some(row) => cell(row, &mut notes),
            };
            out += &format!(" {cell} |");
        }
        out += "\n";
    }
    out += "\n";
    for (number, (kind, what)) in notes.iter().enumerate() {
        out += &format!("{}. {kind}: {what}\n", number + 1);
    }
    out
}

fn cell(row: &Row, notes: &mut Vec<(&'static str, &'static str)>) -> String {
    let mark = match &row.found {
        Found::Good => "yes",
        Found::NotOffered => "not offered",
        Found::Deviates(_) => "no",
    };
    let Some(known) = row.known() else { return mark.to_owned() };
    let note = (row.kind.name(), known.what);
    let at = notes.iter().position(|n| *n == note).unwrap_or_else(|| {
        notes.push(note);
        notes.len() - 1
    });
    let mark = if known.sometimes { "mostly" } else { mark };
    format!("{mark} ({})", at + 1)
}
