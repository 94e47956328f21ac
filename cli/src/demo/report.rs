//! The verdict for people.

use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;
use std::time::Duration;

use super::ledger::Tally;
use super::verdict::{Verdict, millis};

impl Verdict {
    /// The report; escape codes only if `colour`.
    pub(crate) fn text(&self, colour: bool) -> String {
        let mut out = String::new();
        // writing to a String cannot fail
        let _ = self.write(&mut out, Paint(colour));
        out
    }

    fn write(&self, out: &mut String, paint: Paint) -> fmt::Result {
        let early = if self.interrupted { " (ended early)" } else { "" };
        writeln!(
            out,
            "{}, {} of {}, {} in {:.1} s{early}, seed {}\n",
            count(self.messages(), "message"),
            count(self.outages.len() as u64, "outage"),
            count(self.rows().len() as u64, "kind"),
            count(self.connections, "connection"),
            self.took.as_secs_f64(),
            self.seed,
        )?;
        if !self.outages.is_empty() {
            self.write_outages(out, paint)?;
            writeln!(out)?;
        }
        self.write_lanes(out, paint)?;
        writeln!(out)?;
        for line in self.complaints() {
            writeln!(out, "{}", paint.red(&line))?;
        }
        let verdict = match self.passed() {
            true => paint.green(PASS),
            false if self.cut_short => paint.red(CUT_SHORT),
            false => paint.red(FAIL),
        };
        writeln!(out, "{verdict}")
    }

    fn write_outages(&self, out: &mut String, paint: Paint) -> fmt::Result {
        let head = format!(
            "{:<26} {:>5} {:>9}   {:>19} {:>9}",
            "outage", "times", "longest", "messages move after", "at worst"
        );
        writeln!(out, "{}", paint.bold(&head))?;
        for row in self.rows() {
            let line = format!(
                "{:<26} {:>5} {:>9}   {:>19} {:>9}",
                row.label,
                row.count,
                ms(Some(row.longest_ms).filter(|ms| *ms >= 10)),
                ms(row.median_recovery_ms),
                ms(row.worst_recovery_ms)
            );
            let line = if row.unrecovered > 0 { paint.red(&line) } else { line };
            writeln!(out, "{line}")?;
        }
        writeln!(out, "(messages move after: from the end of the outage, the median of all)")
    }

    fn write_lanes(&self, out: &mut String, paint: Paint) -> fmt::Result {
        let head = format!(
            "{:<12} {:>8} {:>12} {:>8} {:>6} {:>7} {:>12}  {}",
            "MQTT",
            "accepted",
            "acknowledged",
            "received",
            "lost",
            "doubled",
            "out of order",
            "promise"
        );
        writeln!(out, "{}", paint.bold(&head))?;
        for lane in &self.lanes {
            let t = &lane.tally;
            let line = format!(
                "{:<12} {:>8} {:>12} {:>8} {:>6} {:>7} {:>12}  {}",
                format!("{:<5} QoS {}", lane.version, t.qos),
                t.accepted,
                acknowledged(t),
                t.received,
                t.lost,
                t.doubled,
                t.out_of_order,
                if t.holds() { "kept" } else { "BROKEN" }
            );
            let line = if t.holds() { line } else { paint.red(&line) };
            writeln!(out, "{line}")?;
        }
        writeln!(
            out,
            "(the promise: QoS 0 may lose, QoS 1 may double, QoS 2 neither; all in order)"
        )
    }

    /// What the tables do not say.
    fn complaints(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for lane in &self.lanes {
            let t = &lane.tally;
            let odd = [
                (t.unaccounted, "accepted and never accounted for"),
                (t.expired, "expired"),
                (t.rejected, "rejected by the broker"),
                (t.dropped, "dropped by policy"),
                (t.alien, "received and never sent, or damaged"),
                (
                    t.doubled_after_loss,
                    "doubled because the broker lost its sessions, which is allowed",
                ),
            ];
            let odd = odd.into_iter().filter(|(n, _)| *n > 0);
            let who = format!("MQTT {}, QoS {}", lane.version, t.qos);
            lines.extend(odd.map(|(n, what)| format!("{who}: {n} {what}")));
        }
        let stuck = self.outages.iter().filter(|o| o.recoveries.contains(&None));
        lines.extend(stuck.map(|o| format!("no recovery in time after: {}", o.kind.label())));
        lines
    }
}

const PASS: &str = "PASS: nothing lost at QoS 1 and 2, nothing doubled at QoS 2, all in order";
const FAIL: &str = "FAIL: a promise was broken";
const CUT_SHORT: &str = "FAIL: ended before the messages under way could arrive";

/// Whether standard output takes colours: a terminal, and NO_COLOR is not set.
pub(crate) fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// A number of things.
fn count(n: u64, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

/// How many messages the broker acknowledged; at QoS 0 it never does.
pub(super) fn acknowledged(tally: &Tally) -> String {
    if tally.qos == 0 { "-".into() } else { tally.delivered.to_string() }
}

/// A time in seconds, "-" if there is none.
pub(super) fn seconds(time: Option<Duration>) -> String {
    ms(time.map(millis))
}

fn ms(ms: Option<u64>) -> String {
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
    use super::super::verdict::tests::good;

    #[test]
    fn the_last_line_is_the_verdict() {
        let mut verdict = good();
        assert!(verdict.text(false).lines().last().unwrap().starts_with("PASS"));
        assert_eq!(verdict.text(false).matches("kept\n").count(), 6);
        verdict.lanes[4].tally.lost = 1;
        assert!(verdict.text(false).lines().last().unwrap().starts_with("FAIL"));
        assert_eq!(verdict.text(false).matches("BROKEN\n").count(), 1);
    }

    #[test]
    fn what_the_tables_do_not_show_is_named() {
        let mut verdict = good();
        verdict.outages[1].recoveries[0] = None;
        verdict.lanes[2].tally.unaccounted = 3;
        let text = verdict.text(false);
        assert!(text.contains("no recovery in time after: connection reset"));
        assert!(text.contains("MQTT 3.1.1, QoS 2: 3 accepted and never accounted for"));
    }

    #[test]
    fn colours_only_when_asked() {
        assert!(!good().text(false).contains('\x1b'));
        assert!(good().text(true).contains("\x1b[32m"));
    }

    #[test]
    fn lines_fit_a_terminal() {
        let long = good().text(false).lines().map(|l| l.chars().count()).max();
        assert!(long <= Some(82), "{long:?}");
    }
}
