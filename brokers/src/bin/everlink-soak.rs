//! `everlink-soak`: see `docs/proof.md`.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use everlink_brokers::soak::{self, Plan};

const USAGE: &str =
    "usage: everlink-soak [--minutes M] [--messages N] [--every SECONDS] [--rate R] [--seed S]
mosquitto with a fault every SECONDS (3) on average, until M minutes are over or N messages
published; 60 minutes if neither is given; R messages a second in each of the four lanes";

#[tokio::main]
async fn main() -> ExitCode {
    let plan = match plan(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(wrong) => {
            eprintln!("{wrong}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match soak::run(plan, std::io::stdout()).await {
        Ok(report) => {
            print!("{report}");
            let failures = report.failures();
            for failure in &failures {
                println!("FAIL {failure}");
            }
            if failures.is_empty() {
                println!("PASS");
                return ExitCode::SUCCESS;
            }
        }
        Err(error) => eprintln!("{error}"),
    }
    ExitCode::FAILURE
}

fn plan(mut args: impl Iterator<Item = String>) -> Result<Plan, String> {
    let every = Duration::from_secs(3);
    let mut plan = Plan { time: None, messages: None, rate: None, every, seed: 1 };
    while let Some(arg) = args.next() {
        let value = args.next().ok_or(format!("{arg}: what?"))?;
        let number: u64 = value.parse().map_err(|_| format!("{arg}: '{value}' is no number"))?;
        match arg.as_str() {
            "--minutes" => plan.time = Some(Duration::from_secs(60 * number)),
            "--messages" => plan.messages = Some(number),
            "--every" if number > 0 => plan.every = Duration::from_secs(number),
            "--rate" => plan.rate = u32::try_from(number).ok().filter(|r| *r > 0),
            "--seed" => plan.seed = number,
            _ => return Err(format!("not understood: {arg} {value}")),
        }
    }
    if plan.time.is_none() && plan.messages.is_none() {
        plan.time = Some(Duration::from_secs(3600));
    }
    Ok(plan)
}
