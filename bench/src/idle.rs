//! What a client costs that is connected and does nothing: memory of the process, beyond the kernel's.

use std::time::Duration;

use crate::Result;
use crate::contenders::{Contender, Job, runtime};
use crate::measure::{Meter, Sample};

/// Clients that pay for what the process needs only once.
const FIRST: u64 = 20;

/// Connects as many clients as the job has messages, and divides what they take among them.
pub(crate) fn measure(contender: &Contender, job: &Job) -> Result<Sample> {
    let idle = contender.idle.ok_or("this contender knows no idle clients")?;
    runtime()?.block_on(async {
        let mut clients = Vec::new();
        let meter = Meter::start();
        let mut before = 0;
        for number in 0..job.messages {
            if number == FIRST {
                before = resident()?;
            }
            clients.push(idle(job, number as usize).await?);
        }
        // For what is still under way after connecting.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let bytes = resident()?.saturating_sub(before) as f64;
        let counted = job.messages.saturating_sub(FIRST).max(1);
        let mut sample = meter.stop(job.messages);
        sample.bytes = Some(bytes / counted as f64);
        Ok(sample)
    })
}

/// Bytes of anonymous memory of this process that are in use.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no RssAnon")?;
    Ok(kib.parse::<u64>()? * 1024)
}
