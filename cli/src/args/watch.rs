//! Flags about being watched while running.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use super::values;

const WATCHED: &str = "Being watched";

/// Who is told how it goes.
#[derive(Args, Debug)]
pub(crate) struct WatchArgs {
    /// Answer Prometheus at http://ADDR:PORT/metrics
    #[arg(long, value_name = "ADDR:PORT", help_heading = WATCHED)]
    pub(crate) metrics: Option<SocketAddr>,

    /// Publish the same numbers as a retained JSON object to this topic
    #[arg(long, value_name = "TOPIC", allow_hyphen_values = true, help_heading = WATCHED)]
    pub(crate) stats_topic: Option<String>,

    /// So often
    #[arg(long, value_name = "SECS", default_value = "60", requires = "stats_topic",
        allow_negative_numbers = true, help_heading = WATCHED, value_parser = values::some_seconds)]
    pub(crate) stats_every: Duration,
}
