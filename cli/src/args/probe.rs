//! Flags of `everlink probe`.

use clap::Parser;

use super::connection::ConnectionArgs;
use super::values;

const WHAT: &str = "What to try";

/// Try every stage of the way to a broker, and say what broke and what to check
///
/// Name, link, TCP, proxy, TLS, WebSocket, CONNECT with the broker's limits, round trips, and a message at
/// QoS 1 that comes back. Nothing is left at the broker.
#[derive(Parser)]
#[command(disable_help_flag = true, after_help = AFTER)]
#[command(override_usage = "everlink probe [URL | HOST] [FLAGS]")]
pub(crate) struct ProbeArgs {
    /// The broker: a URL as for -L, or a host name
    #[arg(value_name = "URL", conflicts_with_all = ["host", "port", "urls"])]
    pub(crate) broker: Option<String>,

    /// Round trips to measure
    #[arg(long, value_name = "N", default_value = "10", allow_negative_numbers = true, help_heading = WHAT,
        value_parser = values::whole(1..=1000_u32))]
    pub(crate) pings: u32,

    /// Topic of the message that is to come back [default: everlink/probe/ and something random]
    #[arg(short, long, value_name = "TOPIC", allow_hyphen_values = true, help_heading = WHAT)]
    pub(crate) topic: Option<String>,

    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

const AFTER: &str = "With --json, one object for each stage:
  {\"stage\":\"tcp\",\"ok\":true,\"ms\":0.21,\"detail\":\"\",\"check\":null}

Exit codes:
  0  everything works                     14  TLS
  1  usage: a flag or file is wrong       15  WebSocket
 10  link: a socket file or a device      16  MQTT: CONNECT was refused or not answered
 11  the broker's name                    17  round trips
 12  TCP                                  18  the message did not come back
 13  proxy";
