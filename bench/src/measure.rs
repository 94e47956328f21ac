//! Time, processor time, and the core a process runs on.

use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::Result;

/// Keeps this process on one core; call before any thread is started. `None` leaves it free.
pub(crate) fn pin_to(core: Option<usize>) -> Result<()> {
    if let Some(core) = core {
        let mut cores = CpuSet::new();
        cores.set(core);
        sched_setaffinity(None, &cores)
            .map_err(|error| format!("cannot use core {core}: {error}"))?;
    }
    Ok(())
}

/// Ends this process when it takes far too long, for some clients wait or reconnect for ever.
pub(crate) fn give_up_after(limit: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        eprintln!("bench: not done after {limit:?}");
        std::process::exit(1);
    });
}

/// What one run of one contender took, without setting up and closing the connection.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) messages: u64,
    /// Wall-clock time.
    pub(crate) seconds: f64,
    /// Processor time of the client, user and system, all threads.
    pub(crate) cpu_seconds: f64,
    /// Memory for each idle client.
    pub(crate) bytes: Option<f64>,
}

/// Started when the connection is up, stopped when the last message is done.
pub(crate) struct Meter {
    wall: Instant,
    cpu_seconds: f64,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { cpu_seconds: cpu_seconds(), wall: Instant::now() }
    }

    pub(crate) fn stop(self, messages: u64) -> Sample {
        let seconds = self.wall.elapsed().as_secs_f64();
        let cpu_seconds = cpu_seconds() - self.cpu_seconds;
        Sample { messages, seconds, cpu_seconds, bytes: None }
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
