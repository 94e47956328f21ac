//! The end of the demo: a table for people, one object for programs.

use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;
use std::time::Duration;

use serde::Serialize;

use super::ledger::Tally;
use super::schedule::Kind;

/// One outage as it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    pub(crate) kind: Kind,
    /// How long the path or the broker was bad.
    pub(crate) lasted: Duration,
    /// From then to the next acknowledgement or message; `None` if there was none in time.
    pub(crate) recovery: Option<Duration>,
}

/// Everything the demo found out.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) seed: u64,
    /// "3.1.1" or "5".
    pub(crate) version: &'static str,
    pub(crate) took: Duration,
    /// Connections the client made.
    pub(crate) connections: u64,
    pub(crate) tallies: Vec<Tally>,
    pub(crate) outages: Vec<Outage>,
}

/// The outages of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row {
    kind: &'static str,
    #[serde(skip)]
    label: &'static str,
    count: usize,
    longest_ms: u64,
    /// Of those that were followed by a recovery.
    median_recovery_ms: Option<u64>,
    worst_recovery_ms: Option<u64>,
    unrecovered: usize,
}

impl Verdict {
    /// Whether every promise was kept and the client came back from every outage.
    pub(crate) fn passed(&self) -> bool {
        self.tallies.iter().all(Tally::holds) && self.outages.iter().all(|o| o.recovery.is_some())
    }

