//! Medians, ratios, and how they are printed.

use serde::Serialize;
use serde_json::json;

use crate::contenders::REFERENCE;
use crate::measure::Sample;
use crate::{Direction, Result, RunArgs};

/// One contender in one direction.
pub(crate) struct Cell {
    pub(crate) contender: &'static str,
    pub(crate) direction: Direction,
    pub(crate) samples: Vec<Sample>,
    /// System calls of the client for each message.
    pub(crate) syscalls: Option<f64>,
}

impl Cell {
    pub(crate) fn new(contender: &'static str, direction: Direction) -> Self {
        Self { contender, direction, samples: Vec::new(), syscalls: None }
    }

    pub(crate) fn title(&self) -> String {
        match self.direction {
            Direction::Publish => format!("{}, publishing", self.contender),
            Direction::Receive => format!("{}, receiving", self.contender),
            Direction::Idle => format!("{}, idle", self.contender),
        }
    }

    fn rates(&self) -> Vec<f64> {
        self.samples.iter().map(|sample| sample.messages as f64 / sample.seconds).collect()
    }

    /// Processor time of the client for each message, in nanoseconds.
    fn cpu_nanos(&self) -> f64 {
        let nanos = |sample: &Sample| sample.cpu_seconds * 1e9 / sample.messages as f64;
        median(self.samples.iter().map(nanos).collect())
    }
}

/// Everything one comparison found out.
pub(crate) struct Report<'a> {
    pub(crate) args: &'a RunArgs,
    /// The tool that counted system calls.
    pub(crate) counter: Option<&'static str>,
    pub(crate) cells: Vec<Cell>,
}

#[derive(Serialize)]
struct Row {
    contender: &'static str,
    direction: Direction,
    /// Messages a second: median, lowest, highest.
    rate: f64,
    lowest: f64,
    highest: f64,
    /// Median rate divided by that of the reference contender.
    ratio: Option<f64>,
    cpu_ns_per_message: f64,
    syscalls_per_message: Option<f64>,
}

impl Report<'_> {
    pub(crate) fn print(&self) -> Result<()> {
        let rows = self.rows();
        if self.args.json {
            let report = json!({
                "settings": self.args,
                "reference": REFERENCE,
                "syscall_counter": self.counter,
                "results": rows,
            });
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            self.print_tables(&rows);
        }
        Ok(())
    }

    fn rows(&self) -> Vec<Row> {
        let row = |cell: &Cell| {
            let rates = cell.rates();
            let rate = median(rates.clone());
            let mut others = self.cells.iter();
            let reference = others
                .find(|other| other.contender == REFERENCE && other.direction == cell.direction);
            Row {
                contender: cell.contender,
                direction: cell.direction,
                rate,
                lowest: rates.iter().copied().fold(f64::INFINITY, f64::min),
                highest: rates.iter().copied().fold(0.0, f64::max),
                ratio: reference.map(|reference| rate / median(reference.rates())),
                cpu_ns_per_message: cell.cpu_nanos(),
                syscalls_per_message: cell.syscalls,
            }
        };
        self.cells.iter().map(row).collect()
    }

    fn print_tables(&self, rows: &[Row]) {
        let RunArgs { rounds, payload, window, pin, core, qos, .. } = self.args;
        let place = match pin {
            crate::Pin::Same => format!("client and sink on core {core}"),
            crate::Pin::Split => format!("client on core {core}, sink on core {}", core + 1),
            crate::Pin::None => "not pinned".into(),
        };
        println!(
            "QoS {qos}, {payload}-byte payload, window {window}, {place}, median of {rounds} rounds"
        );
        if let Some(counter) = self.counter {
            println!("system calls of the client counted by {counter} in a run of their own");
        }
        for (direction, title) in
            [(Direction::Publish, "publishing"), (Direction::Receive, "receiving")]
        {
            println!(
                "\n{title:<16}  messages/s  (lowest - highest)       x {REFERENCE}  cpu ns/msg  syscalls/msg"
            );
            for row in rows.iter().filter(|row| row.direction == direction) {
                println!(
                    "{:<16}  {:>10.0}  ({:>9.0} - {:>9.0})  {:>13}  {:>10.0}  {:>12}",
                    row.contender,
                    row.rate,
                    row.lowest,
                    row.highest,
                    row.ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")),
                    row.cpu_ns_per_message,
                    row.syscalls_per_message.map_or("-".into(), |calls| format!("{calls:.4}")),
                );
            }
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![3.0, 1.0, 100.0]), 3.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 100.0]), 3.0);
    }
}
