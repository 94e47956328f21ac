//! An emulated WiFi module at a pseudo-terminal, for trying things out by hand.
//!
//! `everlink-modem-sim DEVICE [1|2] [SSID PASSPHRASE] [RESTART-EVERY-SECONDS]`: whoever opens DEVICE
//! speaks with a module that has firmware 1.7 or 3.2 and one network in reach, `sim` without a passphrase
//! by default, and knows `localhost`.
#![forbid(unsafe_code)]

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use everlink_sim::modem::{Firmware, Modem, Module};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |at: usize| args.get(at).map(String::as_str);
    let Some(device) = arg(0) else {
        eprintln!("everlink-modem-sim DEVICE [1|2] [SSID PASSPHRASE] [RESTART-EVERY-SECONDS]");
        return ExitCode::from(1);
    };
    let firmware = if arg(1) == Some("1") { Firmware::V1 } else { Firmware::V2 };
    let module = Module::new(firmware)
        .network(arg(2).unwrap_or("sim"), arg(3).unwrap_or_default())
        .name("localhost", Ipv4Addr::LOCALHOST);
    let restart = arg(4).and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs_f64);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("everlink-modem-sim: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        let modem = match Modem::plug_in(device, module) {
            Ok(modem) => modem,
            Err(error) => {
                eprintln!("everlink-modem-sim: {device}: {error}");
                return ExitCode::FAILURE;
            }
        };
        loop {
            tokio::time::sleep(restart.unwrap_or(Duration::from_secs(3600))).await;
            if restart.is_some() {
                modem.restart();
            }
        }
    })
}
