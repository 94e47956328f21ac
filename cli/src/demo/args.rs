//! The flags of `everlink demo`.

use everlink::{QoS, Version};

use super::traffic::LEVELS;

/// What may be chosen.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "It takes about 80 seconds. Ctrl-C ends it early, with a verdict of what was seen.
Progress goes to standard error, the verdict to standard output.

Exit codes:
  0  nothing lost at QoS 1 and 2, nothing doubled at QoS 2, order kept, every message accounted for
  1  usage: a flag is wrong
  3  a promise was broken, or the demo could not run"
)]
pub(crate) struct DemoArgs {
    /// Print the verdict as one JSON object on standard output
    #[arg(long)]
    pub(super) json: bool,
    /// End after so many messages, some 240 a second [default: after the outages of the schedule]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count)]
    pub(super) messages: Option<u64>,
    /// Only this quality of service: 0, 1 or 2 [default: all three]
    #[arg(short, long, value_name = "Q", value_parser = qos)]
    pub(super) qos: Option<QoS>,
    /// Repeat the outages of an earlier run: its seed [default: a new one]
    #[arg(long, value_name = "S", value_parser = seed, allow_negative_numbers = true)]
    pub(super) seed: Option<u64>,
    /// Only this version of MQTT: 311 or 5 [default: a client of each]
    #[arg(short = 'V', long = "protocol-version", value_name = "V", value_parser = version)]
    pub(super) version: Option<Version>,
}

impl DemoArgs {
    /// The versions to show, a client for each.
    pub(super) fn versions(&self) -> Vec<Version> {
        self.version.map_or_else(|| vec![Version::V311, Version::V5], |version| vec![version])
    }

    /// The levels to show.
    pub(super) fn levels(&self) -> Vec<QoS> {
        self.qos.map_or_else(|| LEVELS.to_vec(), |qos| vec![qos])
    }
}

fn version(text: &str) -> Result<Version, String> {
    match text {
        "5" | "5.0" | "mqttv5" => Ok(Version::V5),
        "311" | "3.1.1" | "mqttv311" => Ok(Version::V311),
        _ => Err("the versions are 5 and 311".into()),
    }
}

fn count(text: &str) -> Result<u64, String> {
    let count = text.parse().ok().filter(|n| *n > 0);
    count.ok_or_else(|| "a number from 1 on is wanted".into())
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "the seed is a whole number from 0 on".into())
}

fn qos(text: &str) -> Result<QoS, String> {
    match text {
        "0" => Ok(QoS::AtMostOnce),
        "1" => Ok(QoS::AtLeastOnce),
        "2" => Ok(QoS::ExactlyOnce),
        _ => Err("QoS is 0, 1 or 2".into()),
    }
}
