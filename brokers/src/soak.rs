//! A long run against mosquitto with a fault every few seconds: memory, file descriptors and a ledger.
//!
//! Four lanes, one for each version and each of QoS 1 and 2. In each a client publishes the numbers
//! 0, 1, 2 ... and another receives them, both by way of a fault proxy of their own. The order is
//! kept, so the next number is the only one that may come; the ledger needs no memory.

mod faults;
mod lane;

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use everlink::{QoS, Version};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use crate::broker::{Broker, Kind, Saving};
use faults::Faults;
use lane::Lane;

/// How often memory and descriptors are looked at.
const LOOK: Duration = Duration::from_secs(10);
/// What the first looks do not count for: buffers and tables grow to what the load needs.
const WARM_UP: f64 = 0.25;
/// Growth after that which is still taken for noise, in KiB.
const NOISE: u64 = 8 * 1024;
/// Until everything published has arrived, once nothing is in the way any more.
const END: Duration = Duration::from_secs(120);

/// How long, and how hard.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Ends it after this time.
    pub time: Option<Duration>,
    /// Ends it when all lanes together have published so many.
    pub messages: Option<u64>,
    /// Messages a second of each lane; as fast as it goes if none.
    pub rate: Option<u32>,
    /// The mean time between faults.
    pub every: Duration,
    /// Of the faults.
    pub seed: u64,
}

/// What a run saw.
#[derive(Clone, Debug)]
pub struct Report {
    lanes: Vec<lane::Account>,
    faults: Vec<(&'static str, u64)>,
    time: Duration,
    /// Resident memory in KiB and open descriptors: at the end of the warm-up, and at the end.
    used: [(u64, u64); 2],
}

impl Report {
    /// What is wrong, if anything is.
    pub fn failures(&self) -> Vec<String> {
        let mut failures: Vec<_> = self.lanes.iter().flat_map(lane::Account::failures).collect();
        let [(memory, descriptors), (memory_after, descriptors_after)] = self.used;
        if memory_after > memory + memory / 4 + NOISE {
            failures.push(format!("memory grew from {memory} to {memory_after} KiB"));
        }
        // A connection more or less may be under way when they are counted.
        if descriptors_after > descriptors + 16 {
            failures.push(format!("descriptors grew from {descriptors} to {descriptors_after}"));
        }
        failures
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.lanes.iter().map(|l| l.published).sum();
        let faults: u64 = self.faults.iter().map(|(_, n)| n).sum();
        let [before, after] = self.used;
        writeln!(f, "{all} messages, {faults} faults in {} s", self.time.as_secs())?;
        for lane in &self.lanes {
            writeln!(f, "  {lane}")?;
        }
        for (name, count) in &self.faults {
            writeln!(f, "  {count:6} {name}")?;
        }
        writeln!(
            f,
            "  memory {} KiB, then {} KiB; descriptors {}, then {}",
            before.0, after.0, before.1, after.1
        )
    }
}

/// Runs the plan; `out` hears of it every ten seconds.
///
/// # Errors
/// If mosquitto or a proxy does not start.
pub async fn run(plan: Plan, mut out: impl Write) -> Result<Report, String> {
    let broker = Arc::new(Mutex::new(Broker::saving(Kind::Mosquitto, Saving::AtExit)?));
    let mut lanes = Vec::new();
    for version in [Version::V311, Version::V5] {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let addr = broker.lock().await.addr(version);
            lanes.push(Lane::start(addr, version, qos, plan.rate).await?);
        }
    }
    let start = Instant::now();
    let mut faults = Faults::new(plan.seed);
    let (mut next_fault, mut next_look) = (start, start + LOOK);
    let mut looks = Vec::new();
    loop {
        sleep_until(next_fault.min(next_look)).await;
        let now = Instant::now();
        if now >= next_fault {
            next_fault = now + faults.pause(plan.every);
            faults.one(&lanes, &broker).await?;
        }
        if now >= next_look {
            next_look = now + LOOK;
            looks.push(used().map_err(|e| format!("/proc: {e}"))?);
            let _ = tell(&mut out, now - start, &lanes, &faults, &looks);
        }
        let published: u64 = lanes.iter().map(Lane::published).sum();
        let stuck = lanes.iter().any(Lane::is_stuck);
        if plan.time.is_some_and(|t| now - start >= t)
            || plan.messages.is_some_and(|n| published >= n)
            || stuck
        {
            break;
        }
    }
    faults.settle(&lanes).await;
    let mut accounts = Vec::new();
    for lane in lanes {
        accounts.push(lane.end(END).await);
    }
    let time = start.elapsed();
    // What the runtime and the allocator still hold of the connections.
    sleep(Duration::from_secs(1)).await;
    looks.push(used().map_err(|e| format!("/proc: {e}"))?);
    let warm = (looks.len() as f64 * WARM_UP) as usize;
    let used = [looks[warm], looks[looks.len() - 1]];
    Ok(Report { lanes: accounts, faults: faults.counts(), time, used })
}

fn tell(
    out: &mut impl Write,
    time: Duration,
    lanes: &[Lane],
    faults: &Faults,
    looks: &[(u64, u64)],
) -> io::Result<()> {
    let (memory, descriptors) = looks[looks.len() - 1];
    let published: u64 = lanes.iter().map(Lane::published).sum();
    let received: u64 = lanes.iter().map(Lane::received).sum();
    let faults: u64 = faults.counts().iter().map(|(_, n)| n).sum();
    writeln!(
        out,
        "{:6} s  {published} published, {received} received, {faults} faults, {memory} KiB, \
         {descriptors} descriptors",
        time.as_secs()
    )
}

/// Resident memory of this process in KiB, and its open descriptors.
fn used() -> io::Result<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
    let memory = line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
    Ok((memory, std::fs::read_dir("/proc/self/fd")?.count() as u64))
}
