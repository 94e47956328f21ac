//! The recorded sizes: a table in `docs/size.md`.

/// A line of the table: bytes on one processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) target: String,
    pub(crate) what: String,
    pub(crate) flash: i64,
    pub(crate) ram: i64,
}

/// Growth that is let pass, in percent.
const TOLERANCE: i64 = 5;
const BEGIN: &str = "<!-- sizes: written by `just size --record` -->\n";
const END: &str = "<!-- end of sizes -->";

impl Row {
    fn parse(line: &str) -> Option<Self> {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let (target, what) = (cells.next()?.to_owned(), cells.next()?.to_owned());
        let (flash, ram) = (cells.next()?.parse().ok()?, cells.next()?.parse().ok()?);
        Some(Self { target, what, flash, ram })
    }

    /// What is wrong with the present sizes next to the recorded ones, if anything is.
    pub(crate) fn complaint(&self, recorded: &[Self]) -> Option<String> {
        let same = |row: &&Self| row.target == self.target && row.what == self.what;
        let Some(old) = recorded.iter().find(same) else {
            return Some(format!("{} / {}: not recorded", self.target, self.what));
        };
        let grown = |new: i64, old: i64| new * 100 > old * (100 + TOLERANCE);
        let of = |name: &str, new, old| {
            let (target, what) = (&self.target, &self.what);
            format!(
                "{target} / {what}: {name} grew from {old} to {new} bytes, more than {TOLERANCE} %"
            )
        };
        if grown(self.flash, old.flash) {
            Some(of("flash", self.flash, old.flash))
        } else if grown(self.ram, old.ram) {
            Some(of("RAM", self.ram, old.ram))
        } else {
            None
        }
    }
}

/// The table as text.
pub(crate) fn show(rows: &[Row]) -> String {
    let mut text = String::from("| processor | what | flash | RAM |\n|---|---|---:|---:|\n");
    for Row { target, what, flash, ram } in rows {
        text += &format!("| {target} | {what} | {flash} | {ram} |\n");
    }
    text
}

/// The rows recorded in a document.
pub(crate) fn recorded(document: &str) -> Vec<Row> {
    document.lines().filter_map(Row::parse).collect()
}

/// The document with these rows in place of those it has; `None` if it has no place for them.
pub(crate) fn record(document: &str, rows: &[Row]) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some([before, BEGIN, "\n", &show(rows), "\n", END, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(what: &str, flash: i64, ram: i64) -> Row {
        Row { target: "thumbv7m".into(), what: what.into(), flash, ram }
    }

    #[test]
    fn what_is_recorded_is_found_again() {
        let document = format!("# Size\n{BEGIN}old\n{END}\nmore\n");
        let rows = [row("all", 30_000, 700), row("MQTT 5", 20_000, -1)];
        let document = record(&document, &rows).unwrap();
        assert_eq!(recorded(&document), rows);
        assert!(document.ends_with("\nmore\n"));
        assert_eq!(record(&document, &rows), Some(document), "twice is as once");
    }

    #[test]
    fn more_than_five_percent_is_a_complaint() {
        let recorded = [row("all", 1000, 200)];
        let complains = |flash, ram| row("all", flash, ram).complaint(&recorded).is_some();
        assert!(!complains(1050, 210));
        assert!(!complains(10, 10));
        assert!(complains(1051, 200));
        assert!(complains(1000, 211));
    }

    #[test]
    fn what_is_not_recorded_is_a_complaint() {
        assert!(row("new", 1, 1).complaint(&[row("all", 1, 1)]).is_some());
    }
}