    /// One object, on one line.
    pub(crate) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Lane {
            #[serde(flatten)]
            tally: Tally,
            holds: bool,
        }
        let lanes = self.tallies.iter().map(|t| Lane { tally: *t, holds: t.holds() });
        serde_json::json!({
            "verdict": if self.passed() { "pass" } else { "fail" },
            "seed": self.seed,
            "version": self.version,
            "seconds": self.took.as_millis() as f64 / 1000.0,
            "connections": self.connections,
            "kinds": self.rows().len(),
            "qos": lanes.collect::<Vec<_>>(),
            "outages": self.rows(),
        })
        .to_string()
    }

    fn rows(&self) -> Vec<Row> {
        Kind::ALL.into_iter().filter_map(|kind| self.row(kind)).collect()
    }

    fn row(&self, kind: Kind) -> Option<Row> {
        let of_kind: Vec<&Outage> = self.outages.iter().filter(|o| o.kind == kind).collect();
        let longest = of_kind.iter().map(|o| o.lasted).max()?;
        let mut recoveries: Vec<u64> =
            of_kind.iter().filter_map(|o| o.recovery).map(millis).collect();
        recoveries.sort_unstable();
        Some(Row {
            kind: kind.name(),
            label: kind.label(),
            count: of_kind.len(),
            longest_ms: millis(longest),
            // the lower of the two in the middle
            median_recovery_ms: recoveries.get(recoveries.len().saturating_sub(1) / 2).copied(),
            worst_recovery_ms: recoveries.last().copied(),
            unrecovered: of_kind.len() - recoveries.len(),
        })
    }

    /// The report for people; escape codes only if `colour`.
    pub(crate) fn text(&self, colour: bool) -> String {
        let mut out = String::new();
        // writing to a String cannot fail
        let _ = self.write(&mut out, Paint(colour));
        out
    }

    fn write(&self, out: &mut String, paint: Paint) -> fmt::Result {
        let (kinds, count) = (self.rows().len(), self.outages.len());
        writeln!(
            out,
            "MQTT {}, seed {}: {:.1} s, {count} outages of {kinds} kinds, {} connections\n",
            self.version,
            self.seed,
            self.took.as_secs_f64(),
            self.connections
        )?;
        self.write_outages(out, paint)?;
        writeln!(out)?;
        self.write_lanes(out, paint)?;
        writeln!(out)?;
        for line in self.complaints() {
            writeln!(out, "{}", paint.red(&line))?;
        }
        let verdict = match self.passed() {
            true => paint
                .green("PASS: nothing lost at QoS 1 and 2, nothing doubled at QoS 2, order kept"),
            false => paint.red("FAIL"),
        };
        writeln!(out, "{verdict}")
    }

    fn write_outages(&self, out: &mut String, paint: Paint) -> fmt::Result {
        let head = format!(
            "{:<26} {:>5} {:>9} {:>17} {:>9}",
            "outage", "count", "longest", "recovery: median", "worst"
        );
        writeln!(out, "{}", paint.bold(&head))?;
        for row in self.rows() {
            let line = format!(
                "{:<26} {:>5} {:>9} {:>17} {:>9}",
                row.label,
                row.count,
                seconds(Some(row.longest_ms).filter(|ms| *ms > 0)),
                seconds(row.median_recovery_ms),
                seconds(row.worst_recovery_ms)
            );
            let line = if row.unrecovered > 0 { paint.red(&line) } else { line };
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn write_lanes(&self, out: &mut String, paint: Paint) -> fmt::Result {
        let head = format!(
            "{:<5} {:>9} {:>10} {:>9} {:>6} {:>8} {:>15} {:>13}",
            "QoS",
            "accepted",
            "delivered",
            "received",
            "lost",
            "doubled",
            "(session lost)",
            "out of order"
        );
        writeln!(out, "{}", paint.bold(&head))?;
        for t in &self.tallies {
            let line = format!(
                "{:<5} {:>9} {:>10} {:>9} {:>6} {:>8} {:>15} {:>13}",
                t.qos,
                t.accepted,
                t.delivered,
                t.received,
                t.lost,
                t.doubled,
                t.doubled_after_loss,
                t.out_of_order
            );
            let line = if t.holds() { line } else { paint.red(&line) };
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    /// What the tables do not say of a failure.
    fn complaints(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for t in &self.tallies {
            let odd = [
                (t.unaccounted, "accepted and never accounted for"),
                (t.expired, "expired"),
                (t.rejected, "rejected by the broker"),
                (t.dropped, "dropped by policy"),
                (t.alien, "received and never sent"),
            ];
            let odd = odd.into_iter().filter(|(n, _)| *n > 0);
            lines.extend(odd.map(|(n, what)| format!("QoS {}: {n} {what}", t.qos)));
        }
        let stuck = self.outages.iter().filter(|o| o.recovery.is_none());
        lines.extend(stuck.map(|o| format!("no recovery in time after: {}", o.kind.label())));
        lines
    }
}

/// Whether standard output takes colours: a terminal, and NO_COLOR is not set.
pub(crate) fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

fn seconds(ms: Option<u64>) -> String {
    ms.map_or_else(|| "-".into(), |ms| format!("{}.{:02} s", ms / 1000, ms % 1000 / 10))
}

#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn verdict() -> Verdict {
        let tally =
            |qos| Tally { qos, accepted: 10, delivered: 10, received: 10, ..Tally::default() };
        let outage = |kind, lasted, recovery| Outage {
            kind,
            lasted: ms(lasted),
            recovery: Some(ms(recovery)),
        };
        Verdict {
            seed: 7,
            version: "5",
            took: ms(61_250),
            connections: 4,
            tallies: vec![tally(0), tally(1), tally(2)],
            outages: vec![
                outage(Kind::Refuse, 1500, 40),
                outage(Kind::Reset, 0, 300),
                outage(Kind::Refuse, 900, 20),
                outage(Kind::Refuse, 1000, 990),
            ],
        }
    }

    #[test]
    fn outages_are_summed_up_per_kind() {
        let rows = verdict().rows();
        assert_eq!(rows.len(), 2);
        let refused = &rows[1];
        assert_eq!((refused.kind, refused.count, refused.longest_ms), ("refuse", 3, 1500));
        assert_eq!((refused.median_recovery_ms, refused.worst_recovery_ms), (Some(40), Some(990)));
    }

    #[test]
    fn text_and_object_agree() {
        let good = verdict();
        assert!(good.passed() && good.text(false).contains("PASS"));
        let object: serde_json::Value = serde_json::from_str(&good.json()).unwrap();
        assert_eq!((&object["verdict"], &object["kinds"]), (&"pass".into(), &2.into()));
        assert_eq!(
            (&object["qos"][2]["lost"], &object["qos"][2]["holds"]),
            (&0.into(), &true.into())
        );
        assert_eq!(object["outages"][1]["median_recovery_ms"], 40);

        let mut bad = good;
        bad.tallies[2].lost = 1;
        assert!(!bad.passed() && bad.text(false).contains("FAIL"));
        let object: serde_json::Value = serde_json::from_str(&bad.json()).unwrap();
        assert_eq!(
            (&object["verdict"], &object["qos"][2]["holds"]),
            (&"fail".into(), &false.into())
        );
    }

    #[test]
    fn a_missing_recovery_fails_and_is_named() {
        let mut bad = verdict();
        bad.outages[1].recovery = None;
        assert!(!bad.passed());
        assert!(bad.text(false).contains("no recovery in time after: connection reset"));
        let object: serde_json::Value = serde_json::from_str(&bad.json()).unwrap();
        assert_eq!(object["outages"][0]["unrecovered"], 1);
    }

    #[test]
    fn colours_only_when_asked() {
        assert!(!verdict().text(false).contains('\x1b'));
        assert!(verdict().text(true).contains("\x1b[32m"));
    }

    #[test]
    fn lines_fit_a_terminal() {
        assert!(verdict().text(false).lines().all(|l| l.chars().count() <= 84));
    }
}
