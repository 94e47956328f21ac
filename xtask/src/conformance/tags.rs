//! The tags: which statement, in which function.

use std::fs;
use std::io;
use std::path::Path;

use super::statements::Statement;

/// Where the code of a client is.
const CODE: [&str; 4] = ["proto/src/", "link/src/", "client/src/", "cli/src/"];

/// What a tag stands beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Code,
    Test,
    /// Neither: a benchmark, or the model broker.
    Other,
}

/// One mention of a statement.
#[derive(Debug)]
pub(super) struct Tag {
    pub(super) edition: &'static str,
    /// With `MQTT-`, without brackets.
    pub(super) id: String,
    pub(super) kind: Kind,
    /// Relative to the root.
    pub(super) file: String,
    /// From 1.
    pub(super) line: usize,
    /// The function it stands in or above, if any.
    function: Option<String>,
}

impl Tag {
    /// File and function. Not the line, which changes with every edit above it.
    fn place(&self) -> String {
        let file = self.file.replace("/src/", "/").replace(".rs", "");
        match &self.function {
            Some(function) => format!("`{file}::{function}`"),
            None => format!("`{file}`"),
        }
    }
}

/// Places in code and in tests, each once.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) code: Vec<String>,
    pub(super) tests: Vec<String>,
}

/// What speaks for one statement.
pub(super) fn of(tags: &[Tag], edition: &str, statement: &Statement) -> Evidence {
    let mut evidence = Evidence::default();
    for tag in tags {
        let own = tag.edition == edition && tag.id == statement.id;
        let same = tag.edition == "5.0" && statement.same_as.contains(&tag.id);
        let places = match tag.kind {
            Kind::Code => &mut evidence.code,
            Kind::Test => &mut evidence.tests,
            Kind::Other => continue,
        };
        let place = tag.place();
        if (own || same) && !places.contains(&place) {
            places.push(place);
        }
    }
    evidence
}

/// All tags of all sources below `root`, by file and line.
pub(super) fn collect(root: &Path) -> io::Result<Vec<Tag>> {
    let mut files = crate::tidy::sources(root)?;
    files.retain(|path| !path.starts_with(root.join("xtask")));
    let mut tags = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path)?;
        let file = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        tags.extend(in_file(&file, &text));
    }
    Ok(tags)
}

pub(super) fn in_file(file: &str, text: &str) -> Vec<Tag> {
    let lines: Vec<&str> = text.lines().collect();
    let tests_from = lines.iter().position(|line| is_for_tests(line.trim()));
    let whole_file = kind_of(file);
    let mut tags = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let kind = match tests_from {
            Some(from) if index > from && whole_file != Kind::Other => Kind::Test,
            _ => whole_file,
        };
        let rules = if file.starts_with("sim/src/check/") { in_rules(line) } else { Vec::new() };
        for (edition, id) in in_line(line).into_iter().chain(rules) {
            let function = function_at(&lines, index);
            let (file, line) = (file.to_owned(), index + 1);
            tags.push(Tag { edition, id, kind, file, line, function });
        }
    }
    tags
}

fn is_for_tests(line: &str) -> bool {
    line == "#[cfg(test)]" || line.starts_with("#[cfg(all(test,")
}

/// The rules of the wire checker are broken one by one in tests of its own, and watched in every
/// simulated run, so they are tests.
fn kind_of(file: &str) -> Kind {
    let is_test = file.contains("/tests/") || file.ends_with("/tests.rs");
    let watches = ["sim/src/check/", "fuzz/src/"].iter().any(|checks| file.starts_with(checks));
    if is_test && !file.starts_with("sim/src/broker") || watches {
        Kind::Test
    } else if CODE.iter().any(|code| file.starts_with(code)) {
        Kind::Code
    } else {
        Kind::Other
    }
}

fn in_line(line: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find("[MQTT-") {
        rest = &rest[at + 1..];
        let Some(end) = rest.find(']') else { break };
        let (id, after) = (&rest[..end], &rest[end + 1..]);
        let edition =
            if after.trim_start_matches('`').starts_with(" of 3.1.1") { "3.1.1" } else { "5.0" };
        if id.bytes().all(|b| b.is_ascii_digit() || b".-MQT".contains(&b)) {
            found.push((edition, id.to_owned()));
        }
        rest = after;
    }
    found
}

/// The checker names its rules in texts: `"MQTT-4.6.0-2: order of PUBACKs"`.
fn in_rules(line: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for rule in line.split('"').skip(1).step_by(2).filter(|text| text.starts_with("MQTT-")) {
        let (id, edition) = match rule.split_once([':', ' ']) {
            Some((id, " of 3.1.1" | "of 3.1.1")) => (id, "3.1.1"),
            Some((id, _)) => (id, "5.0"),
            None => (rule, "5.0"),
        };
        found.push((edition, id.to_owned()));
    }
    found
}

/// The function whose comment or attributes line `at` is among, or the one above it.
fn function_at(lines: &[&str], at: usize) -> Option<String> {
    let mut below = lines.iter().skip(at).map(|line| line.trim());
    let is_head = |line: &str| line.starts_with("//") || line.starts_with("#[");
    if lines.get(at).is_some_and(|line| is_head(line.trim()))
        && let Some(name) = below.find(|line| !is_head(line)).and_then(name_of)
    {
        return Some(name);
    }
    lines.iter().take(at + 1).rev().find_map(|line| name_of(line.trim()))
}

fn name_of(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split([' ', '(', '<']).collect();
    let at = words.iter().position(|word| *word == "fn")?;
    let plain = |word: &&str| {
        word.starts_with("pub") || ["super)", "crate)", "const", "async", "unsafe"].contains(word)
    };
    let name = words.get(at + 1).filter(|_| words.iter().take(at).all(plain))?;
    Some((*name).to_owned())
}
