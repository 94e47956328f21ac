//! Flags of `everlink pub`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser};
use everlink::{QoS, WhenFull};

use super::connection::ConnectionArgs;
use super::values;
use crate::exit;

const MESSAGE: &str = "Message (one of -m -l -f -s -n)";
const QUEUE: &str = "Queue";

/// Publish messages, and wait until the broker has them
///
/// Messages are accepted at once, kept in a bounded queue, and delivered in order across any outage.
/// The command ends when each is accounted for: delivered (at QoS 1 and 2 the broker said so; at
/// QoS 0 it was sent), expired, rejected by the broker, or dropped by the policy of the queue.
#[derive(Parser)]
#[command(disable_help_flag = true, after_help = after_help())]
#[command(
    override_usage = "everlink pub [-h HOST | -L URL] -t TOPIC {-m MESSAGE | -l | -f FILE | -s | -n} [FLAGS]"
)]
pub(crate) struct PubArgs {
    /// Topic to publish to; may be the end of the URL instead
    #[arg(short, long, value_name = "TOPIC", allow_hyphen_values = true, help_heading = MESSAGE)]
    pub(crate) topic: Option<String>,

    #[command(flatten)]
    pub(crate) source: Source,

    /// Quality of service: 0, 1 or 2
    #[arg(short, long, value_name = "QOS", default_value = "0", allow_negative_numbers = true, help_heading = MESSAGE,
        value_parser = values::qos)]
    pub(crate) qos: QoS,

    /// The broker is to retain the message
    #[arg(short, long, help_heading = MESSAGE)]
    pub(crate) retain: bool,

    /// Publish N times
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "lines", help_heading = MESSAGE,
        allow_negative_numbers = true, value_parser = values::whole(1..=u64::MAX))]
    pub(crate) repeat: u64,

    /// Pause between these
    #[arg(long, value_name = "SECS", default_value = "0", allow_negative_numbers = true, help_heading = MESSAGE,
        value_parser = values::seconds)]
    pub(crate) repeat_delay: Duration,

    /// The message is of no use after so long: then it expires, here or at the broker
    #[arg(long, value_name = "SECS", allow_negative_numbers = true, help_heading = MESSAGE,
        value_parser = values::some_seconds)]
    pub(crate) expiry: Option<Duration>,

    /// Most messages to hold while they cannot be sent [default: 1000; with --store as many as it takes]
    #[arg(long, value_name = "N", help_heading = QUEUE,
        allow_negative_numbers = true, value_parser = values::whole(1..=usize::MAX))]
    pub(crate) queue_messages: Option<usize>,

    /// Most bytes to hold [default: 16 MiB, or what one message needs; with --store as many as it takes]
    #[arg(long, value_name = "N", help_heading = QUEUE,
        allow_negative_numbers = true, value_parser = values::whole(1..=usize::MAX))]
    pub(crate) queue_bytes: Option<usize>,

    /// What a full queue does: wait (read no further input), reject (drop the new message and say
    /// so), drop-oldest, drop-newest, latest (of each topic)
    #[arg(long, value_name = "POLICY", default_value = "wait", help_heading = QUEUE,
        value_parser = values::when_full)]
    pub(crate) when_full: WhenFull,

    /// Most messages under way at a time
    #[arg(short = 'M', long, value_name = "N", default_value_t = 100, help_heading = QUEUE,
        allow_negative_numbers = true, value_parser = values::whole(1..=u16::MAX))]
    pub(crate) window: u16,

    /// Longest wait at the end for what is still under way [default: no limit; after a signal 10 s]
    #[arg(long, value_name = "SECS", allow_negative_numbers = true, help_heading = QUEUE,
        value_parser = values::seconds)]
    pub(crate) drain: Option<Duration>,

    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Where the message comes from.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Source {
    /// This message
    #[arg(short, long, value_name = "MESSAGE", allow_hyphen_values = true, help_heading = MESSAGE)]
    pub(crate) message: Option<OsString>,

    /// Each line of standard input, as it comes; an empty line is an empty message
    #[arg(short = 'l', long = "stdin-line", help_heading = MESSAGE)]
    pub(crate) lines: bool,

    /// The content of a file
    #[arg(short, long, value_name = "FILE", help_heading = MESSAGE)]
    pub(crate) file: Option<PathBuf>,

    /// All of standard input
    #[arg(short, long = "stdin-file", help_heading = MESSAGE)]
    pub(crate) stdin: bool,

    /// An empty message, which with -r removes the retained one
    #[arg(short, long = "null-message", help_heading = MESSAGE)]
    pub(crate) null: bool,
}

fn after_help() -> String {
    format!(
        "With -l the broker may be away at the start (--first-connect forever), and a summary goes to
standard error at the end. Otherwise the first connection must succeed. A refusal that only a
person can mend, such as a wrong password, ends the command unless --first-connect says otherwise.

SIGINT and SIGTERM: no more input is read, what is held is delivered (at most --drain or 10 s),
then the connection is ended properly. A second signal ends it at once.

With --json, standard output has an object for each message when its fate is known, for each
change of the connection, and at last for the sum:
  {{\"n\":1,\"outcome\":\"delivered|expired|rejected|dropped\",\"reason\":null,\"ms\":12}}
  {{\"state\":\"up|down\",\"stage\":\"tcp\",\"fault\":\"connection refused\",\"next_attempt_ms\":500}}
  {{\"summary\":{{\"accepted\":1,\"delivered\":1,\"expired\":0,\"rejected\":0,\"dropped\":0,\"held\":0,
    \"outages\":0,\"longest_outage_ms\":0}}}}
Accepted are all messages taken from the input; the other five numbers add up to that. What a full
queue rejects, and what is too large for it, counts as dropped.

MQTT 3.1.1 brokers cannot say that they refuse a message: it counts as delivered.

With --store, messages of QoS 1 and 2 are in the store until they are delivered, and a run that was killed
is continued by the next one with the same store: what is there goes out first, in order, at QoS 2 once. With
-l and a file as standard input, reading goes on behind the last line that was stored; from a pipe it
cannot, so whoever writes into it looks for the lines that --json calls stored:
  {{\"n\":1,\"stored\":true}}
Messages of earlier runs count as accepted too, but have no \"n\". Everything is explained in
docs/store.md.

{}",
        exit::CODES
    )
}
