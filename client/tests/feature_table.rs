//! `docs/features.md` says of every feature where it is and which test would fail without it. What it
//! names must exist.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const IDS: [(&str, u32); 9] = [
    ("X", 12),
    ("C", 20),
    ("M", 14),
    ("B", 23),
    ("V", 12),
    ("P", 5),
    ("R", 19),
    ("G", 23),
    ("D", 13),
];
const PLAN: (&str, u32) = ("F", 12);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

fn table() -> String {
    std::fs::read_to_string(root().join("docs/features.md")).expect("the table")
}

/// The cells of each row, by id.
fn rows(table: &str) -> BTreeMap<String, Vec<&str>> {
    let mut rows = BTreeMap::new();
    for line in table.lines().filter(|l| l.starts_with("| ")) {
        let line = line.strip_prefix('|').and_then(|l| l.strip_suffix('|')).expect("a row");
        let cells: Vec<_> = line.split(" |").map(str::trim).collect();
        let id = cells[0].to_owned();
        if id.ends_with(|c: char| c.is_ascii_digit()) {
            assert!(rows.insert(id.clone(), cells).is_none(), "{id} is there twice");
        }
    }
    rows
}

/// What stands in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The file in which `file::test` is.
fn file_of(place: &str) -> PathBuf {
    let (first, rest) = place.split_once('/').expect("a directory");
    let path = match first {
        "stories" => format!("proto/tests/stories/{rest}.rs"),
        "boards" => format!("board-tests/tests/{rest}.rs"),
        _ if rest.starts_with("src/") => format!("{place}.rs"),
        _ => format!("{first}/tests/{rest}.rs"),
    };
    let path = root().join(path);
    if path.exists() { path } else { path.with_extension("").join("main.rs") }
}

#[test]
fn every_feature_has_its_row() {
    let table = table();
    let rows = rows(&table);
    let ids = IDS.into_iter().chain([PLAN]);
    let ids: Vec<_> = ids.flat_map(|(k, n)| (1..=n).map(move |n| format!("{k}{n}"))).collect();
    for id in &ids {
        let cells = rows.get(id).unwrap_or_else(|| panic!("{id} is missing"));
        assert_eq!(cells.len(), 4, "{id}: {cells:?}");
        let tested = quoted(cells[3]).next().is_some();
        assert!(
            tested || cells[1..3].concat().contains("not yet") || cells[1].contains("Not yet"),
            "{id}"
        );
    }
    assert_eq!(rows.len(), ids.len(), "an id nobody knows");
}

#[test]
fn what_it_names_exists() {
    let table = table();
    for (id, cells) in rows(&table) {
        for path in quoted(cells[2]).filter(|q| q.contains('/')) {
            assert!(root().join(path).exists(), "{id}: {path}");
        }
        for test in quoted(cells.get(3).copied().unwrap_or_default()) {
            let (place, name) = test.split_once("::").unwrap_or_else(|| panic!("{id}: {test}"));
            let file = file_of(place);
            let text = std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("{id}: {place}"));
            // Its attribute stands on one of the lines above.
            let is_test = |at: usize| text[..at].lines().rev().take(4).any(|l| l.contains("test"));
            let found = text.match_indices(&format!("fn {name}(")).any(|(at, _)| is_test(at));
            assert!(found, "{id}: {test}");
        }
    }
}
