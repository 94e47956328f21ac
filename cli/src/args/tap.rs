//! Flags about looking at what goes over the link.

use std::path::PathBuf;

use clap::Args;
use everlink::tap::Plan;

use super::values;

const TAPS: &str = "Looking closely";

/// What looks at the link, or breaks it.
#[derive(Args, Debug)]
pub(crate) struct TapArgs {
    /// Print each packet on standard error
    #[arg(long, help_heading = TAPS)]
    pub(crate) trace: bool,

    /// Capture the packets in this file, for Wireshark; also what went over TLS, in clear
    #[arg(long, value_name = "FILE", help_heading = TAPS)]
    pub(crate) pcap: Option<PathBuf>,

    /// Record everything that happens in this file, for `everlink replay`. Not with --store
    #[arg(long, value_name = "FILE", help_heading = TAPS, conflicts_with = "directory")]
    pub(crate) record: Option<PathBuf>,

    /// Show passwords and payloads in these; without this they are written over
    #[arg(long, help_heading = TAPS)]
    pub(crate) with_secrets: bool,

    /// Most bytes that such a file may get
    #[arg(long, value_name = "BYTES", default_value = "268435456", allow_negative_numbers = true, help_heading = TAPS,
        value_parser = values::whole(1..=u64::MAX))]
    pub(crate) tap_limit: u64,

    /// Break the connection on purpose: refuse=20%, cut=1000..20000 (bytes), stall=5000 (bytes),
    /// delay=5..50 (ms), with seed=7, and first=10 for the first ten attempts only
    #[arg(long = "break", value_name = "FAULTS", help_heading = TAPS)]
    pub(crate) faults: Option<Plan>,
}
