//! What `docs/conformance.md` says.

use std::fmt::Write;

use super::Edition;
use super::statements::{Bound, Statement};
use super::tags::{self, Tag};

const HEAD: &str = "\
# Conformance

Written by `cargo run -p xtask -- conformance`; do not edit. The statements are in
`xtask/src/conformance`, in our own words; the numbers are those of appendix B of each standard. Where
one is obeyed and which test shows it comes from tags in comments, `[MQTT-4.6.0-1]`. `./test tidy` fails
if a statement that binds a client lacks code or test and gives no reason, or if this page is out of date.

`sim/check` is the checker that watches the wire in every simulated run; each of its rules is broken once
in `sim/check/tests`.
";

/// The page, and a line that sums it up.
pub(super) fn show(editions: &[Edition], tags: &[Tag]) -> (String, String) {
    let mut page = HEAD.to_owned();
    let mut summaries = Vec::new();
    for edition in editions {
        let all = &edition.statements;
        let (client, server): (Vec<_>, Vec<_>) =
            all.iter().partition(|statement| statement.bound != Bound::Server);
        let reasons = client.iter().filter(|statement| statement.reason.is_some()).count();
        let summary = format!(
            "MQTT {}: {} statements, {} bind a client, {} of them with nothing to show",
            edition.name,
            all.len(),
            client.len(),
            reasons,
        );
        let _ = writeln!(page, "\n## {summary}\n");
        let _ = writeln!(page, "| statement | says | obeyed in | shown by |");
        let _ = writeln!(page, "|-----------|------|-----------|----------|");
        for statement in client {
            row(&mut page, edition, statement, tags);
        }
        let _ = writeln!(page, "\n### MQTT {}: statements that bind only a server\n", edition.name);
        let _ = writeln!(page, "| statement | says | what the client makes of it |");
        let _ = writeln!(page, "|-----------|------|------------------------------|");
        for statement in server {
            let evidence = tags::of(tags, edition.name, statement);
            let places = [evidence.code, evidence.tests].concat().join(", ");
            let _ = writeln!(page, "| {} | {} | {places} |", statement.id, statement.says);
        }
        summaries.push(summary);
    }
    (page, summaries.join("; "))
}

fn row(page: &mut String, edition: &Edition, statement: &Statement, tags: &[Tag]) {
    let evidence = tags::of(tags, edition.name, statement);
    let code = match &statement.reason {
        Some(reason) => reason.clone(),
        None => evidence.code.join(", "),
    };
    let tests = evidence.tests.join(", ");
    let _ = writeln!(page, "| {} | {} | {code} | {tests} |", statement.id, statement.says);
}
