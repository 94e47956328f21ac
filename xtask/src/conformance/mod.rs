//! `conformance`: every numbered statement of MQTT 3.1.1 and 5.0, where it is obeyed, and which test
//! shows it; written to `docs/conformance.md`.
//!
//! The statements are in `v5.txt` and `v311.txt`. What obeys one and what shows it is found by the
//! tags in comments, `[MQTT-4.6.0-1]`; a statement of 3.1.1 with no equal in 5.0 is tagged
//! `[MQTT-3.1.2-22] of 3.1.1`. A statement that binds a client and has no tag in the code, no tag in
//! a test and no reason why is an offence; so is a tag that no statement has.

mod statements;
mod table;
mod tags;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use statements::Statement;
use tags::Tag;

/// What was found in one edition of the standard.
struct Edition {
    name: &'static str,
    statements: Vec<Statement>,
}

/// Writes the table, or only compares it with the one there is. The error tells what is wrong.
pub(crate) fn run(root: &Path, check: bool) -> Result<String, String> {
    let editions = editions()?;
    let tags = tags::collect(root).map_err(|e| e.to_string())?;
    let offences = offences(&editions, &tags);
    if !offences.is_empty() {
        return Err(offences.join("\n"));
    }
    let (text, summary) = table::show(&editions, &tags);
    let path = root.join("docs/conformance.md");
    if !check {
        fs::write(&path, text).map_err(|e| format!("docs/conformance.md: {e}"))?;
    } else if fs::read_to_string(&path).unwrap_or_default() != text {
        return Err("docs/conformance.md is out of date: cargo run -p xtask -- conformance".into());
    }
    Ok(summary)
}

fn editions() -> Result<[Edition; 2], String> {
    let v5 = statements::parse(include_str!("v5.txt"), "v5.txt")?;
    let v311 = statements::parse(include_str!("v311.txt"), "v311.txt")?;
    Ok([Edition { name: "5.0", statements: v5 }, Edition { name: "3.1.1", statements: v311 }])
}

fn offences(editions: &[Edition], tags: &[Tag]) -> Vec<String> {
    let exists = |of: &str, id: &str| {
        editions.iter().any(|e| e.name == of && e.statements.iter().any(|s| s.id == id))
    };
    let mut found = Vec::new();
    for tag in tags.iter().filter(|tag| !exists(tag.edition, &tag.id)) {
        let (file, line, id, edition) = (&tag.file, tag.line, &tag.id, tag.edition);
        found.push(format!("{file}:{line}: MQTT {edition} has no statement {id}"));
    }
    for edition in editions {
        for statement in &edition.statements {
            for id in statement.same_as.iter().filter(|id| !exists("5.0", id)) {
                found.push(format!("{}: MQTT 5.0 has no statement {id}", statement.id));
            }
            let evidence = tags::of(tags, edition.name, statement);
            let name = format!("MQTT {}, {}", edition.name, statement.id);
            if statement.is_to_be_shown() {
                if evidence.code.is_empty() {
                    found.push(format!("{name}: no code says that it obeys this"));
                }
                if evidence.tests.is_empty() {
                    found.push(format!("{name}: no test says that it shows this"));
                }
            }
        }
    }
    found
}
