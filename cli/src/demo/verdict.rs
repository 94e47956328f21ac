//! What the demo found out, and whether the promises were kept.

use std::time::Duration;

use serde::Serialize;

use super::ledger::Tally;
use super::schedule::Kind;

/// One outage as it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    pub(crate) kind: Kind,
    /// How long the path or the broker was bad.
    pub(crate) lasted: Duration,
    /// For each client: from then to the next acknowledgement or message; `None` if there was none
    /// in time.
    pub(crate) recoveries: Vec<Option<Duration>>,
}

/// The account of one client at one QoS.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Lane {
    /// "3.1.1" or "5".
    pub(crate) version: &'static str,
    #[serde(flatten)]
    pub(crate) tally: Tally,
}

/// Everything the demo found out.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) seed: u64,
    /// The schedule's fingerprint.
    pub(crate) schedule: String,
    /// A signal ended it early.
    pub(crate) interrupted: bool,
    /// A second one did not even wait for the messages under way.
    pub(crate) cut_short: bool,
    pub(crate) took: Duration,
    /// Connections the clients made.
    pub(crate) connections: u64,
    pub(crate) lanes: Vec<Lane>,
    /// In the order in which they happened.
    pub(crate) outages: Vec<Outage>,
}

/// The outages of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) kind: &'static str,
    #[serde(skip)]
    pub(super) label: &'static str,
    pub(super) count: usize,
    pub(super) longest_ms: u64,
    /// Of all clients, where there was a recovery.
    pub(super) median_recovery_ms: Option<u64>,
    pub(super) worst_recovery_ms: Option<u64>,
    pub(super) unrecovered: usize,
}

impl Verdict {
    /// Whether every promise was kept and the clients came back from every outage.
    pub(crate) fn passed(&self) -> bool {
        self.lanes.iter().all(|lane| lane.tally.holds())
            && self.outages.iter().all(|outage| outage.recoveries.iter().all(Option::is_some))
    }

    /// One object, on one line.
    pub(crate) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Judged {
            #[serde(flatten)]
            lane: Lane,
            holds: bool,
        }
        let judged = |lane: &Lane| Judged { lane: *lane, holds: lane.tally.holds() };
        let sequence: Vec<_> = self.outages.iter().map(|outage| outage.kind.name()).collect();
        serde_json::json!({
            "verdict": if self.passed() { "pass" } else { "fail" },
            "seed": self.seed,
            "schedule": self.schedule,
            "interrupted": self.interrupted,
            "seconds": self.took.as_millis() as f64 / 1000.0,
            "connections": self.connections,
            "messages": self.messages(),
            "kinds": self.rows().len(),
            "qos": self.lanes.iter().map(judged).collect::<Vec<_>>(),
            "outages": self.rows(),
            "sequence": sequence,
        })
        .to_string()
    }

    /// Messages accepted.
    pub(super) fn messages(&self) -> u64 {
        self.lanes.iter().map(|lane| u64::from(lane.tally.accepted)).sum()
    }

    /// The outages per kind.
    pub(super) fn rows(&self) -> Vec<Row> {
        Kind::ALL.into_iter().filter_map(|kind| self.row(kind)).collect()
    }

    fn row(&self, kind: Kind) -> Option<Row> {
        let of_kind: Vec<&Outage> = self.outages.iter().filter(|o| o.kind == kind).collect();
        let longest = of_kind.iter().map(|o| o.lasted).max()?;
        let all = || of_kind.iter().flat_map(|o| &o.recoveries);
        let mut recoveries: Vec<u64> = all().flatten().copied().map(millis).collect();
        recoveries.sort_unstable();
        Some(Row {
            kind: kind.name(),
            label: kind.label(),
            count: of_kind.len(),
            longest_ms: millis(longest),
            // the lower of the two in the middle
            median_recovery_ms: recoveries.get(recoveries.len().saturating_sub(1) / 2).copied(),
            worst_recovery_ms: recoveries.last().copied(),
            unrecovered: all().count() - recoveries.len(),
        })
    }
}

pub(super) fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// A run in which all went well.
    pub(crate) fn good() -> Verdict {
        let tally =
            |qos| Tally { qos, accepted: 10, delivered: 10, received: 10, ..Tally::default() };
        let lane = |version, qos| Lane { version, tally: tally(qos) };
        let outage = |kind, lasted, recoveries: [u64; 2]| Outage {
            kind,
            lasted: ms(lasted),
            recoveries: recoveries.map(|n| Some(ms(n))).to_vec(),
        };
        Verdict {
            seed: 7,
            schedule: "0123456789abcdef".into(),
            interrupted: false,
            cut_short: false,
            took: ms(61_250),
            connections: 4,
            lanes: ["3.1.1", "5"].iter().flat_map(|v| (0..3).map(|qos| lane(*v, qos))).collect(),
            outages: vec![
                outage(Kind::Refuse, 1500, [40, 60]),
                outage(Kind::Reset, 0, [300, 200]),
                outage(Kind::Refuse, 900, [20, 990]),
            ],
        }
    }

    fn object(verdict: &Verdict) -> serde_json::Value {
        serde_json::from_str(&verdict.json()).unwrap()
    }

    #[test]
    fn outages_are_summed_up_per_kind() {
        let rows = good().rows();
        assert_eq!(rows.len(), 2);
        let refused = &rows[1];
        assert_eq!((refused.kind, refused.count, refused.longest_ms), ("refuse", 2, 1500));
        assert_eq!((refused.median_recovery_ms, refused.worst_recovery_ms), (Some(40), Some(990)));
    }

    #[test]
    fn the_object_says_what_the_verdict_says() {
        let mut verdict = good();
        let pass = object(&verdict);
        assert_eq!((&pass["verdict"], &pass["kinds"]), (&"pass".into(), &2.into()));
        assert_eq!(
            (&pass["messages"], &pass["schedule"]),
            (&60.into(), &"0123456789abcdef".into())
        );
        assert_eq!((&pass["qos"][5]["version"], &pass["qos"][5]["qos"]), (&"5".into(), &2.into()));
        assert_eq!(pass["qos"][5]["holds"], true);
        assert_eq!(pass["outages"][1]["median_recovery_ms"], 40);
        assert_eq!(pass["sequence"], serde_json::json!(["refuse", "reset", "refuse"]));

        verdict.lanes[5].tally.lost = 1;
        let fail = object(&verdict);
        assert!(!verdict.passed());
        assert_eq!((&fail["verdict"], &fail["qos"][5]["holds"]), (&"fail".into(), &false.into()));
    }

    #[test]
    fn one_client_that_does_not_come_back_is_a_failure() {
        let mut verdict = good();
        verdict.outages[1].recoveries[1] = None;
        assert!(!verdict.passed());
        assert_eq!(object(&verdict)["outages"][0]["unrecovered"], 1);
    }
}
